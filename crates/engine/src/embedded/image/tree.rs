//! A layer's directory, changed only through descriptors: parents are resolved by the kernel inside the
//! root, then one plain name is created, replaced or removed in them. Must never build a path of the host.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::buffer::spare_capacity;
use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, UTIME_OMIT, Uid,
    XattrFlags,
};
use rustix::io::Errno;

/// What overlay reads as "nothing below shows through this directory".
const OPAQUE: &str = "trusted.overlay.opaque";
/// Links followed on the way to a parent, as many as the kernel follows.
const LINKS_AT_MOST: usize = 40;
/// Deepest directory, counted in names.
pub(super) const DEPTH_LIMIT: usize = 255;

pub(super) struct Tree {
    root: OwnedFd,
}

/// Owner, permissions and time of an entry, checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attributes {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// With setuid, setgid and sticky.
    pub(super) mode: u32,
    /// Seconds since 1970.
    pub(super) modified: i64,
}

/// A directory in the tree, and the names that lead to it without any link.
pub(super) struct Directory {
    pub(super) descriptor: OwnedFd,
    pub(super) names: Vec<Vec<u8>>,
}

#[derive(Debug)]
pub(super) enum Fault {
    Write(io::Error),
    Refused(&'static str),
}

impl From<Errno> for Fault {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::NAMETOOLONG => Self::Refused("a name or path is too long"),
            // A NUL within a name.
            Errno::INVAL => Self::Refused("a name is none that a file can have"),
            errno => Self::Write(errno.into()),
        }
    }
}

impl Tree {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { root: rustix::fs::open(path, flags, Mode::empty())? })
    }

    pub(super) fn root(&self) -> &OwnedFd {
        &self.root
    }

    /// The directory that the names lead to, with links resolved inside the root. Each one that is missing is
    /// made by `make`, which is told the names that lead to it.
    pub(super) fn directory(
        &self,
        names: &[Vec<u8>],
        mut make: impl FnMut(&Directory, &[u8]) -> Result<(), Fault>,
    ) -> Result<Directory, Fault> {
        let mut queue: VecDeque<Vec<u8>> = names.iter().cloned().collect();
        let mut current =
            Directory { descriptor: self.root.try_clone().map_err(Fault::Write)?, names: vec![] };
        let mut links = 0;
        while let Some(name) = queue.pop_front() {
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    current.names.pop();
                    current.descriptor = self.reopen(&current.names)?;
                    continue;
                }
                _ => {}
            }
            match kind_at(&current.descriptor, &name)? {
                Some(FileType::Directory) => {}
                Some(FileType::Symlink) => {
                    links += 1;
                    if links > LINKS_AT_MOST {
                        return Err(Fault::Refused("too many links lead to an entry"));
                    }
                    let target = rustix::fs::readlinkat(&current.descriptor, name.as_slice(), Vec::new())?;
                    if target.as_bytes().starts_with(b"/") {
                        current = Directory {
                            descriptor: self.root.try_clone().map_err(Fault::Write)?,
                            names: vec![],
                        };
                    }
                    for part in target.as_bytes().rsplit(|byte| *byte == b'/') {
                        queue.push_front(part.to_vec());
                    }
                    continue;
                }
                None | Some(FileType::CharacterDevice) => make(&current, &name)?,
                Some(_) => return Err(Fault::Refused("a parent of an entry is no directory")),
            }
            if current.names.len() >= DEPTH_LIMIT {
                return Err(Fault::Refused("an entry lies too deep"));
            }
            current.descriptor = open_directory(&current.descriptor, &name)?;
            current.names.push(name);
        }
        Ok(current)
    }

    /// A directory by names that hold no link.
    pub(super) fn reopen(&self, names: &[Vec<u8>]) -> Result<OwnedFd, Fault> {
        if names.is_empty() {
            return self.root.try_clone().map_err(Fault::Write);
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
        Ok(rustix::fs::openat2(&self.root, join(names), flags, Mode::empty(), inside)?)
    }

    /// Resolves a parent that must be there, by the kernel alone.
    pub(super) fn existing(&self, names: &[Vec<u8>]) -> Result<Option<OwnedFd>, Fault> {
        if names.is_empty() {
            return self.root.try_clone().map(Some).map_err(Fault::Write);
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        match rustix::fs::openat2(&self.root, join(names), flags, Mode::empty(), inside) {
            Ok(opened) => Ok(Some(opened)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// Joins names that were checked to be plain.
pub(super) fn join(names: &[Vec<u8>]) -> PathBuf {
    PathBuf::from(OsString::from_vec(names.join(&b'/')))
}

pub(super) fn kind_at(parent: &impl AsFd, name: &[u8]) -> Result<Option<FileType>, Fault> {
    match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

pub(super) fn open_directory(parent: &impl AsFd, name: &[u8]) -> Result<OwnedFd, Fault> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(parent, name, flags, Mode::empty())?)
}

/// Removes whatever has this name, with all that is in it; nothing there is fine.
pub(super) fn remove(parent: &impl AsFd, name: &[u8]) -> Result<(), Fault> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(errno) => return Err(errno.into()),
    }
    // As deep as a layer can be, so this recursion is bounded by `DEPTH_LIMIT`.
    let directory = open_directory(parent, name)?;
    for entry in Dir::read_from(&directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            remove(&directory, name)?;
        }
    }
    Ok(rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?)
}

/// A new file; whatever had its name must be gone.
pub(super) fn create(parent: &impl AsFd, name: &[u8]) -> Result<File, Fault> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o600))?))
}

/// Whether two names in two directories are one and the same.
pub(super) fn is_same_entry(
    one: &OwnedFd,
    name: &[u8],
    other: &OwnedFd,
    other_name: &[u8],
) -> Result<bool, Fault> {
    if name != other_name {
        return Ok(false);
    }
    let (one, other) = (rustix::fs::fstat(one)?, rustix::fs::fstat(other)?);
    Ok((one.st_dev, one.st_ino) == (other.st_dev, other.st_ino))
}

/// Hides what lower layers have under this name, in the way overlay reads it.
pub(super) fn white_out(parent: &impl AsFd, name: &[u8]) -> Result<(), Fault> {
    Ok(rustix::fs::mknodat(parent, name, FileType::CharacterDevice, Mode::empty(), 0)?)
}

pub(super) fn make_opaque(directory: &impl AsFd) -> Result<(), Fault> {
    Ok(rustix::fs::fsetxattr(directory, OPAQUE, b"y", XattrFlags::empty())?)
}

pub(super) fn is_opaque(directory: &impl AsFd) -> io::Result<bool> {
    let mut value = Vec::with_capacity(8);
    match rustix::fs::fgetxattr(directory, OPAQUE, spare_capacity(&mut value)) {
        Ok(_) => Ok(value == b"y"),
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

pub(super) fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// Owner first: changing it clears setuid and setgid.
pub(super) fn set_attributes(file: &impl AsFd, attributes: Attributes) -> Result<(), Fault> {
    rustix::fs::fchown(file, Some(Uid::from_raw(attributes.uid)), Some(Gid::from_raw(attributes.gid)))?;
    rustix::fs::fchmod(file, Mode::from_raw_mode(attributes.mode))?;
    Ok(rustix::fs::futimens(file, &times(attributes.modified))?)
}

/// For what cannot be opened: links, fifos. The permissions of a link do not exist.
pub(super) fn set_attributes_at(
    parent: &impl AsFd,
    name: &[u8],
    attributes: Attributes,
) -> Result<(), Fault> {
    let owner = (Some(Uid::from_raw(attributes.uid)), Some(Gid::from_raw(attributes.gid)));
    rustix::fs::chownat(parent, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)?;
    if kind_at(parent, name)? != Some(FileType::Symlink) {
        rustix::fs::chmodat(parent, name, Mode::from_raw_mode(attributes.mode), AtFlags::empty())?;
    }
    let times = times(attributes.modified);
    Ok(rustix::fs::utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

pub(super) fn set_modified(file: &impl AsFd, modified: i64) -> Result<(), Fault> {
    Ok(rustix::fs::futimens(file, &times(modified))?)
}

fn times(modified: i64) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: modified, tv_nsec: 0 },
    }
}
