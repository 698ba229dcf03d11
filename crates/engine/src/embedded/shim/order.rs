//! What the engine hands a supervisor, as files of the container's directory: `order.json` for the supervisor
//! itself, small, and `spec.json`, which only the process that creates the container reads.
//! Also the names of all files of that directory, since both sides must agree on them.

use crate::embedded::cgroup::ContainerGroup;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

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

/// The files of one container's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory(PathBuf);

impl Directory {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn order(&self) -> PathBuf {
        self.0.join("order.json")
    }

    pub fn spec(&self) -> PathBuf {
        self.0.join("spec.json")
    }

    /// Held by the supervisor for life; holds its identity.
    pub fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    pub fn attempt(&self) -> PathBuf {
        self.0.join("attempt.json")
    }

    pub fn running(&self) -> PathBuf {
        self.0.join("running.json")
    }

    pub fn exit(&self) -> PathBuf {
        self.0.join("exit.json")
    }

    /// The newer half of the log.
    pub fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    pub fn older_log(&self) -> PathBuf {
        self.0.join("log.1")
    }

    /// What one attempt needs and leaves nothing behind of: removed before the next.
    pub fn work(&self) -> PathBuf {
        self.0.join("work")
    }

    /// What the container wrote into its file system.
    pub fn upper(&self) -> PathBuf {
        self.work().join("upper")
    }

    /// The overlay's own scratch directory.
    pub fn scratch(&self) -> PathBuf {
        self.work().join("scratch")
    }

    pub fn root(&self) -> PathBuf {
        self.work().join("root")
    }

    /// The OCI bundle, and the runtime's state.
    pub fn bundle(&self) -> PathBuf {
        self.work().join("bundle")
    }
}
