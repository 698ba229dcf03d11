//! Steps the time of an emulator: from one thing that is due to the next, each time until everything has come to rest,
//! so that what was due first happens first, however far the step goes.
//! Must not decide what is due: the control loop and the engines say so.

use crate::action::Services;
use ensemble_engine::simulated;
use std::time::Duration;
use tokio::sync::{Mutex, watch};
use tokio::time::{self, Instant};

/// How long one step may take on people's clocks.
pub(crate) const STEP_WITHIN: Duration = Duration::from_secs(60);

/// Between two looks whether everything is at rest. What goes on meanwhile takes less, mostly.
const LOOK_EVERY: Duration = Duration::from_micros(200);

/// More was due than could happen in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stuck;

pub(crate) struct Stepper {
    step: watch::Sender<i64>,
    shown: simulated::Clock,
    /// One step after the other.
    stepping: Mutex<()>,
}

impl Stepper {
    pub(crate) fn new() -> Self {
        let (step, shown) = simulated::Clock::stepped();
        Self { step, shown, stepping: Mutex::new(()) }
    }

    /// What it steps.
    pub(crate) fn clock(&self) -> simulated::Clock {
        self.shown.clone()
    }

    pub(crate) fn shown_ms(&self) -> i64 {
        self.shown.now_ms()
    }

    /// Moves the clock on, and returns when everything that was due by then has happened.
    ///
    /// # Errors
    /// [`Stuck`] after a minute; the clock stands where it came to.
    pub(crate) async fn step(&self, services: &Services, by_ms: i64) -> Result<(), Stuck> {
        let _stepping = self.stepping.lock().await;
        let give_up = Instant::now() + STEP_WITHIN;
        let target_ms = self.shown_ms().saturating_add(by_ms);
        loop {
            self.come_to_rest(services, give_up).await?;
            let now_ms = self.shown_ms();
            if now_ms >= target_ms {
                return Ok(());
            }
            let loop_wakes = services.control.turn(STEP_WITHIN).await.ok_or(Stuck)?.next_wake;
            let loop_wakes_ms = loop_wakes.map(|at| services.clock.ms_until(at).saturating_add(now_ms));
            let due = services.engines.next_due_ms().into_iter().chain(loop_wakes_ms);
            let next_ms = due.filter(|at_ms| *at_ms > now_ms).chain([target_ms]).min().unwrap_or(target_ms);
            self.step.send_replace(next_ms.min(target_ms));
        }
    }

    /// Waits until nothing is due and nothing is on its way between engines and control loop. What one look finds at rest
    /// may be woken by what the look had passed: so all of it is looked at twice, with the same log.
    async fn come_to_rest(&self, services: &Services, give_up: Instant) -> Result<(), Stuck> {
        let mut rested_at = None;
        loop {
            let sequence = services.control.state().sequence();
            if services.engines.are_at_rest() && self.loop_is_at_rest(services).await? {
                if rested_at == Some(sequence) {
                    return Ok(());
                }
                rested_at = Some(sequence);
                continue;
            }
            rested_at = None;
            if Instant::now() > give_up {
                return Err(Stuck);
            }
            time::sleep(LOOK_EVERY).await;
        }
    }

    async fn loop_is_at_rest(&self, services: &Services) -> Result<bool, Stuck> {
        let turn = services.control.turn(STEP_WITHIN).await.ok_or(Stuck)?;
        let is_due = turn.next_wake.is_some_and(|at| services.clock.ms_until(at) <= 0);
        Ok(turn.append_under_way_for.is_none() && !is_due)
    }
}
