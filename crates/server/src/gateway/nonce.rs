//! Which signature nonces were used: bounded, per access key (`decisions.md` §4.1). Pure: times are arguments.
//! Must only be told of requests whose signature verified, or anybody could burn another's nonces.

use jiff::Timestamp;
use ring::digest;
use std::collections::{BTreeSet, HashMap, HashSet};

/// How many nonces are remembered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) per_key: usize,
    pub(crate) in_all: usize,
}

impl Limits {
    pub(crate) const USUAL: Self = Self { per_key: 200_000, in_all: 2_000_000 };
}

/// How long a nonce is remembered after its request's stamp; a request as old as that is refused by its stamp.
const KEPT_SECONDS: i64 = ensemble_wire::signature::WINDOW_SECONDS;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replay {
    /// This nonce was used.
    Used,
    /// Nonces with such a stamp had to be forgotten, so this request cannot be told from a replay.
    Forgotten,
}

pub(crate) struct NonceTable {
    limits: Limits,
    keys: HashMap<String, KeyNonces>,
    count: usize,
}

/// Clients choose the length of their nonces, so a digest is kept; half a SHA-256 still has no collisions.
type Print = [u8; 16];

#[derive(Default)]
struct KeyNonces {
    seen: HashSet<Print>,
    /// The same ones by the second of their stamp, oldest first.
    by_stamp: BTreeSet<(i64, Print)>,
    /// Requests stamped at or before this second are refused.
    forgotten_up_to: Option<i64>,
}

impl NonceTable {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, keys: HashMap::new(), count: 0 }
    }

    /// Remembers the nonce of a verified request, or says why the request must be refused.
    pub(crate) fn admit(
        &mut self,
        key_id: &str,
        nonce: &str,
        stamp: Timestamp,
        now: Timestamp,
    ) -> Result<(), Replay> {
        self.drop_expired(now);
        let second = stamp.as_second();
        let print = print(nonce);
        if let Some(key) = self.keys.get(key_id) {
            if key.seen.contains(&print) {
                return Err(Replay::Used);
            }
            if key.forgotten_up_to.is_some_and(|forgotten| second <= forgotten) {
                return Err(Replay::Forgotten);
            }
        }
        self.make_room(key_id);
        let key = self.keys.entry(key_id.to_owned()).or_default();
        // Room made for this very key may have forgotten nonces as new as this one.
        if key.forgotten_up_to.is_some_and(|forgotten| second <= forgotten) {
            return Err(Replay::Forgotten);
        }
        key.seen.insert(print);
        key.by_stamp.insert((second, print));
        self.count += 1;
        Ok(())
    }

    fn drop_expired(&mut self, now: Timestamp) {
        let oldest_kept = now.as_second() - KEPT_SECONDS;
        let mut dropped = 0;
        self.keys.retain(|_, key| {
            while key.by_stamp.first().is_some_and(|(second, _)| *second < oldest_kept) {
                key.drop_oldest();
                dropped += 1;
            }
            key.forgotten_up_to = key.forgotten_up_to.filter(|second| *second >= oldest_kept);
            !key.by_stamp.is_empty() || key.forgotten_up_to.is_some()
        });
        self.count -= dropped;
    }

    /// Takes the oldest nonce of `key_id` when its table is full, and of the fullest table when all together are.
    fn make_room(&mut self, key_id: &str) {
        let own = self.keys.get(key_id).map_or(0, |key| key.seen.len());
        let from = if own >= self.limits.per_key {
            self.keys.get_mut(key_id)
        } else if self.count >= self.limits.in_all {
            self.keys.values_mut().max_by_key(|key| key.seen.len())
        } else {
            None
        };
        if let Some(key) = from {
            key.forget_oldest();
            self.count -= 1;
        }
    }
}

impl KeyNonces {
    fn drop_oldest(&mut self) -> Option<i64> {
        let (second, print) = self.by_stamp.pop_first()?;
        self.seen.remove(&print);
        Some(second)
    }

    fn forget_oldest(&mut self) {
        let second = self.drop_oldest();
        self.forgotten_up_to = self.forgotten_up_to.max(second);
    }
}

/// What stands for a nonce where it is kept for longer: 32 hex digits, however long the client made it.
pub(super) fn digits(nonce: &str) -> String {
    print(nonce).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn print(nonce: &str) -> Print {
    let digest = digest::digest(&digest::SHA256, nonce.as_bytes());
    let mut print = Print::default();
    let length = print.len();
    print.copy_from_slice(&digest.as_ref()[..length]);
    print
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_for_a_nonce_is_short_and_its_own() {
        assert_eq!(digits(&"n".repeat(60_000)).len(), 32);
        assert_ne!(digits("one"), digits("other"));
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn table(per_key: usize, in_all: usize) -> NonceTable {
        NonceTable::new(Limits { per_key, in_all })
    }

    #[test]
    fn a_nonce_is_good_once_per_key() {
        let mut table = table(10, 10);

        assert_eq!(table.admit("a", "n", at(0), at(0)), Ok(()));
        assert_eq!(table.admit("a", "n", at(1), at(1)), Err(Replay::Used));
        assert_eq!(table.admit("b", "n", at(1), at(1)), Ok(()));
        assert_eq!(table.admit("a", "m", at(1), at(1)), Ok(()));
    }

    #[test]
    fn a_nonce_is_kept_as_long_as_its_stamp_is_good() {
        let mut table = table(10, 10);
        table.admit("a", "early", at(0), at(0)).unwrap();
        table.admit("a", "from the future", at(900), at(0)).unwrap();

        assert_eq!(table.admit("a", "early", at(0), at(900)), Err(Replay::Used));
        assert_eq!(table.admit("a", "early", at(901), at(901)), Ok(()));
        assert_eq!(table.admit("a", "from the future", at(900), at(1_800)), Err(Replay::Used));
        assert_eq!(table.admit("a", "from the future", at(1_801), at(1_801)), Ok(()));
    }

    #[test]
    fn a_full_table_refuses_what_it_can_no_longer_tell() {
        let mut table = table(2, 10);
        table.admit("a", "1", at(1), at(5)).unwrap();
        table.admit("a", "2", at(2), at(5)).unwrap();

        table.admit("a", "3", at(3), at(5)).unwrap();

        assert_eq!(table.admit("a", "1", at(1), at(5)), Err(Replay::Forgotten));
        assert_eq!(table.admit("a", "never seen", at(1), at(5)), Err(Replay::Forgotten));
        assert_eq!(table.admit("a", "2", at(2), at(5)), Err(Replay::Used));
        assert_eq!(table.admit("b", "1", at(1), at(5)), Ok(()), "another key loses nothing");
    }

    #[test]
    fn equal_stamps_in_a_full_table_are_refused_rather_than_forgotten() {
        let mut table = table(2, 10);
        for nonce in ["1", "2"] {
            table.admit("a", nonce, at(1), at(1)).unwrap();
        }

        assert_eq!(table.admit("a", "3", at(1), at(1)), Err(Replay::Forgotten));
        assert_eq!(table.admit("a", "3", at(2), at(2)), Ok(()));
    }

    #[test]
    fn the_fullest_key_pays_when_all_together_are_too_many() {
        let mut table = table(10, 3);
        table.admit("a", "1", at(1), at(5)).unwrap();
        table.admit("a", "2", at(2), at(5)).unwrap();
        table.admit("b", "1", at(1), at(5)).unwrap();

        table.admit("b", "2", at(2), at(5)).unwrap();

        assert_eq!(table.admit("a", "1", at(1), at(5)), Err(Replay::Forgotten));
        assert_eq!(table.admit("b", "1", at(1), at(5)), Err(Replay::Used));
        assert_eq!(table.count, 3);
    }

    #[test]
    fn keys_without_nonces_are_forgotten() {
        let mut table = table(1, 10);
        table.admit("a", "1", at(0), at(0)).unwrap();
        table.admit("a", "2", at(1), at(1)).unwrap();

        table.admit("b", "1", at(2_000), at(2_000)).unwrap();

        assert_eq!(table.keys.len(), 1);
        assert_eq!(table.count, 1);
    }
}
