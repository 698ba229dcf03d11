//! The clock shell: the two times of every event (`decisions.md` §2.8) from the machine's two clocks.
//! Log time only goes forward while the server runs, whatever the wall clock does.

use ensemble_model::log::recovery::resume_log_time;
use ensemble_model::time::{LogTime, Now, WallTime};
use std::time::{Duration, Instant, SystemTime};

/// Log time since a start of the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Instant,
    log_at_start: LogTime,
}

impl Clock {
    /// Goes on from `last`, the times of the last event in the log, by the wall clock's difference since then
    /// where that is believable.
    pub(crate) fn resume(last: Now) -> Self {
        Self { started: Instant::now(), log_at_start: resume_log_time(last, wall_now()) }
    }

    pub(crate) fn now(&self) -> Now {
        let running_ms = i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX);
        let log = LogTime(self.log_at_start.0.saturating_add(running_ms));
        Now { log, wall: wall_now() }
    }

    /// When log time will be `at`; now, if it was.
    pub(crate) fn instant_of(&self, at: LogTime) -> Instant {
        let ms = u64::try_from(at.since(self.log_at_start)).unwrap_or(0);
        self.started.checked_add(Duration::from_millis(ms)).unwrap_or_else(Instant::now)
    }
}

/// What people's clocks say now.
pub(crate) fn wall_now() -> WallTime {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    WallTime(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_come_and_one_that_was_have_their_instants() {
        let clock = Clock { started: Instant::now(), log_at_start: LogTime(500) };

        assert_eq!(clock.instant_of(LogTime(2_500)) - clock.started, Duration::from_secs(2));
        assert_eq!(clock.instant_of(LogTime(0)), clock.started);
    }

    #[test]
    fn log_time_goes_on_from_the_last_event_and_never_back() {
        let far_ahead = Now { log: LogTime(1_000), wall: WallTime(i64::MAX) };

        let clock = Clock::resume(far_ahead);

        let (first, second) = (clock.now().log, clock.now().log);
        assert!(LogTime(1_000) <= first && first <= second && second < LogTime(60_000));
    }
}
