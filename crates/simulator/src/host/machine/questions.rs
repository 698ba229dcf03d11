//! What simulated programs answer to their probes, and when: ready after a while; where things still go wrong, not ready
//! before that and for a time later. Who is asked is the real loop's decision.

use super::engine::{Due, Scene, Stirred};
use ensemble_supervision::layout::ContainerKey;
use ensemble_supervision::probing::{Probed, Readiness};
use std::collections::BTreeMap;

/// The starts whose answers are on their way or were given.
#[derive(Default)]
pub(crate) struct Questions(BTreeMap<ContainerKey, u32>);

impl Questions {
    /// Each start answers once in its life, in up to four steps, the last of which is a good one.
    pub(crate) fn ask(&mut self, probed: Vec<Probed>, scene: &mut Scene<'_>, stirred: &mut Stirred) {
        let mut before = std::mem::take(&mut self.0);
        for Probed { container, attempt, .. } in probed {
            if before.remove(&container) != Some(attempt) {
                for (after_ms, readiness) in answers(scene) {
                    let container = container.clone();
                    stirred.due.push((after_ms, Due::Answered { container, attempt, readiness }));
                }
            }
            self.0.insert(container, attempt);
        }
    }
}

fn answers(scene: &mut Scene<'_>) -> Vec<(i64, Readiness)> {
    let unready = |why: &str| Readiness::Unready(why.to_owned());
    let mut at_ms = scene.dice.ms(1, 300);
    let mut answers = Vec::new();
    let goes_wrong = !scene.faults.is_calm();
    if goes_wrong && scene.dice.happens(200) {
        answers.push((at_ms, unready("the simulated program has just begun")));
        at_ms += scene.dice.ms(1, 2_000);
    }
    answers.push((at_ms, Readiness::Ready));
    if goes_wrong && scene.dice.happens(100) {
        at_ms += scene.dice.ms(1, 10_000);
        answers.push((at_ms, unready("the simulated program is busy")));
        answers.push((at_ms + scene.dice.ms(1, 10_000), Readiness::Ready));
    }
    answers
}
