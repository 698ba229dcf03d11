//! How an event changes what is believed. Pure and total: the same entries give the same state, and an event
//! about something unknown changes nothing. Instances have a file of their own, `apply::instance`. Decides nothing; whatever is counted is counted here, once.

mod instance;

use super::{State, TokenAnswer};
use crate::application::{Application, Phase, StatusDescription, Version};
use crate::event::{AcceptedOperation, Entry, Event, NewApplication, ReleaseCause};
use crate::fleet::Fleet;
use crate::id::{AccountId, AppId, Digest, OperationId, VersionName};
use crate::operation::{
    Operation, OperationKind, OperationStatus, STEPS_AT_MOST, Step, Subject, Tally, TargetState,
};
use crate::time::Now;
use imbl::Vector;
use std::sync::Arc;

pub(crate) use instance::cell_of;

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
                    self.change(app, now, |application| {
                        application.revision = application.revision.saturating_add(1);
                    });
                }
            }
            Event::InstanceObserved { instance, ready, pods } => self.observe(now, instance, *ready, pods),
            Event::InstanceGone { instance } => self.remove(now, instance),
            Event::ImagePinned { app, version, image, digest } => self.pin(app, version, image, digest),
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
            meta: Arc::new(new.meta.clone()),
            resources: Arc::new(new.resources.clone()),
            versions: Arc::new(vec![version]),
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

    /// The first pin stays: later ones are of engines that resolved at the same time.
    fn pin(&mut self, app: &AppId, version: &VersionName, image: &str, digest: &Digest) {
        let Some(application) = self.applications.get_mut(app) else { return };
        let application = Arc::make_mut(application);
        if let Some(found) =
            Arc::make_mut(&mut application.versions).iter_mut().find(|found| found.name == *version)
        {
            found.pins.entry(image.to_owned()).or_insert_with(|| digest.clone());
        }
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
            application.revision = application.revision.saturating_add(1);
            application.operation = Some(accepted.id.clone());
        });
        let revision = self.applications.get(app).map_or(0, |application| application.revision);
        let number = self.next_number;
        self.next_number = self.next_number.saturating_add(1);
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
            application.revision = application.revision.saturating_add(1);
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

pub(in crate::state) fn name_key(application: &Application) -> (AccountId, String, String) {
    (application.account.clone(), application.meta.cluster.clone(), application.meta.name.clone())
}
