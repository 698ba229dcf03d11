//! Which containers are to be asked whether they are ready, and how their answers count. Asks nobody itself: whoever
//! drives the loop does, and says what came of it.

use crate::layout::ContainerKey;
use crate::reconcile::state::{Facts, Records};
use ensemble_model::application::Container;
use ensemble_model::probe::Probe;
use ensemble_model::wanted::CellTemplate;
use std::net::IpAddr;
use std::time::Duration;

/// The first pause between questions as long as none was answered well; it doubles up to the period.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// One start of one container that is to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    pub container: ContainerKey,
    pub attempt: u32,
    pub address: IpAddr,
    pub started_boot_ms: u64,
    pub probe: Probe,
}

/// What a container with a probe is held to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Readiness {
    /// It was not asked yet.
    #[default]
    Unknown,
    Ready,
    /// Why not, for people.
    Unready(String),
}

/// What of one start's answers is remembered.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    good_in_a_row: u32,
    bad_in_a_row: u32,
    was_ready: bool,
    pause: Duration,
    held: Readiness,
}

impl Tally {
    /// Counts one answer; a bad one comes with its reason.
    pub fn count(&mut self, probe: &Probe, answer: Result<(), String>) -> &Readiness {
        match answer {
            Ok(()) => {
                self.good_in_a_row = self.good_in_a_row.saturating_add(1);
                self.bad_in_a_row = 0;
                if self.good_in_a_row >= probe.success_threshold {
                    self.was_ready = true;
                    self.held = Readiness::Ready;
                }
            }
            Err(reason) => {
                self.good_in_a_row = 0;
                self.bad_in_a_row = self.bad_in_a_row.saturating_add(1);
                if self.held != Readiness::Ready || self.bad_in_a_row >= probe.failure_threshold {
                    self.held = Readiness::Unready(reason);
                }
            }
        }
        &self.held
    }

    /// Until the next question. A program that has just begun to start is asked soon again: nobody should wait a whole
    /// period for one that needs a moment.
    pub fn pause(&mut self, probe: &Probe) -> Duration {
        let period = Duration::from_secs(u64::from(probe.period_s));
        if self.was_ready {
            return period;
        }
        self.pause = (self.pause * 2).max(FIRST_PAUSE).min(period);
        self.pause
    }
}

/// Everything that runs and has a probe.
pub(crate) fn probed(records: &Records, facts: &Facts) -> Vec<Probed> {
    let probed = |key: &ContainerKey| {
        let template = &records.instances.get(&key.pod.instance)?.template;
        let probe = container(template, key)?.readiness.clone()?;
        let running = records.containers.get(key)?.running_attempt()?;
        let address = *facts.networks.get(&key.pod)?;
        let (container, attempt) = (key.clone(), running.attempt);
        Some(Probed { container, attempt, address, started_boot_ms: running.started_boot_ms, probe })
    };
    facts.held.iter().filter_map(probed).collect()
}

/// A container, as its template has it.
pub(crate) fn container<'a>(template: &'a CellTemplate, key: &ContainerKey) -> Option<&'a Container> {
    let workload = template.workloads.iter().find(|workload| workload.name == key.pod.workload)?;
    workload.containers.iter().find(|container| container.name == key.container)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ensemble_model::probe::Question;

    fn probe(success_threshold: u32, failure_threshold: u32) -> Probe {
        Probe {
            question: Question::Tcp { port: 80 },
            initial_delay_s: 0,
            period_s: 1,
            timeout_s: 1,
            success_threshold,
            failure_threshold,
        }
    }

    /// What is held after each answer: `+` is a good one; `r` ready, `u` not, `?` unknown.
    fn check(probe: &Probe, answers: &str, expected: &str) {
        let mut tally = Tally::default();
        let mut held = String::new();
        for answer in answers.chars() {
            let answer = if answer == '+' { Ok(()) } else { Err("refused".to_owned()) };
            held.push(match tally.count(probe, answer) {
                Readiness::Unknown => '?',
                Readiness::Ready => 'r',
                Readiness::Unready(_) => 'u',
            });
        }
        assert_eq!(held, expected, "{answers}");
    }

    #[test]
    fn only_answers_in_a_row_change_what_is_held() {
        check(&probe(1, 1), "+-+", "rur");
        check(&probe(1, 3), "+--+---+", "rrrrrrur");
        check(&probe(2, 1), "+-++", "?uur");
        check(&probe(3, 2), "++-+++--", "??uuurru");
    }

    #[test]
    fn one_that_was_never_ready_is_asked_sooner_and_never_later_than_its_period() {
        let probe = probe(1, 3);
        let mut tally = Tally::default();
        let mut pauses = Vec::new();
        for _ in 0..7 {
            tally.count(&probe, Err("refused".to_owned()));
            pauses.push(tally.pause(&probe).as_millis());
        }
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1_000, 1_000]);

        tally.count(&probe, Ok(()));
        assert_eq!(tally.pause(&probe).as_millis(), 1_000);
        tally.count(&probe, Err("refused".to_owned()));
        assert_eq!(tally.pause(&probe).as_millis(), 1_000);
    }
}
