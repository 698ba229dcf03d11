//! What is told of an instance: every wanted pod with its status, whether all of it is ready, whether it can ever be.
//! Pure, from the same data as the decision.

use super::SETTLED_MS;
use super::state::{Facts, Failure, Records, Subject, Wish, Wishes, containers, image_of, pods};
use crate::kernel::Clocks;
use crate::layout::ContainerKey;
use crate::pod::PodKey;
use crate::probing::{self, Readiness};
use crate::record::{End, Prospect};
use ensemble_model::id::InstanceId;
use ensemble_model::instance::PodStatus;
use ensemble_model::observation::{InstanceObservation, PodObservation, Presence};
use ensemble_model::wanted::{CellKey, CellTemplate};

/// How long every container must have run without an exit (`decisions.md` §2.5).
pub const READY_MS: u64 = 200;

/// What is told now, and when to look again because an instance may be ready then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub observation: InstanceObservation,
    pub wake_at_boot_ms: Option<u64>,
}

/// One container, as the observation needs it.
struct Member {
    status: PodStatus,
    restarts: u32,
    message: String,
    hopeless: Option<String>,
    up_since_boot_ms: Option<u64>,
}

/// What there is to tell of `id`; `None` of one that nothing was heard of.
pub fn observe(
    wishes: &Wishes,
    records: &Records,
    facts: &Facts,
    now: Clocks,
    id: &InstanceId,
) -> Option<Told> {
    let recorded = records.instances.get(id);
    let (cell, deployment, template, is_made) = match wishes.wish(id, recorded.map(|record| &record.cell)) {
        // Under this id something else may still be there: then nothing of what is wanted is.
        Wish::Run(target) => {
            let is_made = recorded.is_some_and(|record| target.matches(record));
            (&target.cell, &*target.deployment, &*target.template, is_made)
        }
        Wish::Release => match recorded {
            Some(record) => (&record.cell, &*record.deployment, &record.template, true),
            None => {
                let observation = InstanceObservation { instance: id.clone(), presence: Presence::Gone };
                return Some(Told { observation, wake_at_boot_ms: None });
            }
        },
        Wish::Unheard => return None,
    };
    let scene = Scene { records, facts, now, cell, deployment, template };
    Some(scene.describe(id, is_made))
}

#[derive(Clone, Copy)]
struct Scene<'a> {
    records: &'a Records,
    facts: &'a Facts,
    now: Clocks,
    cell: &'a CellKey,
    deployment: &'a str,
    template: &'a CellTemplate,
}

impl Scene<'_> {
    fn describe(self, id: &InstanceId, is_made: bool) -> Told {
        let Self { facts, now, template, .. } = self;
        let instance_failure = facts.failures.get(&Subject::Instance(id.clone()));
        let keys = containers(id, template);
        let mut observed = Vec::new();
        let mut hopeless = instance_failure.and_then(hopeless_of);
        let mut youngest_boot_ms = Some(0);
        for pod in pods(id, template) {
            let pod_failure = facts.failures.get(&Subject::Pod(pod.clone())).or(instance_failure);
            let members: Vec<Member> = keys
                .iter()
                .filter(|key| key.pod == pod)
                .map(|key| if is_made { self.member(key) } else { self.without_program(key) })
                .map(|member| member.unless(pod_failure))
                .collect();
            hopeless = hopeless.or_else(|| members.iter().find_map(|member| member.hopeless.clone()));
            for member in &members {
                youngest_boot_ms = match (youngest_boot_ms, member.up_since_boot_ms) {
                    (Some(youngest), Some(since)) => Some(youngest.max(since)),
                    (_, None) | (None, _) => None,
                };
            }
            observed.push(pod_observation(pod, &members, facts));
        }
        let ready_at = youngest_boot_ms.map(|youngest: u64| youngest.saturating_add(READY_MS));
        let ready = ready_at.is_some_and(|at| at <= now.boot_ms);
        let deployment = self.deployment.to_owned();
        let presence = Presence::Here { deployment, pods: observed, ready, hopeless };
        Told {
            observation: InstanceObservation { instance: id.clone(), presence },
            wake_at_boot_ms: ready_at.filter(|_| !ready),
        }
    }

    fn member(self, key: &ContainerKey) -> Member {
        let Self { records, facts, now, .. } = self;
        let subject = Subject::Container(key.clone());
        let records = records.containers.get(key).cloned().unwrap_or_default();
        let restarts = records.attempt.map_or(0, |attempt| attempt.number.saturating_sub(1));
        let mut member = Member { restarts, ..Member::pending() };
        if facts.held.contains(key) {
            match records.running_attempt() {
                Some(running) => {
                    member.status = PodStatus::Running;
                    let readiness = self.readiness(key, running.attempt);
                    // A new answer is what wakes the loop for one that is not ready.
                    let is_ready = matches!(readiness, Readiness::Ready);
                    member.up_since_boot_ms = Some(running.started_boot_ms).filter(|_| is_ready);
                    let is_young = now.boot_ms.saturating_sub(running.started_boot_ms) < SETTLED_MS;
                    if let Some(exit) = records.exit.as_ref().filter(|_| is_young) {
                        member.message = exit.sentence();
                    }
                    if let Readiness::Unready(reason) = readiness {
                        member.message = format!("not ready: {reason}");
                    }
                }
                None => member.status = PodStatus::Starting,
            }
            return member;
        }
        if let Some(failure) = facts.failures.get(&subject) {
            return member.unless(Some(failure));
        }
        match records.end_of_attempt() {
            Some(exit) => {
                member.status = PodStatus::Failed;
                member.message = exit.sentence();
                if let End::NotStarted { reason, prospect: Prospect::Hopeless } = &exit.end {
                    member.hopeless = Some(reason.clone());
                }
            }
            None if facts.busy.contains(&subject) => member.status = PodStatus::Starting,
            None => return self.without_program(key),
        }
        member
    }

    /// Of one that runs; without a probe, that is enough.
    fn readiness(self, key: &ContainerKey, attempt: u32) -> Readiness {
        let container = probing::container(self.template, key);
        if container.is_none_or(|container| container.readiness.is_none()) {
            return Readiness::Ready;
        }
        let held = self.facts.readiness.get(key).filter(|(asked, _)| *asked == attempt);
        held.map(|(_, readiness)| readiness.clone()).unwrap_or_default()
    }

    /// One that was never started: its image may be what it waits for.
    fn without_program(self, key: &ContainerKey) -> Member {
        let image = image_of(self.template, key);
        let subject = image.map(|image| Subject::of_image(self.cell, self.template, image));
        let mut member = Member::pending();
        if let Some(Subject::Image(pin)) = &subject
            && self.facts.pulling.contains(pin)
        {
            member.status = PodStatus::Pulling;
            return member;
        }
        member.unless(subject.and_then(|subject| self.facts.failures.get(&subject)))
    }
}

fn pod_observation(pod: PodKey, members: &[Member], facts: &Facts) -> PodObservation {
    // The least advanced container speaks for its pod.
    let status = members.iter().map(|member| member.status).min().unwrap_or(PodStatus::Pending);
    let messages = members.iter().filter(|member| member.status == status);
    let message = messages.map(|member| member.message.as_str()).find(|text| !text.is_empty());
    PodObservation {
        status,
        address: facts.networks.get(&pod).copied(),
        exposed_at: facts.exposed.get(&pod).copied(),
        restarts: members.iter().map(|member| member.restarts).fold(0, u32::saturating_add),
        message: message.unwrap_or_default().to_owned(),
        workload: pod.workload,
        index: pod.index,
    }
}

impl Member {
    fn pending() -> Self {
        Self {
            status: PodStatus::Pending,
            restarts: 0,
            message: String::new(),
            hopeless: None,
            up_since_boot_ms: None,
        }
    }

    /// What does not run yet fails with what stands in its way.
    fn unless(mut self, failure: Option<&Failure>) -> Self {
        if let Some(failure) = failure.filter(|_| self.status != PodStatus::Running) {
            self.status = PodStatus::Failed;
            self.message = failure.reason.clone();
            self.hopeless = hopeless_of(failure);
        }
        self
    }
}

fn hopeless_of(failure: &Failure) -> Option<String> {
    (failure.prospect == Prospect::Hopeless).then(|| failure.reason.clone())
}
