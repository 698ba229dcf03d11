//! Which connections are open, and which of them gives way when one more comes than there may be: the one that has
//! waited longest for a request, those that never brought a good one first. One whose request is being answered
//! never does. Must not touch a socket: whoever owns the connection listens to [`Seat::gives_way`].

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// All connections of a server.
pub(super) struct Connections {
    /// May change while connections are open.
    at_most: AtomicUsize,
    table: Mutex<Table>,
    /// A seat became free, or one waits that could give way.
    room: Notify,
}

/// One open connection; dropped when it is closed.
pub(super) struct Seat {
    id: u64,
    connections: Arc<Connections>,
    evicted: Arc<Notify>,
}

#[derive(Default)]
struct Table {
    /// Counts up with every change, so that a smaller number is a longer wait.
    turn: u64,
    seats: HashMap<u64, Seated>,
    /// Those without a request in hand, who gives way first in front.
    waiting: BTreeSet<Rank>,
    /// Told to give way, and not closed yet.
    leaving: usize,
}

struct Seated {
    standing: Standing,
    /// Its place in `waiting`, if it is there.
    rank: Option<Rank>,
    /// It was told to give way, and is not told again.
    leaves: bool,
    evicted: Arc<Notify>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    standing: Standing,
    since: u64,
    id: u64,
}

/// Whether a connection has brought a good request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    Stranger,
    Known,
}

impl Connections {
    pub(super) fn new(at_most: usize) -> Arc<Self> {
        Arc::new(Self { at_most: AtomicUsize::new(at_most), table: Mutex::default(), room: Notify::new() })
    }

    /// Fewer than are open close nobody: nobody new comes until as many have gone or given way.
    pub(super) fn limit(&self, at_most: usize) {
        self.at_most.store(at_most, Ordering::Relaxed);
        self.room.notify_one();
    }

    /// How many are open.
    pub(super) fn count(&self) -> usize {
        self.lock().seats.len()
    }

    /// Waits until there is room for one more. Where all seats are taken, one that waits for a request gives way.
    pub(super) async fn room(&self) {
        // A permit of `notify_one` is kept, so a seat that is freed between the two lines wakes this.
        while !self.has_room() {
            self.room.notified().await;
        }
    }

    /// Takes a seat for a connection that was just accepted, and has sent nothing yet.
    pub(super) fn seat(self: &Arc<Self>) -> Seat {
        let mut table = self.lock();
        let id = table.next_turn();
        let evicted = Arc::new(Notify::new());
        let seated =
            Seated { standing: Standing::Stranger, rank: None, leaves: false, evicted: Arc::clone(&evicted) };
        table.seats.insert(id, seated);
        table.wait(id);
        Seat { id, connections: Arc::clone(self), evicted }
    }

    fn has_room(&self) -> bool {
        let mut table = self.lock();
        let at_most = self.at_most.load(Ordering::Relaxed);
        if table.seats.len() < at_most {
            return true;
        }
        // Room is made when it has closed, within moments: until then its socket is one of those that there may be.
        if table.seats.len() - table.leaving >= at_most {
            table.evict_first();
        }
        false
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Nothing inside can panic half way.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Returns when this connection must be closed for another.
    pub(super) async fn gives_way(&self) {
        self.evicted.notified().await;
    }

    /// Its request is whole and is being answered.
    pub(super) fn works(&self) {
        self.connections.lock().work(self.id);
    }

    /// It is answered, and waits for the next request.
    pub(super) fn waits(&self, standing: Standing) {
        let mut table = self.connections.lock();
        if let Some(seated) = table.seats.get_mut(&self.id) {
            seated.standing = seated.standing.max(standing);
        }
        table.wait(self.id);
        drop(table);
        self.connections.room.notify_one();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut table = self.connections.lock();
        table.work(self.id);
        if table.seats.remove(&self.id).is_some_and(|seated| seated.leaves) {
            table.leaving -= 1;
        }
        drop(table);
        self.connections.room.notify_one();
    }
}

impl Table {
    fn next_turn(&mut self) -> u64 {
        self.turn += 1;
        self.turn
    }

    fn wait(&mut self, id: u64) {
        let since = self.next_turn();
        let Some(seated) = self.seats.get_mut(&id).filter(|seated| !seated.leaves) else { return };
        let rank = Rank { standing: seated.standing, since, id };
        if let Some(earlier) = seated.rank.replace(rank) {
            self.waiting.remove(&earlier);
        }
        self.waiting.insert(rank);
    }

    fn evict_first(&mut self) {
        let first = self.waiting.pop_first();
        if let Some(seated) = first.and_then(|rank| self.seats.get_mut(&rank.id)) {
            seated.rank = None;
            seated.leaves = true;
            seated.evicted.notify_one();
            self.leaving += 1;
        }
    }

    fn work(&mut self, id: u64) {
        if let Some(rank) = self.seats.get_mut(&id).and_then(|seated| seated.rank.take()) {
            self.waiting.remove(&rank);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn gave_way(seat: &Seat) -> bool {
        seat.gives_way().now_or_never().is_some()
    }

    fn there_is_room(connections: &Connections) -> bool {
        connections.room().now_or_never().is_some()
    }

    #[test]
    fn the_stranger_that_waits_longest_gives_way() {
        let connections = Connections::new(3);
        let known = connections.seat();
        known.works();
        known.waits(Standing::Known);
        let (first, second) = (connections.seat(), connections.seat());

        assert!(!there_is_room(&connections), "not before it has closed");

        assert!(gave_way(&first));
        assert!(!gave_way(&second) && !gave_way(&known));
        drop(first);
        assert!(there_is_room(&connections));
    }

    #[test]
    fn with_strangers_gone_the_known_one_that_waits_longest_gives_way() {
        let connections = Connections::new(2);
        let seats = [connections.seat(), connections.seat()];
        for seat in seats.iter().rev() {
            seat.works();
            seat.waits(Standing::Known);
        }

        assert!(!there_is_room(&connections));

        assert!(gave_way(&seats[1]) && !gave_way(&seats[0]));
    }

    #[test]
    fn only_as_many_give_way_as_are_needed() {
        let connections = Connections::new(2);
        let seats = [connections.seat(), connections.seat()];

        for _ in 0..3 {
            assert!(!there_is_room(&connections));
        }

        assert!(gave_way(&seats[0]) && !gave_way(&seats[1]));
    }

    #[test]
    fn nobody_who_is_being_answered_gives_way_and_room_is_waited_for() {
        let connections = Connections::new(1);
        let seat = connections.seat();
        seat.works();

        assert!(!there_is_room(&connections));
        assert!(!gave_way(&seat));

        seat.waits(Standing::Stranger);
        assert!(!there_is_room(&connections));
        assert!(gave_way(&seat));
    }

    #[test]
    fn a_closed_connection_leaves_nothing_behind() {
        let connections = Connections::new(1);
        let seat = connections.seat();
        assert!(!there_is_room(&connections));

        drop(seat);

        let table = connections.lock();
        assert!(table.seats.is_empty() && table.waiting.is_empty());
        assert_eq!(table.leaving, 0);
    }
}
