//! The kernel seam: what a machine offers to whoever supervises containers on it, as two traits, and the facts that
//! it tells. Nothing above it knows which kernel it is.
//! Rule of the house: a stored pid is never an identity. Liveness is a lock; a signal goes only through a process
//! that [`open_process`] checked against boot id and start time (runtime.md §0.2, §7).

use ensemble_model::spec::Resources;
use ensemble_model::time::WallTime;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::Path;

/// Clocks, files, locks and processes of one machine, as one process on it sees them.
///
/// Any call may fail, and has then done nothing, or a part of what it does; the caller may die between any two, and
/// what it did up to then stays. Whoever calls must come out right either way.
pub trait Kernel {
    /// Exactly one process, whatever becomes of its pid: a pidfd. Dropping it changes nothing about the process.
    type Process;
    /// A lock that is held until it is released or its holder dies, however that happens.
    type Lock;

    fn clocks(&self) -> Clocks;

    /// The id of this boot: a new one after every start of the machine, never one that was there before.
    fn boot_id(&self) -> io::Result<String>;

    /// Makes a directory and those above it; one that is there is no error. Not durable by itself.
    fn make_directory(&self, path: &Path) -> io::Result<()>;

    /// What is in a directory, in any order. One that is not there is [`io::ErrorKind::NotFound`].
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>>;

    /// The content of a file, or as much of its beginning as was asked for. One that is not there is
    /// [`io::ErrorKind::NotFound`].
    fn read(&self, path: &Path, at_most: u64) -> io::Result<Vec<u8>>;

    /// Makes `content` the content of the file, in place: readers may meet nothing or a part of it meanwhile, and a
    /// crash may leave that. The directory must be there.
    ///
    /// [`Durability::Synced`] returns when the content outlives a power cut, under the name that it has once its
    /// directory was synced; with [`Durability::Unsynced`] a power cut may leave any part of it, or nothing.
    fn write(&self, path: &Path, content: &[u8], durability: Durability) -> io::Result<()>;

    /// Puts `from` (a file or a whole directory) in the place of `to`, at once for every reader. Which of the two a
    /// power cut leaves is open until the directory is synced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Returns when the names in a directory outlive a power cut.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;

    /// One that is not there is [`io::ErrorKind::NotFound`].
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes a directory and all that is in it; one that is not there is no error. A failure may leave a part.
    fn remove_tree(&self, path: &Path) -> io::Result<()>;

    /// Asks whether somebody holds the lock on `path`, which need not be there: then nobody does.
    fn probe_lock(&self, path: &Path) -> io::Result<LockState>;

    /// Takes the lock on `path`, which is made if it is missing, or `None` when another holds it (or asks this very
    /// moment). The content of the file stays.
    fn take_lock(&self, path: &Path) -> io::Result<Option<Self::Lock>>;

    /// Makes `content` the content of the lock's file, in place.
    fn write_lock(&self, lock: &Self::Lock, content: &[u8]) -> io::Result<()>;

    /// Lets go at once: whoever asks afterwards finds it free. The file and its content stay.
    fn release_lock(&self, lock: Self::Lock);

    /// The identity of the calling process.
    fn own_process(&self) -> io::Result<ProcessIdentity>;

    /// Whoever has that pid now, `None` when nobody has: it may be a stranger, and [`open_process`] tells.
    fn open_pid(&self, pid: i32) -> io::Result<Option<Self::Process>>;

    /// When whoever has that pid now started, in clock ticks after boot.
    fn start_ticks(&self, pid: i32) -> io::Result<Option<u64>>;

    /// Sends a signal to exactly this process; one that has ended is no error.
    fn signal(&self, process: &Self::Process, signal: Signal) -> io::Result<()>;

    /// Takes the exit status of a process that is ending, if it is our child and nobody else is there to take it. Best
    /// effort, within about a second: gone, or another's child, is as good.
    fn reap(&self, process: &Self::Process);
}

/// The control groups of one engine: one for each instance, which bounds it, and in that one for each container.
/// Names are those of [`layout`](crate::layout).
///
/// As with [`Kernel`], any call may fail half way. All groups are gone after a reboot.
pub trait Groups {
    /// The instances of which there is any group, whole or not.
    fn instances(&self) -> io::Result<BTreeSet<String>>;

    /// Whether the instance's group is there, whole.
    fn has_instance(&self, instance: &str) -> bool;

    /// Makes the instance's group with its limits. Called again it sets the limits anew.
    fn make_instance(&self, instance: &str, limits: Resources) -> io::Result<()>;

    /// Kills what is in the instance's group and the containers' in it, waits until nothing lives, and removes all of
    /// them. What is not there is no error.
    fn remove_instance(&self, instance: &str) -> io::Result<()>;

    /// Kills every process of one container and waits until none is left. What is not there is no error.
    fn kill_container(&self, instance: &str, container: &str) -> io::Result<()>;

    /// The same, and removes the group: the next one of that name holds nothing of this one.
    fn remove_container(&self, instance: &str, container: &str) -> io::Result<()>;
}

/// One process of one boot. Two of these are equal only if they are the same process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    pub pid: i32,
    /// Field 22 of `/proc/PID/stat`: clock ticks after boot at which it started.
    pub start_ticks: u64,
    pub boot_id: String,
}

/// The two clocks, as of one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clocks {
    /// What people see. It may jump.
    pub wall: WallTime,
    /// Milliseconds since boot, sleep included: never falls, and is comparable between processes of one boot.
    pub boot_ms: u64,
}

/// Whether what is written outlives a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    Synced,
    Unsynced,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: OsString,
    pub kind: EntryKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    Directory,
    /// A file, a link, or anything else.
    Other,
}

/// Whether somebody holds a lock: a supervisor that of its directory, an engine that of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockState {
    Held,
    Free,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Asks a supervisor to stop its container.
    Terminate,
    Kill,
}

/// Exactly this process, or nothing when it is gone, of another boot, or its pid went to a stranger.
pub fn open_process<K: Kernel>(kernel: &K, identity: &ProcessIdentity) -> io::Result<Option<K::Process>> {
    if identity.boot_id != kernel.boot_id()? {
        return Ok(None);
    }
    let Some(process) = kernel.open_pid(identity.pid)? else { return Ok(None) };
    // Checked after the open: what was opened is one process for good, so what is read now is about that one, or
    // about nobody any more.
    let is_same = kernel.start_ticks(identity.pid)? == Some(identity.start_ticks);
    Ok(is_same.then_some(process))
}

#[cfg(test)]
pub(crate) mod scratch;

#[cfg(test)]
mod tests {
    use super::scratch::{BOOT, Scratch};
    use super::*;

    #[test]
    fn only_the_process_itself_is_opened() {
        let kernel = Scratch::default();
        kernel.processes.borrow_mut().insert(17, 4_242);
        let check = |pid: i32, start_ticks: u64, boot_id: &str, is_there: bool| {
            let identity = ProcessIdentity { pid, start_ticks, boot_id: boot_id.to_owned() };
            let opened = open_process(&kernel, &identity).unwrap();
            assert_eq!(opened.is_some(), is_there, "{identity:?}");
        };

        check(17, 4_242, BOOT, true);
        check(17, 4_243, BOOT, false);
        check(17, 4_242, "another", false);
        check(18, 4_242, BOOT, false);
    }
}
