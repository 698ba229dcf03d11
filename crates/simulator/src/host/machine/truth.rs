//! What really is on a machine, asked of its own truth alone: which programs run and with which addresses, and what lies
//! around that belongs to none of the instances that somebody wants. Looks only.

use super::ground::{Ground, Identity};
use super::processes::{Role, State};
use ensemble_model::id::InstanceId;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::Path;

/// One program that lives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RunningProgram {
    pub(crate) identity: Identity,
    pub(crate) address: Option<Ipv4Addr>,
    /// The rules let it talk.
    pub(crate) is_reachable: bool,
}

impl Ground {
    /// Every program that lives, whoever wants it.
    pub(crate) fn running(&self) -> Vec<RunningProgram> {
        let program = |(key, identity): (&super::processes::ProcessKey, &Identity)| {
            let address = self.net.place(*key).and_then(|(_, address)| address);
            RunningProgram {
                identity: identity.clone(),
                address,
                is_reachable: address.is_some_and(|address| self.net.is_ruled(address)),
            }
        };
        self.programs.iter().map(program).collect()
    }

    /// What is never right, at no moment.
    pub(crate) fn wrongs(&self) -> Vec<String> {
        let mut wrongs: Vec<String> =
            self.doubled.iter().map(|identity| format!("{identity} was started while it ran")).collect();
        wrongs.extend(self.net.doubled().into_iter().map(|address| format!("{address} is in use twice")));
        wrongs.extend(self.net.doubled_ports().into_iter().map(|port| format!("{port} leads to two pods")));
        wrongs.extend(self.misdeeds.iter().cloned());
        if self.strangers_signalled > 0 {
            wrongs.push(format!("{} strangers were signalled", self.strangers_signalled));
        }
        wrongs
    }

    /// What is there and belongs to nobody, when only these instances are wanted, all their programs run, and the
    /// engine is at rest. What is kept of released ones for a while counts for nothing.
    pub(crate) fn leftovers(&self, instances: &Path, wanted: &BTreeSet<InstanceId>) -> Vec<String> {
        let is_wanted = |name: &str| wanted.iter().any(|id| id.as_str() == name);
        let mut left = Vec::new();
        if let Ok(entries) = self.files.list(instances) {
            left.extend(
                entries.filter(|(name, _)| !is_wanted(name)).map(|(name, _)| format!("directory {name}")),
            );
        }
        left.extend(
            self.groups.instances().filter(|name| !is_wanted(name)).map(|name| format!("group {name}")),
        );
        left.extend(
            self.groups.empty_containers().map(|(instance, name)| format!("group {instance}/{name}")),
        );
        for (key, identity) in &self.programs {
            if !wanted.contains(&identity.instance) {
                left.push(format!("program {identity}"));
            }
            if self.groups.of(*key).is_none() {
                left.push(format!("program {identity} in no group"));
            }
        }
        left.extend(self.net.empty_namespaces().map(|name| format!("namespace {name}")));
        left.extend(self.processes_left());
        let alive: BTreeSet<_> = self.processes.iter().map(|(key, _)| key.holder()).collect();
        left.extend(
            self.files.holders().filter(|holder| !alive.contains(holder)).map(|_| "a lock".to_owned()),
        );
        left
    }

    fn processes_left(&self) -> Vec<String> {
        let mut left = Vec::new();
        let mut counts = BTreeMap::new();
        for (_, process) in self.processes.iter() {
            match (process.state, process.role) {
                // One whose supervisor died before it wrote down who it is: nobody can know it.
                (State::Zombie, Role::Program) => {}
                (State::Zombie, role) => left.push(format!("zombie {role:?} {}", process.pid)),
                (State::Alive, Role::Supervisor) => *counts.entry("supervisors").or_insert(0) += 1,
                (State::Alive, Role::Program) => *counts.entry("programs").or_insert(0) += 1,
                (State::Alive, Role::Engine | Role::Stranger) => {}
            }
        }
        if counts.get("supervisors") != counts.get("programs") {
            left.push(format!("processes that do not belong together: {counts:?}"));
        }
        left
    }
}

impl std::fmt::Display for Identity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { instance, workload, index, container, .. } = self;
        write!(formatter, "{instance}/{workload}/{index}/{container}")
    }
}
