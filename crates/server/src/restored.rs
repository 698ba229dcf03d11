//! Whether this data directory came from a backup, and whether its operator has confirmed that it is to be acted on
//! (`decisions.md` §9.9). A small file beside the log says so, so that no crash and no restart confirms by itself.
//! Must not decide what observing means; that is the control loop's.

use crate::data_dir::{self, DataDir};
use crate::file_error::FileError;
use ensemble_model::id::InstanceId;
use ensemble_model::state::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The record's file in a data directory.
pub(crate) const FILE: &str = "restored.json";

/// What is kept of a restore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restored {
    /// Of this file; 1.
    pub format: u32,
    /// When the backup was made.
    pub taken_at: Timestamp,
    /// The last sequence of the backup's log.
    pub sequence: u64,
    /// Requests signed before this are not taken: the backup knows nothing of nonces used after it.
    pub restored_at: Timestamp,
    /// Absent = the server only observes.
    pub confirmed_at: Option<Timestamp>,
}

/// What the confirmation would do, as far as it can be known before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// Instances that the log wants to run.
    pub wanted: usize,
    /// Instances that the engines of this directory have something of.
    pub held: usize,
    /// Those of them that the log does not know: they are ended.
    pub unknown: Vec<InstanceId>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("`{path}` is not what a restore writes; restore the backup again")]
    Malformed {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error(transparent)]
    DataDir(#[from] data_dir::Error),
}

impl Restored {
    /// The record of `data_dir`; nothing where it did not come from a backup.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a file that cannot be understood: nothing is concluded from one.
    pub fn read(data_dir: &Path) -> Result<Option<Self>, Error> {
        let path = data_dir.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(FileError::on("read", &path)(error).into()),
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|source| Error::Malformed { path, source })
    }

    /// Replaces the record; on return it survives a power cut.
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be written.
    pub(crate) fn write(&self, data_dir: &Path) -> Result<(), Error> {
        let path = data_dir.join(FILE);
        let text = serde_json::to_string_pretty(self).expect("times and numbers always serialize");
        Ok(data_dir::replace(&path, text.as_bytes()).map_err(FileError::on("write", &path))?)
    }

    pub fn is_confirmed(&self) -> bool {
        self.confirmed_at.is_some()
    }
}

/// Confirms without a server: takes the directory's lock for the moment. Says whether there was something to confirm.
///
/// # Errors
/// A server runs on it ([`data_dir::Error::InUse`]), or the record cannot be read or written.
pub fn confirm_offline(data_dir: &Path) -> Result<bool, Error> {
    if Restored::read(data_dir)?.is_none() {
        // Nothing is made, or locked, where nothing was restored.
        return Ok(false);
    }
    let directory = DataDir::open(data_dir)?;
    confirm_at(directory.path(), Timestamp::now())
}

fn confirm_at(data_dir: &Path, now: Timestamp) -> Result<bool, Error> {
    match Restored::read(data_dir)? {
        Some(restored) if !restored.is_confirmed() => {
            Restored { confirmed_at: Some(now), ..restored }.write(data_dir)?;
            Ok(true)
        }
        Some(_) | None => Ok(false),
    }
}

/// The record of a running server, and the way to confirm it.
pub(crate) struct Restoration {
    data_dir: PathBuf,
    restored_at: Option<Timestamp>,
    record: Mutex<Option<Restored>>,
}

impl Restoration {
    pub(crate) fn open(data_dir: &Path) -> Result<Self, Error> {
        let record = Restored::read(data_dir)?;
        let restored_at = record.as_ref().map(|restored| restored.restored_at);
        Ok(Self { data_dir: data_dir.to_owned(), restored_at, record: Mutex::new(record) })
    }

    pub(crate) fn record(&self) -> Option<Restored> {
        self.lock().clone()
    }

    /// When the backup was restored, confirmed or not.
    pub(crate) fn restored_at(&self) -> Option<Timestamp> {
        self.restored_at
    }

    pub(crate) fn is_observing(&self) -> bool {
        self.lock().as_ref().is_some_and(|restored| !restored.is_confirmed())
    }

    /// Writes down that it is confirmed. Whoever calls tells the control loop afterwards, so that a crash in between
    /// leaves a server that acts at its next start.
    pub(crate) fn confirm(&self, now: Timestamp) -> Result<(), Error> {
        let mut record = self.lock();
        confirm_at(&self.data_dir, now)?;
        *record = Restored::read(&self.data_dir)?;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Restored>> {
        // The record is whole between its calls.
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What confirming would do with what engines hold.
pub(crate) fn outlook(state: &State, held: &BTreeSet<InstanceId>) -> Outlook {
    let unknown = held.iter().filter(|id| !state.knows_instance(id)).cloned().collect();
    Outlook { wanted: state.held_instances(), held: held.len(), unknown }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restored() -> Restored {
        let at = |text: &str| text.parse().unwrap();
        Restored {
            format: 1,
            taken_at: at("2026-03-27T08:00:00Z"),
            sequence: 7,
            restored_at: at("2026-03-28T08:00:00Z"),
            confirmed_at: None,
        }
    }

    fn private() -> (tempfile::TempDir, PathBuf) {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("data");
        drop(DataDir::open(&dir).unwrap());
        (parent, dir)
    }

    #[test]
    fn a_confirmation_outlives_the_server() {
        let (_parent, dir) = private();
        assert!(!Restoration::open(&dir).unwrap().is_observing(), "nothing was restored here");
        restored().write(&dir).unwrap();

        let restoration = Restoration::open(&dir).unwrap();
        assert!(restoration.is_observing());
        restoration.confirm(Timestamp::now()).unwrap();

        assert!(!restoration.is_observing());
        assert!(!Restoration::open(&dir).unwrap().is_observing());
        assert!(!confirm_offline(&dir).unwrap(), "there is nothing left to confirm");
    }

    #[test]
    fn a_server_that_does_not_run_is_confirmed_by_its_directory() {
        let (_parent, dir) = private();
        restored().write(&dir).unwrap();

        assert!(confirm_offline(&dir).unwrap());

        assert!(Restored::read(&dir).unwrap().unwrap().is_confirmed());
    }

    #[test]
    fn nothing_is_concluded_from_a_damaged_record() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "{\"format\": 1").unwrap();

        assert!(matches!(Restored::read(dir.path()), Err(Error::Malformed { .. })));
    }
}
