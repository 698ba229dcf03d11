//! How often a program asks the kernel to make a file durable: it runs under `strace`, whose filter lets every other call
//! pass without a stop. For a run that is counted, not timed.

use crate::site::Site;
use anyhow::Result;
use std::path::PathBuf;

pub(super) struct Syncs {
    trace: PathBuf,
}

impl Syncs {
    pub(super) fn of(site: &Site, name: &str) -> Result<Self> {
        Ok(Self { trace: site.directory(name)?.join("syncs") })
    }

    /// The words before a program. The tracer is a grandchild (`-D`), so that the process started is the program itself.
    pub(super) fn wrapper(&self) -> Vec<String> {
        let words = [
            "strace",
            "-D",
            "-f",
            "--seccomp-bpf",
            "-qq",
            "-e",
            "trace=fsync,fdatasync",
            "-e",
            "signal=none",
        ];
        let output = ["-o".to_owned(), self.trace.display().to_string()];
        words.into_iter().map(str::to_owned).chain(output).collect()
    }

    /// Calls begun until now.
    pub(super) fn count(&self) -> Result<usize> {
        let text = std::fs::read_to_string(&self.trace)?;
        // A call that another thread's interrupts has two lines; the second says `resumed>` and no bracket.
        Ok(text.lines().filter(|line| line.contains("sync(")).count())
    }
}
