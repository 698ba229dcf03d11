//! All that the engine's loop knows: wishes, records, facts, and what was told of them. Looks at the machine; decides and
//! does nothing.

use crate::host::Host;
use crate::kernel::{Clocks, Groups, Kernel};
use crate::network::{self, FoundPod};
use crate::reconcile::observe::{Told, observe};
use crate::reconcile::state::{Facts, ImageOf, Records, Stray, Wish, Wishes, pods};
use crate::scan;
use ensemble_model::id::InstanceId;
use ensemble_model::observation::{InstanceObservation, Observation, Presence, Reach, ResolvedImage};
use ensemble_model::wanted::Wanted;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// All that is known, and what was told of it.
#[derive(Debug, Default)]
pub struct Memory {
    pub wishes: Wishes,
    pub records: Records,
    pub facts: Facts,
    pub told: BTreeMap<InstanceId, InstanceObservation>,
    pub has_told_whole: bool,
    /// What images led to, to be told.
    pub untold: Vec<ResolvedImage>,
}

impl Memory {
    /// Looks at everything on this machine.
    ///
    /// # Errors
    /// Something cannot be looked at; then nothing may be concluded.
    pub fn look<K: Kernel, G: Groups>(
        host: Host<'_, K, G>,
        boot_id: String,
        found: Vec<FoundPod>,
    ) -> Result<Self, scan::Error> {
        let mut memory = Self::default();
        memory.facts.boot_id = boot_id;
        memory.look_again(host, found)?;
        Ok(memory)
    }

    /// Looks at everything again; what the engine itself is about stays.
    ///
    /// # Errors
    /// As [`look`](Self::look); what was known stays.
    pub fn look_again<K: Kernel, G: Groups>(
        &mut self,
        host: Host<'_, K, G>,
        found: Vec<FoundPod>,
    ) -> Result<(), scan::Error> {
        scan::everything(host, &mut self.records, &mut self.facts)?;
        let instances = self.records.instances.values();
        let known: BTreeSet<_> = instances.flat_map(|record| pods(&record.id, &record.template)).collect();
        self.facts.networks.clear();
        self.facts.exposed.clear();
        self.facts.remnants.clear();
        self.facts.strays.retain(|stray| !matches!(stray, Stray::Network(_)));
        for pod in found {
            let is_whole =
                pod.namespace == network::Presence::There && pod.interface == network::Presence::There;
            if !known.contains(&pod.pod) {
                self.facts.strays.insert(Stray::Network(pod.pod));
            } else if is_whole {
                let exposed_at = pod.exposed_at.map(|address| (pod.pod.clone(), IpAddr::V4(address)));
                self.facts.exposed.extend(exposed_at);
                self.facts.networks.insert(pod.pod, IpAddr::V4(pod.address));
            } else {
                self.facts.remnants.insert(pod.pod);
            }
        }
        Ok(())
    }

    /// It was taken by whoever listens.
    pub fn note_told(&mut self, observation: Observation) {
        self.has_told_whole |= observation.reach == Reach::Whole;
        self.untold.retain(|image| !observation.resolved.contains(image));
        for observation in observation.instances {
            if observation.presence == Presence::Gone
                && !self.wishes.releasing().any(|id| *id == observation.instance)
            {
                self.told.remove(&observation.instance);
            } else {
                self.told.insert(observation.instance.clone(), observation);
            }
        }
    }

    /// Everything is told anew, the whole first: there is another leader, who has heard nothing.
    pub fn forget_what_was_told(&mut self) {
        self.told.clear();
        self.has_told_whole = false;
        let resolved = self.facts.resolved.iter().map(|(of, digest)| (of.clone(), digest.clone()));
        self.untold = resolved
            .map(|(ImageOf { app, version, image }, digest)| ResolvedImage { app, version, image, digest })
            .collect();
    }

    /// Takes over what is wanted now.
    pub fn take(&mut self, wanted: Wanted) {
        for id in self.wishes.take(wanted) {
            let cell = self.records.instances.get(&id).map(|record| &record.cell);
            if self.wishes.wish(&id, cell) == Wish::Release {
                // Asked for again: confirmed again, also when nothing of it is found.
                self.told.remove(&id);
            }
        }
    }

    /// What is to be told and was not: complete for every instance named. And when to look again, in milliseconds after
    /// boot, because an instance may be ready then.
    pub fn news(&self, now: Clocks) -> (Vec<InstanceObservation>, Option<u64>) {
        let mut ids: BTreeSet<&InstanceId> = self.wishes.running().map(|(id, _)| id).collect();
        ids.extend(self.wishes.releasing());
        ids.extend(self.records.instances.keys());
        ids.extend(self.told.iter().filter(|(_, told)| told.presence != Presence::Gone).map(|(id, _)| id));
        let mut news = Vec::new();
        let mut wake = None;
        for id in ids {
            let told = observe(&self.wishes, &self.records, &self.facts, now, id);
            let Some(Told { observation, wake_at_boot_ms }) = told else { continue };
            wake = earlier(wake, wake_at_boot_ms);
            if !self.has_told_whole || self.told.get(id) != Some(&observation) {
                news.push(observation);
            }
        }
        (news, wake)
    }
}

/// The earlier of two times, where there are any.
pub fn earlier(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).min()
}
