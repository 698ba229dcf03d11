//! What runs containers, behind the engine trait's two words: it is told what is wanted, and it reports what it sees.
//! A closed list of kinds; the simulation never learns which one it drives.

pub(crate) mod cluster;
pub(crate) mod machine;

use crate::agenda::Moment;
use crate::faults::Faults;
use cluster::Cluster;
use ensemble_model::id::{EdgeNodeId, InstanceId};
use ensemble_model::observation::Observation;
use ensemble_model::wanted::{Epoch, Wanted};
use machine::Machine;
use std::collections::{BTreeMap, BTreeSet};

/// An older leader's word is refused (`Engine::converge`).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StaleEpoch;

/// One pod that really runs, or one that its host has begun and not yet ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Running {
    pub(crate) instance: InstanceId,
    pub(crate) workload: String,
    pub(crate) index: u32,
    pub(crate) node: EdgeNodeId,
    /// Which host has it; set by the simulation.
    pub(crate) host: usize,
    /// The pod's name, as containers are told.
    pub(crate) name: String,
    pub(crate) address: Option<String>,
    /// Its program runs; else it is being made, waits, or has failed.
    pub(crate) is_up: bool,
}

/// What a host is given with everything it does.
pub(crate) struct Surroundings<'a> {
    pub(crate) now: Moment,
    pub(crate) faults: &'a mut Faults,
}

pub(crate) enum Host {
    Cluster(Box<Cluster>),
    Machine(Box<Machine>),
}

impl Host {
    /// Takes over what is wanted.
    pub(crate) fn converge(
        &mut self,
        wanted: Wanted,
        around: &mut Surroundings<'_>,
    ) -> Result<(), StaleEpoch> {
        match self {
            Self::Cluster(cluster) => cluster.converge(wanted, around),
            Self::Machine(machine) => machine.converge(wanted, around),
        }
    }

    /// Lets happen what is due by now; says what is to be reported.
    pub(crate) fn advance(&mut self, around: &mut Surroundings<'_>) -> Vec<Observation> {
        match self {
            Self::Cluster(cluster) => cluster.advance(around),
            Self::Machine(machine) => machine.advance(around),
        }
    }

    /// A report did not leave: what it said is still to be said.
    pub(crate) fn unsaid(&mut self, report: &Observation) {
        match self {
            Self::Cluster(cluster) => cluster.unsaid(report),
            Self::Machine(machine) => machine.unsaid(report),
        }
    }

    /// When it next has something to do.
    pub(crate) fn next_due(&self) -> Option<Moment> {
        match self {
            Self::Cluster(cluster) => cluster.next_due(),
            Self::Machine(machine) => machine.next_due(),
        }
    }

    /// Whoever drives it dies; what runs goes on.
    pub(crate) fn kill_engine(&mut self, around: &mut Surroundings<'_>) {
        match self {
            Self::Cluster(cluster) => cluster.kill_engine(),
            Self::Machine(machine) => machine.kill_engine(around),
        }
    }

    /// It is driven anew, under `epoch`: looks at what is there before it says anything.
    pub(crate) fn open_engine(&mut self, epoch: Epoch, around: &mut Surroundings<'_>) {
        match self {
            Self::Cluster(cluster) => cluster.open_engine(epoch, around),
            Self::Machine(machine) => machine.open_engine(epoch, around),
        }
    }

    /// The machines of these nodes start again: nothing runs on them any more.
    pub(crate) fn reboot(&mut self, node: &EdgeNodeId, around: &mut Surroundings<'_>) {
        match self {
            Self::Cluster(cluster) => cluster.reboot(node),
            Self::Machine(machine) => machine.reboot(around),
        }
    }

    /// Nodes that cannot be reached from now on, all others can.
    pub(crate) fn cut_off(&mut self, nodes: &BTreeMap<EdgeNodeId, Moment>, around: &mut Surroundings<'_>) {
        match self {
            Self::Cluster(cluster) => cluster.cut_off(nodes, around),
            Self::Machine(machine) => machine.cut_off(nodes, around),
        }
    }

    /// Every pod there is, whoever wants it.
    pub(crate) fn truth(&self) -> Vec<Running> {
        match self {
            Self::Cluster(cluster) => cluster.truth(),
            Self::Machine(machine) => machine.truth(),
        }
    }

    /// What is never right, at no moment.
    pub(crate) fn wrongs(&self) -> Vec<String> {
        match self {
            // Its truth says everything: a pod there is one entry.
            Self::Cluster(_) => Vec::new(),
            Self::Machine(machine) => machine.wrongs(),
        }
    }

    /// Instances that whoever drives it has begun to stop since this was last asked.
    pub(crate) fn take_stopped(&mut self) -> Vec<InstanceId> {
        match self {
            Self::Cluster(cluster) => std::mem::take(&mut cluster.stopped),
            Self::Machine(machine) => std::mem::take(&mut machine.stopped),
        }
    }

    /// What lies around and belongs to none of these instances, once everything has come to rest.
    pub(crate) fn leftovers(&self, wanted: &BTreeSet<InstanceId>) -> Vec<String> {
        match self {
            Self::Cluster(_) => Vec::new(),
            Self::Machine(machine) => machine.leftovers(wanted),
        }
    }
}
