//! Locks on files of a simulated machine: each is one holder's, until that lets go or dies. A lock is on the file, not on
//! its name.

use super::files::{Files, Holder, Inode, Node, ROOT};
use std::io::{ErrorKind, Result};
use std::path::Path;

impl Files {
    /// Takes the lock of a file, which is made if it is missing. Nothing when it is held.
    pub(crate) fn take_lock(&mut self, path: &Path, holder: Holder) -> Result<Option<Inode>> {
        let inode = self.open(path)?;
        let Node::File(file) = &mut self.nodes[inode.0 as usize] else {
            return Err(ErrorKind::IsADirectory.into());
        };
        if file.lock.is_some() {
            return Ok(None);
        }
        file.lock = Some(holder);
        self.locks.insert((holder, inode));
        Ok(Some(inode))
    }

    /// Who holds the lock of a file; a file that is not there is held by nobody.
    pub(crate) fn lock_holder(&self, path: &Path) -> Result<Option<Holder>> {
        match self.find(path) {
            Ok(inode) => match self.node(inode) {
                Node::File(file) => Ok(file.lock),
                Node::Directory(_) | Node::Free => Ok(None),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn release_lock(&mut self, inode: Inode, holder: Holder) {
        if self.locks.remove(&(holder, inode))
            && let Node::File(file) = &mut self.nodes[inode.0 as usize]
        {
            file.lock = None;
        }
    }

    /// The end of a process frees all its locks.
    pub(crate) fn release_locks_of(&mut self, holder: Holder) {
        let all = (holder, ROOT)..=(holder, Inode(u32::MAX));
        let held: Vec<Inode> = self.locks.range(all).map(|(_, inode)| *inode).collect();
        for inode in held {
            self.release_lock(inode, holder);
        }
    }

    /// Everybody who holds a lock.
    pub(crate) fn holders(&self) -> impl Iterator<Item = Holder> {
        self.locks.iter().map(|(holder, _)| *holder)
    }
}
