//! How many instances of an application stay ready on each edge node and carrier while others are taken from it
//! (`decisions.md` §9.1).

use crate::id::{AppId, EdgeNodeId, Isp};
use crate::instance::Instance;
use crate::state::State;
use std::collections::HashMap;

/// What may still be taken. Counts what is taken from it.
#[derive(Clone, Debug)]
pub(crate) struct Floor {
    min_ready: u32,
    cells: HashMap<(EdgeNodeId, Isp), Cell>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    held: u32,
    ready: u32,
}

impl Floor {
    /// Nothing is counted for an application without a floor.
    pub(crate) fn of(state: &State, app: &AppId) -> Self {
        let min_ready = state.applications.get(app).map_or(0, |application| application.resources.min_ready);
        let mut cells: HashMap<(EdgeNodeId, Isp), Cell> = HashMap::new();
        if min_ready > 0 {
            for instance in state.instances_of(app).filter(|instance| instance.is_held()) {
                let cell = cells.entry((instance.node.clone(), instance.isp.clone())).or_default();
                cell.held += 1;
                cell.ready += u32::from(instance.is_ready());
            }
        }
        Self { min_ready, cells }
    }

    /// Whether `instance` may go: what is ready afterwards is the floor or more, or is no less for it.
    pub(crate) fn allows(&self, instance: &Instance) -> bool {
        if self.min_ready == 0 || !instance.is_ready() {
            return true;
        }
        let Some(cell) = self.cells.get(&(instance.node.clone(), instance.isp.clone())) else { return true };
        let (held, ready) = (cell.held.saturating_sub(1), cell.ready.saturating_sub(1));
        ready >= self.min_ready.min(held)
    }

    /// Whether `instance` may stop being ready for a while and stay.
    pub(crate) fn allows_a_pause(&self, instance: &Instance) -> bool {
        if self.min_ready == 0 || !instance.is_ready() {
            return true;
        }
        let Some(cell) = self.cells.get(&(instance.node.clone(), instance.isp.clone())) else { return true };
        cell.ready.saturating_sub(1) >= self.min_ready.min(cell.held)
    }

    /// It stops being ready, and stays.
    pub(crate) fn count_pause(&mut self, instance: &Instance) {
        if let Some(cell) = self.cells.get_mut(&(instance.node.clone(), instance.isp.clone())) {
            cell.ready = cell.ready.saturating_sub(u32::from(instance.is_ready()));
        }
    }

    /// Whether it never may, however ready the others are: it is what the floor asks for.
    pub(crate) fn forbids_a_pause(&self, node: &EdgeNodeId, isp: &Isp) -> bool {
        let cell = self.cells.get(&(node.clone(), isp.clone()));
        self.min_ready > 0 && cell.is_some_and(|cell| cell.held <= self.min_ready)
    }

    /// Takes it, where that is allowed.
    pub(crate) fn take(&mut self, instance: &Instance) -> bool {
        let allowed = self.allows(instance);
        if allowed {
            self.count_out(instance);
        }
        allowed
    }

    /// Takes it in any case: several that go together are judged by what is left in the end.
    pub(crate) fn count_out(&mut self, instance: &Instance) {
        if let Some(cell) = self.cells.get_mut(&(instance.node.clone(), instance.isp.clone())) {
            cell.held = cell.held.saturating_sub(1);
            cell.ready = cell.ready.saturating_sub(u32::from(instance.is_ready()));
        }
    }

    /// What would have to be ready there after all that was taken, and is not: how many there are, and how many there
    /// should be.
    pub(crate) fn breach(&self, node: &EdgeNodeId, isp: &Isp) -> Option<(u32, u32)> {
        let cell = self.cells.get(&(node.clone(), isp.clone()))?;
        let floor = self.min_ready.min(cell.held);
        (cell.ready < floor).then_some((cell.ready, floor))
    }
}
