//! The life of one simulated instance: pulled, started, ready, and what goes wrong of it. A value that is told the time;
//! what it is in for was settled before (`faults`).

use ensemble_model::instance::PodStatus;

/// Between an exit and the next start: doubles from the first to the last, as the embedded engine's does.
const FIRST_PAUSE_MS: i64 = 1_000;
const LONGEST_PAUSE_MS: i64 = 300_000;

/// What an instance is in for. The default becomes ready at once and stays so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) pull_ms: i64,
    pub(super) start_ms: i64,
    /// From running to ready.
    pub(super) ready_ms: i64,
    pub(super) doom: Option<Doom>,
    /// From ready to an exit, each time.
    pub(super) crash_after_ms: Option<i64>,
}

/// Where it ends for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doom {
    Pull,
    Start,
    NeverReady,
}

#[derive(Debug)]
pub(super) struct Life {
    fate: Fate,
    stage: Stage,
    restarts: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Pulling { until_ms: i64 },
    Starting { until_ms: i64 },
    Running { until_ms: Option<i64> },
    Ready { until_ms: Option<i64> },
    Down { until_ms: i64 },
    Hopeless(&'static str),
}

/// How it looks from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Looks {
    pub(super) status: PodStatus,
    pub(super) ready: bool,
    pub(super) restarts: u32,
    pub(super) message: &'static str,
    pub(super) hopeless: Option<&'static str>,
}

impl Life {
    pub(super) fn begin(fate: Fate, now_ms: i64) -> Self {
        let mut life = Self { fate, stage: Stage::Pulling { until_ms: now_ms }, restarts: 0 };
        match fate.pull_ms {
            0 => life.pulled(now_ms),
            pull_ms => life.stage = Stage::Pulling { until_ms: now_ms.saturating_add(pull_ms) },
        }
        life
    }

    /// One that is found running.
    pub(super) fn found(fate: Fate) -> Self {
        Self { fate, stage: Stage::Ready { until_ms: None }, restarts: 0 }
    }

    /// When something happens to it next.
    pub(super) fn next_ms(&self) -> Option<i64> {
        match self.stage {
            Stage::Pulling { until_ms } | Stage::Starting { until_ms } | Stage::Down { until_ms } => {
                Some(until_ms)
            }
            Stage::Running { until_ms } | Stage::Ready { until_ms } => until_ms,
            Stage::Hopeless(_) => None,
        }
    }

    /// What was due has happened.
    pub(super) fn go_on(&mut self) {
        let Some(at_ms) = self.next_ms() else { return };
        match self.stage {
            Stage::Pulling { .. } => self.pulled(at_ms),
            Stage::Starting { .. } => self.started(at_ms),
            Stage::Running { .. } => self.became_ready(at_ms),
            Stage::Ready { .. } => self.exited(at_ms),
            Stage::Down { .. } => self.start(at_ms),
            Stage::Hopeless(_) => {}
        }
    }

    pub(super) fn looks(&self) -> Looks {
        let (status, ready, message, hopeless) = match self.stage {
            Stage::Pulling { .. } => (PodStatus::Pulling, false, "", None),
            Stage::Starting { .. } => (PodStatus::Starting, false, "", None),
            Stage::Running { .. } => (PodStatus::Running, false, "", None),
            Stage::Ready { .. } => (PodStatus::Running, true, "", None),
            Stage::Down { .. } => (PodStatus::Failed, false, "exited 1", None),
            Stage::Hopeless(reason) => (PodStatus::Failed, false, reason, Some(reason)),
        };
        Looks { status, ready, restarts: self.restarts, message, hopeless }
    }

    fn pulled(&mut self, at_ms: i64) {
        match self.fate.doom {
            Some(Doom::Pull) => {
                self.stage = Stage::Hopeless("the image cannot be pulled, as `--fault` has it");
            }
            Some(Doom::Start | Doom::NeverReady) | None => self.start(at_ms),
        }
    }

    fn start(&mut self, at_ms: i64) {
        match self.fate.start_ms {
            0 => self.started(at_ms),
            start_ms => self.stage = Stage::Starting { until_ms: at_ms.saturating_add(start_ms) },
        }
    }

    fn started(&mut self, at_ms: i64) {
        match (self.fate.doom, self.fate.ready_ms) {
            (Some(Doom::Start), _) => {
                self.stage = Stage::Hopeless("the program cannot be started, as `--fault` has it");
            }
            (Some(Doom::NeverReady), _) => self.stage = Stage::Running { until_ms: None },
            (Some(Doom::Pull) | None, 0) => self.became_ready(at_ms),
            (Some(Doom::Pull) | None, ready_ms) => {
                self.stage = Stage::Running { until_ms: Some(at_ms.saturating_add(ready_ms)) };
            }
        }
    }

    fn became_ready(&mut self, at_ms: i64) {
        match self.fate.crash_after_ms {
            None => self.stage = Stage::Ready { until_ms: None },
            Some(0) => self.exited(at_ms),
            Some(after_ms) => self.stage = Stage::Ready { until_ms: Some(at_ms.saturating_add(after_ms)) },
        }
    }

    fn exited(&mut self, at_ms: i64) {
        let doublings = self.restarts.min(16);
        self.restarts = self.restarts.saturating_add(1);
        let pause_ms = LONGEST_PAUSE_MS.min(FIRST_PAUSE_MS << doublings);
        self.stage = Stage::Down { until_ms: at_ms.saturating_add(pause_ms) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `status at ms` from now on, at most five.
    fn course(fate: Fate) -> Vec<String> {
        let mut life = Life::begin(fate, 0);
        let mut told = vec![word(&life)];
        for _ in 0..4 {
            let Some(at_ms) = life.next_ms() else { break };
            life.go_on();
            told.push(format!("{at_ms}: {}", word(&life)));
        }
        told
    }

    fn word(life: &Life) -> String {
        let looks = life.looks();
        match (looks.ready, looks.hopeless) {
            (true, _) => "ready".to_owned(),
            (false, Some(_)) => "hopeless".to_owned(),
            (false, None) => format!("{}/{}", looks.status.as_str(), looks.restarts),
        }
    }

    #[test]
    fn each_fate_has_its_course() {
        let slow = Fate { pull_ms: 10, start_ms: 20, ready_ms: 30, ..Fate::default() };
        let crash_after_ms = Some(50);
        for (fate, expected) in [
            (Fate::default(), vec!["ready"]),
            (slow, vec!["Pulling/0", "10: Starting/0", "30: Running/0", "60: ready"]),
            (Fate { doom: Some(Doom::Pull), ..slow }, vec!["Pulling/0", "10: hopeless"]),
            (Fate { doom: Some(Doom::Start), ..Fate::default() }, vec!["hopeless"]),
            (Fate { doom: Some(Doom::NeverReady), ..Fate::default() }, vec!["Running/0"]),
            (
                Fate { crash_after_ms, ..Fate::default() },
                vec!["ready", "50: Failed/1", "1050: ready", "1100: Failed/2", "3100: ready"],
            ),
            (
                Fate { crash_after_ms: Some(0), ..Fate::default() },
                vec!["Failed/1", "1000: Failed/2", "3000: Failed/3", "7000: Failed/4", "15000: Failed/5"],
            ),
        ] {
            assert_eq!(course(fate), expected, "{fate:?}");
        }
    }

    #[test]
    fn the_pause_before_a_start_has_a_longest() {
        let mut life = Life::begin(Fate { crash_after_ms: Some(0), ..Fate::default() }, 0);
        for _ in 0..100 {
            life.go_on();
        }
        let before_ms = life.next_ms().expect("it is started again");

        life.go_on();

        assert_eq!(life.next_ms(), Some(before_ms + LONGEST_PAUSE_MS));
    }
}
