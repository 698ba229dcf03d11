//! Chance, from a seed: SplitMix64, which is the same on every machine and in every version of every crate.
//! One stream for each concern, so that a draw more in one place changes nothing in another.

/// A stream of draws.
#[derive(Clone, Debug)]
pub struct Dice(u64);

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Dice {
    /// The stream called `name` of a seed.
    pub fn stream(seed: u64, name: &str) -> Self {
        let mut dice = Self(seed ^ GOLDEN);
        for byte in name.bytes() {
            dice.0 = dice.next().wrapping_add(u64::from(byte));
        }
        dice
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to below `bound`; 0 where `bound` is.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The bias is far below what a test of hours could see.
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// From `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low.saturating_add(self.below(high.saturating_sub(low).saturating_add(1)))
    }

    /// A duration in milliseconds from `low` to `high`, both included.
    pub fn ms(&mut self, low: i64, high: i64) -> i64 {
        low.saturating_add_unsigned(self.below((high - low).unsigned_abs() + 1))
    }

    /// Yes in `per_mille` of a thousand cases.
    pub fn happens(&mut self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }

    /// An index below `length`, or nothing of an empty list.
    pub fn index(&mut self, length: usize) -> Option<usize> {
        (length > 0).then(|| self.below(length as u64) as usize)
    }

    /// One of a list, or nothing of an empty one.
    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> Option<&'a T> {
        self.index(list.len()).map(|index| &list[index])
    }

    /// Milliseconds until something happens that comes every `mean_ms` on average, by a straight line from almost none to
    /// twice the mean: whole numbers only, since floating point differs between machines.
    pub fn wait_ms(&mut self, mean_ms: i64) -> i64 {
        self.ms(1, mean_ms.max(1) * 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_and_a_name_always_give_the_same_draws() {
        let draws = |seed, name| {
            let mut dice = Dice::stream(seed, name);
            [dice.next(), dice.next(), dice.below(100)]
        };

        assert_eq!(draws(7, "link"), draws(7, "link"));
        assert_ne!(draws(7, "link"), draws(7, "disk"));
        assert_ne!(draws(7, "link"), draws(8, "link"));
        // Written down, so that another machine or version cannot quietly draw otherwise.
        assert_eq!(Dice::stream(1, "").next(), 16_834_447_057_089_888_969);
    }

    #[test]
    fn draws_stay_within_their_bounds_and_reach_them() {
        let mut dice = Dice::stream(3, "bounds");
        let drawn: Vec<u64> = (0..1_000).map(|_| dice.between(2, 5)).collect();

        assert!((2..=5).all(|wanted| drawn.contains(&wanted)));
        assert!(drawn.iter().all(|drawn| (2..=5).contains(drawn)));
        assert_eq!((dice.below(0), dice.index(0)), (0, None));
    }
}
