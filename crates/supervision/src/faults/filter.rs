//! What a faulty engine lets through, as a value: pure, without clock and channel. Stands between what is wanted and
//! the real engine in one direction, and between its reports and the listener in the other.

use super::{Failure, Faults};
use ensemble_model::id::{EdgeNodeId, EngineName, InstanceId};
use ensemble_model::instance::PodStatus;
use ensemble_model::observation::{InstanceObservation, Observation, PodObservation, Presence, Reach};
use ensemble_model::wanted::{CellKey, Coverage, Epoch, Standing, Taken, Wanted, WantedCell};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug)]
pub struct Filter {
    name: EngineName,
    epoch: Epoch,
    /// Of the last report to the listener.
    number: u64,
    taken: Taken,
    faults: Faults,
    /// The nodes that the listener was last told are out of reach.
    said_unreachable: BTreeSet<EdgeNodeId>,
    /// What the engine was last told of each cell.
    told: BTreeMap<CellKey, WantedCell>,
    /// What it is to be told once its node can be reached.
    withheld: BTreeMap<CellKey, (Standing, WantedCell)>,
    /// Of the newest wish.
    newest: Standing,
    /// It was not told that a list is complete, and has to be once every node can be reached.
    owes_complete: bool,
    /// Every instance the engine was told of, until it is confirmed gone.
    known: BTreeMap<InstanceId, Known>,
    /// The engine has reported everything once: so `known` is complete.
    whole: bool,
}

#[derive(Clone, Debug)]
struct Known {
    node: EdgeNodeId,
    /// `None` before the engine says anything.
    reported: Option<Presence>,
    /// How it is taken to be until then: there, and waiting. Never gone, which only the engine can confirm.
    assumed: Presence,
    /// What the listener was told last.
    said: Option<Presence>,
}

/// What follows from a change of the faults.
#[derive(Debug, Default)]
pub struct Switched {
    /// For the engine, which could not be told before: the oldest first.
    pub wanted: Vec<Wanted>,
    /// For the listener.
    pub observations: Vec<Observation>,
}

impl Filter {
    pub fn new(name: EngineName) -> Self {
        Self {
            name,
            epoch: Epoch::default(),
            number: 0,
            taken: Taken::default(),
            faults: Faults::default(),
            said_unreachable: BTreeSet::new(),
            told: BTreeMap::new(),
            withheld: BTreeMap::new(),
            newest: Standing::default(),
            owes_complete: false,
            known: BTreeMap::new(),
            whole: false,
        }
    }

    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Whether the instance is on a node out of reach.
    pub fn is_cut_off(&self, instance: &InstanceId) -> bool {
        self.known.get(instance).is_some_and(|known| self.faults.unreachable.contains(&known.node))
    }

    /// What of `wanted` reaches the engine: cells on nodes out of reach stay there as they are, and so does what is
    /// older than what was taken. What an older leader wants is passed without its cells, to be refused.
    pub fn converge(&mut self, wanted: Wanted) -> Wanted {
        self.epoch = self.epoch.max(wanted.epoch);
        let standing = wanted.standing();
        self.newest = self.newest.max(standing);
        let Wanted { epoch, sequence, mut coverage, mut cells } = self.taken.take(wanted);
        let mut emptied_in_reach = Vec::new();
        if coverage == Coverage::Complete {
            // What a complete list leaves out goes; on a node out of reach only once it is back.
            let left_out = self.told.values().filter(|cell| !self.taken.is_known(&cell.key));
            let all_emptied =
                left_out.map(|cell| WantedCell { run: Vec::new(), release: Vec::new(), ..cell.clone() });
            let emptied: Vec<WantedCell>;
            (emptied, emptied_in_reach) =
                all_emptied.partition(|cell| self.faults.unreachable.contains(&cell.key.node));
            let stays =
                |key: &CellKey| self.taken.is_known(key) || self.faults.unreachable.contains(&key.node);
            self.told.retain(|key, _| stays(key));
            self.withheld.retain(|key, _| stays(key));
            cells.extend(emptied);
        }
        let (out_of_reach, mut passed): (Vec<WantedCell>, Vec<WantedCell>) =
            cells.into_iter().partition(|cell| self.faults.unreachable.contains(&cell.key.node));
        if coverage == Coverage::Complete {
            // What the engine was never told may run where it is out of reach: taken for everything, the rest would end it.
            self.owes_complete = out_of_reach.iter().any(|cell| !self.told.contains_key(&cell.key));
            if self.owes_complete {
                coverage = Coverage::Listed;
                passed.append(&mut emptied_in_reach);
            }
        }
        self.withheld.extend(out_of_reach.into_iter().map(|cell| (cell.key.clone(), (standing, cell))));
        for cell in &passed {
            // What was withheld of it is older.
            self.withheld.remove(&cell.key);
            self.tell(cell);
        }
        if coverage == Coverage::Complete {
            let unchanged =
                self.told.values().filter(|cell| self.faults.unreachable.contains(&cell.key.node));
            passed.extend(unchanged.cloned());
        }
        Wanted { epoch, sequence, coverage, cells: passed }
    }

    /// What of the engine's report is heard: of one from before the present leader nothing, since the engine tells that
    /// one everything anew.
    pub fn observe(&mut self, mut observation: Observation) -> Vec<Observation> {
        if observation.epoch < self.epoch {
            return Vec::new();
        }
        self.epoch = observation.epoch;
        let resolved = std::mem::take(&mut observation.resolved);
        let mut heard = self.hear(observation);
        if !resolved.is_empty() {
            // What an image led to is said of no node, so no fault applies.
            match heard.last_mut() {
                Some(last) => last.resolved = resolved,
                None => {
                    heard.push(Observation { resolved, ..self.observation(Reach::Listed, Vec::new()) });
                }
            }
        }
        heard
    }

    fn hear(&mut self, observation: Observation) -> Vec<Observation> {
        let Observation { reach, instances, .. } = observation;
        let mut heard = Vec::with_capacity(instances.len());
        for InstanceObservation { instance, presence } in instances {
            match self.known.get_mut(&instance) {
                Some(known) => {
                    known.reported = Some(presence);
                    heard.extend(self.heard(&instance));
                }
                // Nobody has asked for it: its node is not known, so no fault applies.
                None => heard.push(InstanceObservation { instance, presence }),
            }
        }
        self.note_said(&heard);
        match reach {
            Reach::Whole => {
                self.whole = true;
                self.said_unreachable = self.faults.unreachable.clone();
                self.forget_said_out_of_reach();
                if self.faults.unreachable.is_empty() {
                    return vec![self.observation(Reach::Whole, heard)];
                }
                let lost = Reach::Unreachable(self.faults.unreachable.iter().cloned().collect());
                vec![self.observation(lost, Vec::new()), self.observation(Reach::Listed, heard)]
            }
            Reach::Listed if heard.is_empty() => Vec::new(),
            Reach::Listed => vec![self.observation(Reach::Listed, heard)],
            Reach::Unreachable(nodes) => {
                let ours = self.faults.unreachable.iter().cloned();
                let all: BTreeSet<EdgeNodeId> = nodes.into_iter().chain(ours).collect();
                vec![self.observation(Reach::Unreachable(all.into_iter().collect()), heard)]
            }
        }
    }

    /// Replaces the faults in force; what follows from it is [`due`](Self::due).
    pub fn set(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// What the listener and the engine do not know yet of the faults in force: nodes that are cut off are said to
    /// be so; nodes that came back are told what they missed, and are heard again.
    pub fn due(&mut self) -> Switched {
        let now = self.faults.unreachable.clone();
        let before = std::mem::replace(&mut self.said_unreachable, now.clone());
        self.forget_said_out_of_reach();
        let mut observations = Vec::new();
        if now.difference(&before).next().is_some() {
            observations
                .push(self.observation(Reach::Unreachable(now.iter().cloned().collect()), Vec::new()));
        }
        if now.is_empty() && !before.is_empty() && self.whole {
            let heard: Vec<InstanceObservation> = self.known.keys().filter_map(|id| self.heard(id)).collect();
            self.note_said(&heard);
            observations.push(self.observation(Reach::Whole, heard));
        } else {
            let known =
                self.known.iter().filter(|(_, known)| known.said.is_some() || known.reported.is_some());
            let heard: Vec<InstanceObservation> = known
                .filter_map(|(id, known)| Some((self.heard(id)?, &known.said)))
                .filter(|(heard, said)| said.as_ref() != Some(&heard.presence))
                .map(|(heard, _)| heard)
                .collect();
            self.note_said(&heard);
            if !heard.is_empty() {
                observations.push(self.observation(Reach::Listed, heard));
            }
        }
        Switched { wanted: self.catch_up(), observations }
    }

    /// What was withheld from nodes that can be reached now.
    fn catch_up(&mut self) -> Vec<Wanted> {
        let (still, back): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(&mut self.withheld)
            .into_iter()
            .partition(|(key, _)| self.faults.unreachable.contains(&key.node));
        self.withheld = still;
        let mut by_standing: BTreeMap<Standing, Vec<WantedCell>> = BTreeMap::new();
        for (standing, cell) in back.into_values() {
            self.tell(&cell);
            // Under the present leader: what an older one wanted would be refused, and nobody wants anything newer.
            let standing = if standing.epoch < self.epoch {
                Standing { epoch: self.epoch, sequence: 0 }
            } else {
                standing
            };
            by_standing.entry(standing).or_default().push(cell);
        }
        let wanted = |(Standing { epoch, sequence }, cells)| Wanted {
            epoch,
            sequence,
            coverage: Coverage::Listed,
            cells,
        };
        let mut due: Vec<Wanted> = by_standing.into_iter().map(wanted).collect();
        if self.faults.unreachable.is_empty() && std::mem::take(&mut self.owes_complete) {
            let Standing { epoch, sequence } = self.newest;
            let cells = self.told.values().cloned().collect();
            due.push(Wanted { epoch, sequence, coverage: Coverage::Complete, cells });
        }
        due
    }

    fn tell(&mut self, cell: &WantedCell) {
        for id in cell.run.iter().map(|instance| &instance.id).chain(&cell.release) {
            self.known.entry(id.clone()).or_insert_with(|| Known {
                node: cell.key.node.clone(),
                reported: None,
                assumed: assumed(cell, id),
                said: None,
            });
        }
        self.told.insert(cell.key.clone(), cell.clone());
    }

    /// What is heard of an instance: nothing from a node out of reach.
    fn heard(&self, id: &InstanceId) -> Option<InstanceObservation> {
        let known = self.known.get(id)?;
        if self.faults.unreachable.contains(&known.node) {
            return None;
        }
        let failure = self.faults.failing.get(&known.node).or_else(|| self.faults.failing_instances.get(id));
        let presence = known.reported.as_ref().unwrap_or(&known.assumed);
        let presence = match failure {
            Some(failure) => failed(presence, failure),
            None => presence.clone(),
        };
        Some(InstanceObservation { instance: id.clone(), presence })
    }

    /// To the listener, what is out of reach is unknown whatever was said before, until it is named again.
    fn forget_said_out_of_reach(&mut self) {
        for known in self.known.values_mut().filter(|known| self.faults.unreachable.contains(&known.node)) {
            known.said = None;
        }
    }

    fn note_said(&mut self, heard: &[InstanceObservation]) {
        for InstanceObservation { instance, presence } in heard {
            if *presence == Presence::Gone {
                self.known.remove(instance);
            } else if let Some(known) = self.known.get_mut(instance) {
                known.said = Some(presence.clone());
            }
        }
    }

    fn observation(&mut self, reach: Reach, instances: Vec<InstanceObservation>) -> Observation {
        self.number += 1;
        Observation {
            engine: self.name.clone(),
            epoch: self.epoch,
            number: self.number,
            reach,
            instances,
            resolved: Vec::new(),
        }
    }
}

/// How an instance is taken to be that nothing was heard of yet.
fn assumed(cell: &WantedCell, id: &InstanceId) -> Presence {
    let wanted = cell.run.iter().find(|instance| instance.id == *id);
    let deployment = wanted.map(|instance| instance.deployment.clone()).unwrap_or_default();
    Presence::Here { deployment, pods: pending(cell), ready: false, hopeless: None }
}

fn pending(cell: &WantedCell) -> Vec<PodObservation> {
    let workloads = cell.template.workloads.iter();
    workloads
        .flat_map(|workload| (0..workload.pod_count).map(move |index| (workload, index)))
        .map(|(workload, index)| PodObservation {
            workload: workload.name.clone(),
            index,
            status: PodStatus::Pending,
            address: None,
            exposed_at: None,
            restarts: 0,
            message: String::new(),
        })
        .collect()
}

/// How a failing instance looks. One that is gone is gone.
fn failed(presence: &Presence, failure: &Failure) -> Presence {
    let Presence::Here { deployment, pods, .. } = presence else { return Presence::Gone };
    let (message, hopeless) = match failure {
        Failure::Crashing => ("exited 1".to_owned(), None),
        Failure::Hopeless { reason } => (reason.clone(), Some(reason.clone())),
    };
    let pods = pods
        .iter()
        .map(|pod| PodObservation {
            status: PodStatus::Failed,
            address: None,
            exposed_at: None,
            restarts: pod.restarts + 1,
            message: message.clone(),
            ..pod.clone()
        })
        .collect();
    Presence::Here { deployment: deployment.clone(), pods, ready: false, hopeless }
}
