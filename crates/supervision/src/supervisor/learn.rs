//! What each input changes of what the loop knows. Looks again at what was touched; decides nothing.

use super::memory::Memory;
use super::steps::Error;
use super::{Learnt, Supervisor};
use crate::host::Host;
use crate::kernel::{Groups, Kernel};
use crate::layout::ContainerKey;
use crate::network::{self, FoundPod};
use crate::probing::Readiness;
use crate::reconcile::state::{Action, Failure, ImageOf, Subject};
use crate::scan;
use ensemble_model::id::Digest;
use ensemble_model::observation::ResolvedImage;
use ensemble_model::wanted::Wanted;

impl Supervisor {
    pub(super) fn take_wanted(&mut self, wanted: Wanted) {
        if wanted.epoch < self.epoch {
            return;
        }
        if wanted.epoch > self.epoch {
            self.memory.forget_what_was_told();
        }
        self.epoch = wanted.epoch;
        self.memory.take(wanted);
    }

    pub(super) fn pulling(&mut self, pin: Digest) {
        let facts = &mut self.memory.facts;
        if facts.busy.contains(&Subject::Image(pin.clone())) {
            facts.pulling.insert(pin);
        }
    }

    pub(super) fn finished<K: Kernel, G: Groups>(
        &mut self,
        host: Host<'_, K, G>,
        action: &Action,
        outcome: Result<Learnt, Error>,
    ) {
        let subject = action.subject();
        self.is_over(action);
        self.memory.facts.busy.remove(&subject);
        if let Action::Fetch { pin, .. } = action {
            self.memory.facts.pulling.remove(pin);
        }
        let at_boot_ms = host.kernel.clocks().boot_ms;
        match outcome {
            Ok(learnt) => {
                self.memory.facts.failures.remove(&subject);
                self.worked(action, learnt, at_boot_ms);
            }
            Err(error) => self.failed(action, &error, at_boot_ms),
        }
        self.look_at(host, action);
    }

    fn failed(&mut self, action: &Action, error: &Error, at_boot_ms: u64) {
        let subject = action.subject();
        let facts = &mut self.memory.facts;
        if let Action::Attach { pod, .. } = action {
            facts.remnants.insert(pod.clone());
        }
        if let Error::ImageLost { pin, .. } = error {
            facts.images.remove(pin);
        }
        let reason = error.sentence();
        tracing::warn!(subject = ?subject, "a step failed: {reason}");
        let streak = facts.failures.get(&subject).map_or(0, |failure| failure.streak).saturating_add(1);
        let failure = Failure { streak, at_boot_ms, reason, prospect: error.prospect() };
        facts.failures.insert(subject, failure);
    }

    fn worked(&mut self, action: &Action, learnt: Learnt, at_boot_ms: u64) {
        let facts = &mut self.memory.facts;
        match (action, learnt) {
            (Action::Attach { pod, .. }, Learnt::Attached { address, exposed_at }) => {
                facts.remnants.remove(pod);
                facts.networks.insert(pod.clone(), address);
                facts.exposed.extend(exposed_at.map(|exposed_at| (pod.clone(), exposed_at)));
            }
            (Action::Detach(pod), _) => {
                facts.remnants.remove(pod);
                facts.networks.remove(pod);
                facts.exposed.remove(pod);
            }
            (Action::Stop(key), _) => {
                facts.asked_to_stop.insert(key.clone(), at_boot_ms);
            }
            (Action::Retire(id), _) => facts.failures.retain(|subject, _| !subject.is_of(id)),
            (Action::Sweep(stray), _) => {
                facts.strays.remove(stray);
            }
            (Action::Fetch { pin, .. }, _) => {
                facts.images.insert(pin.clone());
            }
            (Action::Resolve(of), Learnt::Resolved(digest)) => {
                facts.resolved.insert(of.clone(), digest.clone());
                let ImageOf { app, version, image } = of.clone();
                self.memory.untold.push(ResolvedImage { app, version, image, digest });
            }
            (
                Action::Prepare(_)
                | Action::Resolve(_)
                | Action::Attach { .. }
                | Action::Start { .. }
                | Action::Collect { .. }
                | Action::Kill(_),
                _,
            ) => {}
        }
    }

    /// What an action touched is looked at again, whether it worked or not.
    fn look_at<K: Kernel, G: Groups>(&mut self, host: Host<'_, K, G>, action: &Action) {
        let Memory { records, facts, .. } = &mut self.memory;
        let looked = match action {
            Action::Start { container: key, .. }
            | Action::Collect { container: key, .. }
            | Action::Stop(key)
            | Action::Kill(key) => scan::one_container(host, key, records, facts),
            Action::Prepare(record) => scan::one_instance(host, &record.id, records, facts),
            Action::Retire(id) => scan::one_instance(host, id, records, facts),
            Action::Attach { .. }
            | Action::Detach(_)
            | Action::Sweep(_)
            | Action::Resolve(_)
            | Action::Fetch { .. } => Ok(()),
        };
        if let Err(error) = looked {
            // Nothing is concluded from a failed look; the next look around tries again.
            tracing::warn!("could not look at what a step left: {error}");
        }
    }

    pub(super) fn ended<K: Kernel, G: Groups>(&mut self, host: Host<'_, K, G>, key: &ContainerKey) {
        self.watched.remove(key);
        if self.memory.facts.busy.contains(&Subject::Container(key.clone())) {
            // The action that is under way looks when it is done.
            return;
        }
        let Memory { records, facts, .. } = &mut self.memory;
        if !records.instances.contains_key(&key.pod.instance) {
            return;
        }
        if let Err(error) = scan::one_container(host, key, records, facts) {
            tracing::warn!("could not look at a container that ended: {error}");
        }
    }

    /// An answer of an earlier attempt may be on its way when a later one has answered already.
    pub(super) fn answered(&mut self, container: ContainerKey, attempt: u32, readiness: Readiness) {
        let held = &mut self.memory.facts.readiness;
        if held.get(&container).is_none_or(|(asked, _)| *asked <= attempt) {
            held.insert(container, (attempt, readiness));
        }
    }

    pub(super) fn look_around<K: Kernel, G: Groups>(
        &mut self,
        host: Host<'_, K, G>,
        found: Result<Vec<FoundPod>, network::Error>,
    ) {
        let looked = match found {
            Ok(found) => self.memory.look_again(host, found).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(reason) = looked {
            tracing::warn!("could not look around: {reason}");
        }
    }
}
