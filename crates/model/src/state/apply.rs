//! How an event changes what is believed. Pure and total: the same entries give the same state, and an event
//! about something unknown changes nothing. Operations and instances have files of their own. Decides nothing;
//! whatever is counted is counted here, once.

mod instance;
mod operation;
mod own_instance;
mod version;

use super::{Draining, State};
use crate::application::{Application, Phase, StatusDescription, Version};
use crate::event::{Entry, Event, NewApplication, ReleaseCause};
use crate::fleet::Fleet;
use crate::id::{AccountId, AppId, Digest, EdgeNodeId, OperationId, VersionName};
use crate::time::Now;
use std::collections::BTreeSet;
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
                    self.change(app, now, raise_revision);
                }
            }
            Event::InstanceObserved { instance, ready, pods } => self.observe(now, instance, *ready, pods),
            Event::InstanceGone { instance } => self.remove(now, instance),
            Event::ImagePinned { app, version, image, digest } => self.pin(app, version, image, digest),
            Event::NodesUnreachable { nodes } => nodes.iter().for_each(|node| self.lose_sight_of(now, node)),
            Event::NodesReachable { nodes } => nodes.iter().for_each(|node| self.sees_again(node)),
            Event::InstancesRevived { operation, app, instances } => {
                instances.iter().for_each(|instance| self.revive(now, operation, instance));
                self.change(app, now, raise_revision);
            }
            Event::InstancesProtected { app, instances, protection } => {
                instances.iter().for_each(|instance| self.protect(instance, *protection));
                self.change(app, now, |_| {});
            }
            Event::OwnInstancesCreated { instances } => {
                instances.iter().for_each(|instance| self.own(instance));
            }
            Event::OwnInstanceReleased { instance } => self.disown(now, instance),
            Event::VersionCreated { app, version } => self.create_version(now, app, version),
            Event::VersionDeleted { app, version } => self.delete_version(now, app, version),
            Event::StableVersionMoved { app, version } => self.move_stable_version(now, app, version),
            Event::RolloutPlanned { operation, rollout, instances } => {
                self.plan_rollout(now, operation, rollout, instances);
            }
            Event::InstancesRedeployed { operation, app, version, instances } => {
                instances.iter().for_each(|instance| self.redeploy(now, operation, version, instance));
                self.change(app, now, raise_revision);
            }
            Event::RolloutChecked { operation, next } => self.check_again(operation, *next),
            Event::ApplicationModified { app, min_ready } => {
                self.change(app, now, |application| {
                    Arc::make_mut(&mut application.resources).min_ready = *min_ready;
                });
            }
            Event::NodeDraining { node, operation } => self.drain(now, node, operation),
            Event::NodeResumed { node } => {
                self.draining.remove(node);
            }
            Event::OperationUndoing { operation, cause, deadline, deadline_at } => {
                self.undo(now, operation, *cause, (*deadline, *deadline_at));
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
            deleted_versions: BTreeSet::new(),
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

    fn delete(&mut self, app: &AppId) {
        let Some(application) = self.applications.remove(app) else { return };
        self.apps_by_account.remove(&(application.account.clone(), app.clone()));
        self.apps_by_name.remove(&name_key(&application));
    }

    fn drain(&mut self, now: Now, node: &EdgeNodeId, operation: &OperationId) {
        let Some(call) = self.operations.get(operation) else { return };
        let draining = Draining {
            since: now.wall,
            operation: operation.clone(),
            caller: call.caller.clone(),
            parameters: Arc::clone(&call.parameters),
            failed: imbl::OrdSet::new(),
        };
        self.draining.insert(node.clone(), draining);
    }

    fn change(&mut self, app: &AppId, now: Now, change: impl FnOnce(&mut Application)) {
        let Some(application) = self.applications.get_mut(app) else { return };
        let application = Arc::make_mut(application);
        application.updated_at = now.wall;
        change(application);
    }
}

fn raise_revision(application: &mut Application) {
    application.revision = application.revision.saturating_add(1);
}

pub(in crate::state) fn name_key(application: &Application) -> (AccountId, String, String) {
    (application.account.clone(), application.meta.cluster.clone(), application.meta.name.clone())
}
