//! The embedded engine: real OCI containers on this machine, without a daemon.
//! Each room below owns one kernel concern; what should run is told by `Wanted`, nothing here decides placement.

pub mod cgroup;
pub mod container_spec;
pub mod image;
pub mod kernel;
pub mod network;
pub mod pod;
pub mod record;
pub mod rootfs;
pub mod seccomp;
pub mod shim;
