//! What must hold of what watchers are told.

use super::Verdict;
use ensemble_model::event::Entry;
use std::sync::Arc;

/// What is published is durable, and follows what the same process published before.
pub(crate) fn only_what_is_durable_is_published(last: u64, entry: &Entry, durable: u64) -> Verdict {
    if last != 0 && entry.sequence != last + 1 {
        return Err(format!("{} is published after {last}", entry.sequence));
    }
    if entry.sequence > durable {
        return Err(format!("{} is published, {durable} is durable", entry.sequence));
    }
    Ok(1)
}

/// What a watcher was told since it began, or began anew, is a suffix of the log: whole, in order, word for word.
pub(crate) fn a_watcher_misses_nothing(since: u64, told: &Entry, log: &[Arc<Entry>]) -> Verdict {
    if told.sequence != since + 1 {
        return Err(format!("a watcher that is at {since} is told {}", told.sequence));
    }
    let place = usize::try_from(since).unwrap_or(usize::MAX);
    match log.get(place).is_some_and(|kept| **kept == *told) {
        true => Ok(1),
        false => Err(format!("a watcher is told {told:?}, the log says {:?}", log.get(place))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::house::{gone, house, next};

    #[test]
    fn what_is_not_durable_or_out_of_turn_is_not_published() {
        let house = house();
        let entry = next(&house, Vec::new());
        for (last, durable, is_right) in [(1, 2, true), (0, 2, true), (0, 1, false), (2, 2, false)] {
            assert_eq!(only_what_is_durable_is_published(last, &entry, durable).is_ok(), is_right);
        }
    }

    #[test]
    fn a_gap_a_repetition_and_a_wrong_word_are_found() {
        let house = house();
        let first = Arc::new(next(&house, Vec::new()));
        let log = [Arc::new(Entry { sequence: 1, ..Entry::clone(&first) }), Arc::clone(&first)];
        let wrong = next(&house, vec![gone("i-1")]);

        assert_eq!(a_watcher_misses_nothing(1, &first, &log), Ok(1));
        assert!(a_watcher_misses_nothing(0, &first, &log).is_err());
        assert!(a_watcher_misses_nothing(2, &first, &log).is_err());
        assert!(a_watcher_misses_nothing(1, &wrong, &log).is_err());
    }
}
