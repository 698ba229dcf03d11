//! The supervisor's own surroundings: session, descriptors, control groups, mount namespace.
//! Everything here is about the supervisor; the container is made by `create`.

use super::Error;
use super::order::Order;
use crate::embedded::network;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::MountPropagationFlags;
use rustix::process::DumpableBehavior;
use std::io;
use std::os::fd::OwnedFd;

/// Ours for life, and the pipe on which the engine waits for the start.
pub(super) struct Session {
    starting: Option<OwnedFd>,
}

impl Session {
    /// Lets the engine go on: the program runs. A session that ends unannounced says that it does not.
    pub(super) fn announce_start(&mut self) {
        self.starting = None;
    }
}

/// Own session, subreaper, working directory `/`, standard streams on `/dev/null`.
pub(super) fn leave_session() -> Result<Session, Error> {
    let detach = || -> io::Result<Session> {
        // Already a leader when started from a shell: then there is nothing to leave.
        let _ = rustix::process::setsid();
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        rustix::process::umask(Mode::from_raw_mode(0o022));
        rustix::process::chdir("/")?;
        let _ = rustix::thread::set_name(c"ensemble-shim");
        let starting = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
        let null = rustix::fs::openat(CWD, "/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        rustix::stdio::dup2_stdin(&null)?;
        rustix::stdio::dup2_stdout(&null)?;
        rustix::stdio::dup2_stderr(&null)?;
        // No debugger or core dump of a process that holds host directories open.
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
        Ok(Session { starting: Some(starting) })
    };
    detach().map_err(Error::step("leave the session"))
}

/// What a process for one command leaves of where it was started: a session and a working directory of its own,
/// standard streams on `/dev/null`. Returns what its standard input was.
pub(super) fn leave_terminal() -> io::Result<OwnedFd> {
    // Or Ctrl-C at the server would end this one before it has ended its command.
    let _ = rustix::process::setsid();
    rustix::process::umask(Mode::from_raw_mode(0o022));
    rustix::process::chdir("/")?;
    let _ = rustix::thread::set_name(c"ensemble-exec");
    let stdin = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let null = rustix::fs::openat(CWD, "/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    Ok(stdin)
}

/// Out of the control plane's groups, so that stopping it does not stop us.
pub(super) fn enter_groups(order: &Order) -> Result<(), Error> {
    for file in &order.supervisor_groups {
        std::fs::write(file, "0").map_err(Error::step("enter the supervisors' control group"))?;
    }
    Ok(())
}

/// A mount namespace of our own with nothing shared: the host's table stays short, and a dead supervisor leaks no
/// mount (runtime.md §6). What the control plane mounted must not be held here.
pub(super) fn leave_mounts(order: &Order) -> Result<(), Error> {
    let leave = || -> io::Result<()> {
        // SAFETY: one thread, and no descriptor or path is held that the new namespace would change.
        unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS)? };
        rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
        match &order.network_run_dir {
            Some(directory) => network::forget_namespaces(directory),
            None => Ok(()),
        }
    };
    leave().map_err(Error::step("make a mount namespace"))
}
