//! What of the store is relied upon right now, though no record says so yet: held while an image is taken in or about
//! to be pinned, so that nobody prunes it in between. In memory only: after a crash nothing is under way.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
pub(super) struct Claims {
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    counts: HashMap<String, usize>,
    /// What was claimed at any time since a sweep began: a record written meanwhile may name it.
    touched: HashSet<String>,
}

/// Keeps a part of the store from being pruned until it is dropped.
#[derive(Debug)]
pub struct Claim {
    claims: Arc<Claims>,
    path: String,
}

impl Claims {
    /// `path`: within the store.
    pub(super) fn claim(self: &Arc<Self>, path: String) -> Claim {
        let mut book = self.lock();
        *book.counts.entry(path.clone()).or_default() += 1;
        book.touched.insert(path.clone());
        Claim { claims: Arc::clone(self), path }
    }

    /// From here on every claim is remembered, those that are held now included.
    pub(super) fn begin_sweep(&self) {
        let mut book = self.lock();
        book.touched = book.counts.keys().cloned().collect();
    }

    /// Does `remove` unless somebody relies on `path`, or did since the sweep began; nobody can begin to meanwhile.
    pub(super) fn unless_claimed<T>(&self, path: &str, remove: impl FnOnce() -> T) -> Option<T> {
        let book = self.lock();
        (!book.touched.contains(path)).then(remove)
    }

    /// Does `remove` unless somebody relies on `path` now.
    pub(super) fn if_unclaimed<T>(&self, path: &str, remove: impl FnOnce() -> T) -> Option<T> {
        let book = self.lock();
        (!book.counts.contains_key(path)).then(remove)
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        // The counts are whole between two calls.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut book = self.claims.lock();
        if let Some(count) = book.counts.get_mut(&self.path) {
            *count -= 1;
            if *count == 0 {
                book.counts.remove(&self.path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_claimed_since_the_sweep_began_is_left_alone() {
        let claims = Arc::new(Claims::default());
        let before = claims.claim("layers/ended-before".to_owned());
        let held = claims.claim("layers/held".to_owned());
        drop(before);

        claims.begin_sweep();
        drop(claims.claim("layers/came-and-went".to_owned()));
        drop(held);

        assert_eq!(claims.unless_claimed("layers/ended-before", || ()), Some(()));
        assert_eq!(claims.unless_claimed("layers/held", || ()), None);
        assert_eq!(claims.unless_claimed("layers/came-and-went", || ()), None);
    }
}
