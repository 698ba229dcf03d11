//! The program of the supervisors, executed through a read-only mount of its own. A container's first process is a
//! fork of a supervisor, and an image may name `/proc/self/exe` as its program: what it meets there must not be a way
//! to write into ours (CVE-2019-5736; runtime.md §8). The mount is attached nowhere and costs no memory.

use rustix::fs::CWD;
use rustix::mount::{OpenTreeFlags, open_tree};
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

#[derive(Debug)]
pub(crate) struct Program {
    file: OwnedFd,
    words: Vec<OsString>,
}

/// `struct mount_attr` of the kernel.
#[repr(C)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

impl Program {
    /// The command's first word is a path.
    ///
    /// # Errors
    /// There is no such file, or no right to mount.
    pub(crate) fn open(words: Vec<OsString>) -> io::Result<Self> {
        let path = words.first().ok_or(io::ErrorKind::InvalidInput)?;
        let file = open_tree(CWD, path, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)?;
        make_read_only(&file)?;
        Ok(Self { file, words })
    }

    pub(crate) fn command(&self) -> Command {
        // Looked up by the child, which has a copy of the descriptor until it executes.
        let mut command = Command::new(format!("/proc/self/fd/{}", self.file.as_raw_fd()));
        if let Some((name, arguments)) = self.words.split_first() {
            command.arg0(name).args(arguments);
        }
        command
    }
}

fn make_read_only(mount: &OwnedFd) -> io::Result<()> {
    const READ_ONLY: u64 = 1;
    let attributes = MountAttributes { set: READ_ONLY, clear: 0, propagation: 0, user_namespace: 0 };
    // SAFETY: the path is empty and ends in NUL, the structure is the kernel's first version and as long as said.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attributes,
            size_of::<MountAttributes>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
