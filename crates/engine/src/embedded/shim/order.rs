//! What the engine hands a supervisor, as files of the container's directory: `order.json` for the supervisor
//! itself, small, and `spec.json`, which only the process that creates the container reads.

use crate::embedded::cgroup::ContainerGroup;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The container's name for the runtime: letters, digits, `-`, `_`, `.`.
    pub id: String,
    pub attempt: u32,
    /// Read-only layers, the topmost first.
    pub layers: Vec<PathBuf>,
    /// The image's `User`: `uid[:gid]` or names of its own `passwd` and `group`; empty = root.
    pub user: String,
    /// The pod's network namespace; `None` gives the container an empty one of its own.
    pub network_namespace: Option<PathBuf>,
    /// Where the control plane keeps the namespaces of all pods: the supervisor must not keep those alive.
    pub network_run_dir: Option<PathBuf>,
    pub group: ContainerGroup,
    /// `cgroup.procs` files that the supervisor writes itself to.
    pub supervisor_groups: Vec<PathBuf>,
    pub stop_signal: i32,
    /// From the stop signal to the kill.
    pub grace_ms: u64,
    pub log: LogBounds,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogBounds {
    /// Both halves together.
    pub bytes: u64,
    /// Sustained; what is above is dropped and counted.
    pub bytes_per_second: u64,
}

impl Default for LogBounds {
    fn default() -> Self {
        Self { bytes: 10 << 20, bytes_per_second: 1 << 20 }
    }
}
