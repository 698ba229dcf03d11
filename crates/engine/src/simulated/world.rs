//! What a simulated engine believes to run, as a value: pure, without clock and channel. Times come in.

use super::faults::Fates;
use super::life::{Life, Looks};
use crate::Error;
use ensemble_model::id::{EngineName, InstanceId};
use ensemble_model::observation::{InstanceObservation, Observation, PodObservation, Presence, Reach};
use ensemble_model::wanted::{
    CellKey, CellTemplate, Coverage, Epoch, Taken, Wanted, WantedCell, WantedInstance,
};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

#[derive(Debug)]
pub struct World {
    name: EngineName,
    fates: Fates,
    epoch: Epoch,
    /// Of the last report.
    number: u64,
    taken: Taken,
    memory: Memory,
    instances: HashMap<InstanceId, SimulatedInstance>,
    cells: HashMap<CellKey, BTreeSet<InstanceId>>,
    /// When something happens to which instance.
    due: BTreeSet<(i64, InstanceId)>,
    /// Whose state has changed since it was last reported; one that is not there is reported as gone.
    unreported: BTreeSet<InstanceId>,
}

/// Whether it has been told everything that is wanted, and has said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Memory {
    /// Nothing is known of what should be here.
    Empty,
    /// What was wanted at first was taken over, or the leader is another one: the report of the whole is due.
    Adopted,
    Reported,
}

#[derive(Debug)]
struct SimulatedInstance {
    cell: CellKey,
    deployment: String,
    template: Arc<CellTemplate>,
    life: Life,
}

/// How an instance comes into the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrival {
    Started {
        at_ms: i64,
    },
    /// It runs already, as far as anybody can tell.
    Found,
}

impl World {
    pub fn new(name: EngineName, fates: Fates) -> Self {
        Self {
            name,
            fates,
            epoch: Epoch::default(),
            number: 0,
            taken: Taken::default(),
            memory: Memory::Empty,
            instances: HashMap::new(),
            cells: HashMap::new(),
            due: BTreeSet::new(),
            unreported: BTreeSet::new(),
        }
    }

    /// Makes what is wanted so. The first complete list is adopted as running already.
    ///
    /// # Errors
    /// [`Error::StaleEpoch`] when an earlier call came from a later leader; nothing changes then.
    pub fn converge(&mut self, wanted: Wanted, now_ms: i64) -> Result<(), Error> {
        if wanted.epoch < self.epoch {
            return Err(Error::StaleEpoch { offered: wanted.epoch.0, current: self.epoch.0 });
        }
        if wanted.epoch > self.epoch && self.memory == Memory::Reported {
            self.memory = Memory::Adopted;
        }
        self.epoch = wanted.epoch;
        let wanted = self.taken.take(wanted);
        let mut arrival = Arrival::Started { at_ms: now_ms };
        if wanted.coverage == Coverage::Complete {
            if self.memory == Memory::Empty {
                self.memory = Memory::Adopted;
                arrival = Arrival::Found;
            }
            self.drop_cells_left_out();
        }
        for cell in wanted.cells {
            self.converge_cell(cell, arrival);
        }
        Ok(())
    }

    /// What was due by then happens. Ends: an instance does not come back to the same moment.
    pub fn advance(&mut self, now_ms: i64) {
        while let Some((at_ms, _)) = self.due.first() {
            if *at_ms > now_ms {
                break;
            }
            let Some((_, id)) = self.due.pop_first() else { break };
            if let Some(instance) = self.instances.get_mut(&id) {
                instance.life.go_on();
                self.due.extend(instance.life.next_ms().map(|at_ms| (at_ms, id.clone())));
                self.unreported.insert(id);
            }
        }
    }

    /// When `advance` will next have something to do.
    pub fn next_due_ms(&self) -> Option<i64> {
        self.due.first().map(|(at_ms, _)| *at_ms)
    }

    /// What changed since the last report, `at_most` instances of it; everything the first time.
    pub fn take_report(&mut self, at_most: usize) -> Option<Observation> {
        if self.memory == Memory::Adopted {
            self.memory = Memory::Reported;
            // What is reported as there is said by the whole; what is gone is confirmed by name, after it.
            self.unreported.retain(|id| !self.instances.contains_key(id));
            let mut ids: Vec<InstanceId> = self.instances.keys().cloned().collect();
            ids.sort_unstable();
            return Some(self.observation(Reach::Whole, ids));
        }
        let mut ids = Vec::new();
        while ids.len() < at_most {
            let Some(id) = self.unreported.pop_first() else { break };
            ids.push(id);
        }
        (!ids.is_empty()).then(|| self.observation(Reach::Listed, ids))
    }

    /// Whether [`take_report`](Self::take_report) has something.
    pub fn has_report(&self) -> bool {
        self.memory == Memory::Adopted || !self.unreported.is_empty()
    }

    pub fn knows(&self, instance: &InstanceId) -> bool {
        self.instances.contains_key(instance)
    }

    fn drop_cells_left_out(&mut self) {
        let dropped: Vec<CellKey> =
            self.cells.keys().filter(|key| !self.taken.is_known(key)).cloned().collect();
        for key in dropped {
            for id in self.cells.get(&key).cloned().unwrap_or_default() {
                self.release(id);
            }
        }
    }

    fn converge_cell(&mut self, cell: WantedCell, arrival: Arrival) {
        let wanted: HashSet<&InstanceId> = cell.run.iter().map(|instance| &instance.id).collect();
        let here = self.cells.get(&cell.key).into_iter().flatten();
        let unwanted: Vec<InstanceId> = here.filter(|id| !wanted.contains(id)).cloned().collect();
        for id in unwanted.into_iter().chain(cell.release) {
            self.release(id);
        }
        for instance in cell.run {
            self.run(instance, &cell.key, &cell.template, arrival);
        }
    }

    fn run(
        &mut self,
        wanted: WantedInstance,
        cell: &CellKey,
        template: &Arc<CellTemplate>,
        arrival: Arrival,
    ) {
        let WantedInstance { id, deployment, .. } = wanted;
        let is_it = |known: &SimulatedInstance| known.cell == *cell && known.deployment == deployment;
        if self.instances.get(&id).is_some_and(is_it) {
            return;
        }
        // The same instance with another deployment has got another version: it starts anew.
        self.forget(&id);
        let fate = self.fates.deal(&cell.node);
        let life = match arrival {
            Arrival::Started { at_ms } => Life::begin(fate, at_ms),
            Arrival::Found => Life::found(fate),
        };
        self.due.extend(life.next_ms().map(|at_ms| (at_ms, id.clone())));
        self.cells.entry(cell.clone()).or_default().insert(id.clone());
        self.unreported.insert(id.clone());
        let instance =
            SimulatedInstance { cell: cell.clone(), deployment, template: Arc::clone(template), life };
        self.instances.insert(id, instance);
    }

    /// Confirmed also when nothing of it is found.
    fn release(&mut self, id: InstanceId) {
        self.forget(&id);
        self.unreported.insert(id);
    }

    fn forget(&mut self, id: &InstanceId) {
        let Some(instance) = self.instances.remove(id) else { return };
        if let Some(at_ms) = instance.life.next_ms() {
            self.due.remove(&(at_ms, id.clone()));
        }
        if let Some(cell) = self.cells.get_mut(&instance.cell) {
            cell.remove(id);
            if cell.is_empty() {
                self.cells.remove(&instance.cell);
            }
        }
    }

    fn observation(&mut self, reach: Reach, ids: Vec<InstanceId>) -> Observation {
        let instances = ids
            .into_iter()
            .map(|id| InstanceObservation { presence: self.presence(&id), instance: id })
            .collect();
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

    fn presence(&self, id: &InstanceId) -> Presence {
        let Some(instance) = self.instances.get(id) else { return Presence::Gone };
        let Looks { status, ready, restarts, message, hopeless } = instance.life.looks();
        let pods = instance
            .template
            .workloads
            .iter()
            .flat_map(|workload| (0..workload.pod_count).map(move |index| (workload, index)))
            .map(|(workload, index)| PodObservation {
                workload: workload.name.clone(),
                index,
                status,
                address: None,
                exposed_at: None,
                restarts,
                message: message.to_owned(),
            })
            .collect();
        let deployment = instance.deployment.clone();
        Presence::Here { deployment, pods, ready, hopeless: hopeless.map(str::to_owned) }
    }
}
