//! The kernel seam on this machine: files, flock, `/proc` and pidfds. What may be done with them, and in which order,
//! is `ensemble_supervision`'s.

use ensemble_model::time::WallTime;
use ensemble_supervision::kernel::{
    Clocks, Durability, Entry, EntryKind, Kernel, LockState, ProcessIdentity, Signal,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid};
use rustix::time::{ClockId, clock_gettime};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// This machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Linux;

impl Kernel for Linux {
    type Process = OwnedFd;
    type Lock = File;

    fn clocks(&self) -> Clocks {
        clocks()
    }

    fn boot_id(&self) -> io::Result<String> {
        boot_id()
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let kind = if entry.file_type()?.is_dir() { EntryKind::Directory } else { EntryKind::Other };
            entries.push(Entry { name: entry.file_name(), kind });
        }
        Ok(entries)
    }

    fn read(&self, path: &Path, at_most: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(at_most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn write(&self, path: &Path, content: &[u8], durability: Durability) -> io::Result<()> {
        let mut file = File::create(path)?;
        file.write_all(content)?;
        match durability {
            Durability::Synced => file.sync_all(),
            Durability::Unsynced => Ok(()),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Err(_) | Ok(()) => Ok(()),
        }
    }

    fn probe_lock(&self, path: &Path) -> io::Result<LockState> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(LockState::Free),
            Err(error) => return Err(error),
        };
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(LockState::Free),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(LockState::Held),
            Err(error) => Err(error.into()),
        }
    }

    fn take_lock(&self, path: &Path) -> io::Result<Option<File>> {
        let file = File::options().create(true).truncate(false).read(true).write(true).open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn write_lock(&self, mut lock: &File, content: &[u8]) -> io::Result<()> {
        lock.set_len(0)?;
        lock.seek(SeekFrom::Start(0))?;
        lock.write_all(content)
    }

    fn release_lock(&self, lock: File) {
        // Closing its file does not release it while a process that another thread has just forked still has a copy:
        // that would look held until it executes. Best effort: an open file can always be unlocked.
        let _ = flock(&lock, FlockOperation::Unlock);
    }

    fn own_process(&self) -> io::Result<ProcessIdentity> {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        let start_ticks =
            start_ticks(pid)?.ok_or_else(|| io::Error::other("no start time in /proc/self/stat"))?;
        Ok(ProcessIdentity { pid, start_ticks, boot_id: boot_id()? })
    }

    fn open_pid(&self, pid: i32) -> io::Result<Option<OwnedFd>> {
        let Some(pid) = Pid::from_raw(pid) else { return Ok(None) };
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(descriptor) => Ok(Some(descriptor)),
            Err(rustix::io::Errno::SRCH) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn start_ticks(&self, pid: i32) -> io::Result<Option<u64>> {
        start_ticks(pid)
    }

    fn signal(&self, process: &OwnedFd, signal: Signal) -> io::Result<()> {
        let signal = match signal {
            Signal::Terminate => rustix::process::Signal::TERM,
            Signal::Kill => rustix::process::Signal::KILL,
        };
        match pidfd_send_signal(process, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Process 1 of a container inherits whatever loses its parent, and would keep it as a zombie.
    fn reap(&self, process: &OwnedFd) {
        let patience = Timespec { tv_sec: 1, tv_nsec: 0 };
        let _ = poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&patience));
        let _ = waitid(WaitId::PidFd(process.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use ensemble_supervision::kernel::open_process;

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
        let own = Linux.own_process().unwrap();
        let stranger = ProcessIdentity { start_ticks: own.start_ticks + 1, ..own.clone() };
        let other_boot =
            ProcessIdentity { pid: own.pid, start_ticks: own.start_ticks, boot_id: "another".to_owned() };

        assert!(open_process(&Linux, &own).unwrap().is_some());
        assert!(open_process(&Linux, &stranger).unwrap().is_none());
        assert!(open_process(&Linux, &other_boot).unwrap().is_none());
    }

    #[test]
    fn a_lock_is_held_until_its_file_is_closed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        assert_eq!(Linux.probe_lock(&path).unwrap(), LockState::Free);

        let held = Linux.take_lock(&path).unwrap();
        assert!(held.is_some());
        assert_eq!(Linux.probe_lock(&path).unwrap(), LockState::Held);
        assert!(Linux.take_lock(&path).unwrap().is_none());

        drop(held);
        assert_eq!(Linux.probe_lock(&path).unwrap(), LockState::Free);
    }

    #[test]
    fn a_released_lock_is_free_whoever_has_a_copy_of_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let held = Linux.take_lock(&path).unwrap().unwrap();
        let _copy = held.try_clone().unwrap();

        Linux.release_lock(held);

        assert_eq!(Linux.probe_lock(&path).unwrap(), LockState::Free);
    }
}
