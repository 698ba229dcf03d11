//! Where what is not finished lies, and how it becomes part of the store: by one rename, after everything is on disk.
//! Knows nothing of images.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, RenameFlags};
use rustix::io::Errno;
use tempfile::TempDir;

use super::Error;

/// The directory in which one import works; removed with it.
pub(super) struct Incoming {
    pub(super) directory: TempDir,
    /// Keeps others from taking the directory for what a crash left.
    _lock: File,
}

impl Incoming {
    pub(super) fn new(store: &Path) -> Result<Self, Error> {
        let path = store.join("incoming");
        let write = |source| Error::Write { path: path.clone(), source };
        let directory = tempfile::Builder::new().prefix("import-").tempdir_in(&path).map_err(write)?;
        let lock = File::open(directory.path()).map_err(write)?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|errno| write(errno.into()))?;
        Ok(Self { directory, _lock: lock })
    }

    pub(super) fn directory(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.directory.path().join(name);
        match fs::create_dir(&path) {
            Ok(()) => Ok(path),
            Err(source) => Err(Error::Write { path, source }),
        }
    }

    /// A synced file with these bytes.
    pub(super) fn file(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, Error> {
        let path = self.directory.path().join(name);
        let written = File::create(&path).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        match written {
            Ok(()) => Ok(path),
            Err(source) => Err(Error::Write { path, source }),
        }
    }
}

/// Removes what was left by those that do not run any more: each holds a lock on its directory for life.
pub(super) fn clear(store: &Path) -> Result<(), Error> {
    let path = store.join("incoming");
    let entries = fs::read_dir(&path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    for entry in entries.map_err(|source| Error::Write { path, source })? {
        let path = entry.path();
        let Ok(opened) = File::open(&path) else { continue };
        if rustix::fs::flock(&opened, FlockOperation::NonBlockingLockExclusive).is_ok() {
            match fs::remove_dir_all(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::Write { path, source });
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Gives a finished file its final name. What had it may have been damaged since, or name layers that are gone.
pub(super) fn replace(from: &Path, to: PathBuf) -> Result<(), Error> {
    let renamed = fs::rename(from, &to).and_then(|()| sync_directory_of(&to));
    renamed.map_err(|source| Error::Write { path: to, source })
}

/// Gives a finished layer its final name; where another import was faster, its result stands.
pub(super) fn put(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) | Err(Errno::EXIST) => sync_directory_of(to),
        Err(errno) => Err(errno.into()),
    }
}

fn sync_directory_of(path: &Path) -> io::Result<()> {
    let directory = path.parent().expect("every place of the store has a directory");
    File::open(directory)?.sync_all()
}
