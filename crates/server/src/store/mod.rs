//! The log store: keeps records and one snapshot, in order, durably, and knows nothing of what they mean
//! (`decisions.md` §7.7). [`LogStore`] is five methods; `suite` holds the tests that every implementation passes.
//! Must not read, write or repair a record: the format is `ensemble_model::log`'s.

pub mod sqlite;

#[cfg(test)]
mod suite;

use ensemble_model::wanted::Epoch;
use std::future::Future;
use std::path::PathBuf;

/// A durable sequence of records. Whoever appends holds the epoch that [`LogStore::fence`] gave; everybody with
/// an older one is refused from then on.
///
/// A failed append is final: whether the record reached the disk is unknown, so the caller stops and never
/// retries (a second sync after a failed one may report success for pages that are gone).
pub trait LogStore: Send + Sync + 'static {
    /// Keeps `record` under `sequence`; on return it survives a power cut.
    ///
    /// # Errors
    /// [`Error::Fenced`] under an older epoch, [`Error::Taken`] when the sequence is there already.
    fn append(
        &self,
        epoch: Epoch,
        sequence: u64,
        record: &[u8],
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// The records from `sequence` on, in order, at most `at_most` of them.
    fn read_from(
        &self,
        sequence: u64,
        at_most: u32,
    ) -> impl Future<Output = Result<Vec<Record>, Error>> + Send;

    /// Keeps the state as of `sequence`, and drops the records that the snapshot before this one covers: so the
    /// newest snapshot and the one before it can both be recovered from.
    ///
    /// # Errors
    /// [`Error::Fenced`] under an older epoch.
    fn put_snapshot(
        &self,
        epoch: Epoch,
        sequence: u64,
        bytes: &[u8],
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// The newest snapshot, or nothing.
    fn get_snapshot(&self) -> impl Future<Output = Result<Option<Record>, Error>> + Send;

    /// Starts a new epoch, higher than every one before, and shuts out the writers of older ones.
    fn fence(&self) -> impl Future<Output = Result<Epoch, Error>> + Send;
}

/// What is kept under a sequence: a record of the log, or a snapshot of the state after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub sequence: u64,
    pub bytes: Vec<u8>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("could not open the log `{path}`")]
    Open {
        path: PathBuf,
        #[source]
        source: sqlx::Error,
    },
    #[error("`{path}` is a log store of layout {found}; this version reads layout {known}")]
    Layout { path: PathBuf, found: i64, known: i64 },
    #[error("epoch {} has ended: another server writes this log", epoch.0)]
    Fenced { epoch: Epoch },
    #[error("the log holds sequence {sequence} already")]
    Taken { sequence: u64 },
    #[error("number {number} does not fit the log store")]
    OutOfRange { number: u64 },
    #[error("could not {action} the log")]
    Database {
        /// `append to`, `read`, …
        action: &'static str,
        #[source]
        source: sqlx::Error,
    },
}
