//! How events about instances change what is believed: wherever an instance is looked up, it is entered and taken
//! out here, and the operation that waits for it is told. Total, like all of `apply`.

use super::push_step;
use crate::application::Version;
use crate::event::{PlannedPlacement, ReleaseCause, ReleasedInstance};
use crate::id::{AppId, EdgeNodeId, InstanceId, OperationId, SpecName, VersionName};
use crate::instance::{Allocation, Instance, Pod, PodStatus};
use crate::operation::{Target, TargetState};
use crate::spec::Resources;
use crate::state::{Gone, State};
use crate::time::Now;
use crate::wanted::CellKey;
use std::sync::Arc;

impl State {
    pub(super) fn plan(
        &mut self,
        now: Now,
        operation: &OperationId,
        app: &AppId,
        version: &VersionName,
        (spec, resources): (&SpecName, Resources),
        placement: &PlannedPlacement,
    ) {
        let Some(application) = self.applications.get(app).cloned() else { return };
        let pods = application.version(version).map(planned_pods).unwrap_or_default();
        let cell = placement.cell(app, version);
        for planned in &placement.instances {
            let instance = Instance {
                id: planned.id.clone(),
                account: application.account.clone(),
                app: app.clone(),
                version: version.clone(),
                node: placement.node.clone(),
                isp: placement.isp.clone(),
                spec: spec.clone(),
                resources,
                origin: placement.origin,
                scope: placement.scope.clone(),
                operation: operation.clone(),
                deployment: planned.deployment.clone(),
                created_at: now.wall,
                allocation: Allocation::Held,
                cause: None,
                unknown: false,
                ready: false,
                pods: pods.clone(),
            };
            self.add_target(operation, &instance, placement.item);
            self.index(&cell, &instance);
            self.instances.insert(planned.id.clone(), Arc::new(instance));
        }
    }

    /// Enters an instance wherever it is looked up; the instance itself is inserted by the caller.
    pub(in crate::state) fn index(&mut self, cell: &CellKey, instance: &Instance) {
        self.index_by_application(cell, instance);
        self.index_by_node(instance);
    }

    /// The half of [`Self::index`] that leads from applications to instances.
    pub(in crate::state) fn index_by_application(&mut self, cell: &CellKey, instance: &Instance) {
        self.instances_by_app.insert((instance.app.clone(), instance.id.clone()));
        self.cells.entry(cell.clone()).or_default().insert(instance.id.clone());
    }

    /// The other half; the two touch nothing in common.
    pub(in crate::state) fn index_by_node(&mut self, instance: &Instance) {
        self.instances_by_node.insert((instance.node.clone(), instance.id.clone()));
        self.deployments.insert(instance.deployment.clone());
        let used = self.used.entry(instance.node.clone()).or_default();
        *used = used.plus(instance.resources);
    }

    fn add_target(&mut self, operation: &OperationId, instance: &Instance, item: usize) {
        let Some(found) = self.operations.get_mut(operation) else { return };
        let found = Arc::make_mut(found);
        self.targets.insert(instance.id.clone(), (operation.clone(), found.targets.len()));
        found.targets.push_back(Target {
            instance: instance.id.clone(),
            node: instance.node.clone(),
            isp: instance.isp.clone(),
            item,
            state: TargetState::Waiting,
        });
        found.tally.waiting += 1;
    }

    pub(super) fn release(
        &mut self,
        now: Now,
        operation: &OperationId,
        cause: &ReleaseCause,
        released: &ReleasedInstance,
    ) {
        let Some(instance) = self.instances.get_mut(&released.id) else { return };
        if instance.is_held() {
            let instance = Arc::make_mut(instance);
            instance.allocation = Allocation::Releasing;
            instance.cause = Some(cause.text());
        }
        let instance = instance.clone();
        match cause {
            ReleaseCause::Asked => self.add_target(operation, &instance, released.item),
            ReleaseCause::Deadline | ReleaseCause::Hopeless { .. } => {
                self.move_target(&released.id, TargetState::GivenUp);
                self.targets.remove(&released.id);
                let text = format!(
                    "`{}` on `{}` is given up: {}{}",
                    instance.id,
                    instance.node,
                    cause.text(),
                    last_word(cause, &instance)
                );
                self.note(now, operation, text);
            }
        }
    }

    pub(super) fn observe(&mut self, now: Now, id: &InstanceId, ready: bool, changed: &[Pod]) {
        let Some(instance) = self.instances.get_mut(id) else { return };
        let instance = Arc::make_mut(instance);
        let before = instance.is_ready();
        instance.unknown = false;
        instance.ready = ready;
        for pod in changed {
            let known = instance.pods.iter_mut().find(|p| p.index == pod.index && p.workload == pod.workload);
            if let Some(known) = known {
                *known = pod.clone();
            }
        }
        if before != ready {
            self.readiness_changed(now, id);
        }
    }

    pub(super) fn lose_sight_of(&mut self, now: Now, node: &EdgeNodeId) {
        self.unreachable.insert(node.clone());
        let ids: Vec<InstanceId> = self.instances_on(node).map(|instance| instance.id.clone()).collect();
        for id in ids {
            let Some(instance) = self.instances.get_mut(&id).filter(|instance| !instance.unknown) else {
                continue;
            };
            let instance = Arc::make_mut(instance);
            let before = instance.is_ready();
            instance.unknown = true;
            if before {
                self.readiness_changed(now, &id);
            }
        }
    }

    /// An operation that adds counts what is ready now: what stops being so counts no more.
    fn readiness_changed(&mut self, now: Now, id: &InstanceId) {
        let Some((operation, _)) = self.targets.get(id).cloned() else { return };
        let adds = self.operations.get(&operation).is_some_and(|operation| operation.kind.adds());
        let Some(instance) = self.instances.get(id).filter(|_| adds).cloned() else { return };
        let (state, word) = match (instance.is_ready(), instance.unknown) {
            (true, _) => (TargetState::Done, "is ready"),
            (false, true) => (TargetState::Waiting, "cannot be reached any more"),
            (false, false) => (TargetState::Waiting, "is not ready any more"),
        };
        self.move_target(id, state);
        self.note_progress(now, &operation, &instance, word);
    }

    pub(super) fn remove(&mut self, now: Now, id: &InstanceId) {
        let Some(instance) = self.instances.remove(id) else { return };
        if let Some((operation, _)) = self.targets.get(id).cloned() {
            self.move_target(id, TargetState::Done);
            self.targets.remove(id);
            self.note_progress(now, &operation, &instance, "is gone");
        }
        self.instances_by_app.remove(&(instance.app.clone(), id.clone()));
        self.instances_by_node.remove(&(instance.node.clone(), id.clone()));
        self.deployments.remove(&instance.deployment);
        let cell = cell_of(&instance);
        if let Some(ids) = self.cells.get_mut(&cell) {
            ids.remove(id);
            if ids.is_empty() {
                self.cells.remove(&cell);
            }
        }
        let left = self.used(&instance.node).minus(instance.resources);
        if left == Resources::default() {
            self.used.remove(&instance.node);
        } else {
            self.used.insert(instance.node.clone(), left);
        }
        self.remember_gone(Gone { instance: Arc::unwrap_or_clone(instance), at: now.wall }, now);
    }

    fn move_target(&mut self, instance: &InstanceId, to: TargetState) {
        let Some((operation, at)) = self.targets.get(instance) else { return };
        let Some(operation) = self.operations.get_mut(operation) else { return };
        let operation = Arc::make_mut(operation);
        let Some(target) = operation.targets.get_mut(*at) else { return };
        let from = std::mem::replace(&mut target.state, to);
        *operation.tally.of(from) -= 1;
        *operation.tally.of(to) += 1;
    }

    fn note_progress(&mut self, now: Now, operation: &OperationId, instance: &Instance, word: &str) {
        let Some(found) = self.operations.get(operation) else { return };
        let (done, wanted) = (found.done(), found.wanted());
        let text = format!("`{}` on `{}` {word} ({done} of {wanted})", instance.id, instance.node);
        self.note(now, operation, text);
    }

    fn note(&mut self, now: Now, operation: &OperationId, text: String) {
        if let Some(operation) = self.operations.get_mut(operation) {
            push_step(Arc::make_mut(operation), now, text);
        }
    }
}

pub(crate) fn cell_of(instance: &Instance) -> CellKey {
    CellKey {
        app: instance.app.clone(),
        version: instance.version.clone(),
        node: instance.node.clone(),
        isp: instance.isp.clone(),
    }
}

fn planned_pods(version: &Version) -> Vec<Pod> {
    let pods = version.workloads.iter().flat_map(|workload| {
        (0..workload.pod_count).map(|index| Pod {
            workload: workload.name.clone(),
            index,
            status: PodStatus::Pending,
            address: None,
            restarts: 0,
            message: String::new(),
        })
    });
    pods.collect()
}

/// What its pods said of themselves when the time was up: a hopeless instance has its reason already.
fn last_word(cause: &ReleaseCause, instance: &Instance) -> String {
    match cause {
        ReleaseCause::Asked | ReleaseCause::Hopeless { .. } => String::new(),
        ReleaseCause::Deadline => {
            let said = instance.pods.iter().map(|pod| &pod.message).find(|message| !message.is_empty());
            said.map_or_else(String::new, |message| format!(" ({message})"))
        }
    }
}
