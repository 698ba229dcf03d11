//! The embedded engine: real OCI containers on this machine, without a daemon.
//! Each room below owns one kernel concern; what should run is told by `Wanted`, nothing here decides placement.

pub mod image;
pub mod pod;
