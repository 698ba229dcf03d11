//! The files of a simulated machine: what is written, and what of it would survive a power cut. A directory's entries
//! are apart from what they name, as on a disk, and have the same two states.
//! Knows neither processes nor time: who holds a lock is a number to it. `power` says what a cut leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Error, ErrorKind, Result};
use std::path::{Component, Path};

/// Changes of one directory that are not durable; beyond them the system writes the oldest back by itself.
const PENDING_AT_MOST: usize = 64;

/// Inodes are counted anew when there are twice as many as at the last count.
pub(super) const INODES_BEFORE_COUNT: usize = 4_096;

/// A place on the disk, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Inode(pub(super) u32);

/// Whoever holds a lock: one process, by a number that never comes round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Holder(pub(crate) u64);

/// How far a write gets before it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    Cached,
    Synced,
}

#[derive(Clone, Debug)]
pub(super) enum Node {
    File(File),
    Directory(Directory),
    /// To be given out again.
    Free,
}

#[derive(Clone, Debug, Default)]
pub(super) struct File {
    pub(super) content: Vec<u8>,
    /// What is on the disk, where that is something else.
    pub(super) on_disk: Option<Vec<u8>>,
    pub(super) lock: Option<Holder>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Directory {
    pub(super) entries: BTreeMap<Box<str>, Inode>,
    pub(super) on_disk: BTreeMap<Box<str>, Inode>,
    /// From `on_disk` to `entries`, in the order in which they were made.
    pub(super) pending: Vec<Change>,
}

/// One change of a directory's entries; it is durable whole or not at all.
#[derive(Clone, Debug)]
pub(super) struct Change {
    /// The same in both directories that a rename touches.
    pub(super) number: u64,
    pub(super) removes: Option<(Box<str>, Inode)>,
    pub(super) adds: Option<(Box<str>, Inode)>,
    /// The other directory of a rename.
    other: Option<Inode>,
}

#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(super) nodes: Vec<Node>,
    pub(super) free: Vec<Inode>,
    changes: u64,
    pub(super) count_at: usize,
    pub(super) used: u64,
    /// How many bytes fit.
    room: u64,
    /// Every lock that is held, by its holder.
    pub(super) locks: BTreeSet<(Holder, Inode)>,
}

pub(super) const ROOT: Inode = Inode(0);

impl Default for Files {
    fn default() -> Self {
        Self {
            nodes: vec![Node::Directory(Directory::default())],
            free: Vec::new(),
            changes: 0,
            count_at: INODES_BEFORE_COUNT,
            used: 0,
            room: u64::MAX,
            locks: BTreeSet::new(),
        }
    }
}

impl Directory {
    fn apply(entries: &mut BTreeMap<Box<str>, Inode>, change: &Change) {
        if let Some((name, inode)) = &change.removes
            && entries.get(name) == Some(inode)
        {
            entries.remove(name);
        }
        if let Some((name, inode)) = &change.adds {
            entries.insert(name.clone(), *inode);
        }
    }

    /// What a power cut leaves, where only those changes got to the disk.
    pub(super) fn cut(&mut self, mut is_kept: impl FnMut(u64) -> bool) {
        for change in std::mem::take(&mut self.pending) {
            if is_kept(change.number) {
                Self::apply(&mut self.on_disk, &change);
            }
        }
        self.entries = self.on_disk.clone();
    }
}

impl Files {
    /// How many bytes fit from now on; what is there stays.
    pub(crate) fn set_room(&mut self, bytes: u64) {
        self.room = bytes;
    }

    pub(crate) fn used(&self) -> u64 {
        self.used
    }

    /// Makes a directory and those above it.
    pub(crate) fn make_directory(&mut self, path: &Path) -> Result<()> {
        let mut at = ROOT;
        for name in names(path) {
            at = match self.directory(at)?.entries.get(name) {
                Some(found) => *found,
                None => {
                    self.check_room(0)?;
                    let made = self.give(Node::Directory(Directory::default()));
                    self.change(at, None, Some((name.into(), made)), None);
                    made
                }
            };
        }
        self.directory(at).map(|_| ())
    }

    /// Names in order, and whether each is a directory.
    pub(crate) fn list(&self, path: &Path) -> Result<impl Iterator<Item = (&str, bool)>> {
        let directory = self.directory(self.find(path)?)?;
        Ok(directory
            .entries
            .iter()
            .map(|(name, inode)| (&**name, matches!(self.node(*inode), Node::Directory(_)))))
    }

    pub(crate) fn read(&self, path: &Path) -> Result<&[u8]> {
        match self.node(self.find(path)?) {
            Node::File(file) => Ok(&file.content),
            Node::Directory(_) => Err(ErrorKind::IsADirectory.into()),
            Node::Free => Err(ErrorKind::NotFound.into()),
        }
    }

    /// Replaces the content of a file in place, or makes the file. A disk without room keeps what fits.
    pub(crate) fn write(&mut self, path: &Path, content: &[u8], reach: Reach) -> Result<()> {
        let inode = self.open(path)?;
        self.write_into(inode, content, reach)
    }

    /// The file's place, made if it is missing.
    pub(crate) fn open(&mut self, path: &Path) -> Result<Inode> {
        let (parent, name) = self.parent(path)?;
        if let Some(found) = self.directory(parent)?.entries.get(name) {
            return match self.node(*found) {
                Node::File(_) => Ok(*found),
                Node::Directory(_) | Node::Free => Err(ErrorKind::IsADirectory.into()),
            };
        }
        self.check_room(0)?;
        // Nothing of the file is on the disk yet, not even that it is empty: that comes with its name.
        let made = self.give(Node::File(File::default()));
        self.change(parent, None, Some((name.into(), made)), None);
        Ok(made)
    }

    pub(crate) fn write_into(&mut self, inode: Inode, content: &[u8], reach: Reach) -> Result<()> {
        let Node::File(file) = &mut self.nodes[inode.0 as usize] else {
            return Err(ErrorKind::IsADirectory.into());
        };
        let former = std::mem::take(&mut file.content);
        self.used -= former.len() as u64;
        let fits =
            usize::try_from(self.room.saturating_sub(self.used)).unwrap_or(usize::MAX).min(content.len());
        file.content = content[..fits].to_vec();
        self.used += fits as u64;
        if fits == content.len() && reach == Reach::Synced {
            file.on_disk = None;
        } else {
            file.on_disk.get_or_insert(former);
        }
        if fits < content.len() { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    /// Renames a file or a directory. A file of that name makes way, a directory must be empty.
    pub(crate) fn rename(&mut self, from: &Path, to: &Path) -> Result<()> {
        let (from_parent, from_name) = self.parent(from)?;
        let (to_parent, to_name) = self.parent(to)?;
        let moved = *self.directory(from_parent)?.entries.get(from_name).ok_or(ErrorKind::NotFound)?;
        if let Some(replaced) = self.directory(to_parent)?.entries.get(to_name).copied() {
            if let Node::Directory(directory) = self.node(replaced)
                && !directory.entries.is_empty()
            {
                return Err(ErrorKind::DirectoryNotEmpty.into());
            }
            self.forget_content(replaced);
        }
        let (removed, added) = ((from_name.into(), moved), (to_name.into(), moved));
        if from_parent == to_parent {
            self.change(from_parent, Some(removed), Some(added), None);
        } else {
            self.changes += 1;
            self.record(from_parent, self.changes, Some(removed), None, Some(to_parent));
            self.record(to_parent, self.changes, None, Some(added), Some(from_parent));
        }
        Ok(())
    }

    /// Makes the directory's entries durable, not what they name.
    pub(crate) fn sync_directory(&mut self, path: &Path) -> Result<()> {
        let inode = self.find(path)?;
        let last = self.directory(inode)?.pending.last().map(|change| change.number);
        if let Some(last) = last {
            self.write_back(inode, last);
        }
        Ok(())
    }

    /// Makes the directory's changes durable up to one of them.
    fn write_back(&mut self, inode: Inode, last: u64) {
        let mut due = vec![(inode, last)];
        while let Some((inode, last)) = due.pop() {
            let Node::Directory(directory) = &mut self.nodes[inode.0 as usize] else { continue };
            let count = directory.pending.iter().take_while(|change| change.number <= last).count();
            for change in directory.pending.drain(..count) {
                Directory::apply(&mut directory.on_disk, &change);
                // A rename is one transaction, and transactions reach the disk in order.
                due.extend(change.other.map(|other| (other, change.number)));
            }
        }
    }

    pub(crate) fn remove_file(&mut self, path: &Path) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        let inode = *self.directory(parent)?.entries.get(name).ok_or(ErrorKind::NotFound)?;
        if matches!(self.node(inode), Node::Directory(_)) {
            return Err(ErrorKind::IsADirectory.into());
        }
        self.forget_content(inode);
        self.change(parent, Some((name.into(), inode)), None, None);
        Ok(())
    }

    /// Removes everything below a path and the path, or as much of it as `at_most` removals do.
    pub(crate) fn remove_tree(&mut self, path: &Path, at_most: usize) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        let inode = *self.directory(parent)?.entries.get(name).ok_or(ErrorKind::NotFound)?;
        let mut left = at_most;
        self.remove_below(inode, &mut left);
        if left > 0 {
            self.forget_content(inode);
            self.change(parent, Some((name.into(), inode)), None, None);
        }
        Ok(())
    }

    fn remove_below(&mut self, inode: Inode, left: &mut usize) {
        let Node::Directory(directory) = self.node(inode) else { return };
        let below: Vec<(Box<str>, Inode)> =
            directory.entries.iter().map(|(name, inode)| (name.clone(), *inode)).collect();
        for (name, below) in below {
            self.remove_below(below, left);
            if *left == 0 {
                return;
            }
            *left -= 1;
            self.forget_content(below);
            self.change(inode, Some((name, below)), None, None);
        }
    }
}

/// Places and their names.
impl Files {
    pub(super) fn node(&self, inode: Inode) -> &Node {
        &self.nodes[inode.0 as usize]
    }

    fn directory(&self, inode: Inode) -> Result<&Directory> {
        match self.node(inode) {
            Node::Directory(directory) => Ok(directory),
            Node::File(_) | Node::Free => Err(ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn find(&self, path: &Path) -> Result<Inode> {
        let mut at = ROOT;
        for name in names(path) {
            at = *self.directory(at)?.entries.get(name).ok_or(ErrorKind::NotFound)?;
        }
        Ok(at)
    }

    fn parent<'a>(&self, path: &'a Path) -> Result<(Inode, &'a str)> {
        let nameless = || Error::new(ErrorKind::InvalidInput, "a path without a name");
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(nameless)?;
        Ok((self.find(path.parent().ok_or_else(nameless)?)?, name))
    }

    fn check_room(&self, bytes: u64) -> Result<()> {
        if self.used.saturating_add(bytes) < self.room { Ok(()) } else { Err(ErrorKind::StorageFull.into()) }
    }

    /// A file without a name takes no room.
    fn forget_content(&mut self, inode: Inode) {
        if let Node::File(file) = self.node(inode) {
            self.used = self.used.saturating_sub(file.content.len() as u64);
        }
    }

    fn change(
        &mut self,
        parent: Inode,
        removes: Option<(Box<str>, Inode)>,
        adds: Option<(Box<str>, Inode)>,
        other: Option<Inode>,
    ) {
        self.changes += 1;
        self.record(parent, self.changes, removes, adds, other);
    }

    fn record(
        &mut self,
        parent: Inode,
        number: u64,
        removes: Option<(Box<str>, Inode)>,
        adds: Option<(Box<str>, Inode)>,
        other: Option<Inode>,
    ) {
        let Node::Directory(directory) = &mut self.nodes[parent.0 as usize] else { return };
        let change = Change { number, removes, adds, other };
        Directory::apply(&mut directory.entries, &change);
        directory.pending.push(change);
        if directory.pending.len() > PENDING_AT_MOST {
            let middle = directory.pending[PENDING_AT_MOST / 2].number;
            self.write_back(parent, middle);
        }
    }
}

fn names(path: &Path) -> impl Iterator<Item = &str> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => name.to_str(),
        Component::RootDir | Component::CurDir | Component::ParentDir | Component::Prefix(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::Dice;

    fn with_directory() -> Files {
        let mut files = Files::default();
        files.make_directory(Path::new("/data")).unwrap();
        files.sync_directory(Path::new("/")).unwrap();
        files
    }

    fn write(files: &mut Files, path: &str, content: &str, reach: Reach) {
        files.write(Path::new(path), content.as_bytes(), reach).unwrap();
    }

    fn content(files: &Files, path: &str) -> Option<String> {
        files.read(Path::new(path)).ok().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    /// What a file may hold after a power cut, over many cuts.
    fn after_cuts(files: &Files, path: &str) -> BTreeSet<Option<String>> {
        let cut = |seed| {
            let mut files = files.clone();
            files.power_cut(&mut Dice::stream(seed, "cut"));
            content(&files, path)
        };
        (0..300).map(cut).collect()
    }

    #[test]
    fn a_synced_file_under_a_synced_name_outlives_every_power_cut() {
        let mut files = with_directory();
        write(&mut files, "/data/record", "one", Reach::Synced);
        files.sync_directory(Path::new("/data")).unwrap();

        assert_eq!(after_cuts(&files, "/data/record"), BTreeSet::from([Some("one".to_owned())]));
    }

    #[test]
    fn a_name_that_was_not_synced_may_be_lost_however_synced_the_content() {
        let mut files = with_directory();
        write(&mut files, "/data/record", "one", Reach::Synced);

        assert_eq!(after_cuts(&files, "/data/record"), BTreeSet::from([None, Some("one".to_owned())]));
    }

    #[test]
    fn of_content_that_was_not_synced_any_part_may_be_left() {
        let mut files = with_directory();
        write(&mut files, "/data/record", "old", Reach::Synced);
        files.sync_directory(Path::new("/data")).unwrap();
        write(&mut files, "/data/record", "newer", Reach::Cached);

        let left = after_cuts(&files, "/data/record");

        for expected in ["old", "newer", "ne", "n\0\0\0\0", ""] {
            assert!(left.contains(&Some(expected.to_owned())), "{expected:?} is not in {left:?}");
        }
        assert!(!left.contains(&None));
    }

    #[test]
    fn a_record_that_is_replaced_with_syncs_is_always_the_old_or_the_new_one() {
        let mut files = with_directory();
        write(&mut files, "/data/record", "old", Reach::Synced);
        files.sync_directory(Path::new("/data")).unwrap();
        write(&mut files, "/data/record.new", "new", Reach::Synced);
        files.rename(Path::new("/data/record.new"), Path::new("/data/record")).unwrap();

        let either = BTreeSet::from([Some("old".to_owned()), Some("new".to_owned())]);
        assert_eq!(after_cuts(&files, "/data/record"), either);
        files.sync_directory(Path::new("/data")).unwrap();
        assert_eq!(after_cuts(&files, "/data/record"), BTreeSet::from([Some("new".to_owned())]));
    }

    #[test]
    fn a_rename_between_directories_is_in_one_of_them_after_a_cut() {
        let mut files = with_directory();
        for directory in ["/data/here/sub", "/data/there"] {
            files.make_directory(Path::new(directory)).unwrap();
        }
        write(&mut files, "/data/here/sub/file", "x", Reach::Synced);
        files.write_all_back();
        files.rename(Path::new("/data/here/sub"), Path::new("/data/there/sub")).unwrap();

        for seed in 0..100 {
            let mut files = files.clone();
            files.power_cut(&mut Dice::stream(seed, "cut"));

            let found =
                ["/data/here/sub/file", "/data/there/sub/file"].map(|path| content(&files, path).is_some());
            assert!(found == [true, false] || found == [false, true], "{found:?}");
        }
        files.sync_directory(Path::new("/data/there")).unwrap();
        files.power_cut(&mut Dice::stream(0, "cut"));
        assert!(content(&files, "/data/there/sub/file").is_some());
        assert!(
            content(&files, "/data/here/sub/file").is_none(),
            "a synced end of a rename takes the other with it"
        );
    }

    #[test]
    fn a_removal_that_was_not_synced_may_be_undone_in_part() {
        let mut files = with_directory();
        files.make_directory(Path::new("/data/tree")).unwrap();
        write(&mut files, "/data/tree/a", "a", Reach::Synced);
        write(&mut files, "/data/tree/b", "b", Reach::Synced);
        files.write_all_back();
        files.remove_tree(Path::new("/data/tree"), usize::MAX).unwrap();
        assert_eq!(files.list(Path::new("/data")).unwrap().count(), 0);

        let parts: BTreeSet<(bool, bool)> = (0..100)
            .map(|seed| {
                let mut files = files.clone();
                files.power_cut(&mut Dice::stream(seed, "cut"));
                (content(&files, "/data/tree/a").is_some(), content(&files, "/data/tree/b").is_some())
            })
            .collect();

        assert_eq!(parts.len(), 4);
    }

    #[test]
    fn a_lock_is_one_holders_until_it_is_released_or_dies() {
        let mut files = with_directory();
        let path = Path::new("/data/lock");
        let (one, other) = (Holder(1), Holder(2));

        let lock = files.take_lock(path, one).unwrap().unwrap();
        assert_eq!(files.take_lock(path, other).unwrap(), None);
        files.release_lock(lock, other);
        assert_eq!(files.lock_holder(path).unwrap(), Some(one), "only its holder can release it");

        files.release_locks_of(one);
        assert_eq!(files.lock_holder(path).unwrap(), None);
        assert!(files.take_lock(path, other).unwrap().is_some());
    }

    #[test]
    fn a_lock_whose_file_was_removed_is_held_and_keeps_nobody_from_a_new_one() {
        let mut files = with_directory();
        let path = Path::new("/data/lock");
        files.take_lock(path, Holder(1)).unwrap().unwrap();

        files.remove_file(path).unwrap();

        assert!(files.take_lock(path, Holder(2)).unwrap().is_some());
        assert_eq!(files.holders().count(), 2);
    }

    #[test]
    fn a_full_disk_keeps_what_fits_and_says_so() {
        let mut files = with_directory();
        files.set_room(5);

        let error = files.write(Path::new("/data/file"), b"too long", Reach::Synced).unwrap_err();

        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert_eq!(content(&files, "/data/file").unwrap(), "too l");
        assert_eq!(files.make_directory(Path::new("/data/more")).unwrap_err().kind(), ErrorKind::StorageFull);
        files.remove_file(Path::new("/data/file")).unwrap();
        write(&mut files, "/data/file", "short", Reach::Synced);
        assert_eq!(files.used(), 5);
    }

    #[test]
    fn places_of_what_is_gone_are_given_again() {
        let mut files = with_directory();

        for number in 0..20_000 {
            write(&mut files, "/data/record.new", &number.to_string(), Reach::Synced);
            files.rename(Path::new("/data/record.new"), Path::new("/data/record")).unwrap();
        }

        assert!(files.nodes.len() <= 2 * INODES_BEFORE_COUNT, "{} places", files.nodes.len());
        assert_eq!(content(&files, "/data/record").unwrap(), "19999");
        assert_eq!(files.used(), 5);
    }
}
