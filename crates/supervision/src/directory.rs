//! The names of all files of one container's directory, in one place, since the engine and the supervisor must agree on
//! them. Names only.

use std::path::{Path, PathBuf};

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
