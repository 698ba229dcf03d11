//! The state at start: the newest snapshot and the records behind it, in pages. What they mean is
//! `ensemble_model::log::recovery`'s.

use super::Error;
use crate::store::LogStore;
use ensemble_model::log::recovery::{self, Recovered};
use std::path::Path;

/// Records read in one go.
const PAGE: u32 = 1_000;

/// Reads snapshot and records, and makes the state of them.
pub(crate) async fn recover<S: LogStore>(store: &S, data_dir: &Path) -> Result<Recovered, Error> {
    let snapshot = store.get_snapshot().await?;
    let mut records = Vec::new();
    let mut next = snapshot.as_ref().map_or(0, |snapshot| snapshot.sequence + 1);
    loop {
        let page = store.read_from(next, PAGE).await?;
        let Some(last) = page.last() else { break };
        next = last.sequence + 1;
        records.extend(page.into_iter().map(|record| record.bytes));
    }
    recovery::recover(snapshot.as_ref().map(|snapshot| snapshot.bytes.as_slice()), records)
        .map_err(|fault| Error::Log { path: data_dir.to_owned(), fault })
}
