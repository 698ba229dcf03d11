//! Who watches: some clients that subscribe at times of their own, go away, and come back with the sequence that they saw
//! last, also to a process that was started since. A process can bring them up to date while it remembers what they
//! missed; else they begin anew with what is.

use crate::dice::Dice;
use crate::invariant::watch::a_watcher_misses_nothing;
use crate::invariant::{Broken, Exercised};
use crate::server::Incarnation;
use ensemble_model::event::Entry;
use std::collections::VecDeque;
use std::sync::Arc;

pub(crate) const WATCHERS: usize = 3;

/// Entries that a process remembers for those who come back.
const REMEMBERED: usize = 40;

pub(crate) struct Watchers {
    dice: Dice,
    watchers: [Watcher; WATCHERS],
    /// What the process published of late.
    recent: VecDeque<Arc<Entry>>,
    process: Incarnation,
}

#[derive(Default)]
struct Watcher {
    is_there: bool,
    /// The last sequence that it saw, once it saw any.
    since: Option<u64>,
}

impl Watchers {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            dice: Dice::stream(seed, "watchers"),
            watchers: std::array::from_fn(|_| Watcher::default()),
            recent: VecDeque::new(),
            process: 0,
        }
    }

    /// Milliseconds to its next coming or going.
    pub(crate) fn pause(&mut self) -> i64 {
        self.dice.wait_ms(90_000)
    }

    /// A watcher comes to `front`, which is at a sequence, or goes.
    pub(crate) fn turn(
        &mut self,
        watcher: usize,
        front: Option<(Incarnation, u64)>,
        log: &[Arc<Entry>],
        exercised: &mut Exercised,
    ) -> Result<(), Broken> {
        let found = &mut self.watchers[watcher];
        if std::mem::take(&mut found.is_there) {
            return Ok(());
        }
        let Some((process, at)) = front else { return Ok(()) };
        if process != self.process {
            self.forget(process);
        }
        let found = &mut self.watchers[watcher];
        found.is_there = true;
        let oldest = self.recent.front().map_or(at, |entry| entry.sequence - 1);
        match found.since {
            Some(since) if since >= oldest && since <= at => {
                let missed: Vec<_> =
                    self.recent.iter().filter(|entry| entry.sequence > since).cloned().collect();
                exercised.note("a_watcher_goes_on_after_a_pause", Ok(1))?;
                missed.iter().try_for_each(|entry| found.hear(entry, log, exercised))
            }
            // Too old, or of a log that was cut back: it is told what is.
            Some(_) | None => {
                found.since = Some(at);
                Ok(())
            }
        }
    }

    /// A process publishes an entry.
    pub(crate) fn publish(
        &mut self,
        process: Incarnation,
        entry: &Arc<Entry>,
        log: &[Arc<Entry>],
        exercised: &mut Exercised,
    ) -> Result<(), Broken> {
        if process != self.process {
            self.forget(process);
        }
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(Arc::clone(entry));
        let there = self.watchers.iter_mut().filter(|watcher| watcher.is_there);
        there.into_iter().try_for_each(|watcher| watcher.hear(entry, log, exercised))
    }

    /// Another process: streams of the one before are broken.
    fn forget(&mut self, process: Incarnation) {
        self.process = process;
        self.recent.clear();
        self.watchers.iter_mut().for_each(|watcher| watcher.is_there = false);
    }
}

impl Watcher {
    fn hear(
        &mut self,
        entry: &Arc<Entry>,
        log: &[Arc<Entry>],
        exercised: &mut Exercised,
    ) -> Result<(), Broken> {
        let since = self.since.unwrap_or_default();
        exercised.note("a_watcher_misses_nothing", a_watcher_misses_nothing(since, entry, log))?;
        self.since = Some(entry.sequence);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::house::{house, next};

    fn log(length: u64) -> Vec<Arc<Entry>> {
        let entry = next(&house(), Vec::new());
        (1..=length).map(|sequence| Arc::new(Entry { sequence, ..entry.clone() })).collect()
    }

    #[test]
    fn whoever_comes_back_hears_what_it_missed_and_a_gap_is_found() {
        let log = log(6);
        let (mut watchers, mut exercised) = (Watchers::new(1), Exercised::default());
        let publish = |watchers: &mut Watchers, sequence: usize| {
            watchers.publish(1, &log[sequence - 1], &log, &mut Exercised::default())
        };
        publish(&mut watchers, 1).unwrap();
        watchers.turn(0, Some((1, 1)), &log, &mut exercised).unwrap();
        publish(&mut watchers, 2).unwrap();
        watchers.turn(0, Some((1, 2)), &log, &mut exercised).unwrap();
        publish(&mut watchers, 3).unwrap();
        publish(&mut watchers, 4).unwrap();

        watchers.turn(0, Some((1, 4)), &log, &mut exercised).unwrap();

        assert_eq!(watchers.watchers[0].since, Some(4));
        assert_eq!(publish(&mut watchers, 6).unwrap_err().invariant, "a_watcher_misses_nothing");
    }

    #[test]
    fn a_process_that_remembers_too_little_tells_what_is() {
        let log = log(6);
        let (mut watchers, mut exercised) = (Watchers::new(1), Exercised::default());
        watchers.turn(0, Some((1, 2)), &log, &mut exercised).unwrap();
        watchers.publish(2, &log[5], &log, &mut exercised).unwrap();
        assert!(!watchers.watchers[0].is_there);

        watchers.turn(0, Some((2, 6)), &log, &mut exercised).unwrap();

        assert_eq!(watchers.watchers[0].since, Some(6));
    }
}
