//! The images of a simulated machine: what is in its store, and a registry that is slow, lacks an image for a while, or
//! answers something else than a moment ago.

use crate::agenda::Moment;
use crate::dice::Dice;
use crate::faults::{Fault, Faults};
use ensemble_model::id::Digest;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, Default)]
pub(crate) struct Images {
    store: BTreeSet<Digest>,
    /// What the registry does not have, until when.
    missing: BTreeMap<String, Moment>,
}

/// What comes of asking the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked<T> {
    pub(crate) after_ms: i64,
    /// Nothing when the registry does not have it.
    pub(crate) found: Option<T>,
}

impl Images {
    pub(crate) fn has(&self, pin: &Digest) -> bool {
        self.store.contains(pin)
    }

    /// An image is in the store from now on.
    pub(crate) fn put(&mut self, pin: Digest) {
        self.store.insert(pin);
    }

    /// Somebody prunes an image.
    pub(crate) fn lose(&mut self, dice: &mut Dice) {
        let all: Vec<&Digest> = self.store.iter().collect();
        if let Some(lost) = dice.pick(&all).map(|lost| (*lost).clone()) {
            self.store.remove(&lost);
        }
    }

    /// Which image a reference means.
    pub(crate) fn resolve(
        &mut self,
        image: &str,
        now: Moment,
        dice: &mut Dice,
        faults: &mut Faults,
    ) -> Asked<Digest> {
        let after_ms = self.wait(image, now, dice, faults);
        // A tag may be moved between two looks: whoever comes later is told something else.
        let version = u8::from(dice.happens(100));
        let found = (!self.missing.contains_key(image)).then(|| digest(image, version));
        Asked { after_ms, found }
    }

    /// Gets an image. `found` is for whoever puts it into the store when the time has come.
    pub(crate) fn fetch(
        &mut self,
        image: &str,
        pin: &Digest,
        now: Moment,
        dice: &mut Dice,
        faults: &mut Faults,
    ) -> Asked<Digest> {
        if self.has(pin) {
            return Asked { after_ms: 1, found: Some(pin.clone()) };
        }
        let after_ms = self.wait(image, now, dice, faults);
        Asked { after_ms, found: (!self.missing.contains_key(image)).then(|| pin.clone()) }
    }

    fn wait(&mut self, image: &str, now: Moment, dice: &mut Dice, faults: &mut Faults) -> i64 {
        self.missing.retain(|_, until| *until > now && !faults.is_calm());
        if faults.strikes(Fault::ImageMissing, 100, dice) {
            if dice.happens(500) {
                self.missing.insert(image.to_owned(), now.plus_ms(dice.ms(1_000, 300_000)));
            } else if !self.missing.contains_key(image) {
                // Only slow: one that is missing as well would be waited for longer than calm lasts.
                return dice.ms(5_000, 120_000);
            }
        }
        dice.ms(20, 900)
    }
}

/// What a registry that has an image calls it.
fn digest(image: &str, version: u8) -> Digest {
    let mut parts = Dice::stream(u64::from(version), image);
    let text: String = (0..4).map(|_| format!("{:016x}", parts.next())).collect();
    Digest::new(format!("sha256:{text}"))
}
