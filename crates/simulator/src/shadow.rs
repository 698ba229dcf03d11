//! A second reading of the log: what the encoded records say, folded by a few lines that share nothing with the core's
//! state. Invariants and the reference are checked against it. Naive on purpose: maps of what was said, no indices, no
//! rules. A clone shares structure, so that the shadow before each event of an entry can be kept.

use ensemble_model::application::Strategy;
use ensemble_model::command::Protection;
use ensemble_model::event::{
    AcceptedOperation, Entry, Event, NewApplication, PlannedPlacement, ReleaseCause, ReleasedInstance,
};
use ensemble_model::fleet::Fleet;
use ensemble_model::id::{AccountId, AppId, EdgeNodeId, InstanceId, Isp, OperationId, VersionName};
use ensemble_model::instance::{Pod, PodStatus, Scope};
use ensemble_model::log::Fault;
use ensemble_model::log::format::{self, Chain};
use ensemble_model::operation::{OnTimeout, OperationKind, OperationStatus};
use ensemble_model::own_instance::OwnInstance;
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
    /// Instances by themselves.
    pub(crate) owned: OrdMap<InstanceId, Own>,
    pub(crate) unreachable: OrdSet<EdgeNodeId>,
    pub(crate) draining: OrdSet<EdgeNodeId>,
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
pub(crate) struct Own {
    pub(crate) account: AccountId,
    pub(crate) node: EdgeNodeId,
    pub(crate) isp: Isp,
    pub(crate) resources: Resources,
    /// What runs on it, until it is given back.
    pub(crate) runs: Option<InstanceId>,
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
    pub(crate) min_ready: u32,
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
    /// The instance of the account that it runs on.
    pub(crate) host: Option<InstanceId>,
    /// What placed it.
    pub(crate) scope: Scope,
    pub(crate) created_at: WallTime,
    /// The operation that releases it.
    pub(crate) released_by: Option<OperationId>,
    /// It was released while its node was out of reach, and nobody there was told yet.
    pub(crate) untold: bool,
    /// It was to go once, and stays after all: whoever runs it may have been told in between.
    pub(crate) was_revived: bool,
    pub(crate) protected: bool,
    pub(crate) ready: bool,
    /// Its node was cut off, and nothing was heard of it since.
    pub(crate) unknown: bool,
    pub(crate) failed_pods: OrdSet<(String, u32)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) account: AccountId,
    /// The application that it is about, if it is about one.
    pub(crate) app: Option<AppId>,
    pub(crate) kind: OperationKind,
    pub(crate) timeout_s: u32,
    pub(crate) on_timeout: OnTimeout,
    pub(crate) is_undoing: bool,
    pub(crate) deadline: LogTime,
    pub(crate) status: OperationStatus,
    /// The application's, after acceptance.
    pub(crate) revision: u64,
    /// What it planned or releases, with the item.
    pub(crate) targets: OrdMap<InstanceId, usize>,
    /// What makes room, and for what, where instances are moved.
    pub(crate) moves: OrdMap<InstanceId, InstanceId>,
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
                self.draining.insert(node.clone());
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
            Event::ImagePinned { .. } => {}
            Event::NodesUnreachable { nodes } => self.cut_off(nodes),
            Event::NodesReachable { nodes } => self.in_reach(nodes),
            Event::OperationEnded { operation, status, .. } => self.ended(operation, *status),
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
            min_ready: new.resources.min_ready,
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
        if let Some(app) = app.and_then(|app| self.apps.get_mut(app)) {
            if operation.kind != OperationKind::Immediate {
                app.running = Some(operation.id.clone());
            }
            app.revision += 1;
            app.is_deleted |= operation.kind == OperationKind::Delete;
            revision = app.revision;
        }
        let accepted = Operation {
            account: operation.account.clone(),
            app: app.cloned(),
            kind: operation.kind,
            timeout_s: operation.timeout_s,
            on_timeout: operation.on_timeout,
            is_undoing: false,
            deadline: operation.deadline,
            status: OperationStatus::Running,
            revision,
            targets: OrdMap::new(),
            moves: OrdMap::new(),
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
                node: placement.node.clone(),
                isp: placement.isp.clone(),
                resources,
                host: planned.host.clone(),
                scope: placement.scope.clone(),
                created_at,
                released_by: None,
                untold: false,
                was_revived: false,
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
                instance.was_revived = true;
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
        let app = ended.app.as_ref().and_then(|app| self.apps.get_mut(app));
        if let Some(app) = app.filter(|_| ended.kind != OperationKind::Immediate) {
            app.running.take_if(|running| running == id);
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

    /// What instances take of a node, those being released included. What is hosted takes nothing of its own.
    pub(crate) fn used(&self, node: &EdgeNodeId) -> Resources {
        let made = self.instances.values().filter(|instance| instance.host.is_none());
        let made = made.filter(|instance| instance.node == *node).map(|instance| instance.resources);
        let owned = self.owned.values().filter(|own| own.node == *node).map(|own| own.resources);
        made.chain(owned).fold(Resources::default(), |sum, taken| Resources {
            vcpu: sum.vcpu + taken.vcpu,
            memory_mib: sum.memory_mib + taken.memory_mib,
        })
    }

    /// How many are held and how many of them are ready, of one application on one node and carrier.
    pub(crate) fn cell(&self, app: &AppId, node: &EdgeNodeId, isp: &Isp) -> (u32, u32) {
        let here =
            self.held().filter(|(_, found)| found.app == *app && found.node == *node && found.isp == *isp);
        here.fold((0, 0), |(held, ready), (_, found)| (held + 1, ready + u32::from(found.is_ready())))
    }

    /// The instance that an account knows by this id.
    pub(crate) fn known_as<'a>(&'a self, id: &'a InstanceId) -> &'a InstanceId {
        self.owned.get(id).and_then(|own| own.runs.as_ref()).unwrap_or(id)
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

    /// The running operation that still waits for something: an instance that is to be ready and is not, or to be gone
    /// and is there. What cannot be reached is waited for by nobody.
    pub(crate) fn waits(&self, operation: &Operation) -> bool {
        operation.targets.keys().any(|id| {
            let Some(found) = self.instances.get(id) else { return false };
            if found.unknown {
                return false;
            }
            match (operation.comes(id), operation.moves.get(id)) {
                (true, _) => found.is_held() && !found.is_ready(),
                // It makes room only once the other is ready, and stays where that one was given up.
                (false, Some(new)) if found.is_held() => {
                    self.instances.get(new).is_some_and(|new| new.is_held() && !new.unknown)
                }
                (false, _) => !found.is_held(),
            }
        })
    }
}

impl Operation {
    /// Whether a target of it is to become ready; else it is to go.
    pub(crate) fn comes(&self, target: &InstanceId) -> bool {
        match self.kind {
            OperationKind::Create | OperationKind::Add => !self.is_undoing,
            OperationKind::Move => !self.moves.contains_key(target),
            OperationKind::Del | OperationKind::Delete | OperationKind::Immediate => false,
        }
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
