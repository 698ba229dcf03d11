//! A bounded memory of keys per owner, forgotten by age or when the owner has too many: then the oldest goes.
//! Only says what to forget; whoever keeps values under the keys removes them. Works on wall times, which may
//! jump: a jump forward forgets early, a jump backward late, and neither exceeds the bound.

use crate::time::WallTime;
use imbl::{OrdMap, OrdSet};

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ledger<Owner: Ord + Clone, Key: Ord + Clone> {
    by_age: OrdSet<(WallTime, Owner, Key)>,
    by_owner: OrdMap<Owner, OrdSet<(WallTime, Key)>>,
}

/// What a [`Ledger`] lets go of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Forgotten<Owner, Key> {
    pub(crate) at: WallTime,
    pub(crate) owner: Owner,
    pub(crate) key: Key,
    pub(crate) reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Age,
    Bound,
}

/// What a [`Ledger`] keeps at the most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) age_ms: i64,
    pub(crate) per_owner: usize,
    pub(crate) in_all: usize,
}

impl<Owner: Ord + Clone, Key: Ord + Clone> Default for Ledger<Owner, Key> {
    fn default() -> Self {
        Self { by_age: OrdSet::new(), by_owner: OrdMap::new() }
    }
}

impl<Owner: Ord + Clone, Key: Ord + Clone> Ledger<Owner, Key> {
    /// Takes `key` in, as of `at`, and returns what has to be forgotten for it: `key` itself where it is the oldest.
    /// A key that is still kept must not come again.
    pub(crate) fn keep(
        &mut self,
        owner: &Owner,
        key: Key,
        at: WallTime,
        now: WallTime,
        bounds: Bounds,
    ) -> Vec<Forgotten<Owner, Key>> {
        self.restore(owner.clone(), key, at);
        let mut forgotten = Vec::new();
        while let Some((oldest, oldest_owner, oldest_key)) = self.by_age.get_min().cloned() {
            let aged = now.0.saturating_sub(oldest.0) > bounds.age_ms;
            if !aged && self.by_age.len() <= bounds.in_all {
                break;
            }
            let reason = if aged { Reason::Age } else { Reason::Bound };
            forgotten.push(self.forget(oldest, oldest_owner, oldest_key, reason));
        }
        while let Some(kept) = self.by_owner.get(owner).filter(|kept| kept.len() > bounds.per_owner) {
            let Some((oldest, oldest_key)) = kept.get_min().cloned() else { break };
            forgotten.push(self.forget(oldest, owner.clone(), oldest_key, Reason::Bound));
        }
        forgotten
    }

    /// Takes in what was kept before, as a snapshot says; forgets nothing for it.
    pub(crate) fn restore(&mut self, owner: Owner, key: Key, at: WallTime) {
        self.by_age.insert((at, owner.clone(), key.clone()));
        self.by_owner.entry(owner).or_default().insert((at, key));
    }

    /// Takes a key out that was kept as of `at`.
    pub(crate) fn take_out(&mut self, owner: &Owner, key: &Key, at: WallTime) {
        self.by_age.remove(&(at, owner.clone(), key.clone()));
        if let Some(kept) = self.by_owner.get_mut(owner) {
            kept.remove(&(at, key.clone()));
            if kept.is_empty() {
                self.by_owner.remove(owner);
            }
        }
    }

    fn forget(&mut self, at: WallTime, owner: Owner, key: Key, reason: Reason) -> Forgotten<Owner, Key> {
        self.take_out(&owner, &key, at);
        Forgotten { at, owner, key, reason }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.by_age.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { age_ms: 1_000, per_owner: 2, in_all: 3 };

    fn keep(
        ledger: &mut Ledger<&'static str, u32>,
        owner: &'static str,
        key: u32,
        at: i64,
    ) -> Vec<(u32, Reason)> {
        let forgotten = ledger.keep(&owner, key, WallTime(at), WallTime(at), BOUNDS);
        forgotten.into_iter().map(|forgotten| (forgotten.key, forgotten.reason)).collect()
    }

    #[test]
    fn the_oldest_key_of_an_owner_with_too_many_goes() {
        let mut ledger = Ledger::default();

        assert_eq!(keep(&mut ledger, "a", 1, 0), []);
        assert_eq!(keep(&mut ledger, "a", 2, 1), []);
        assert_eq!(keep(&mut ledger, "a", 3, 2), [(1, Reason::Bound)]);
        assert_eq!(ledger.len(), 2);
    }

    #[test]
    fn the_oldest_key_of_all_goes_when_there_are_too_many_owners() {
        let mut ledger = Ledger::default();
        for (owner, key) in [("a", 1), ("b", 2), ("c", 3)] {
            keep(&mut ledger, owner, key, i64::from(key));
        }

        assert_eq!(keep(&mut ledger, "d", 4, 4), [(1, Reason::Bound)]);
    }

    #[test]
    fn what_is_too_old_goes_whoever_owns_it() {
        let mut ledger = Ledger::default();
        keep(&mut ledger, "a", 1, 0);
        keep(&mut ledger, "b", 2, 500);

        assert_eq!(keep(&mut ledger, "c", 3, 1_001), [(1, Reason::Age)]);
    }
}
