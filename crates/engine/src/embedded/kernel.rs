//! Facts about this kernel and its processes: boot id, start times, clocks, locks, pidfds.
//! Rule of the house: a stored pid is never an identity. Liveness is a lock; a signal goes only through a pidfd
//! whose process was checked against boot id and start time (runtime.md §0.2, §7).

use ensemble_model::time::WallTime;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// One process of one boot. Two of these are equal only if they are the same process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    pub pid: i32,
    /// Field 22 of `/proc/PID/stat`: clock ticks after boot at which it started.
    pub start_ticks: u64,
    pub boot_id: String,
}

/// Whether a supervisor holds the lock of its directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    Held,
    Free,
}

/// The two clocks, as of one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clocks {
    /// What people see.
    pub wall: WallTime,
    /// Milliseconds since boot, sleep included: comparable between processes of one boot.
    pub boot_ms: u64,
}

/// The id of this boot: a new one after every start of the machine.
pub fn boot_id() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

pub fn clocks() -> Clocks {
    let wall = clock_gettime(ClockId::Realtime);
    let boot = clock_gettime(ClockId::Boottime);
    Clocks {
        wall: WallTime(wall.tv_sec.saturating_mul(1_000) + wall.tv_nsec / 1_000_000),
        boot_ms: u64::try_from(boot.tv_sec.saturating_mul(1_000) + boot.tv_nsec / 1_000_000).unwrap_or(0),
    }
}

/// When `pid` started, in clock ticks after boot; `None` when there is no such process.
pub fn start_ticks(pid: i32) -> io::Result<Option<u64>> {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => Ok(parse_start_ticks(&stat)),
        // ESRCH: the process ended between open and read.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The name in the second field may hold spaces and brackets: count from the last closing one.
fn parse_start_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    // Fields 3 and on; 22 is the 20th of them.
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// The identity of the calling process.
pub fn own_identity() -> io::Result<ProcessIdentity> {
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    let start_ticks =
        start_ticks(pid)?.ok_or_else(|| io::Error::other("no start time in /proc/self/stat"))?;
    Ok(ProcessIdentity { pid, start_ticks, boot_id: boot_id()? })
}

/// A pidfd of exactly this process, or nothing when it is gone, of another boot, or its pid went to a stranger.
pub fn open_process(identity: &ProcessIdentity) -> io::Result<Option<OwnedFd>> {
    if identity.boot_id != boot_id()? {
        return Ok(None);
    }
    let Some(pid) = Pid::from_raw(identity.pid) else { return Ok(None) };
    let descriptor = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(descriptor) => descriptor,
        Err(rustix::io::Errno::SRCH) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    // Checked after the open: the descriptor names one process for good, so what is read now is about that one,
    // or about nobody any more.
    if start_ticks(identity.pid)? == Some(identity.start_ticks) { Ok(Some(descriptor)) } else { Ok(None) }
}

/// Sends a signal through a pidfd; one that has ended is no error.
pub fn signal(process: impl AsFd, signal: Signal) -> io::Result<()> {
    match pidfd_send_signal(process, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Takes the exit status of a process that is ending, if it is our child and nobody else is there to take it: process 1
/// of a container inherits whatever loses its parent, and would keep it as a zombie.
pub fn reap(identity: &ProcessIdentity) {
    // Best effort throughout: gone, or another's child, is as good.
    let Ok(Some(process)) = open_process(identity) else { return };
    let patience = Timespec { tv_sec: 1, tv_nsec: 0 };
    let _ = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&patience));
    let _ = waitid(WaitId::PidFd(process.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
}

/// Asks whether somebody holds the lock on `path`. A file that is not there is held by nobody.
pub fn probe_lock(path: &Path) -> io::Result<Lock> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Lock::Free),
        Err(error) => return Err(error),
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(Lock::Free),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(Lock::Held),
        Err(error) => Err(error.into()),
    }
}

/// Takes the lock on `path` for as long as the returned file lives, or nothing when another holds it.
pub fn take_lock(path: &Path) -> io::Result<Option<File>> {
    let file = File::options().create(true).truncate(false).read(true).write(true).open(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Lets go of a lock at once. Closing its file does not while a process that another thread has just forked still has
/// a copy: that would look held until it executes.
pub fn release_lock(lock: &File) {
    // Best effort: an open file can always be unlocked.
    let _ = flock(lock, FlockOperation::Unlock);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_time_is_found_behind_any_name() {
        let tail = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
        for name in ["(sh)", "(a b)", "(a) (b)", "(:-))"] {
            assert_eq!(parse_start_ticks(&format!("17 {name} {tail}")), Some(4242), "{name}");
        }
        assert_eq!(parse_start_ticks("17 sh"), None);
        assert_eq!(parse_start_ticks("17 (sh) S 1"), None);
    }

    #[test]
    fn only_the_process_itself_is_opened() {
        let own = own_identity().unwrap();
        let stranger = ProcessIdentity { start_ticks: own.start_ticks + 1, ..own.clone() };
        let other_boot =
            ProcessIdentity { pid: own.pid, start_ticks: own.start_ticks, boot_id: "another".to_owned() };

        assert!(open_process(&own).unwrap().is_some());
        assert!(open_process(&stranger).unwrap().is_none());
        assert!(open_process(&other_boot).unwrap().is_none());
    }

    #[test]
    fn a_lock_is_held_until_its_file_is_closed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        assert_eq!(probe_lock(&path).unwrap(), Lock::Free);

        let held = take_lock(&path).unwrap();
        assert!(held.is_some());
        assert_eq!(probe_lock(&path).unwrap(), Lock::Held);
        assert!(take_lock(&path).unwrap().is_none());

        drop(held);
        assert_eq!(probe_lock(&path).unwrap(), Lock::Free);
    }

    #[test]
    fn a_released_lock_is_free_whoever_has_a_copy_of_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let held = take_lock(&path).unwrap().unwrap();
        let _copy = held.try_clone().unwrap();

        release_lock(&held);

        assert_eq!(probe_lock(&path).unwrap(), Lock::Free);
    }
}
