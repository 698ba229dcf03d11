//! What happens when: events in the order of their times, and within a time in the order in which they were put there.

use std::collections::BTreeMap;

/// Milliseconds since the simulated world began. True time: no clock of the world has to show it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub i64);

impl Moment {
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to here, never negative.
    pub fn since(self, earlier: Self) -> i64 {
        (self.0 - earlier.0).max(0)
    }
}

#[derive(Debug)]
pub(crate) struct Agenda<E> {
    events: BTreeMap<(Moment, u64), E>,
    next: u64,
}

impl<E> Default for Agenda<E> {
    fn default() -> Self {
        Self { events: BTreeMap::new(), next: 0 }
    }
}

impl<E> Agenda<E> {
    pub(crate) fn put(&mut self, at: Moment, event: E) {
        self.events.insert((at, self.next), event);
        self.next += 1;
    }

    /// When the next event is due.
    pub(crate) fn next(&self) -> Option<Moment> {
        self.events.keys().next().map(|(at, _)| *at)
    }

    /// The next event, if it is due by `until`.
    pub(crate) fn take(&mut self, until: Moment) -> Option<(Moment, E)> {
        let entry = self.events.first_entry()?;
        let (at, _) = *entry.key();
        (at <= until).then(|| (at, entry.remove()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_then_in_the_order_they_were_put() {
        let mut agenda = Agenda::default();
        for (at, event) in [(2, "c"), (1, "a"), (2, "d"), (1, "b"), (3, "e")] {
            agenda.put(Moment(at), event);
        }

        let mut taken = Vec::new();
        while let Some((_, event)) = agenda.take(Moment(2)) {
            taken.push(event);
        }

        assert_eq!(taken, ["a", "b", "c", "d"]);
    }
}
