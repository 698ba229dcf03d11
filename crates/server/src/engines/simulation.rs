//! What engines that run nothing are started with, and whether they have come to rest: what a test that steps the time
//! has to know. Must not start one; `engines` does.

use super::Engines;
use ensemble_engine::any::AnyEngine;
use ensemble_engine::simulated::{Clock, Fault, Simulated, SimulatedOptions};
use ensemble_model::fleet::Fleet;
use ensemble_model::id::{EdgeNodeId, EngineName};

pub(crate) struct Simulation {
    faults: Vec<Fault>,
    seed: u64,
    clock: Clock,
    nodes: Vec<(EngineName, EdgeNodeId)>,
}

impl Simulation {
    pub(crate) fn new(faults: Vec<Fault>, seed: u64, clock: Clock, fleet: &Fleet) -> Self {
        let nodes = fleet.nodes.iter().map(|node| (node.engine.clone(), node.id.clone())).collect();
        Self { faults, seed, clock, nodes }
    }

    pub(super) fn options(&self, name: &EngineName) -> SimulatedOptions {
        let of_it = self.nodes.iter().filter(|(engine, _)| engine == name);
        SimulatedOptions {
            faults: self.faults.clone(),
            seed: self.seed,
            nodes: of_it.map(|(_, node)| node.clone()).collect(),
            clock: self.clock.clone(),
            ..SimulatedOptions::default()
        }
    }
}

impl Engines {
    /// Whether nothing is due in engines that run nothing, and nothing is on its way between them and the control loop.
    pub(crate) fn are_at_rest(&self) -> bool {
        let told = self.mailboxes.values().all(|mailbox| mailbox.is_at_rest());
        told && self.simulated().all(Simulated::is_at_rest)
            && self.reports.upgrade().is_none_or(|reports| reports.capacity() == reports.max_capacity())
    }

    /// When something is due in one of them next, by their clock.
    pub(crate) fn next_due_ms(&self) -> Option<i64> {
        self.simulated().filter_map(Simulated::next_due_ms).min()
    }

    fn simulated(&self) -> impl Iterator<Item = &Simulated> {
        self.by_name.values().filter_map(|engine| match &**engine {
            AnyEngine::Simulated(engine) => Some(engine),
            AnyEngine::Embedded(_) => None,
        })
    }
}
