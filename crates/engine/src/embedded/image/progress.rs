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
pub(super) struct Board(Arc<Mutex<BTreeMap<Digest, Arc<Counter>>>>);

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
        Transfer { board: Self(Arc::clone(&self.0)), image: image.clone(), counter }
    }

    pub(super) fn now(&self) -> BTreeMap<Digest, PullProgress> {
        self.lock().iter().map(|(image, counter)| (image.clone(), counter.progress())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Digest, Arc<Counter>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// What came has to come again.
    pub(super) fn fall_back(&self, bytes: u64) {
        self.counter.done.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.board.lock().remove(&self.image);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pull_is_on_the_board_while_it_lasts() {
        let board = Board::default();
        let image = Digest::new("sha256:one");

        let transfer = board.begin(&image, 100);
        transfer.advance(70);
        transfer.fall_back(8);
        let during = board.now();
        drop(transfer);

        assert_eq!(during[&image], PullProgress { done_bytes: 62, total_bytes: 100 });
        assert!(board.now().is_empty());
    }
}
