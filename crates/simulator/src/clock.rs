//! The clocks of the simulated machine: true time drives everything, the wall clock says what it likes.

use crate::agenda::Moment;
use ensemble_model::time::WallTime;

/// What the wall clock showed when the world began: 2026-01-01.
const BEGIN: i64 = 1_767_225_600_000;

#[derive(Debug, Default)]
pub(crate) struct WallClock {
    offset_ms: i64,
    /// It shows this until then.
    still: Option<(i64, Moment)>,
}

impl WallClock {
    pub(crate) fn at(&self, now: Moment) -> WallTime {
        match self.still {
            Some((shown, until)) if now < until => WallTime(shown),
            Some(_) | None => WallTime(BEGIN + self.offset_ms + now.0),
        }
    }

    pub(crate) fn jump(&mut self, ms: i64) {
        self.offset_ms += ms;
    }

    /// It stands still until then, and goes on as if it had not.
    pub(crate) fn stop(&mut self, now: Moment, until: Moment) {
        self.still = Some((self.at(now).0, until));
    }
}
