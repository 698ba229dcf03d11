//! How events about instances change what is believed: wherever an instance is looked up, it is entered and taken
//! out here, and the operation that waits for it is told. Total, like all of `apply`.

use super::operation::push_step;
use crate::application::Version;
use crate::command::Protection;
use crate::event::{PlannedPlacement, ReleaseCause, ReleasedInstance};
use crate::id::{AppId, EdgeNodeId, InstanceId, OperationId, SpecName, VersionName};
use crate::instance::{Allocation, Instance, Pod, PodStatus};
use crate::operation::{Role, Target, TargetState};
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
            let own = planned.host.as_ref().and_then(|host| self.owned.get(host));
            let (spec, resources) = own.map_or((spec, resources), |own| (&own.spec, own.resources));
            let instance = Instance {
                id: planned.id.clone(),
                host: planned.host.clone(),
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
                untold: false,
                protected: false,
                unknown: false,
                ready: false,
                pods: pods.clone(),
            };
            self.add_target(operation, &instance, placement.item, None);
            if let Some(old) = planned.replaces.as_ref().and_then(|old| self.instances.get(old)).cloned() {
                self.add_target(operation, &old, placement.item, Some(&planned.id));
            }
            self.index(&cell, &instance);
            if let Some(host) = &planned.host {
                self.host(host, app, &planned.id);
            }
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
        self.cells.insert((cell.clone(), instance.id.clone()));
        if instance.is_held() {
            self.count_in(instance);
        }
    }

    fn count_in(&mut self, instance: &Instance) {
        let key = (instance.app.clone(), instance.node.clone(), instance.isp.clone());
        *self.held.entry(key).or_default() += 1;
    }

    fn count_out(&mut self, instance: &Instance) {
        let key = (instance.app.clone(), instance.node.clone(), instance.isp.clone());
        let left = self.held.get(&key).copied().unwrap_or_default().saturating_sub(1);
        if left == 0 {
            self.held.remove(&key);
        } else {
            self.held.insert(key, left);
        }
    }

    /// The other half; the two touch nothing in common. A hosted one takes the room of the instance it runs on, which is
    /// counted there.
    pub(in crate::state) fn index_by_node(&mut self, instance: &Instance) {
        self.instances_by_node.insert((instance.node.clone(), instance.id.clone()));
        self.deployments.insert(instance.deployment.clone());
        if instance.host.is_some() {
            return;
        }
        let used = self.used.entry(instance.node.clone()).or_default();
        *used = used.plus(instance.resources);
    }

    fn add_target(
        &mut self,
        operation: &OperationId,
        instance: &Instance,
        item: usize,
        replaced_by: Option<&InstanceId>,
    ) {
        let Some(found) = self.operations.get_mut(operation) else { return };
        let found = Arc::make_mut(found);
        let state = if instance.unknown { TargetState::OutOfReach } else { TargetState::Waiting };
        self.targets.insert(instance.id.clone(), (operation.clone(), found.targets.len()));
        found.targets.push_back(Target {
            instance: instance.id.clone(),
            node: instance.node.clone(),
            isp: instance.isp.clone(),
            item,
            state,
            replaced_by: replaced_by.cloned(),
            from: None,
        });
        *found.tally.of(state) += 1;
    }

    pub(super) fn release(
        &mut self,
        now: Now,
        operation: &OperationId,
        cause: &ReleaseCause,
        released: &ReleasedInstance,
    ) {
        let Some(instance) = self.instances.get_mut(&released.id) else { return };
        let was_held = instance.is_held();
        if was_held {
            let instance = Arc::make_mut(instance);
            instance.allocation = Allocation::Releasing;
            instance.cause = Some(cause.text());
            instance.untold = self.unreachable.contains_key(&instance.node);
        }
        let instance = instance.clone();
        if was_held {
            self.count_out(&instance);
        }
        match cause {
            ReleaseCause::Asked => self.add_target(operation, &instance, released.item, None),
            // They are targets already, and wanted gone from here on.
            ReleaseCause::Undone | ReleaseCause::Moved => {
                let state = if instance.unknown { TargetState::OutOfReach } else { TargetState::Waiting };
                self.move_target(&released.id, state);
            }
            ReleaseCause::Deadline
            | ReleaseCause::Hopeless { .. }
            | ReleaseCause::Canceled
            | ReleaseCause::NodeLost => self.give_up(now, operation, cause, &instance),
        }
    }

    /// Whoever waits for it waits no more, nor does a Move for the instance that was to make room for it.
    fn give_up(&mut self, now: Now, operation: &OperationId, cause: &ReleaseCause, instance: &Instance) {
        let owner = self.targets.get(&instance.id).map_or(operation, |(owner, _)| owner).clone();
        if self.role_of(&instance.id) == Some(Role::Comes) {
            self.move_target(&instance.id, TargetState::GivenUp);
            self.targets.remove(&instance.id);
            for stays in self.makes_room_for(&owner, &instance.id) {
                self.move_target(&stays, TargetState::GivenUp);
                self.targets.remove(&stays);
            }
        }
        let said = last_word(cause, instance);
        let text =
            format!("`{}` on `{}` is given up: {}{said}", instance.shown_id(), instance.node, cause.text());
        self.note(now, &owner, text);
    }

    /// The instances of a Move that still wait for `new` to be ready.
    fn makes_room_for(&self, operation: &OperationId, new: &InstanceId) -> Vec<InstanceId> {
        let Some(found) = self.operations.get(operation) else { return Vec::new() };
        let pairs = found.targets.iter().filter(|target| target.replaced_by.as_ref() == Some(new));
        let held =
            pairs.filter(|target| self.instances.get(&target.instance).is_some_and(|old| old.is_held()));
        held.map(|target| target.instance.clone()).collect()
    }

    fn role_of(&self, id: &InstanceId) -> Option<Role> {
        let (operation, at) = self.targets.get(id)?;
        let operation = self.operations.get(operation)?;
        operation.targets.get(*at).map(|target| operation.role(target))
    }

    /// It is held again, and how it is was never in doubt to anybody but us.
    pub(super) fn revive(&mut self, now: Now, operation: &OperationId, id: &InstanceId) {
        let Some(instance) = self.instances.get_mut(id).filter(|instance| !instance.is_held()) else {
            return;
        };
        let instance = Arc::make_mut(instance);
        instance.allocation = Allocation::Held;
        instance.cause = None;
        instance.untold = false;
        let text = format!(
            "`{}` on `{}` stays: nobody there was told to stop it",
            instance.shown_id(),
            instance.node
        );
        let instance = instance.clone();
        self.count_in(&instance);
        self.move_target(id, TargetState::GivenUp);
        self.targets.remove(id);
        self.note(now, operation, text);
    }

    pub(super) fn protect(&mut self, id: &InstanceId, protection: Protection) {
        if let Some(instance) = self.instances.get_mut(id) {
            Arc::make_mut(instance).protected = protection == Protection::On;
        }
    }

    pub(super) fn observe(&mut self, now: Now, id: &InstanceId, ready: bool, changed: &[Pod]) {
        let Some(instance) = self.instances.get_mut(id) else { return };
        let instance = Arc::make_mut(instance);
        let (before, was_unknown) = (instance.is_ready(), instance.unknown);
        instance.unknown = false;
        instance.ready = ready;
        for pod in changed {
            let known = instance.pods.iter_mut().find(|p| p.index == pod.index && p.workload == pod.workload);
            if let Some(known) = known {
                *known = pod.clone();
            }
        }
        if before != ready || was_unknown {
            self.condition_changed(now, id);
        }
    }

    pub(super) fn lose_sight_of(&mut self, now: Now, node: &EdgeNodeId) {
        self.unreachable.entry(node.clone()).or_insert(now.wall);
        let ids: Vec<InstanceId> = self.instances_on(node).map(|instance| instance.id.clone()).collect();
        for id in ids {
            let Some(instance) = self.instances.get_mut(&id).filter(|instance| !instance.unknown) else {
                continue;
            };
            Arc::make_mut(instance).unknown = true;
            self.condition_changed(now, &id);
        }
    }

    /// Whoever runs the node takes what is wanted there again.
    pub(super) fn sees_again(&mut self, node: &EdgeNodeId) {
        self.unreachable.remove(node);
        let ids: Vec<InstanceId> = self
            .instances_on(node)
            .filter(|instance| instance.untold)
            .map(|instance| instance.id.clone())
            .collect();
        for id in ids {
            if let Some(instance) = self.instances.get_mut(&id) {
                Arc::make_mut(instance).untold = false;
            }
        }
    }

    /// An operation counts what is ready now: what stops being so counts no more. It waits for nothing that cannot
    /// be reached.
    fn condition_changed(&mut self, now: Now, id: &InstanceId) {
        let (Some((operation, at)), Some(role)) = (self.targets.get(id).cloned(), self.role_of(id)) else {
            return;
        };
        let Some(instance) = self.instances.get(id).cloned() else { return };
        let found = self.operations.get(&operation);
        let target = found.and_then(|found| Some((found, found.targets.get(at)?)));
        let before = target.map(|(_, target)| target.state);
        // Until its turn comes, an instance that is to be upgraded is what it was.
        let goal = target.and_then(|(found, target)| found.goal(target));
        let runs_its_goal = goal.is_none_or(|goal| *goal == instance.version);
        let state = match (role, instance.unknown) {
            (_, true) => TargetState::OutOfReach,
            (Role::Comes, false) if instance.is_ready() && runs_its_goal => TargetState::Done,
            (Role::Comes | Role::Goes, false) => TargetState::Waiting,
        };
        let word = match (state, before) {
            (_, None) => return,
            (now, Some(before)) if now == before => return,
            (TargetState::Done, _) => "is ready",
            (TargetState::OutOfReach, _) => "cannot be reached any more",
            (_, Some(TargetState::OutOfReach)) => "can be reached again",
            (_, Some(_)) => "is not ready any more",
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
        self.instances_by_node.remove(&(instance.node.clone(), id.clone()));
        self.deployments.remove(&instance.deployment);
        if instance.is_held() {
            self.count_out(&instance);
        }
        self.cells.remove(&(cell_of(&instance), id.clone()));
        match &instance.host {
            Some(host) => self.give_back(host),
            None => self.free(&instance.node, instance.resources),
        }
        self.remember_gone(Gone { instance: Arc::unwrap_or_clone(instance), at: now.wall }, now);
    }

    pub(super) fn free(&mut self, node: &EdgeNodeId, resources: Resources) {
        let left = self.used(node).minus(resources);
        if left == Resources::default() {
            self.used.remove(node);
        } else {
            self.used.insert(node.clone(), left);
        }
    }

    pub(super) fn move_target(&mut self, instance: &InstanceId, to: TargetState) {
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
        let (done, wanted) = (found.settled(), found.wanted());
        let text = format!("`{}` on `{}` {word} ({done} of {wanted})", instance.shown_id(), instance.node);
        self.note(now, operation, text);
    }

    pub(super) fn note(&mut self, now: Now, operation: &OperationId, text: String) {
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

pub(super) fn planned_pods(version: &Version) -> Vec<Pod> {
    let pods = version.workloads.iter().flat_map(|workload| {
        (0..workload.pod_count).map(|index| Pod {
            workload: workload.name.clone(),
            index,
            status: PodStatus::Pending,
            address: None,
            exposed_at: None,
            restarts: 0,
            message: String::new(),
        })
    });
    pods.collect()
}

/// What its pods said of themselves when the time was up: a hopeless instance has its reason already.
fn last_word(cause: &ReleaseCause, instance: &Instance) -> String {
    match cause {
        ReleaseCause::Asked
        | ReleaseCause::Hopeless { .. }
        | ReleaseCause::Undone
        | ReleaseCause::Moved
        | ReleaseCause::NodeLost => String::new(),
        ReleaseCause::Deadline | ReleaseCause::Canceled => {
            let said = instance.pods.iter().map(|pod| &pod.message).find(|message| !message.is_empty());
            said.map_or_else(String::new, |message| format!(" ({message})"))
        }
    }
}
