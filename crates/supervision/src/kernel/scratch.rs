//! For tests: files, locks, processes and groups in memory, and a list of what was done to them. Fails only when it is
//! full, and loses nothing; the simulator has a kernel that does.

use super::{Clocks, Durability, Entry, EntryKind, Groups, Kernel, LockState, ProcessIdentity, Signal};
use ensemble_model::spec::Resources;
use ensemble_model::time::WallTime;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

pub(crate) const BOOT: &str = "boot-1";

/// A machine that belongs to one test.
#[derive(Default)]
pub(crate) struct Scratch {
    files: RefCell<BTreeMap<PathBuf, Vec<u8>>>,
    directories: RefCell<BTreeSet<PathBuf>>,
    locked: RefCell<BTreeSet<PathBuf>>,
    /// Start times by pid.
    pub(crate) processes: RefCell<BTreeMap<i32, u64>>,
    pub(crate) boot_ms: Cell<u64>,
    /// Nothing can be written.
    pub(crate) is_full: Cell<bool>,
    groups: RefCell<BTreeSet<String>>,
    deeds: RefCell<Vec<String>>,
}

impl Scratch {
    /// What was changed, in order.
    pub(crate) fn deeds(&self) -> Vec<String> {
        self.deeds.borrow().clone()
    }

    /// What was changed up to now; what is told later begins here.
    pub(crate) fn forget_deeds(&self) -> Vec<String> {
        self.deeds.take()
    }

    pub(crate) fn note(&self, deed: String) {
        self.deeds.borrow_mut().push(deed);
    }
}

fn nothing_there() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Kernel for Scratch {
    type Process = i32;
    type Lock = PathBuf;

    fn clocks(&self) -> Clocks {
        let boot_ms = self.boot_ms.get();
        Clocks { wall: WallTime(i64::try_from(boot_ms).unwrap()), boot_ms }
    }

    fn boot_id(&self) -> io::Result<String> {
        Ok(BOOT.to_owned())
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        self.directories.borrow_mut().extend(path.ancestors().map(Path::to_owned));
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let mut kinds = BTreeMap::new();
        let (files, directories) = (self.files.borrow(), self.directories.borrow());
        for below in files.keys().chain(directories.iter()) {
            let mut rest = below.strip_prefix(path).into_iter().flat_map(Path::iter);
            let Some(name) = rest.next() else { continue };
            let is_file = rest.next().is_none() && files.contains_key(below);
            kinds.insert(name.to_owned(), if is_file { EntryKind::Other } else { EntryKind::Directory });
        }
        if kinds.is_empty() && !directories.contains(path) {
            return Err(nothing_there());
        }
        Ok(kinds.into_iter().map(|(name, kind)| Entry { name, kind }).collect())
    }

    fn read(&self, path: &Path, at_most: u64) -> io::Result<Vec<u8>> {
        let files = self.files.borrow();
        let content = files.get(path).ok_or_else(nothing_there)?;
        Ok(content.iter().take(usize::try_from(at_most).unwrap()).copied().collect())
    }

    fn write(&self, path: &Path, content: &[u8], durability: Durability) -> io::Result<()> {
        if self.is_full.get() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let deed = match durability {
            Durability::Synced => "write and sync",
            Durability::Unsynced => "write",
        };
        self.note(format!("{deed} {}", path.display()));
        self.files.borrow_mut().insert(path.to_owned(), content.to_vec());
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.note(format!("rename {} to {}", from.display(), to.display()));
        let move_path = |path: &Path| path.strip_prefix(from).map(|rest| to.join(rest)).ok();
        let mut files = self.files.borrow_mut();
        let moved: Vec<PathBuf> = files.keys().filter(|path| path.starts_with(from)).cloned().collect();
        for path in moved {
            let content = files.remove(&path).unwrap();
            // `join` with nothing would end in a slash.
            let target = if path == from { to.to_owned() } else { move_path(&path).unwrap() };
            files.insert(target, content);
        }
        let mut directories = self.directories.borrow_mut();
        *directories = directories.iter().map(|path| move_path(path).unwrap_or(path.clone())).collect();
        Ok(())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.note(format!("sync {}", path.display()));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.note(format!("remove {}", path.display()));
        self.files.borrow_mut().remove(path).map(|_| ()).ok_or_else(nothing_there)
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        self.note(format!("remove all of {}", path.display()));
        self.files.borrow_mut().retain(|file, _| !file.starts_with(path));
        self.directories.borrow_mut().retain(|directory| !directory.starts_with(path));
        Ok(())
    }

    fn probe_lock(&self, path: &Path) -> io::Result<LockState> {
        let is_held = self.locked.borrow().contains(path);
        Ok(if is_held { LockState::Held } else { LockState::Free })
    }

    fn take_lock(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        if !self.locked.borrow_mut().insert(path.to_owned()) {
            return Ok(None);
        }
        self.note(format!("lock {}", path.display()));
        self.files.borrow_mut().entry(path.to_owned()).or_default();
        Ok(Some(path.to_owned()))
    }

    fn write_lock(&self, lock: &PathBuf, content: &[u8]) -> io::Result<()> {
        self.write(lock, content, Durability::Unsynced)
    }

    fn release_lock(&self, lock: PathBuf) {
        self.note(format!("unlock {}", lock.display()));
        self.locked.borrow_mut().remove(&lock);
    }

    fn own_process(&self) -> io::Result<ProcessIdentity> {
        Ok(ProcessIdentity { pid: 1, start_ticks: 1, boot_id: BOOT.to_owned() })
    }

    fn open_pid(&self, pid: i32) -> io::Result<Option<i32>> {
        Ok(self.processes.borrow().contains_key(&pid).then_some(pid))
    }

    fn start_ticks(&self, pid: i32) -> io::Result<Option<u64>> {
        Ok(self.processes.borrow().get(&pid).copied())
    }

    fn signal(&self, process: &i32, signal: Signal) -> io::Result<()> {
        self.note(format!("{signal:?} {process}"));
        Ok(())
    }

    fn reap(&self, process: &i32) {
        self.note(format!("reap {process}"));
    }
}

impl Groups for Scratch {
    fn instances(&self) -> io::Result<BTreeSet<String>> {
        Ok(self.groups.borrow().clone())
    }

    fn has_instance(&self, instance: &str) -> bool {
        self.groups.borrow().contains(instance)
    }

    fn make_instance(&self, instance: &str, _: Resources) -> io::Result<()> {
        self.note(format!("make group {instance}"));
        self.groups.borrow_mut().insert(instance.to_owned());
        Ok(())
    }

    fn remove_instance(&self, instance: &str) -> io::Result<()> {
        self.note(format!("remove group {instance}"));
        self.groups.borrow_mut().remove(instance);
        Ok(())
    }

    fn kill_container(&self, instance: &str, container: &str) -> io::Result<()> {
        self.note(format!("kill group {instance}/{container}"));
        Ok(())
    }

    fn remove_container(&self, instance: &str, container: &str) -> io::Result<()> {
        self.note(format!("remove group {instance}/{container}"));
        Ok(())
    }
}
