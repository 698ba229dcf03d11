//! Reads the log for people, also while a server writes it. Must not change anything, not even the epoch.

use crate::data_dir::LOG_FILE;
use crate::start::Error;
use crate::store::LogStore;
use crate::store::sqlite::SqliteStore;
use ensemble_model::event::Entry;
use ensemble_model::log::format;
use std::path::Path;

/// The entries of the log in `data_dir` from sequence `from` on, oldest first, at most `at_most`. What a snapshot
/// has replaced is no longer there.
///
/// # Errors
/// When there is no log, or a record of it is not what was written.
pub async fn read_log(data_dir: &Path, from: u64, at_most: u64) -> Result<Vec<Entry>, Error> {
    let store = SqliteStore::open_to_read(&data_dir.join(LOG_FILE)).await?;
    let at_most = u32::try_from(at_most).unwrap_or(u32::MAX);
    let records = store.read_from(from, at_most).await?;
    store.close().await;
    let entry = |record: &crate::store::Record| {
        let read = format::inspect(&record.bytes, record.sequence.saturating_sub(1));
        read.map(|record| record.entry).map_err(|fault| Error::Log { path: data_dir.to_owned(), fault })
    };
    records.iter().map(entry).collect()
}
