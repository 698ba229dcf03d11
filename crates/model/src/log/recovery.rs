//! From bytes to state, or a named fault: the snapshot, if there is one, and every record after it.
//! Repairs nothing: a log that is not what was written is for people to look at.

use super::Fault;
use super::format::{self, Chain, Record};
use super::snapshot::Snapshot;
use crate::state::State;
use crate::time::{LogTime, Now, WallTime};
use std::iter::Peekable;
use std::sync::{Arc, mpsc};
use std::thread;

/// How far log time follows the wall clock over a restart (`decisions.md` §2.8).
const LONGEST_PAUSE_MS: i64 = 30 * 24 * 3_600_000;

/// From here on reading records and believing what they say are done side by side.
const WORTH_A_THREAD: usize = 64;

/// Records read and not yet believed, at the most.
const INSPECTED_AHEAD: usize = 64;

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
pub fn recover<R: AsRef<[u8]> + Send>(
    snapshot: Option<&[u8]>,
    records: impl IntoIterator<Item = R, IntoIter: Send>,
) -> Result<Recovered, Fault> {
    let (mut state, mut chain) = match snapshot.map(Snapshot::decode).transpose()? {
        Some(Snapshot { state, chain }) => (Arc::unwrap_or_clone(state), chain),
        None => (State::default(), Chain::default()),
    };
    let covered = state.sequence();
    let mut replayed = 0;
    let mut believe = |record: Record| {
        let sequence = record.entry.sequence;
        if replayed == 0 && sequence <= covered {
            return match sequence == covered && record.chain != chain {
                true => Err(Fault::BrokenChain { sequence }),
                false => Ok(()),
            };
        }
        // Behind the greatest number there is none.
        let after = state.sequence();
        if after.checked_add(1) != Some(sequence) {
            return Err(Fault::Gap { expected: after.saturating_add(1), found: sequence });
        }
        if record.before != chain {
            return Err(Fault::BrokenChain { sequence });
        }
        state.apply(&record.entry);
        chain = record.chain;
        replayed += 1;
        Ok(())
    };
    let records = records.into_iter();
    let is_long = records.size_hint().0 >= WORTH_A_THREAD;
    let mut inspected = Inspected { records: records.peekable(), after: covered };
    if is_long {
        thread::scope(|scope| {
            let (sender, receiver) = mpsc::sync_channel(INSPECTED_AHEAD);
            // It ends early where nobody takes what it sends: then there was a fault.
            scope.spawn(move || inspected.try_for_each(|record| sender.send(record)));
            receiver.into_iter().try_for_each(|record| record.and_then(&mut believe))
        })?;
    } else {
        inspected.try_for_each(|record| record.and_then(&mut believe))?;
    }
    Ok(Recovered { state, chain, replayed })
}

/// Records checked in themselves, one by one.
struct Inspected<I: Iterator> {
    records: Peekable<I>,
    /// The sequence that the next record follows, as far as can be said without believing those before.
    after: u64,
}

impl<R: AsRef<[u8]>, I: Iterator<Item = R>> Iterator for Inspected<I> {
    type Item = Result<Record, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.records.next()?;
        let record = format::inspect(bytes.as_ref(), self.after).map_err(|fault| match fault {
            // Only the last record can have been cut by a crash.
            Fault::TornTail { after } if self.records.peek().is_some() => Fault::BadChecksum { after },
            other => other,
        });
        if let Ok(record) = &record {
            self.after = self.after.max(record.entry.sequence);
        }
        Some(record)
    }
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
