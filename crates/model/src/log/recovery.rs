//! From bytes to state, or a named fault: the snapshot, if there is one, and every record after it.
//! Repairs nothing: a log that is not what was written is for people to look at.

use super::Fault;
use super::format::{self, Chain};
use super::snapshot::Snapshot;
use crate::state::State;
use crate::time::{LogTime, Now, WallTime};
use std::sync::Arc;

/// How far log time follows the wall clock over a restart (`decisions.md` §2.8).
const LONGEST_PAUSE_MS: i64 = 30 * 24 * 3_600_000;

#[derive(Clone, Debug, Default)]
pub struct Recovered {
    pub state: State,
    /// What the next record has to follow.
    pub chain: Chain,
    /// Records read after the snapshot.
    pub replayed: u64,
}

/// Rebuilds the state from the latest snapshot and the records with greater sequences, in their order. Records up
/// to the snapshot's sequence may come first; they are checked in themselves and skipped.
///
/// # Errors
/// The first [`Fault`], naming where it is.
pub fn recover<R: AsRef<[u8]>>(
    snapshot: Option<&[u8]>,
    records: impl IntoIterator<Item = R>,
) -> Result<Recovered, Fault> {
    let (mut state, mut chain) = match snapshot.map(Snapshot::decode).transpose()? {
        Some(Snapshot { state, chain }) => (Arc::unwrap_or_clone(state), chain),
        None => (State::default(), Chain::default()),
    };
    let covered = state.sequence();
    let mut replayed = 0;
    let mut records = records.into_iter().peekable();
    while let Some(bytes) = records.next() {
        let after = state.sequence();
        let record = format::inspect(bytes.as_ref(), after).map_err(|fault| match fault {
            // Only the last record can have been cut by a crash.
            Fault::TornTail { after } if records.peek().is_some() => Fault::BadChecksum { after },
            other => other,
        })?;
        let sequence = record.entry.sequence;
        if replayed == 0 && sequence <= covered {
            if sequence == covered && record.chain != chain {
                return Err(Fault::BrokenChain { sequence });
            }
            continue;
        }
        // Behind the greatest number there is none.
        if after.checked_add(1) != Some(sequence) {
            return Err(Fault::Gap { expected: after.saturating_add(1), found: sequence });
        }
        if record.before != chain {
            return Err(Fault::BrokenChain { sequence });
        }
        state.apply(&record.entry);
        chain = record.chain;
        replayed += 1;
    }
    Ok(Recovered { state, chain, replayed })
}

/// Where log time goes on at a start: by the wall clock's difference since the last entry, where that lies between
/// 0 and 30 days; else it stands still over the pause.
pub fn resume_log_time(last: Now, wall: WallTime) -> LogTime {
    let pause = wall.0.saturating_sub(last.wall.0);
    match pause {
        0..=LONGEST_PAUSE_MS => LogTime(last.log.0.saturating_add(pause)),
        _ => last.log,
    }
}
