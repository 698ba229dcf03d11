//! Decides what the engine does next: wishes, records and kernel facts in, actions out. Pure: no I/O, no clock, no
//! randomness, so that everything that could lose or double a container is tested without one.
//! `state` is what it decides from, `observe` what it tells of it; `supervisor` gathers the one and does the other.

pub mod observe;
pub mod state;

#[cfg(test)]
mod tests;

use crate::kernel::Clocks;
use crate::layout::ContainerKey;
use crate::record::{Attempt, Exit, InstanceRecord};
use ensemble_model::id::InstanceId;
use state::{
    Action, ContainerRecords, Facts, Knowledge, Loss, Records, Subject, Target, Wish, Wishes, containers,
    image_of, images, pods,
};
use std::collections::BTreeSet;

/// The first pause before a restart; it doubles (`decisions.md` §2.5).
const PAUSE_MS: u64 = 1_000;
const PAUSE_AT_MOST_MS: u64 = 60_000;

/// A container that was up this long starts its pauses anew.
pub const SETTLED_MS: u64 = 600_000;

/// A supervisor kills its container 10 s after it was asked to stop. One that has not ended by now is stuck.
const STOP_PATIENCE_MS: u64 = 30_000;

/// What is to be done now, and when to decide again if nothing happens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    pub actions: Vec<Action>,
    pub wake_at_boot_ms: Option<u64>,
    /// The images that somebody waits for, whatever is under way for them.
    pub images: BTreeSet<Subject>,
}

/// Decides. An action whose subject is busy is not named; one that failed is named again when its pause is over.
pub fn reconcile(wishes: &Wishes, records: &Records, facts: &Facts, now: Clocks) -> Decision {
    let mut round = Round { records, facts, now, decision: Decision::default() };
    let ids: BTreeSet<&InstanceId> =
        records.instances.keys().chain(wishes.running().map(|(id, _)| id)).collect();
    for id in ids {
        let record = records.instances.get(id);
        match wishes.wish(id, record.map(|record| &record.cell)) {
            Wish::Run(target) => match record {
                Some(record) if target.matches(record) => round.run(record, target),
                // Under this id something else was made: it goes first, whole.
                Some(record) => round.release(record),
                None => round.prepare(id, target),
            },
            Wish::Release => {
                if let Some(record) = record {
                    round.release(record);
                }
            }
            Wish::Unheard => {}
        }
    }
    // A stray may be what an instance not heard of yet left half made; nothing is swept before all are known.
    if wishes.knowledge() == Knowledge::All {
        for stray in &facts.strays {
            round.act(Action::Sweep(stray.clone()));
        }
    }
    round.decision
}

struct Round<'a> {
    records: &'a Records,
    facts: &'a Facts,
    now: Clocks,
    decision: Decision,
}

impl Round<'_> {
    fn prepare(&mut self, id: &InstanceId, target: &Target) {
        if self.facts.strays.iter().any(|stray| stray.is_of(id)) {
            // What an unreadable record left behind goes first: its removal must not meet what is made anew.
            return;
        }
        // Long before they are needed, so that both take place at once.
        for image in images(&target.template) {
            self.has_image(target, image);
        }
        self.act(Action::Prepare(target.record(id)));
    }

    fn run(&mut self, record: &InstanceRecord, target: &Target) {
        // Whatever else is still to be done first: an image that is waited for must not be let go.
        for key in containers(&record.id, &target.template) {
            if !self.facts.held.contains(&key) {
                self.has_image_of(&key, target);
            }
        }
        if record.template.pins != target.template.pins {
            // Pinned since it was written. What runs of it is left alone.
            self.act(Action::Prepare(target.record(&record.id)));
            return;
        }
        if !self.facts.groups.contains(&record.id) {
            self.act(Action::Prepare(record.clone()));
            return;
        }
        if self.is_busy(&Subject::Instance(record.id.clone())) {
            return;
        }
        let keys = containers(&record.id, &record.template);
        for pod in pods(&record.id, &record.template) {
            let members: Vec<&ContainerKey> = keys.iter().filter(|key| key.pod == pod).collect();
            let is_held = members.iter().any(|key| self.facts.held.contains(*key));
            if !self.facts.networks.contains_key(&pod) {
                // A pod whose namespace went away under running containers is left alone: only a restart of all of
                // them could mend it.
                if !is_held {
                    // What a dead supervisor left must be told before the pod is up again.
                    for key in &members {
                        self.collect(key);
                    }
                    let exposed = record.template.exposed(&pod.workload, pod.index);
                    self.act(Action::Attach { pod, app: record.cell.app.clone(), exposed });
                }
                continue;
            }
            if self.is_busy(&Subject::Pod(pod.clone())) {
                continue;
            }
            for key in members {
                self.run_container(key, target);
            }
        }
    }

    fn run_container(&mut self, key: &ContainerKey, target: &Target) {
        let records = self.container(key);
        if self.facts.held.contains(key) {
            return;
        }
        let Some(attempt) = records.attempt else {
            self.start(key, target, Attempt { number: 1, streak: 0 });
            return;
        };
        let Some(exit) = records.end_of_attempt() else {
            self.collect(key);
            return;
        };
        let next = next_attempt(attempt, exit, self.facts, self.now);
        if next.due_boot_ms <= self.now.boot_ms {
            self.start(key, target, next.attempt);
        } else {
            self.wake(next.due_boot_ms);
        }
    }

    fn start(&mut self, key: &ContainerKey, target: &Target, attempt: Attempt) {
        if self.has_image_of(key, target) {
            self.act(Action::Start { container: key.clone(), attempt });
        }
    }

    fn has_image_of(&mut self, key: &ContainerKey, target: &Target) -> bool {
        image_of(&target.template, key).is_none_or(|image| self.has_image(target, image))
    }

    /// Whether the image is in the store; sees to it where it is not, once for all that wait.
    fn has_image(&mut self, target: &Target, image: &str) -> bool {
        let subject = Subject::of_image(&target.cell, &target.template, image);
        let action = match &subject {
            Subject::Image(pin) if self.facts.images.contains(pin) => return true,
            Subject::Image(pin) => Action::Fetch { image: image.to_owned(), pin: pin.clone() },
            // Told already: its pin is on the way.
            Subject::Resolution(of) if self.facts.resolved.contains_key(of) => {
                self.decision.images.insert(subject);
                return false;
            }
            Subject::Resolution(of) => Action::Resolve(of.clone()),
            Subject::Instance(_) | Subject::Pod(_) | Subject::Container(_) | Subject::Stray(_) => {
                return true;
            }
        };
        if self.decision.images.insert(subject) {
            self.act(action);
        }
        false
    }

    /// Nobody holds the lock and nobody wrote how it ended.
    fn collect(&mut self, key: &ContainerKey) {
        let records = self.container(key);
        let Some(attempt) = records.attempt else { return };
        if self.facts.held.contains(key) || records.end_of_attempt().is_some() {
            return;
        }
        let loss = match records.running_attempt() {
            Some(running) if running.process.boot_id != self.facts.boot_id => {
                Loss::MachineRestarted { boot_id: running.process.boot_id.clone() }
            }
            Some(_) => Loss::SupervisorEnded,
            None => Loss::NeverStarted,
        };
        self.act(Action::Collect { container: key.clone(), attempt, loss });
    }

    fn release(&mut self, record: &InstanceRecord) {
        let keys = containers(&record.id, &record.template);
        let mut is_quiet = true;
        for key in &keys {
            let records = self.container(key);
            if self.facts.held.contains(key) {
                is_quiet = false;
                self.stop(key);
            } else if records.attempt.is_some() && records.end_of_attempt().is_none() {
                is_quiet = false;
                self.collect(key);
            } else if self.is_busy(&Subject::Container(key.clone())) {
                is_quiet = false;
            }
        }
        if !is_quiet {
            return;
        }
        let mut is_detached = true;
        for pod in pods(&record.id, &record.template) {
            let is_there = self.facts.networks.contains_key(&pod) || self.facts.remnants.contains(&pod);
            if is_there || self.is_busy(&Subject::Pod(pod.clone())) {
                is_detached = false;
                self.act(Action::Detach(pod));
            }
        }
        if is_detached {
            self.act(Action::Retire(record.id.clone()));
        }
    }

    fn stop(&mut self, key: &ContainerKey) {
        match self.facts.asked_to_stop.get(key) {
            None => self.act(Action::Stop(key.clone())),
            Some(asked) => {
                let patience = asked.saturating_add(STOP_PATIENCE_MS);
                if patience <= self.now.boot_ms {
                    self.act(Action::Kill(key.clone()));
                } else {
                    self.wake(patience);
                }
            }
        }
    }

    fn act(&mut self, action: Action) {
        let subject = action.subject();
        if self.is_busy(&subject) {
            return;
        }
        if let Some(failure) = self.facts.failures.get(&subject) {
            let due = failure.at_boot_ms.saturating_add(pause_ms(failure.streak));
            if due > self.now.boot_ms {
                self.wake(due);
                return;
            }
        }
        self.decision.actions.push(action);
    }

    fn wake(&mut self, at_boot_ms: u64) {
        let earlier = self.decision.wake_at_boot_ms.map_or(at_boot_ms, |other| other.min(at_boot_ms));
        self.decision.wake_at_boot_ms = Some(earlier);
    }

    fn is_busy(&self, subject: &Subject) -> bool {
        self.facts.busy.contains(subject)
    }

    fn container(&self, key: &ContainerKey) -> ContainerRecords {
        self.records.containers.get(key).cloned().unwrap_or_default()
    }
}

/// The attempt after one that has ended, and when it may begin.
struct Next {
    attempt: Attempt,
    due_boot_ms: u64,
}

fn next_attempt(attempt: Attempt, exit: &Exit, facts: &Facts, now: Clocks) -> Next {
    let number = attempt.number.saturating_add(1);
    if exit.boot_id != facts.boot_id {
        // Clocks of two boots cannot be compared, and the reboot was not the container's fault.
        return Next { attempt: Attempt { number, streak: 0 }, due_boot_ms: now.boot_ms };
    }
    let streak = if exit.up_ms >= SETTLED_MS { 1 } else { attempt.streak.saturating_add(1) };
    Next {
        attempt: Attempt { number, streak },
        due_boot_ms: exit.at_boot_ms.saturating_add(pause_ms(streak)),
    }
}

/// 1 s after the first failure in a row, doubling to 60 s.
pub fn pause_ms(streak: u32) -> u64 {
    let doublings = streak.saturating_sub(1).min(16);
    (PAUSE_MS << doublings).min(PAUSE_AT_MOST_MS)
}
