//! How much of everything there is, and what one entry of the log changed, over all accounts: for the operator's
//! metrics. Counts only, so that no permit is needed; nobody can be told from them.

use crate::event::{Entry, Event};
use crate::instance::{InstanceStatus, Pod, PodStatus};
use crate::operation::{OperationKind, OperationStatus};
use crate::state::State;

/// How much there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    pub applications: u64,
    /// In the order of [`InstanceStatus::ALL`].
    pub instances: [u64; InstanceStatus::ALL.len()],
    /// In the order of [`OperationKind::ALL`].
    pub operations_running: [u64; OperationKind::ALL.len()],
    pub nodes_reachable: u64,
    pub nodes_unreachable: u64,
}

/// What an entry of the log changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub operations_ended: Vec<(OperationKind, OperationStatus)>,
    /// Pods that were seen running and were not before.
    pub pods_started: u64,
    /// Pods that were seen failed and were not before.
    pub pods_failed: u64,
    /// Containers started again after they ended.
    pub restarts: u64,
}

/// Counts what there is. Looks at every instance once.
pub fn census(state: &State) -> Census {
    let mut census = Census {
        applications: state.applications.len() as u64,
        nodes_unreachable: state.unreachable.len() as u64,
        ..Census::default()
    };
    census.nodes_reachable = (state.fleet.nodes.len() as u64).saturating_sub(census.nodes_unreachable);
    for instance in state.instances.values() {
        census.instances[instance.status() as usize] += 1;
    }
    for (_, id) in state.deadlines.iter() {
        if let Some(operation) = state.operations.get(id) {
            census.operations_running[operation.kind as usize] += 1;
        }
    }
    census
}

/// What `entry` changed on `before`, the state that it was applied to.
pub fn changes(before: &State, entry: &Entry) -> Changes {
    let mut changes = Changes::default();
    // Accepted and ended within one entry: the state before does not know it.
    let accepted_here = |id: &crate::id::OperationId| {
        entry.events.iter().find_map(|event| match event {
            Event::OperationAccepted { operation } if operation.id == *id => Some(operation.kind),
            _ => None,
        })
    };
    for event in &entry.events {
        match event {
            Event::OperationEnded { operation, status, .. } => {
                let known = before.operations.get(operation).map(|operation| operation.kind);
                changes
                    .operations_ended
                    .extend(known.or_else(|| accepted_here(operation)).map(|kind| (kind, *status)));
            }
            Event::InstanceObserved { instance, pods, .. } => {
                let known = before.instances.get(instance).map_or(&[][..], |instance| &instance.pods);
                for pod in pods {
                    changes.count_pod(known, pod);
                }
            }
            Event::FleetInstalled { .. }
            | Event::ApplicationCreated { .. }
            | Event::OperationAccepted { .. }
            | Event::InstancesPlanned { .. }
            | Event::InstancesReleasing { .. }
            | Event::InstanceGone { .. }
            | Event::ImagePinned { .. }
            | Event::InstancesRevived { .. }
            | Event::InstancesProtected { .. }
            | Event::OwnInstancesCreated { .. }
            | Event::OwnInstanceReleased { .. }
            | Event::ApplicationModified { .. }
            | Event::VersionCreated { .. }
            | Event::VersionDeleted { .. }
            | Event::StableVersionMoved { .. }
            | Event::RolloutPlanned { .. }
            | Event::InstancesRedeployed { .. }
            | Event::RolloutChecked { .. }
            | Event::NodeDraining { .. }
            | Event::NodeResumed { .. }
            | Event::OperationUndoing { .. }
            | Event::NodesUnreachable { .. }
            | Event::NodesReachable { .. }
            | Event::ApplicationDeleted { .. } => {}
        }
    }
    changes
}

impl Changes {
    fn count_pod(&mut self, known: &[Pod], pod: &Pod) {
        let before = known.iter().find(|known| known.workload == pod.workload && known.index == pod.index);
        let was = before.map_or(PodStatus::Pending, |before| before.status);
        if pod.status != was {
            match pod.status {
                // Unknown and back is no start.
                PodStatus::Running if was != PodStatus::Unknown => self.pods_started += 1,
                PodStatus::Failed => self.pods_failed += 1,
                PodStatus::Running
                | PodStatus::Unknown
                | PodStatus::Stopped
                | PodStatus::Pending
                | PodStatus::Pulling
                | PodStatus::Starting => {}
            }
        }
        self.restarts += u64::from(pod.restarts.saturating_sub(before.map_or(0, |before| before.restarts)));
    }
}
