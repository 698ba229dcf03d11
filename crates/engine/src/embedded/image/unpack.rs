//! Turns one layer's tar stream into a directory that overlay can use as a lower layer. The stream is hostile
//! and we are root: every rule of runtime.md §8 is here or in `tree.rs`, and has a test in `tests/unpack/`.
//! Must not look at digests or compression; `layer.rs` does.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, XattrFlags};
use rustix::io::Errno;

use super::lower::{self, Lower};
use super::stream::{self, Error, Limits};
use super::tarball::{self, Entry, Kind, PATH_LIMIT, Source, Tarball};
use super::tree::{self, Attributes, DEPTH_LIMIT, Directory, Fault, Tree};

/// Names of this kind say what of the layers below is not to be seen.
const WHITEOUT: &[u8] = b".wh.";
/// `.wh..wh..opq` without the first `.wh.`.
const OPAQUE_MARK: &[u8] = b".wh..opq";
/// Bytes of extended attributes that one entry may have.
const XATTRS_LIMIT: usize = 64 << 10;
/// Bytes of directory names that are kept to set times at the end.
const DIRECTORY_NAMES_LIMIT: usize = 256 << 20;
/// What a directory gets that no layer describes.
const UNDESCRIBED: Attributes = Attributes { uid: 0, gid: 0, mode: 0o755, modified: 0 };

/// What became of a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unpacked {
    /// Its directory depends on the layers below, so it may only be reused above the same ones.
    pub(super) depends_on_lower: bool,
    /// Device nodes that were left out: a container's `/dev` is made by the runtime.
    pub(super) devices_skipped: u64,
    /// Entries taken and directories implied.
    pub(super) entries: u64,
    /// Bytes of files of layers below that it made its own.
    pub(super) copied_bytes: u64,
}

/// A fault met while one entry was worked on.
enum Trouble {
    Tree(Fault),
    Read(io::Error),
    TooLarge { limit: u64, unit: &'static str },
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Tree(fault)
    }
}

impl From<Errno> for Trouble {
    fn from(errno: Errno) -> Self {
        Self::Tree(errno.into())
    }
}

/// Unpacks into the empty directory `target`; on an error what is there must be thrown away.
/// Leaves the stream at the end of the archive.
pub(super) fn unpack<S: Source>(
    stream: S,
    target: &Path,
    lower: &Lower,
    limits: &Limits,
) -> Result<Unpacked, Error> {
    let tree = Tree::open(target).map_err(Error::Write)?;
    tree::set_attributes(tree.root(), UNDESCRIBED).map_err(|fault| blame(0, fault.into()))?;
    let mut tarball = Tarball::new(stream);
    let mut work =
        Work { tree, lower, limits, result: Unpacked::default(), directories: vec![], name_bytes: 0 };
    let mut number = 0;
    loop {
        let entry = match tarball.next() {
            Ok(Some(entry)) => entry,
            Ok(None) => break,
            Err(tarball::Fault::Read(error)) => return Err(stream::read_error(error)),
            Err(tarball::Fault::Malformed(reason)) => return Err(Error::Malformed(reason)),
        };
        number += 1;
        work.apply(&entry, &mut tarball).map_err(|trouble| blame(number, trouble))?;
    }
    work.set_directory_times().map_err(|fault| blame(number, fault.into()))?;
    Ok(work.result)
}

fn blame(number: u64, trouble: Trouble) -> Error {
    match trouble {
        Trouble::Tree(Fault::Refused(reason)) => Error::Refused { number, reason },
        Trouble::Tree(Fault::Write(source)) => Error::Write(source),
        Trouble::Read(error) => stream::read_error(error),
        Trouble::TooLarge { limit, unit } => Error::TooLarge { limit, unit },
    }
}

struct Work<'a> {
    tree: Tree,
    lower: &'a Lower,
    limits: &'a Limits,
    result: Unpacked,
    /// Set at the end, since every entry made in a directory changes its time.
    directories: Vec<(Vec<Vec<u8>>, i64)>,
    name_bytes: usize,
}

impl Work<'_> {
    fn apply<S: Source>(&mut self, entry: &Entry, data: &mut Tarball<S>) -> Result<(), Trouble> {
        self.count()?;
        let attributes = attributes(entry)?;
        let mut names = plain_names(&entry.path)?;
        let Some(name) = names.pop() else {
            // The root itself is described, never replaced (CVE-2021-29136).
            return match entry.kind {
                Kind::Directory => Ok(self.describe(vec![], attributes, entry)?),
                _ => Err(Fault::Refused("it would replace the root directory").into()),
            };
        };
        if names.iter().any(|name| name.starts_with(WHITEOUT)) {
            return Err(Fault::Refused("a parent has the name of a whiteout").into());
        }
        if entry.kind == Kind::WhiteoutDevice {
            return Err(Fault::Refused("it is a whiteout in disguise").into());
        }
        let parent = self.parent(&names)?;
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            return Ok(hide(&parent, hidden)?);
        }
        match entry.kind {
            Kind::Directory => self.make_directory(parent, name, attributes, entry)?,
            Kind::Regular => {
                tree::remove(&parent.descriptor, &name)?;
                let file = tree::create(&parent.descriptor, &name)?;
                copy(data, &file)?;
                set_xattrs(&file, entry)?;
                tree::set_attributes(&file, attributes)?;
            }
            Kind::HardLink => self.link(&parent, &name, entry)?,
            Kind::Symlink => {
                if entry.link.is_empty() || entry.link.len() as u64 >= PATH_LIMIT {
                    return Err(Fault::Refused("a link's target is empty or too long").into());
                }
                tree::remove(&parent.descriptor, &name)?;
                rustix::fs::symlinkat(entry.link.as_slice(), &parent.descriptor, name.as_slice())?;
                tree::set_attributes_at(&parent.descriptor, &name, attributes)?;
            }
            Kind::Fifo => {
                tree::remove(&parent.descriptor, &name)?;
                let descriptor = &parent.descriptor;
                rustix::fs::mknodat(descriptor, name.as_slice(), FileType::Fifo, Mode::empty(), 0)?;
                tree::set_attributes_at(descriptor, &name, attributes)?;
            }
            Kind::Device => self.result.devices_skipped += 1,
            Kind::WhiteoutDevice => unreachable!("refused above, before anything was made for it"),
        }
        Ok(())
    }

    fn count(&mut self) -> Result<(), Trouble> {
        self.result.entries += 1;
        if self.result.entries > self.limits.entries {
            return Err(Trouble::TooLarge { limit: self.limits.entries, unit: "files and directories" });
        }
        Ok(())
    }

    /// The directory in which an entry goes. What is missing of it gets the attributes that it has below: an
    /// implied `/tmp` must not hide the real one's permissions.
    fn parent(&mut self, names: &[Vec<u8>]) -> Result<Directory, Trouble> {
        let mut implied = Vec::new();
        let mut depends = false;
        let lower = self.lower;
        let found = self.tree.directory(names, |directory, name| {
            let mut path = directory.names.clone();
            path.push(name.to_vec());
            let attributes = match lower.find(&path).map_err(Fault::Write)? {
                Some(found) if found.file_type() == FileType::Directory => attributes_of(&found.stat),
                _ => UNDESCRIBED,
            };
            depends = true;
            let made = fresh_directory(&directory.descriptor, name)?;
            tree::set_attributes(&made, attributes)?;
            implied.push((path, attributes.modified));
            Ok(())
        })?;
        self.result.depends_on_lower |= depends;
        for (path, modified) in implied {
            self.count()?;
            self.remember(path, modified)?;
        }
        Ok(found)
    }

    fn make_directory(
        &mut self,
        parent: Directory,
        name: Vec<u8>,
        attributes: Attributes,
        entry: &Entry,
    ) -> Result<(), Fault> {
        if tree::kind_at(&parent.descriptor, &name)? != Some(FileType::Directory) {
            fresh_directory(&parent.descriptor, &name)?;
        }
        let mut path = parent.names;
        path.push(name);
        self.describe(path, attributes, entry)
    }

    fn describe(&mut self, path: Vec<Vec<u8>>, attributes: Attributes, entry: &Entry) -> Result<(), Fault> {
        let directory = self.tree.reopen(&path)?;
        set_xattrs(&directory, entry)?;
        tree::set_attributes(&directory, attributes)?;
        self.remember(path, attributes.modified)
    }

    fn remember(&mut self, path: Vec<Vec<u8>>, modified: i64) -> Result<(), Fault> {
        self.name_bytes += path.iter().map(|name| name.len() + size_of::<Vec<u8>>()).sum::<usize>();
        if self.name_bytes > DIRECTORY_NAMES_LIMIT {
            return Err(Fault::Refused("the names of its directories are too long in sum"));
        }
        self.directories.push((path, modified));
        Ok(())
    }

    /// A second name for a regular file of this layer, or a copy of one from a layer below. Never anything
    /// else: a fallback that follows the path on the host reads the host's files (CVE-2026-17106).
    fn link(&mut self, parent: &Directory, name: &[u8], entry: &Entry) -> Result<(), Trouble> {
        let mut target = plain_names(&entry.link)?;
        if target.iter().any(|name| name.starts_with(WHITEOUT)) {
            return Err(Fault::Refused("a hard link leads to a whiteout").into());
        }
        let full_target = target.clone();
        let last = target.pop().ok_or(Fault::Refused("a hard link leads to the root directory"))?;
        if let Some(directory) = self.tree.existing(&target)? {
            match tree::kind_at(&directory, &last)? {
                Some(FileType::RegularFile) => {
                    if tree::is_same_entry(&directory, &last, &parent.descriptor, name)? {
                        return Ok(());
                    }
                    tree::remove(&parent.descriptor, name)?;
                    let flags = AtFlags::empty();
                    return match rustix::fs::linkat(
                        &directory,
                        last.as_slice(),
                        &parent.descriptor,
                        name,
                        flags,
                    ) {
                        // What had this name held the target: an entry that removes what it links to.
                        Err(Errno::NOENT) => {
                            Err(Fault::Refused("a hard link replaces its own target").into())
                        }
                        other => Ok(other?),
                    };
                }
                Some(_) => return Err(Fault::Refused("a hard link leads to no regular file").into()),
                None => {}
            }
        }
        let found = self.lower.find(&full_target).map_err(Fault::Write)?;
        self.result.depends_on_lower = true;
        let Some(found) = found.filter(|found| found.file_type() == FileType::RegularFile) else {
            return Err(Fault::Refused("a hard link leads to no regular file").into());
        };
        self.copy_up(&found, parent, name)
    }

    /// One entry of a few bytes may stand for a file of any size below, and a layer may have a million of them: what is
    /// copied counts as bytes of the layer.
    fn copy_up(&mut self, found: &lower::Found<'_>, parent: &Directory, name: &[u8]) -> Result<(), Trouble> {
        let size = u64::try_from(found.stat.st_size).unwrap_or(u64::MAX);
        self.result.copied_bytes = self.result.copied_bytes.saturating_add(size);
        if self.result.copied_bytes > self.limits.layer_bytes {
            return Err(Trouble::TooLarge { limit: self.limits.layer_bytes, unit: "bytes" });
        }
        let mut source = found.open_regular().map_err(Fault::Write)?;
        tree::remove(&parent.descriptor, name)?;
        let mut file = tree::create(&parent.descriptor, name)?;
        io::copy(&mut source, &mut file).map_err(Fault::Write)?;
        Ok(tree::set_attributes(&file, attributes_of(&found.stat))?)
    }

    fn set_directory_times(&mut self) -> Result<(), Fault> {
        for (path, modified) in std::mem::take(&mut self.directories) {
            // A later entry may have taken its place.
            if let Some(directory) = self.tree.existing(&path)? {
                tree::set_modified(&directory, modified)?;
            }
        }
        Ok(())
    }
}

/// Splits a path into names. A leading slash and `.` mean nothing; `..` is refused.
fn plain_names(path: &[u8]) -> Result<Vec<Vec<u8>>, Fault> {
    if path.is_empty() || path.len() as u64 > PATH_LIMIT {
        return Err(Fault::Refused("a path is empty or too long"));
    }
    let mut names = Vec::new();
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => return Err(Fault::Refused("a path has `..` in it")),
            name if name.contains(&0) => return Err(Fault::Refused("a path has a NUL byte in it")),
            name => names.push(name.to_vec()),
        }
    }
    if names.len() > DEPTH_LIMIT {
        return Err(Fault::Refused("an entry lies too deep"));
    }
    Ok(names)
}

fn attributes(entry: &Entry) -> Result<Attributes, Fault> {
    // The greatest number means "leave as it is" to the kernel.
    let owner = |id: u64| match u32::try_from(id) {
        Ok(id) if id < u32::MAX => Ok(id),
        _ => Err(Fault::Refused("its owner is out of range")),
    };
    // What ext4 can store, from 1901 to 2446; a time outside only says that it is not known.
    let modified = entry.modified.clamp(-(1 << 31), 15_032_385_535);
    Ok(Attributes { uid: owner(entry.uid)?, gid: owner(entry.gid)?, mode: entry.mode, modified })
}

fn attributes_of(stat: &rustix::fs::Stat) -> Attributes {
    Attributes { uid: stat.st_uid, gid: stat.st_gid, mode: stat.st_mode & 0o7777, modified: stat.st_mtime }
}

/// `.wh.NAME` hides a name of the layers below, `.wh..wh..opq` all of them; order does not matter in either,
/// what this layer itself brings stays. Other `.wh..wh.` names are for tools we do not know.
fn hide(parent: &Directory, hidden: &[u8]) -> Result<(), Fault> {
    if hidden == OPAQUE_MARK {
        return tree::make_opaque(&parent.descriptor);
    }
    if hidden.starts_with(WHITEOUT) {
        return Ok(());
    }
    if hidden.is_empty() || hidden == b"." || hidden == b".." {
        return Err(Fault::Refused("a whiteout hides no plain name"));
    }
    match tree::kind_at(&parent.descriptor, hidden)? {
        None => tree::white_out(&parent.descriptor, hidden),
        Some(FileType::Directory) => tree::make_opaque(&tree::open_directory(&parent.descriptor, hidden)?),
        Some(_) => Ok(()),
    }
}

/// Makes a directory in place of whatever has its name. One that takes the place of a whiteout stays closed to
/// what lies below.
fn fresh_directory(parent: &OwnedFd, name: &[u8]) -> Result<OwnedFd, Fault> {
    let hid = tree::kind_at(parent, name)? == Some(FileType::CharacterDevice);
    tree::remove(parent, name)?;
    rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755))?;
    let made = tree::open_directory(parent, name)?;
    if hid {
        tree::make_opaque(&made)?;
    }
    Ok(made)
}

/// Copies an entry's data, keeping faults of the stream apart from those of the disk.
fn copy(mut data: impl Read, mut file: &File) -> Result<(), Trouble> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match data.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => file.write_all(&buffer[..count]).map_err(Fault::Write)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Trouble::Read(error)),
        }
    }
}

/// Only `user.*` is kept: `trusted.*` would speak to overlay, `security.capability` is void under
/// no-new-privileges, and labels are this machine's own.
fn set_xattrs(file: &impl AsFd, entry: &Entry) -> Result<(), Fault> {
    let kept = |name: &[u8]| name.starts_with(b"user.") && !name.starts_with(b"user.overlay.");
    let bytes: usize = entry.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > XATTRS_LIMIT {
        return Err(Fault::Refused("its extended attributes are too large"));
    }
    for (name, value) in entry.xattrs.iter().filter(|(name, _)| kept(name)) {
        match rustix::fs::fsetxattr(file, name.as_slice(), value, XattrFlags::empty()) {
            // A file system without them holds everything else.
            Ok(()) | Err(Errno::OPNOTSUPP) => {}
            Err(Errno::RANGE) => return Err(Fault::Refused("an extended attribute has no sound name")),
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "tests/unpack/mod.rs"]
mod tests;
