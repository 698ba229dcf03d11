//! How far pulls are, in bytes, by the image's digest. Counters only: nothing here is logged or outlives a pull.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ensemble_model::id::Digest;

/// How far one pull is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PullProgress {
    pub done_bytes: u64,
    /// Of all blobs that were missing when it began.
    pub total_bytes: u64,
}

/// All pulls under way.
#[derive(Debug, Default)]
pub(super) struct Board {
    pulls: Arc<Mutex<BTreeMap<Digest, Arc<Counter>>>>,
    /// Bytes that came from registries since the start, those that had to come again included.
    received: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Counter {
    done: AtomicU64,
    total: u64,
}

/// One pull, on the board until it is dropped.
#[derive(Debug)]
pub(super) struct Transfer {
    board: Board,
    image: Digest,
    counter: Arc<Counter>,
}

impl Board {
    /// One image is pulled once at a time, so its place on the board is its own.
    pub(super) fn begin(&self, image: &Digest, total_bytes: u64) -> Transfer {
        let counter = Arc::new(Counter { done: AtomicU64::new(0), total: total_bytes });
        self.lock().insert(image.clone(), Arc::clone(&counter));
        Transfer { board: self.handle(), image: image.clone(), counter }
    }

    pub(super) fn now(&self) -> BTreeMap<Digest, PullProgress> {
        self.lock().iter().map(|(image, counter)| (image.clone(), counter.progress())).collect()
    }

    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    fn handle(&self) -> Self {
        Self { pulls: Arc::clone(&self.pulls), received: Arc::clone(&self.received) }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Digest, Arc<Counter>>> {
        self.pulls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counter {
    fn progress(&self) -> PullProgress {
        let done = self.done.load(Ordering::Relaxed).min(self.total);
        PullProgress { done_bytes: done, total_bytes: self.total }
    }
}

impl Transfer {
    pub(super) fn advance(&self, bytes: u64) {
        self.counter.done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes came from the registry.
    pub(super) fn receive(&self, bytes: u64) {
        self.board.received.fetch_add(bytes, Ordering::Relaxed);
        self.advance(bytes);
    }

    /// What came has to come again.
    pub(super) fn fall_back(&self, bytes: u64) {
        self.counter.done.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        let mut pulls = self.board.lock();
        // The place may be that of the next pull already.
        if pulls.get(&self.image).is_some_and(|counter| Arc::ptr_eq(counter, &self.counter)) {
            pulls.remove(&self.image);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pull_that_ends_late_leaves_the_next_on_the_board() {
        let board = Board::default();
        let image = Digest::new("sha256:one");

        let late = board.begin(&image, 1);
        let next = board.begin(&image, 2);
        drop(late);
        assert_eq!(board.now()[&image].total_bytes, 2);
        drop(next);
        assert!(board.now().is_empty());
    }

    #[test]
    fn a_pull_is_on_the_board_while_it_lasts() {
        let board = Board::default();
        let image = Digest::new("sha256:one");

        let transfer = board.begin(&image, 100);
        transfer.advance(50);
        transfer.receive(20);
        transfer.fall_back(8);
        let during = board.now();
        drop(transfer);

        assert_eq!(during[&image], PullProgress { done_bytes: 62, total_bytes: 100 });
        assert!(board.now().is_empty());
        assert_eq!(board.received(), 20, "what was there already did not come");
    }
}
