//! What decisions are written on: a state that believes each event as soon as it is decided, the events in their
//! order, and the cells that engines have to be told about. The state it was made on stays as it was.

use crate::event::Event;
use crate::state::{State, cell_of};
use crate::time::Now;
use crate::wanted::CellKey;
use std::collections::BTreeSet;

#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) state: State,
    pub(crate) now: Now,
    events: Vec<Event>,
    dirty: BTreeSet<CellKey>,
}

impl Draft {
    pub(crate) fn on(state: &State, now: Now) -> Self {
        Self { state: state.clone(), now, events: Vec::new(), dirty: BTreeSet::new() }
    }

    pub(crate) fn emit(&mut self, event: Event) {
        self.mark(&event);
        self.state.apply_event(self.now, &event);
        self.events.push(event);
    }

    pub(crate) fn events(&self) -> &[Event] {
        &self.events
    }

    pub(crate) fn into_events(self) -> Vec<Event> {
        self.events
    }

    /// Takes out what was decided; the draft goes on from the state as it is now.
    pub(crate) fn take(&mut self) -> (Vec<Event>, BTreeSet<CellKey>) {
        (std::mem::take(&mut self.events), std::mem::take(&mut self.dirty))
    }

    /// Notes the cells that `event` changes, before it is applied: an instance that goes is still known then.
    fn mark(&mut self, event: &Event) {
        match event {
            Event::InstancesPlanned { app, version, placements, .. } => {
                self.dirty.extend(placements.iter().map(|placement| placement.cell(app, version)));
            }
            Event::InstancesReleasing { instances, .. } => {
                for released in instances {
                    let cell = self.state.instances.get(&released.id).map(|instance| cell_of(instance));
                    self.dirty.extend(cell);
                }
            }
            Event::InstancesRedeployed { version, instances, .. } => {
                for redeployed in instances {
                    let Some(instance) = self.state.instances.get(&redeployed.id) else { continue };
                    let old = cell_of(instance);
                    self.dirty.insert(CellKey { version: version.clone(), ..old.clone() });
                    self.dirty.insert(old);
                }
            }
            Event::InstanceGone { instance } => {
                let cell = self.state.instances.get(instance).map(|instance| cell_of(instance));
                self.dirty.extend(cell);
            }
            Event::InstancesRevived { instances, .. } => {
                for instance in instances {
                    let cell = self.state.instances.get(instance).map(|instance| cell_of(instance));
                    self.dirty.extend(cell);
                }
            }
            // Now they can be told what was released meanwhile.
            Event::NodesReachable { nodes } => {
                let back = nodes.iter().flat_map(|node| self.state.instances_on(node));
                self.dirty.extend(back.filter(|found| found.untold).map(|found| cell_of(found)));
            }
            // Every cell of the version runs its images.
            Event::ImagePinned { app, version, .. } => self.dirty.extend(self.state.cells_of(app, version)),
            Event::FleetInstalled { .. }
            | Event::ApplicationCreated { .. }
            | Event::OperationAccepted { .. }
            | Event::InstanceObserved { .. }
            | Event::InstancesProtected { .. }
            | Event::OwnInstancesCreated { .. }
            | Event::OwnInstanceReleased { .. }
            | Event::ApplicationModified { .. }
            | Event::VersionCreated { .. }
            | Event::VersionDeleted { .. }
            | Event::StableVersionMoved { .. }
            | Event::RolloutPlanned { .. }
            | Event::RolloutChecked { .. }
            | Event::NodeDraining { .. }
            | Event::NodeResumed { .. }
            | Event::OperationUndoing { .. }
            | Event::NodesUnreachable { .. }
            | Event::OperationEnded { .. }
            | Event::ApplicationDeleted { .. } => {}
        }
    }
}
