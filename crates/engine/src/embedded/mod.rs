//! The embedded engine: real OCI containers on this machine, without a daemon.
//! Each room below owns one kernel concern; what should run is told by `Wanted`, nothing here decides placement.
//! Start at `engine`; `ensemble_supervision` decides, `supervisor` acts, `shim` is the process around each container.

pub mod cgroup;
pub mod container_spec;
mod engine;
mod exec;
pub mod image;
pub mod kernel;
mod logs;
pub mod network;
pub mod preflight;
pub mod rootfs;
pub mod seccomp;
pub mod shim;
mod supervisor;

pub use engine::{EmbeddedConfig, EmbeddedEngine, OpenError};
