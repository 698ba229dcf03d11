//! How the programs in containers behave: run on, end at once, again and again, while they are being stopped, ignore the
//! request to stop, take long to be made or are never made. Drawn when a program is started, whoever asked for it.

use super::ground::Identity;
use crate::agenda::Moment;
use crate::dice::Dice;
use crate::faults::{Fault, Faults};
use std::collections::BTreeMap;

/// What somebody who waits for a program's creation gives up after, so that a hanging one hangs for longer.
const HANGS_MS: i64 = 3_600_000;

/// What a program is going to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) creation: Creation,
    /// It ends by itself.
    pub(crate) ends: Option<Ending>,
    pub(crate) when_asked: WhenAsked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Creation {
    Works {
        after_ms: i64,
    },
    Fails {
        after_ms: i64,
    },
    /// Nothing comes of it for longer than anybody waits.
    Hangs {
        after_ms: i64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) after_ms: i64,
    pub(crate) code: i32,
}

/// What it does with the request to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhenAsked {
    Ends(Ending),
    /// It ends of something else before the request gets to it.
    EndsBefore(Ending),
    Ignores,
}

/// Programs that crash again and again, until a time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Crashing(BTreeMap<Identity, Moment>);

impl Crashing {
    /// Draws what a program does that is started now.
    pub(crate) fn draw(
        &mut self,
        identity: &Identity,
        now: Moment,
        dice: &mut Dice,
        faults: &mut Faults,
    ) -> Plan {
        let creation = if faults.strikes(Fault::StartFails, 40, dice) {
            Creation::Fails { after_ms: dice.ms(1, 2_000) }
        } else if faults.strikes(Fault::StartHangs, 20, dice) {
            Creation::Hangs { after_ms: HANGS_MS }
        } else if faults.strikes(Fault::StartHangs, 20, dice) {
            // Slow, and in time.
            Creation::Works { after_ms: dice.ms(2_000, 50_000) }
        } else {
            Creation::Works { after_ms: dice.ms(15, 120) }
        };
        Plan {
            creation,
            ends: self.ending(identity, now, dice, faults),
            when_asked: when_asked(dice, faults),
        }
    }

    fn ending(
        &mut self,
        identity: &Identity,
        now: Moment,
        dice: &mut Dice,
        faults: &mut Faults,
    ) -> Option<Ending> {
        self.0.retain(|_, until| *until > now);
        if !faults.is_on(Fault::CrashLoop) {
            return None;
        }
        if faults.strikes(Fault::CrashLoop, 30, dice) {
            self.0.insert(identity.clone(), now.plus_ms(dice.ms(5_000, 600_000)));
        }
        self.0.contains_key(identity).then(|| {
            let after_ms = if dice.happens(300) { 0 } else { dice.ms(1, 20_000) };
            Ending { after_ms, code: 1 }
        })
    }
}

fn when_asked(dice: &mut Dice, faults: &mut Faults) -> WhenAsked {
    if faults.strikes(Fault::ExitsWhileStopping, 100, dice) {
        return WhenAsked::EndsBefore(Ending { after_ms: dice.ms(0, 50), code: 3 });
    }
    if dice.happens(50) {
        return WhenAsked::Ignores;
    }
    WhenAsked::Ends(Ending { after_ms: dice.ms(1, 400), code: 0 })
}
