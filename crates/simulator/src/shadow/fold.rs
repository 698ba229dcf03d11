//! How the shadow believes each event: a few lines for each, no rules.

use super::{App, Instance, Operation, Own, Shadow, Token};
use ensemble_model::application::Phase;
use ensemble_model::command::Protection;
use ensemble_model::event::{
    AcceptedOperation, Event, NewApplication, PlannedPlacement, ReleaseCause, ReleasedInstance,
};
use ensemble_model::id::{AppId, EdgeNodeId, InstanceId, OperationId, VersionName};
use ensemble_model::instance::{Pod, PodStatus};
use ensemble_model::operation::{OperationKind, OperationStatus};
use ensemble_model::own_instance::OwnInstance;
use ensemble_model::rollout::{Redeployed, RolledInstance, Rollout};
use ensemble_model::spec::{self, Resources};
use ensemble_model::time::{Now, WallTime};
use imbl::{OrdMap, OrdSet};
use std::sync::Arc;

impl Shadow {
    pub(super) fn event(&mut self, event: &Event, now: Now) {
        match event {
            Event::FleetInstalled { fleet } => self.fleet = Arc::clone(fleet),
            Event::ApplicationCreated { application } => self.created(application),
            Event::OperationAccepted { operation } => self.accepted(operation, now),
            Event::InstancesPlanned { operation, app, version, resources, placements, .. } => {
                for placement in placements {
                    self.planned(operation, app, version, *resources, placement, now.wall);
                }
            }
            Event::InstancesReleasing { operation, app, cause, instances } => {
                self.releasing(operation, app, cause, instances);
            }
            Event::InstanceObserved { instance, ready, pods } => self.observed(instance, *ready, pods),
            Event::InstanceGone { instance } => {
                let gone = self.instances.remove(instance);
                let host = gone.and_then(|gone| gone.host);
                if let Some(own) = host.and_then(|host| self.owned.get_mut(&host)) {
                    own.runs = None;
                }
            }
            Event::InstancesRevived { app, instances, .. } => self.revived(app, instances),
            Event::InstancesProtected { instances, protection, .. } => {
                for id in instances {
                    if let Some(instance) = self.instances.get_mut(id) {
                        instance.protected = *protection == Protection::On;
                    }
                }
            }
            Event::OwnInstancesCreated { instances } => instances.iter().for_each(|own| self.own(own)),
            Event::OwnInstanceReleased { instance } => {
                self.owned.remove(instance);
            }
            Event::ApplicationModified { app, min_ready } => {
                if let Some(app) = self.apps.get_mut(app) {
                    app.min_ready = *min_ready;
                }
            }
            Event::NodeDraining { node, .. } => {
                self.draining.insert(node.clone(), OrdSet::new());
            }
            Event::NodeResumed { node } => {
                self.draining.remove(node);
            }
            Event::OperationUndoing { operation, deadline, .. } => {
                if let Some(found) = self.operations.get_mut(operation) {
                    found.is_undoing = true;
                    found.deadline = *deadline;
                }
            }
            Event::VersionCreated { .. }
            | Event::VersionDeleted { .. }
            | Event::StableVersionMoved { .. }
            | Event::RolloutPlanned { .. }
            | Event::InstancesRedeployed { .. } => self.about_a_version(event),
            Event::RolloutChecked { .. } | Event::ImagePinned { .. } => {}
            Event::NodesUnreachable { nodes } => self.cut_off(nodes),
            Event::NodesReachable { nodes } => self.in_reach(nodes),
            Event::OperationEnded { operation, status, .. } => self.ended(operation, *status),
            Event::ApplicationDeleted { app } => {
                self.apps.remove(app);
            }
        }
    }

    fn about_a_version(&mut self, event: &Event) {
        match event {
            Event::VersionCreated { app, version } => {
                if let Some(app) = self.apps.get_mut(app) {
                    app.versions.insert(version.name.clone());
                }
            }
            Event::VersionDeleted { app, version } => {
                if let Some(app) = self.apps.get_mut(app) {
                    app.versions.remove(version);
                }
            }
            Event::StableVersionMoved { app, version } => {
                if let Some(app) = self.apps.get_mut(app) {
                    app.stable = version.clone();
                    app.revision += 1;
                }
            }
            Event::RolloutPlanned { operation, rollout, instances } => {
                self.rolling(operation, rollout, instances);
            }
            Event::InstancesRedeployed { operation, app, version, instances } => {
                self.redeployed(operation, app, version, instances);
            }
            _ => {}
        }
    }

    fn created(&mut self, new: &NewApplication) {
        let app = App {
            account: new.account.clone(),
            name: (new.meta.cluster.clone(), new.meta.name.clone()),
            strategy: new.resources.strategy,
            resources: spec::resources(&new.resources.instance_spec).unwrap_or_default(),
            stable: new.version.clone(),
            versions: OrdSet::unit(new.version.clone()),
            min_ready: new.resources.min_ready,
            phase: Phase::Creating,
            running: None,
            revision: 0,
            is_deleted: false,
        };
        self.apps.insert(new.app.clone(), app);
    }

    fn accepted(&mut self, operation: &AcceptedOperation, now: Now) {
        let app = operation.subject.app();
        if let Some(token) = &operation.client_token {
            let key = (operation.account.clone(), operation.action.clone(), token.token.clone());
            self.token_times.push_back(now.wall);
            let place = self.token_times.len();
            self.tokens.insert(key, Token { at: now.wall, place, operation: operation.id.clone() });
        }
        if let Some(nonce) = &operation.nonce {
            self.nonces.insert((nonce.key_id.clone(), nonce.nonce.clone()), operation.id.clone());
        }
        let mut revision = 0;
        if let Some(id) = app.filter(|_| operation.kind != OperationKind::Move) {
            // Whatever is written of it may have taken away why it could not be moved.
            let nodes: Vec<EdgeNodeId> = self.draining.keys().cloned().collect();
            for node in nodes {
                self.draining.entry(node).or_default().remove(id);
            }
        }
        if let Some(app) = app.and_then(|app| self.apps.get_mut(app)) {
            if operation.kind != OperationKind::Immediate {
                app.running = Some(operation.id.clone());
            }
            app.phase = match operation.kind {
                OperationKind::Create => Phase::Creating,
                OperationKind::Add | OperationKind::Del | OperationKind::Upgrade => Phase::Updating,
                OperationKind::Delete => Phase::Deleting,
                OperationKind::Move | OperationKind::Immediate => app.phase,
            };
            app.revision += 1;
            app.is_deleted |= operation.kind == OperationKind::Delete;
            revision = app.revision;
        }
        let accepted = Operation {
            account: operation.account.clone(),
            app: app.cloned(),
            kind: operation.kind,
            action: operation.action.clone(),
            timeout_s: operation.timeout_s,
            on_timeout: operation.on_timeout,
            is_undoing: false,
            deadline: operation.deadline,
            status: OperationStatus::Running,
            revision,
            targets: OrdMap::new(),
            moves: OrdMap::new(),
            rollout: None,
            from: OrdMap::new(),
            begun: OrdSet::new(),
            left: OrdSet::new(),
        };
        self.operations.insert(operation.id.clone(), accepted);
    }

    fn planned(
        &mut self,
        operation: &OperationId,
        app: &AppId,
        version: &VersionName,
        resources: Resources,
        placement: &PlannedPlacement,
        created_at: WallTime,
    ) {
        let account = self.apps.get(app).map(|app| app.account.clone()).unwrap_or_default();
        for planned in &placement.instances {
            let own = planned.host.as_ref().and_then(|host| self.owned.get_mut(host));
            let resources = own.map_or(resources, |own| {
                own.runs = Some(planned.id.clone());
                own.resources
            });
            let instance = Instance {
                account: account.clone(),
                app: app.clone(),
                version: version.clone(),
                was_redeployed: false,
                node: placement.node.clone(),
                isp: placement.isp.clone(),
                resources,
                host: planned.host.clone(),
                scope: placement.scope.clone(),
                created_at,
                released_by: None,
                untold: false,
                protected: false,
                ready: false,
                unknown: false,
                failed_pods: OrdSet::new(),
            };
            self.instances.insert(planned.id.clone(), instance);
            self.ever.insert(planned.id.clone());
            if let Some(operation) = self.operations.get_mut(operation) {
                operation.targets.insert(planned.id.clone(), placement.item);
                if let Some(old) = &planned.replaces {
                    operation.targets.insert(old.clone(), placement.item);
                    operation.moves.insert(old.clone(), planned.id.clone());
                    operation.left.extend(self.instances.get(old).map(|old| old.node.clone()));
                }
            }
        }
    }

    fn releasing(
        &mut self,
        operation: &OperationId,
        app: &AppId,
        cause: &ReleaseCause,
        instances: &[ReleasedInstance],
    ) {
        for released in instances {
            if let Some(instance) = self.instances.get_mut(&released.id) {
                if instance.released_by.is_none() {
                    instance.untold = self.unreachable.contains(&instance.node);
                }
                instance.released_by = Some(operation.clone());
            }
            if let (ReleaseCause::Asked, Some(operation)) = (cause, self.operations.get_mut(operation)) {
                operation.targets.insert(released.id.clone(), released.item);
            }
        }
        // What was asked for is a part of the accepted write.
        if let (false, Some(app)) = (*cause == ReleaseCause::Asked, self.apps.get_mut(app)) {
            app.revision += 1;
        }
    }

    fn revived(&mut self, app: &AppId, instances: &[InstanceId]) {
        for id in instances {
            if let Some(instance) = self.instances.get_mut(id) {
                instance.released_by = None;
                instance.untold = false;
            }
        }
        if let Some(app) = self.apps.get_mut(app) {
            app.revision += 1;
        }
    }

    fn own(&mut self, own: &OwnInstance) {
        let known = Own {
            account: own.account.clone(),
            node: own.node.clone(),
            isp: own.isp.clone(),
            resources: own.resources,
            runs: None,
        };
        self.owned.insert(own.id.clone(), known);
        self.ever.insert(own.id.clone());
    }

    fn ended(&mut self, id: &OperationId, status: OperationStatus) {
        let Some(ended) = self.operations.get_mut(id) else { return };
        ended.status = status;
        let Some((app, id_of_app)) = ended.app.as_ref().and_then(|id| Some((self.apps.get_mut(id)?, id)))
        else {
            return;
        };
        if ended.kind != OperationKind::Immediate {
            app.running.take_if(|running| running == id);
            app.revision += 1;
        }
        app.phase = match (ended.kind, status) {
            (OperationKind::Move | OperationKind::Immediate, _)
            | (_, OperationStatus::Running | OperationStatus::Superseded) => app.phase,
            (OperationKind::Delete, OperationStatus::Succeeded) => Phase::Deleting,
            (_, OperationStatus::Succeeded) => Phase::Running,
            (OperationKind::Create, _) => Phase::CreateFailed,
            (OperationKind::Add | OperationKind::Del | OperationKind::Upgrade, _) => Phase::UpdateFailed,
            (OperationKind::Delete, _) => Phase::DeleteFailed,
        };
        let has_failed = matches!(status, OperationStatus::Failed | OperationStatus::Canceled);
        for node in ended.left.iter().filter(|_| has_failed) {
            if let Some(failed) = self.draining.get_mut(node) {
                failed.insert(id_of_app.clone());
            }
        }
    }

    fn rolling(&mut self, id: &OperationId, rollout: &Rollout, instances: &[RolledInstance]) {
        let Some(operation) = self.operations.get_mut(id) else { return };
        operation.rollout = Some(Arc::new(rollout.clone()));
        for RolledInstance { id, item } in instances {
            operation.targets.insert(id.clone(), *item);
            if let Some(instance) = self.instances.get(id) {
                operation.from.insert(id.clone(), instance.version.clone());
            }
        }
    }

    fn redeployed(&mut self, id: &OperationId, app: &AppId, version: &VersionName, instances: &[Redeployed]) {
        for Redeployed { id: instance, .. } in instances {
            if let Some(found) = self.instances.get_mut(instance) {
                found.version = version.clone();
                found.was_redeployed = true;
                found.ready = false;
                found.failed_pods = OrdSet::new();
            }
            if let Some(operation) = self.operations.get_mut(id) {
                operation.begun.insert(instance.clone());
            }
        }
        if let Some(app) = self.apps.get_mut(app) {
            app.revision += 1;
        }
    }

    fn in_reach(&mut self, nodes: &[EdgeNodeId]) {
        for node in nodes {
            self.unreachable.remove(node);
        }
        let told = self.instances.iter().filter(|(_, found)| found.untold && nodes.contains(&found.node));
        let told: Vec<InstanceId> = told.map(|(id, _)| id.clone()).collect();
        for id in told {
            if let Some(instance) = self.instances.get_mut(&id) {
                instance.untold = false;
            }
        }
    }

    fn observed(&mut self, id: &InstanceId, ready: bool, pods: &[Pod]) {
        let Some(instance) = self.instances.get_mut(id) else { return };
        instance.ready = ready;
        instance.unknown = false;
        for pod in pods {
            let key = (pod.workload.clone(), pod.index);
            match pod.status {
                PodStatus::Failed => instance.failed_pods.insert(key),
                PodStatus::Unknown
                | PodStatus::Stopped
                | PodStatus::Pending
                | PodStatus::Pulling
                | PodStatus::Starting
                | PodStatus::Running => instance.failed_pods.remove(&key),
            };
        }
    }

    fn cut_off(&mut self, nodes: &[EdgeNodeId]) {
        self.unreachable.extend(nodes.iter().cloned());
        let lost = self.instances.iter().filter(|(_, instance)| nodes.contains(&instance.node));
        let lost: Vec<InstanceId> = lost.map(|(id, _)| id.clone()).collect();
        for id in lost {
            if let Some(instance) = self.instances.get_mut(&id) {
                instance.unknown = true;
            }
        }
    }
}
