//! What a power cut leaves of the files: of everything that was not synced, any part, in any order. Also gives places
//! back that nothing names any more.

use super::files::{Directory, File, Files, INODES_BEFORE_COUNT, Inode, Node, ROOT};
use crate::dice::Dice;
use std::collections::BTreeMap;

/// What a cut did to what was not synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cut {
    /// Files of which something else than the last content is left, or a part of it.
    pub(crate) torn: u64,
    /// Changes of directories that are undone.
    pub(crate) undone: u64,
}

impl Files {
    /// The power is gone and back. Locks are free, of unsynced changes some are left.
    pub(crate) fn power_cut(&mut self, dice: &mut Dice) -> Cut {
        let mut cut = Cut::default();
        // Some cuts come right after everything was written back, some long before.
        let kept_per_mille = *dice.pick(&[0, 300, 700, 950, 1_000]).unwrap_or(&0);
        // A rename between two directories is one transaction: it is decided once.
        let mut decided = BTreeMap::new();
        for node in &mut self.nodes {
            match node {
                Node::Directory(directory) => directory.cut(|number| {
                    let kept = *decided.entry(number).or_insert_with(|| dice.happens(kept_per_mille));
                    cut.undone += u64::from(!kept);
                    kept
                }),
                Node::File(file) => cut.torn += u64::from(tear(file, kept_per_mille, dice)),
                Node::Free => {}
            }
        }
        self.locks.clear();
        self.collect();
        cut
    }

    /// The machine is shut down in order: everything is on the disk.
    pub(crate) fn write_all_back(&mut self) {
        for node in &mut self.nodes {
            match node {
                Node::Directory(directory) => directory.cut(|_| true),
                Node::File(File { on_disk, lock, .. }) => (*on_disk, *lock) = (None, None),
                Node::Free => {}
            }
        }
        self.locks.clear();
        self.collect();
    }

    /// A place for something new.
    pub(super) fn give(&mut self, node: Node) -> Inode {
        if let Some(inode) = self.free.pop() {
            self.nodes[inode.0 as usize] = node;
            return inode;
        }
        if self.nodes.len() >= self.count_at {
            self.collect();
            self.count_at = (2 * (self.nodes.len() - self.free.len())).max(INODES_BEFORE_COUNT);
            if !self.free.is_empty() {
                return self.give(node);
            }
        }
        self.nodes.push(node);
        Inode(u32::try_from(self.nodes.len() - 1).expect("a simulated disk has few files"))
    }

    /// Frees the places that no directory names, on the disk or in memory, and nobody holds open.
    fn collect(&mut self) {
        let mut is_named = vec![false; self.nodes.len()];
        let mut due: Vec<Inode> = self.locks.iter().map(|(_, inode)| *inode).collect();
        due.push(ROOT);
        while let Some(inode) = due.pop() {
            if std::mem::replace(&mut is_named[inode.0 as usize], true) {
                continue;
            }
            if let Node::Directory(Directory { entries, on_disk, pending }) = self.node(inode) {
                let changed = pending.iter().flat_map(|change| change.removes.iter().chain(&change.adds));
                due.extend(changed.map(|(_, inode)| *inode));
                due.extend(entries.values().chain(on_disk.values()));
            }
        }
        self.free.clear();
        self.used = self.used_below(ROOT);
        for (index, is_named) in is_named.iter().enumerate().rev() {
            if !is_named {
                self.nodes[index] = Node::Free;
                self.free.extend(u32::try_from(index).map(Inode));
            }
        }
    }

    fn used_below(&self, inode: Inode) -> u64 {
        match self.node(inode) {
            Node::File(file) => file.content.len() as u64,
            Node::Directory(directory) => {
                directory.entries.values().map(|below| self.used_below(*below)).sum()
            }
            Node::Free => 0,
        }
    }
}

/// Decides what is left of a file. Says whether that is not its last content.
fn tear(file: &mut File, kept_per_mille: u64, dice: &mut Dice) -> bool {
    file.lock = None;
    let Some(former) = file.on_disk.take() else { return false };
    if dice.happens(kept_per_mille) {
        return false;
    }
    let whole = std::mem::take(&mut file.content);
    let part = dice.below(whole.len() as u64 + 1) as usize;
    file.content = match dice.below(3) {
        0 => former,
        1 => whole[..part].to_vec(),
        // The length was written, the rest of the content was not.
        _ => whole[..part].iter().copied().chain(std::iter::repeat_n(0, whole.len() - part)).collect(),
    };
    file.content != whole
}
