//! A directory as a list of everything in it, so that two can be compared and nothing that may not be there is
//! overlooked. Follows no link.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What one name is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    /// Seconds; 0 for what gets the time at which it was made.
    pub(crate) modified: i64,
    /// Sorted.
    pub(crate) attributes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    /// How many names it has, and what it holds.
    File(u64, Vec<u8>),
    Link(PathBuf),
    Fifo,
    /// A character device 0:0, which hides a name of the layers below.
    Whiteout,
    /// Nothing that a layer may bring.
    Foreign,
}

/// Everything below `top`, by path.
pub(crate) fn list(top: &Path) -> BTreeMap<PathBuf, Entry> {
    let mut found = BTreeMap::new();
    let mut folders = vec![top.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("what was made can be read") {
            let path = entry.expect("what was made can be read").path();
            let metadata = fs::symlink_metadata(&path).expect("nobody else is here");
            if metadata.is_dir() {
                folders.push(path.clone());
            }
            let below = path.strip_prefix(top).expect("the walk began there").to_owned();
            found.insert(below, entry_at(&path, &metadata));
        }
    }
    found
}

fn entry_at(path: &Path, metadata: &Metadata) -> Entry {
    let kind = kind(path, metadata);
    let modified = if kind == Kind::Whiteout { 0 } else { metadata.mtime() };
    Entry {
        kind,
        mode: metadata.mode() & 0o7777,
        owner: (metadata.uid(), metadata.gid()),
        modified,
        attributes: attributes(path),
    }
}

fn kind(path: &Path, metadata: &Metadata) -> Kind {
    let kind = metadata.file_type();
    if kind.is_dir() {
        Kind::Directory
    } else if kind.is_file() {
        Kind::File(metadata.nlink(), fs::read(path).expect("root reads everything"))
    } else if kind.is_symlink() {
        Kind::Link(fs::read_link(path).expect("it is a link"))
    } else if kind.is_fifo() {
        Kind::Fifo
    } else if kind.is_char_device() && metadata.rdev() == 0 {
        Kind::Whiteout
    } else {
        Kind::Foreign
    }
}

fn attributes(path: &Path) -> Vec<String> {
    let mut names = vec![0; 64 << 10];
    let Ok(length) = rustix::fs::llistxattr(path, &mut names) else { return Vec::new() };
    let names = names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let mut names: Vec<String> = names.map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    names.sort();
    names
}

/// Whether no name in a path is longer than the kernel takes, which would mean that it was cut.
pub(crate) fn is_plain(path: &Path) -> bool {
    path.iter().all(|name| name.as_bytes().len() <= 255)
}
