//! A second reading of the log: what the encoded records say, folded by a few lines that share nothing with the core's
//! state. Invariants and the reference are checked against it. Naive on purpose: maps of what was said, no indices, no
//! rules. A clone shares structure, so that the shadow before each event of an entry can be kept.

use ensemble_model::application::Strategy;
use ensemble_model::event::{
    AcceptedOperation, Entry, Event, NewApplication, PlannedPlacement, ReleaseCause, ReleasedInstance,
};
use ensemble_model::fleet::Fleet;
use ensemble_model::id::{AccountId, AppId, EdgeNodeId, InstanceId, Isp, OperationId, VersionName};
use ensemble_model::instance::{Pod, PodStatus};
use ensemble_model::log::Fault;
use ensemble_model::log::format::{self, Chain};
use ensemble_model::operation::{OperationKind, OperationStatus, Subject};
use ensemble_model::spec::{self, Resources};
use ensemble_model::time::{LogTime, Now, WallTime};
use ensemble_model::wanted::Epoch;
use imbl::{OrdMap, OrdSet, Vector};
use std::sync::Arc;

/// Account, action, token.
pub(crate) type TokenKey = (AccountId, String, String);

#[derive(Clone, Debug, Default)]
pub(crate) struct Shadow {
    pub(crate) sequence: u64,
    pub(crate) chain: Chain,
    pub(crate) last: Now,
    pub(crate) epoch: Epoch,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) apps: OrdMap<AppId, App>,
    pub(crate) instances: OrdMap<InstanceId, Instance>,
    /// Every instance that was ever planned.
    pub(crate) ever: OrdSet<InstanceId>,
    pub(crate) operations: OrdMap<OperationId, Operation>,
    pub(crate) unreachable: OrdSet<EdgeNodeId>,
    pub(crate) tokens: OrdMap<TokenKey, Token>,
    /// When each accepted write with a token was.
    token_times: Vector<WallTime>,
    /// Nonces of accepted writes, with the operation.
    pub(crate) nonces: OrdMap<(String, String), OperationId>,
}

/// The last use of a client token that was accepted.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) at: WallTime,
    /// Accepted writes with a token until then.
    place: usize,
    pub(crate) operation: OperationId,
}

#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) account: AccountId,
    /// Cluster and name.
    pub(crate) name: (String, String),
    pub(crate) strategy: Strategy,
    /// What one instance takes.
    pub(crate) resources: Resources,
    pub(crate) stable: VersionName,
    pub(crate) running: Option<OperationId>,
    pub(crate) revision: u64,
    /// A Delete was accepted.
    pub(crate) is_deleted: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) account: AccountId,
    pub(crate) app: AppId,
    pub(crate) version: VersionName,
    pub(crate) node: EdgeNodeId,
    pub(crate) isp: Isp,
    pub(crate) resources: Resources,
    pub(crate) created_at: WallTime,
    /// The operation that releases it.
    pub(crate) released_by: Option<OperationId>,
    pub(crate) ready: bool,
    /// Its node was cut off, and nothing was heard of it since.
    pub(crate) unknown: bool,
    pub(crate) failed_pods: OrdSet<(String, u32)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) account: AccountId,
    pub(crate) app: AppId,
    pub(crate) kind: OperationKind,
    pub(crate) deadline: LogTime,
    pub(crate) status: OperationStatus,
    /// The application's, after acceptance.
    pub(crate) revision: u64,
    /// What it planned or releases, with the item.
    pub(crate) targets: OrdMap<InstanceId, usize>,
}

/// A record as it was read.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) entry: Entry,
    /// The shadow before each of its events.
    pub(crate) moments: Vec<Shadow>,
}

impl Shadow {
    /// Reads the next record.
    pub(crate) fn read(&mut self, record: &[u8]) -> Result<Read, Fault> {
        let record = format::decode(record, self.sequence, &self.chain)?;
        let moments = self.fold(&record.entry);
        self.chain = record.chain;
        Ok(Read { entry: record.entry, moments })
    }

    /// Believes an entry; answers what it was before each event.
    pub(crate) fn fold(&mut self, entry: &Entry) -> Vec<Self> {
        let mut moments = Vec::with_capacity(entry.events.len());
        for event in &entry.events {
            moments.push(self.clone());
            self.event(event, entry.now);
        }
        self.sequence = entry.sequence;
        self.last = entry.now;
        self.epoch = entry.epoch;
        moments
    }

    fn event(&mut self, event: &Event, now: Now) {
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
                self.instances.remove(instance);
            }
            Event::ImagePinned { .. } => {}
            Event::NodesUnreachable { nodes } => self.cut_off(nodes),
            Event::NodesReachable { nodes } => {
                for node in nodes {
                    self.unreachable.remove(node);
                }
            }
            Event::OperationEnded { operation, status, .. } => {
                if let Some(ended) = self.operations.get_mut(operation) {
                    ended.status = *status;
                    if let Some(app) = self.apps.get_mut(&ended.app) {
                        app.running = None;
                        app.revision += 1;
                    }
                }
            }
            Event::ApplicationDeleted { app } => {
                self.apps.remove(app);
            }
        }
    }

    fn created(&mut self, new: &NewApplication) {
        let app = App {
            account: new.account.clone(),
            name: (new.meta.cluster.clone(), new.meta.name.clone()),
            strategy: new.resources.strategy,
            resources: spec::resources(&new.resources.instance_spec).unwrap_or_default(),
            stable: new.version.clone(),
            running: None,
            revision: 0,
            is_deleted: false,
        };
        self.apps.insert(new.app.clone(), app);
    }

    fn accepted(&mut self, operation: &AcceptedOperation, now: Now) {
        let Subject::Application(app) = &operation.subject;
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
        if let Some(app) = self.apps.get_mut(app) {
            app.running = Some(operation.id.clone());
            app.revision += 1;
            app.is_deleted |= operation.kind == OperationKind::Delete;
            revision = app.revision;
        }
        let accepted = Operation {
            account: operation.account.clone(),
            app: app.clone(),
            kind: operation.kind,
            deadline: operation.deadline,
            status: OperationStatus::Running,
            revision,
            targets: OrdMap::new(),
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
            let instance = Instance {
                account: account.clone(),
                app: app.clone(),
                version: version.clone(),
                node: placement.node.clone(),
                isp: placement.isp.clone(),
                resources,
                created_at,
                released_by: None,
                ready: false,
                unknown: false,
                failed_pods: OrdSet::new(),
            };
            self.instances.insert(planned.id.clone(), instance);
            self.ever.insert(planned.id.clone());
            if let Some(operation) = self.operations.get_mut(operation) {
                operation.targets.insert(planned.id.clone(), placement.item);
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

    /// What instances take of a node, those being released included.
    pub(crate) fn used(&self, node: &EdgeNodeId) -> Resources {
        let here = self.instances.values().filter(|instance| instance.node == *node);
        here.fold(Resources::default(), |sum, instance| Resources {
            vcpu: sum.vcpu + instance.resources.vcpu,
            memory_mib: sum.memory_mib + instance.resources.memory_mib,
        })
    }

    pub(crate) fn held(&self) -> impl Iterator<Item = (&InstanceId, &Instance)> {
        self.instances.iter().filter(|(_, instance)| instance.is_held())
    }

    /// The use of a token that still answers at `now`: not older than 24 hours, and not forgotten at a time when the wall
    /// clock said that it was.
    pub(crate) fn token(&self, key: &TokenKey, now: WallTime) -> Option<&Token> {
        const DAY_MS: i64 = 24 * 3_600_000;
        let found = self.tokens.get(key)?;
        let is_old = |wall: &WallTime| wall.0 - found.at.0 > DAY_MS;
        let is_forgotten = is_old(&now) || self.token_times.iter().skip(found.place).any(is_old);
        (!is_forgotten).then_some(found)
    }

    /// The running operation that still waits for something: an instance that is not ready, or not gone.
    pub(crate) fn waits(&self, operation: &Operation) -> bool {
        operation.targets.keys().any(|id| match (operation.kind, self.instances.get(id)) {
            (OperationKind::Create | OperationKind::Add, Some(instance)) => {
                instance.is_held() && !instance.is_ready()
            }
            (OperationKind::Create | OperationKind::Add, None) => false,
            (OperationKind::Del | OperationKind::Delete, found) => found.is_some(),
        })
    }
}

impl Instance {
    pub(crate) fn is_held(&self) -> bool {
        self.released_by.is_none()
    }

    /// Ready, as far as anybody can say.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready && !self.unknown
    }
}
