//! How an event changes what is believed. Pure and total: the same entries give the same state, and an event
//! about something unknown changes nothing. Decides nothing; whatever is counted is counted here, once.

use super::{Gone, State, TokenAnswer};
use crate::application::{Application, Phase, StatusDescription, Version};
use crate::event::{
    AcceptedOperation, Entry, Event, NewApplication, PlannedPlacement, ReleaseCause, ReleasedInstance,
};
use crate::fleet::Fleet;
use crate::id::{AppId, EdgeNodeId, InstanceId, OperationId, SpecName, VersionName};
use crate::instance::{Allocation, Instance, Pod, PodStatus};
use crate::operation::{
    Operation, OperationKind, OperationStatus, STEPS_AT_MOST, Step, Subject, Tally, Target, TargetState,
};
use crate::spec::Resources;
use crate::time::Now;
use crate::wanted::CellKey;
use imbl::Vector;
use std::sync::Arc;

impl State {
    /// Believes everything one log entry says.
    pub fn apply(&mut self, entry: &Entry) {
        for event in &entry.events {
            self.apply_event(entry.now, event);
        }
        self.seal(entry);
    }

    /// Takes over what an entry says about itself; its events have been applied one by one.
    pub(crate) fn seal(&mut self, entry: &Entry) {
        self.sequence = entry.sequence;
        self.last = entry.now;
        self.epoch = entry.epoch;
    }

    pub(crate) fn apply_event(&mut self, now: Now, event: &Event) {
        match event {
            Event::FleetInstalled { fleet } => self.install(fleet),
            Event::ApplicationCreated { application } => self.create(now, application),
            Event::OperationAccepted { operation } => self.accept(now, operation),
            Event::InstancesPlanned { operation, app, version, spec, resources, placements } => {
                for placement in placements {
                    self.plan(now, operation, app, version, (spec, *resources), placement);
                }
            }
            Event::InstancesReleasing { operation, app, cause, instances } => {
                for released in instances {
                    self.release(now, operation, cause, released);
                }
                if *cause != ReleaseCause::Asked {
                    self.change(app, now, |application| application.revision += 1);
                }
            }
            Event::InstanceObserved { instance, ready, pods } => self.observe(now, instance, *ready, pods),
            Event::InstanceGone { instance } => self.remove(now, instance),
            Event::NodesUnreachable { nodes } => nodes.iter().for_each(|node| self.lose_sight_of(now, node)),
            Event::NodesReachable { nodes } => {
                for node in nodes {
                    self.unreachable.remove(node);
                }
            }
            Event::OperationEnded { operation, status, outcome, description } => {
                self.end(now, operation, *status, outcome, description);
            }
            Event::ApplicationDeleted { app } => self.delete(app),
        }
    }

    pub(super) fn install(&mut self, fleet: &Arc<Fleet>) {
        let places = fleet.nodes.iter().enumerate().map(|(place, node)| (node.id.clone(), place));
        self.places = Arc::new(places.collect());
        self.fleet = fleet.clone();
    }

    fn create(&mut self, now: Now, new: &NewApplication) {
        let version = Version {
            name: new.version.clone(),
            description: String::new(),
            created_at: now.wall,
            workloads: new.workloads.clone(),
            pins: new.pins.clone(),
        };
        let status = StatusDescription {
            status: "CREATE_WAITING".into(),
            step: "INIT".into(),
            description: String::new(),
            started_at: now.wall,
        };
        let application = Application {
            id: new.app.clone(),
            account: new.account.clone(),
            meta: new.meta.clone(),
            resources: new.resources.clone(),
            versions: vec![version],
            stable_version: new.version.clone(),
            phase: Phase::Creating,
            status,
            created_at: now.wall,
            updated_at: now.wall,
            revision: 0,
            operation: None,
        };
        self.apps_by_account.insert((new.account.clone(), new.app.clone()));
        self.apps_by_name.insert(name_key(&application), new.app.clone());
        self.applications.insert(new.app.clone(), Arc::new(application));
    }

    fn accept(&mut self, now: Now, accepted: &AcceptedOperation) {
        let Subject::Application(app) = &accepted.subject;
        let kind = accepted.kind;
        let (phase, step) = match kind {
            OperationKind::Create => (Phase::Creating, "DEPLOY_CONTAINER"),
            OperationKind::Add => (Phase::Updating, "DEPLOY_CONTAINER"),
            OperationKind::Del => (Phase::Updating, "RELEASE_CONTAINER"),
            OperationKind::Delete => (Phase::Deleting, "RELEASE_CONTAINER"),
        };
        self.change(app, now, |application| {
            application.phase = phase;
            application.status = StatusDescription {
                status: format!("{}_RUNNING", prefix(kind)),
                step: step.into(),
                description: accepted.description.clone(),
                started_at: now.wall,
            };
            application.revision += 1;
            application.operation = Some(accepted.id.clone());
        });
        let revision = self.applications.get(app).map_or(0, |application| application.revision);
        let number = self.next_number;
        self.next_number += 1;
        let operation = Operation {
            id: accepted.id.clone(),
            number,
            account: accepted.account.clone(),
            subject: accepted.subject.clone(),
            kind,
            action: accepted.action.clone(),
            caller: accepted.caller.clone(),
            parameters: accepted.parameters.clone(),
            revision,
            accepted_at: now.wall,
            timeout_s: accepted.timeout_s,
            deadline: accepted.deadline,
            deadline_at: accepted.deadline_at,
            ended_at: None,
            status: OperationStatus::Running,
            items: accepted.items.clone(),
            targets: Vector::new(),
            tally: Tally::default(),
            skipped: accepted.skipped.clone(),
            steps: Vector::unit(Step { at: now.wall, text: format!("accepted: {}", accepted.description) }),
            outcome: None,
        };
        self.operations_by_account.insert((accepted.account.clone(), number), accepted.id.clone());
        self.operations_by_app.insert((app.clone(), number), accepted.id.clone());
        self.deadlines.insert((accepted.deadline, accepted.id.clone()));
        self.operations.insert(accepted.id.clone(), Arc::new(operation));
        if let Some(token) = &accepted.client_token {
            let (fingerprint, at) = (token.fingerprint.clone(), now.wall);
            let answer =
                TokenAnswer { fingerprint, at, operation: accepted.id.clone(), app: app.clone(), revision };
            self.remember_token(&accepted.account, &accepted.action, token, answer);
        }
        if let Some(nonce) = &accepted.nonce {
            self.remember_nonce(nonce, now.wall);
        }
    }

    fn plan(
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
    pub(super) fn index(&mut self, cell: &CellKey, instance: &Instance) {
        self.instances_by_app.insert((instance.app.clone(), instance.id.clone()));
        self.instances_by_node.insert((instance.node.clone(), instance.id.clone()));
        self.cells.entry(cell.clone()).or_default().insert(instance.id.clone());
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

    fn release(
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
                let text = format!("`{}` on `{}` is given up: {}", instance.id, instance.node, cause.text());
                self.note(now, operation, text);
            }
        }
    }

    fn observe(&mut self, now: Now, id: &InstanceId, ready: bool, changed: &[Pod]) {
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

    fn lose_sight_of(&mut self, now: Now, node: &EdgeNodeId) {
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

    fn remove(&mut self, now: Now, id: &InstanceId) {
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

    fn end(&mut self, now: Now, id: &OperationId, status: OperationStatus, outcome: &str, description: &str) {
        let Some(operation) = self.operations.get_mut(id).filter(|operation| operation.is_running()) else {
            return;
        };
        let operation = Arc::make_mut(operation);
        operation.status = status;
        operation.ended_at = Some(now.wall);
        operation.outcome = Some(outcome.to_owned());
        for target in operation.targets.iter_mut().filter(|target| target.state == TargetState::Waiting) {
            target.state = TargetState::GivenUp;
        }
        operation.tally.given_up += std::mem::take(&mut operation.tally.waiting);
        push_step(operation, now, outcome.to_owned());
        let operation = operation.clone();
        for target in &operation.targets {
            if self.targets.get(&target.instance).is_some_and(|(owner, _)| owner == id) {
                self.targets.remove(&target.instance);
            }
        }
        self.deadlines.remove(&(operation.deadline, id.clone()));
        let Subject::Application(app) = &operation.subject;
        self.change(app, now, |application| {
            application.revision += 1;
            application.operation = None;
            let (phase, end) = match (status, operation.kind) {
                (OperationStatus::Running | OperationStatus::Superseded | OperationStatus::Canceled, _) => {
                    return;
                }
                (OperationStatus::Succeeded, OperationKind::Delete) => (Phase::Deleting, "SUCCESS"),
                (OperationStatus::Succeeded, _) => (Phase::Running, "SUCCESS"),
                (OperationStatus::Failed, OperationKind::Create) => (Phase::CreateFailed, "FAILED"),
                (OperationStatus::Failed, OperationKind::Add | OperationKind::Del) => {
                    (Phase::UpdateFailed, "FAILED")
                }
                (OperationStatus::Failed, OperationKind::Delete) => (Phase::DeleteFailed, "FAILED"),
            };
            application.phase = phase;
            application.status.status = format!("{}_{end}", prefix(operation.kind));
            application.status.description = description.to_owned();
            if status == OperationStatus::Succeeded {
                application.status.step = "DONE".into();
            }
        });
        self.remember_ended(&operation.account, id, now.wall, now.wall);
    }

    fn delete(&mut self, app: &AppId) {
        let Some(application) = self.applications.remove(app) else { return };
        self.apps_by_account.remove(&(application.account.clone(), app.clone()));
        self.apps_by_name.remove(&name_key(&application));
    }

    fn change(&mut self, app: &AppId, now: Now, change: impl FnOnce(&mut Application)) {
        let Some(application) = self.applications.get_mut(app) else { return };
        let application = Arc::make_mut(application);
        application.updated_at = now.wall;
        change(application);
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

fn push_step(operation: &mut Operation, now: Now, text: String) {
    operation.steps.push_back(Step { at: now.wall, text });
    // The first one says what was asked, so it stays; the oldest after it goes.
    if operation.steps.len() > STEPS_AT_MOST {
        operation.steps.remove(1);
    }
}

/// `AppStatus.StatusDescrip.status` is this with `_RUNNING`, `_SUCCESS` or `_FAILED` (ens-api.md §1.2).
fn prefix(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::Create => "CREATE",
        OperationKind::Add | OperationKind::Del => "UPDATE",
        OperationKind::Delete => "DELETE",
    }
}

pub(super) fn name_key(application: &Application) -> (crate::id::AccountId, String, String) {
    (application.account.clone(), application.meta.cluster.clone(), application.meta.name.clone())
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
