//! The clock shell: the two times of every event (`decisions.md` §2.8) from the machine's two clocks, or from one that a
//! test steps. Log time only goes forward while the server runs, whatever the wall clock does.

use ensemble_engine::simulated;
use ensemble_model::log::recovery::resume_log_time;
use ensemble_model::time::{LogTime, Now, WallTime};
use std::time::SystemTime;

/// Log time since a start of the server.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    passed: simulated::Clock,
    log_at_start: LogTime,
    wall: Wall,
}

/// What people's clocks are taken to say.
#[derive(Clone, Copy, Debug)]
enum Wall {
    /// What they say.
    Real,
    /// As much later than this as has passed.
    Since(WallTime),
}

impl Clock {
    /// Goes on from `last`, the times of the last event in the log, by the wall clock's difference since then
    /// where that is believable.
    pub(crate) fn resume(last: Now) -> Self {
        let log_at_start = resume_log_time(last, wall_now());
        Self { passed: simulated::Clock::running(), log_at_start, wall: Wall::Real }
    }

    /// The same, and then only as much passes as `passed` shows.
    pub(crate) fn resume_by(last: Now, passed: simulated::Clock) -> Self {
        Self { passed, wall: Wall::Since(wall_now()), ..Self::resume(last) }
    }

    pub(crate) fn now(&self) -> Now {
        let passed_ms = self.passed.now_ms();
        let log = LogTime(self.log_at_start.0.saturating_add(passed_ms));
        let wall = match self.wall {
            Wall::Real => wall_now(),
            Wall::Since(start) => start.plus_ms(passed_ms),
        };
        Now { log, wall }
    }

    /// Waits until log time is `at`; not at all, if it was.
    pub(crate) async fn reached(&self, at: LogTime) {
        self.passed.reached(at.since(self.log_at_start)).await;
    }

    /// Until log time is `at`; nothing, if it was.
    pub(crate) fn ms_until(&self, at: LogTime) -> i64 {
        at.since(self.now().log)
    }
}

/// What people's clocks say now.
fn wall_now() -> WallTime {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    WallTime(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_clock_that_is_stepped_moves_both_times_and_by_nothing_else() {
        let last = Now { log: LogTime(500), wall: wall_now() };
        let (step, passed) = simulated::Clock::stepped();
        let clock = Clock::resume_by(last, passed);
        let before = clock.now();
        assert_eq!(clock.ms_until(before.log.plus_seconds(2)), 2_000);

        step.send_replace(2_000);

        clock.reached(before.log.plus_seconds(2)).await;
        clock.reached(LogTime(0)).await;
        let after = clock.now();
        assert_eq!(after.log.since(before.log), 2_000);
        assert_eq!(after.wall, before.wall.plus_ms(2_000));
    }

    #[test]
    fn log_time_goes_on_from_the_last_event_and_never_back() {
        let far_ahead = Now { log: LogTime(1_000), wall: WallTime(i64::MAX) };

        let clock = Clock::resume(far_ahead);

        let (first, second) = (clock.now().log, clock.now().log);
        assert!(LogTime(1_000) <= first && first <= second && second < LogTime(60_000));
    }
}
