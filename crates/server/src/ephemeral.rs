//! The directory of a server that keeps nothing: in memory where the machine has such a place, removed when it is dropped.
//! What a killed server left is removed by the next one. What stands in it is `data_dir`'s.

use crate::data_dir::LOCK_FILE;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const PREFIX: &str = "ensemble-ephemeral-";

/// A tmpfs on every Linux; where it is missing, the usual place does.
const IN_MEMORY: &str = "/dev/shm";

/// Entries looked at for what killed servers left.
const LOOKED_AT: usize = 10_000;

/// Removed when it is dropped.
#[derive(Debug)]
pub struct Ephemeral(TempDir);

impl Ephemeral {
    /// # Errors
    /// When no directory can be made.
    pub fn create() -> io::Result<Self> {
        let memory = PathBuf::from(IN_MEMORY);
        let base = if memory.is_dir() { memory } else { std::env::temp_dir() };
        sweep(&base);
        let made = |base: &Path| tempfile::Builder::new().prefix(PREFIX).tempdir_in(base);
        made(&base).or_else(|_| made(&std::env::temp_dir())).map(Self)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

/// Removes what servers of this user left that were killed. One that lives holds its lock; one that has not made it yet
/// has no lock file.
fn sweep(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else { return };
    for entry in entries.take(LOOKED_AT).flatten() {
        let path = entry.path();
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX)
            && entry.metadata().is_ok_and(|found| found.is_dir() && found.uid() == own_user());
        let Ok(lock) = (if is_ours { File::open(path.join(LOCK_FILE)) } else { continue }) else { continue };
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            // Whatever cannot go now is the next one's.
            let _ = fs::remove_dir_all(&path);
        }
    }
}

fn own_user() -> u32 {
    rustix::process::getuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_dir::DataDir;

    #[test]
    fn what_a_killed_server_left_goes_and_what_a_living_one_has_stays() {
        let base = tempfile::tempdir().unwrap();
        let named = |name: &str| base.path().join(format!("{PREFIX}{name}"));
        for name in ["killed", "living", "beginning"] {
            fs::create_dir(named(name)).unwrap();
        }
        fs::create_dir(base.path().join("somebody-elses")).unwrap();
        fs::write(base.path().join("somebody-elses").join(LOCK_FILE), "").unwrap();
        drop(DataDir::open(&named("killed")).unwrap());
        let living = DataDir::open(&named("living")).unwrap();

        sweep(base.path());

        assert!(!named("killed").exists());
        assert!(named("living").exists() && named("beginning").exists());
        assert!(base.path().join("somebody-elses").exists());
        drop(living);
    }

    #[test]
    fn it_is_gone_with_everything_in_it_when_it_is_dropped() {
        let ephemeral = Ephemeral::create().unwrap();
        let path = ephemeral.path().to_owned();
        drop(DataDir::open(&path).unwrap());
        assert!(path.join(LOCK_FILE).exists());

        drop(ephemeral);

        assert!(!path.exists());
    }
}
