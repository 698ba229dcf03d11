//! Who holds which address, and in what order that is written down, made, ruled and taken away again. An address is
//! reserved on disk before anything of the pod is made, and free only when neither kernel, rules nor record name it.

use super::address::{self, Allocator, subnet_of};
use super::names::Names;
use super::record::{NodePorts, Record, RecordFile, Reservation};
use super::takeover::take_over;
use super::{Error, Forward, FoundPod, PodNetwork, Presence, Ruled, Wires};
use crate::kernel::Kernel;
use crate::pod::PodKey;
use ensemble_model::id::AppId;
use ensemble_model::port::{Exposed, PortRange};
use ipnet::Ipv4Net;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::Path;

/// A pod that is to have a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attach {
    pub pod: PodKey,
    pub app: AppId,
    /// What of it is to be open on the machine.
    pub exposed: Option<Exposed>,
}

/// What came of a batch of changes: one answer for each, in order.
#[derive(Debug)]
pub struct Changed {
    pub attached: Vec<Result<PodNetwork, Error>>,
    pub detached: Vec<Result<(), Error>>,
}

/// The pod network of one data directory.
#[derive(Debug)]
pub struct Ledger<W> {
    names: Names,
    file: RecordFile,
    record: Record,
    allocator: Allocator,
    wires: W,
    /// As the rules in the kernel say; `None` when they are to be written anew.
    ruled: Option<Ruled>,
}

impl<W: Wires> Ledger<W> {
    /// Takes over what an earlier run left, removes what no record names, and makes the first bridge and the rules.
    /// `state_dir` holds the record, and `pod_network` is divided among the servers of the machine.
    ///
    /// # Errors
    /// The record cannot be understood, there is no room, or the kernel refuses.
    pub fn open(
        kernel: &impl Kernel,
        mut wires: W,
        names: Names,
        state_dir: &Path,
        pod_network: Ipv4Net,
    ) -> Result<Self, Error> {
        if !address::is_large_enough(pod_network) {
            return Err(Error::PodNetworkTooSmall { pod_network });
        }
        let file = RecordFile::new(state_dir);
        let record = take_over(kernel, pod_network, &names, &file, &mut wires)?;
        let allocator = Allocator::new(record.slice, record.addresses());
        let mut ledger = Self { names, file, record, allocator, wires, ruled: None };
        ledger.apply_rules(&BTreeSet::new())?;
        Ok(ledger)
    }

    pub fn wires(&self) -> &W {
        &self.wires
    }

    /// Makes all changes of a batch, each of another pod: the record is written once, the rules are replaced once. A pod
    /// that is attached keeps its address; one that has nothing is detached.
    pub fn change(&mut self, kernel: &impl Kernel, attaches: &[Attach], detaches: &[PodKey]) -> Changed {
        let reserved = self.reserve(kernel, attaches);
        let made: Vec<_> = attaches
            .iter()
            .zip(reserved)
            .map(|(attach, reserved)| reserved.and_then(|()| self.make(&attach.pod)))
            .collect();
        let known: Vec<&PodKey> = detaches.iter().filter(|pod| self.record.pods.contains_key(*pod)).collect();
        let mut unmade: BTreeMap<&PodKey, Result<(), Error>> =
            known.iter().copied().zip(self.unmake(&known)).collect();
        let done = unmade.iter().filter(|(_, unmade)| unmade.is_ok());
        let gone: BTreeSet<PodKey> = done.map(|(pod, _)| (*pod).clone()).collect();
        // An address is free only when neither the rules nor the record name it any longer.
        let ruled = self.apply_rules(&gone);
        let forgotten = ruled.clone().and_then(|()| self.forget(kernel, &gone));
        let attached = made.into_iter().map(|made| made.and_then(|network| ruled.clone().map(|()| network)));
        let detached = detaches.iter().map(|pod| match unmade.remove(pod) {
            Some(unmade) => unmade.and_then(|()| forgotten.clone()),
            None => Ok(()),
        });
        Changed { attached: attached.collect(), detached: detached.collect() }
    }

    /// Writes down who gets which address, before anything is made. One answer for each, in order.
    fn reserve(&mut self, kernel: &impl Kernel, attaches: &[Attach]) -> Vec<Result<(), Error>> {
        let mut record = self.record.clone();
        let mut given = Vec::new();
        let planned: Vec<_> =
            attaches.iter().map(|attach| self.plan(attach, &mut record, &mut given)).collect();
        if record == self.record {
            return planned;
        }
        match self.file.save(kernel, &record) {
            Ok(()) => {
                self.record = record;
                planned
            }
            Err(error) => {
                given.into_iter().for_each(|address| self.allocator.free(address));
                planned.into_iter().map(|plan| plan.and(Err(error.clone()))).collect()
            }
        }
    }

    fn plan(&mut self, attach: &Attach, record: &mut Record, given: &mut Vec<Ipv4Addr>) -> Result<(), Error> {
        // First, so that the pod's bridge, which leads to both, is not that of an earlier subnet.
        let node_ports = self.plan_node_ports(attach, record, given)?;
        if let Some(held) = record.pods.get_mut(&attach.pod) {
            held.app = attach.app.clone();
            held.node_ports = node_ports.or(held.node_ports.take());
            return Ok(());
        }
        let slice = record.slice;
        let address = self.allocator.allocate().ok_or(Error::Full { slice })?;
        given.push(address);
        if let Some(subnet) = subnet_of(slice, address) {
            record.bridges.entry(subnet.number).or_insert_with(|| self.names.bridge(subnet.number));
        }
        let reservation = Reservation {
            app: attach.app.clone(),
            address,
            link: free_link_name(&self.names, &attach.pod, record),
            namespace: attach.pod.directory_name(),
            node_ports,
        };
        record.pods.insert(attach.pod.clone(), reservation);
        Ok(())
    }

    /// The first pod of an instance that has node ports gives it an address.
    fn plan_node_ports(
        &mut self,
        attach: &Attach,
        record: &Record,
        given: &mut Vec<Ipv4Addr>,
    ) -> Result<Option<NodePorts>, Error> {
        let Some(exposed) = attach.exposed.clone().filter(|exposed| !exposed.ports.is_empty()) else {
            return Ok(None);
        };
        let slice = record.slice;
        let address = match record.address_of(&attach.pod.instance) {
            Some(address) => address,
            None => {
                let address = self.allocator.allocate().ok_or(Error::Full { slice })?;
                given.push(address);
                address
            }
        };
        Ok(Some(NodePorts { address, exposed }))
    }

    fn make(&mut self, pod: &PodKey) -> Result<PodNetwork, Error> {
        let held = self.record.pods.get(pod).ok_or(Error::Closed)?;
        let slice = self.record.slice;
        let subnet = subnet_of(slice, held.address).ok_or(Error::Full { slice })?;
        self.wires.make(pod, held, subnet)?;
        Ok(PodNetwork {
            netns: self.wires.namespace_path(&held.namespace),
            address: held.address,
            exposed_at: held.node_ports.as_ref().map(|ports| ports.address),
        })
    }

    /// One answer for each pod, in order; all of them are in the record.
    fn unmake(&mut self, pods: &[&PodKey]) -> Vec<Result<(), Error>> {
        let slice = self.record.slice;
        let held: Vec<_> = pods
            .iter()
            .filter_map(|pod| self.record.pods.get(*pod))
            .map(|held| (held.clone(), subnet_of(slice, held.address)))
            .collect();
        if held.is_empty() { Vec::new() } else { self.wires.unmake(&held) }
    }

    /// Replaces the rules where they differ from what the record says, less those pods.
    fn apply_rules(&mut self, less: &BTreeSet<PodKey>) -> Result<(), Error> {
        let mut ruled = Ruled::default();
        for (_, held) in self.record.pods.iter().filter(|(pod, _)| !less.contains(*pod)) {
            ruled.pods.entry(held.app.clone()).or_default().push(held.address);
            let Some(NodePorts { address, exposed }) = &held.node_ports else { continue };
            ruled.instances.insert(*address);
            for at in [Some(*address), exposed.publish].into_iter().flatten() {
                let forward = |ports: &PortRange| Forward { at, ports: *ports, to: held.address };
                ruled.forwards.extend(exposed.ports.iter().map(forward));
            }
        }
        if self.ruled.as_ref() == Some(&ruled) {
            return Ok(());
        }
        self.ruled = None;
        self.wires.rule(self.record.slice, &ruled)?;
        self.ruled = Some(ruled);
        Ok(())
    }

    /// Frees what the pods held; they have nothing in the kernel any longer.
    fn forget(&mut self, kernel: &impl Kernel, gone: &BTreeSet<PodKey>) -> Result<(), Error> {
        if gone.is_empty() {
            return Ok(());
        }
        let mut record = self.record.clone();
        record.pods.retain(|pod, _| !gone.contains(pod));
        self.file.save(kernel, &record)?;
        let left = record.addresses();
        self.record.addresses().difference(&left).for_each(|address| self.allocator.free(*address));
        self.record = record;
        Ok(())
    }

    /// Every pod that holds anything of this network. Mends the rules should somebody have flushed them.
    ///
    /// # Errors
    /// The kernel cannot be looked at, or the rules cannot be mended.
    pub fn found(&mut self) -> Result<Vec<FoundPod>, Error> {
        if !self.wires.has_rules() {
            tracing::warn!("the rules of the pod network were removed by somebody; they are written anew");
            self.ruled = None;
            self.apply_rules(&BTreeSet::new())?;
        }
        let sight = self.wires.look()?;
        let presence = |there: bool| if there { Presence::There } else { Presence::Missing };
        let pods = self.record.pods.iter().map(|(pod, held)| FoundPod {
            pod: pod.clone(),
            app: held.app.clone(),
            address: held.address,
            exposed_at: held.node_ports.as_ref().map(|ports| ports.address),
            namespace: presence(sight.has_namespace(&held.namespace)),
            interface: presence(sight.links.contains(&held.link)),
        });
        Ok(pods.collect())
    }

    /// Removes everything of this data directory from the machine, and the record.
    ///
    /// # Errors
    /// What could not be removed is still in the record.
    pub fn close_all(&mut self, kernel: &impl Kernel) -> Result<(), Error> {
        let pods: Vec<PodKey> = self.record.pods.keys().cloned().collect();
        let unmade = self.unmake(&pods.iter().collect::<Vec<_>>());
        unmade.into_iter().collect::<Result<(), Error>>()?;
        self.wires.close()?;
        self.file.remove(kernel)
    }
}

/// A name for the interface that no other pod of the record has.
fn free_link_name(names: &Names, pod: &PodKey, record: &Record) -> String {
    let taken = |name: &String| record.pods.values().any(|held| held.link == *name);
    (0..=u32::MAX)
        .map(|attempt| names.link(pod, attempt))
        .find(|name| !taken(name))
        .expect("a record has fewer pods than there are attempts")
}

#[cfg(test)]
mod tests;
