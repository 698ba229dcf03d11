//! How events about versions, and about instances that change theirs, change what is believed. Total, like all of `apply`.

use super::instance::planned_pods;
use super::operation::push_step;
use super::{cell_of, raise_revision};
use crate::application::{StatusDescription, Version};
use crate::id::{AppId, OperationId, VersionName};
use crate::operation::{Target, TargetState};
use crate::rollout::{Redeployed, RolledInstance, Rollout};
use crate::state::State;
use crate::time::{LogTime, Now};
use std::sync::Arc;

impl State {
    pub(super) fn create_version(&mut self, now: Now, app: &AppId, version: &Version) {
        self.change(app, now, |application| {
            if application.version(&version.name).is_none() {
                Arc::make_mut(&mut application.versions).push(version.clone());
            }
        });
    }

    pub(super) fn delete_version(&mut self, now: Now, app: &AppId, version: &VersionName) {
        self.change(app, now, |application| {
            Arc::make_mut(&mut application.versions).retain(|found| found.name != *version);
            application.deleted_versions.insert(version.clone());
            // As the documentation's example has it (ens-api.md §1.2).
            application.status = StatusDescription {
                status: "UPDATE_SUCCESS".into(),
                step: "DONE".into(),
                description: "delVersion success".into(),
                started_at: now.wall,
            };
        });
    }

    pub(super) fn move_stable_version(&mut self, now: Now, app: &AppId, version: &VersionName) {
        self.change(app, now, |application| {
            application.stable_version = version.clone();
            raise_revision(application);
        });
    }

    /// Its targets are known from here on, all of them still as they were.
    pub(super) fn plan_rollout(
        &mut self,
        now: Now,
        id: &OperationId,
        rollout: &Rollout,
        planned: &[RolledInstance],
    ) {
        let Some(found) = self.operations.get_mut(id) else { return };
        let operation = Arc::make_mut(found);
        for left_out in &rollout.left_out {
            push_step(operation, now, left_out.clone());
        }
        for RolledInstance { id: instance, item } in planned {
            let Some(instance) = self.instances.get(instance) else { continue };
            let state = if instance.unknown { TargetState::OutOfReach } else { TargetState::Waiting };
            self.targets.insert(instance.id.clone(), (id.clone(), operation.targets.len()));
            operation.targets.push_back(Target {
                instance: instance.id.clone(),
                node: instance.node.clone(),
                isp: instance.isp.clone(),
                item: *item,
                state,
                replaced_by: None,
                from: Some(instance.version.clone()),
            });
            *operation.tally.of(state) += 1;
        }
        if let Some(schedule) = &rollout.schedule {
            self.checks.insert((schedule.next_check, id.clone()));
        }
        operation.rollout = Some(Arc::new(rollout.clone()));
    }

    pub(super) fn check_again(&mut self, id: &OperationId, next: LogTime) {
        let Some(found) = self.operations.get_mut(id) else { return };
        let Some(rollout) = Arc::make_mut(found).rollout.as_mut() else { return };
        let Some(schedule) = Arc::make_mut(rollout).schedule.as_mut() else { return };
        self.checks.remove(&(schedule.next_check, id.clone()));
        schedule.next_check = next;
        self.checks.insert((next, id.clone()));
    }

    /// Nothing of what ran is ready any more: the same instance, another deployment.
    pub(super) fn redeploy(
        &mut self,
        now: Now,
        operation: &OperationId,
        version: &VersionName,
        redeployed: &Redeployed,
    ) {
        let Some(old) = self.instances.get(&redeployed.id).cloned() else { return };
        let application = self.applications.get(&old.app);
        let pods = application.and_then(|application| application.version(version)).map(planned_pods);
        self.cells.remove(&(cell_of(&old), old.id.clone()));
        self.deployments.remove(&old.deployment);
        self.deployments.insert(redeployed.deployment.clone());
        let Some(instance) = self.instances.get_mut(&redeployed.id) else { return };
        let instance = Arc::make_mut(instance);
        instance.version = version.clone();
        instance.deployment.clone_from(&redeployed.deployment);
        instance.ready = false;
        instance.pods = pods.unwrap_or_default();
        self.cells.insert((cell_of(instance), old.id.clone()));
        self.move_target(&old.id, TargetState::Waiting);
        let text =
            format!("`{}` on `{}` goes from version {} to {version}", old.shown_id(), old.node, old.version);
        self.note(now, operation, text);
    }

    /// An upgrade goes back: what still runs what it ran before stays as it is, all else is waited for again.
    pub(super) fn turn_back(&mut self, id: &OperationId) {
        let Some(found) = self.operations.get(id).filter(|found| found.rollout.is_some()).cloned() else {
            return;
        };
        for target in &found.targets {
            let Some(instance) = self.instances.get(&target.instance) else { continue };
            if target.state == TargetState::GivenUp {
                continue;
            }
            let (stays, unknown) = (Some(&instance.version) == target.from.as_ref(), instance.unknown);
            self.move_target(
                &target.instance,
                match (stays, unknown) {
                    (true, _) => TargetState::GivenUp,
                    (false, true) => TargetState::OutOfReach,
                    (false, false) => TargetState::Waiting,
                },
            );
            if stays {
                self.targets.remove(&target.instance);
            }
        }
    }
}
