//! A second reading of the log: what the encoded records say, folded by a few lines that share nothing with the core's
//! state. Invariants are checked against it. Naive on purpose: maps of what was said, no indices, no rules.

use ensemble_model::event::{AcceptedOperation, Entry, Event, PlannedPlacement, ReleaseCause};
use ensemble_model::id::{AccountId, AppId, EdgeNodeId, InstanceId, Isp, OperationId};
use ensemble_model::log::Fault;
use ensemble_model::log::format::{self, Chain};
use ensemble_model::operation::{AskedItem, OperationStatus, Subject};
use ensemble_model::spec::Resources;
use ensemble_model::time::{LogTime, Now, WallTime};
use ensemble_model::wanted::Epoch;
use imbl::{OrdMap, OrdSet};

#[derive(Clone, Debug, Default)]
pub(crate) struct Shadow {
    pub(crate) sequence: u64,
    pub(crate) chain: Chain,
    pub(crate) last: Now,
    pub(crate) epoch: Epoch,
    pub(crate) nodes: OrdMap<EdgeNodeId, Node>,
    pub(crate) apps: OrdMap<AppId, App>,
    pub(crate) instances: OrdMap<InstanceId, Instance>,
    pub(crate) operations: OrdMap<OperationId, Operation>,
    pub(crate) unreachable: OrdSet<EdgeNodeId>,
    /// When a client token of an account and action was last accepted, and as which operation.
    pub(crate) tokens: OrdMap<(AccountId, String, String), (WallTime, OperationId)>,
    /// Nonces of accepted writes, with the operation.
    pub(crate) nonces: OrdMap<(String, String), OperationId>,
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) capacity: Resources,
}

#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) account: AccountId,
    pub(crate) running: Option<OperationId>,
}

#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) account: AccountId,
    pub(crate) app: AppId,
    pub(crate) node: EdgeNodeId,
    pub(crate) isp: Isp,
    pub(crate) resources: Resources,
    /// The operation that releases it.
    pub(crate) released_by: Option<OperationId>,
    pub(crate) ready: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) account: AccountId,
    pub(crate) app: AppId,
    pub(crate) items: Vec<AskedItem>,
    pub(crate) deadline: LogTime,
    pub(crate) status: OperationStatus,
    /// What it planned or releases, with the item.
    pub(crate) targets: OrdMap<InstanceId, usize>,
}

impl Shadow {
    /// Reads the next record and says what it was.
    pub(crate) fn read(&mut self, record: &[u8]) -> Result<Entry, Fault> {
        let record = format::decode(record, self.sequence, &self.chain)?;
        self.chain = record.chain;
        self.fold(&record.entry);
        Ok(record.entry)
    }

    fn fold(&mut self, entry: &Entry) {
        self.sequence = entry.sequence;
        self.last = entry.now;
        self.epoch = entry.epoch;
        for event in &entry.events {
            self.event(event, entry.now);
        }
    }

    fn event(&mut self, event: &Event, now: Now) {
        match event {
            Event::FleetInstalled { fleet } => {
                let nodes =
                    fleet.nodes.iter().map(|node| (node.id.clone(), Node { capacity: node.capacity }));
                self.nodes = nodes.collect();
            }
            Event::ApplicationCreated { application } => {
                let app = App { account: application.account.clone(), running: None };
                self.apps.insert(application.app.clone(), app);
            }
            Event::OperationAccepted { operation } => self.accepted(operation, now),
            Event::InstancesPlanned { operation, app, resources, placements, .. } => {
                for placement in placements {
                    self.planned(operation, app, *resources, placement);
                }
            }
            Event::InstancesReleasing { operation, cause, instances, .. } => {
                for released in instances {
                    if let Some(instance) = self.instances.get_mut(&released.id) {
                        instance.released_by = Some(operation.clone());
                    }
                    if let (ReleaseCause::Asked, Some(operation)) =
                        (cause, self.operations.get_mut(operation))
                    {
                        operation.targets.insert(released.id.clone(), released.item);
                    }
                }
            }
            Event::InstanceObserved { instance, ready, .. } => {
                if let Some(instance) = self.instances.get_mut(instance) {
                    instance.ready = *ready;
                }
            }
            Event::InstanceGone { instance } => {
                self.instances.remove(instance);
            }
            Event::ImagePinned { .. } => {}
            Event::NodesUnreachable { nodes } => self.unreachable.extend(nodes.iter().cloned()),
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
                    }
                }
            }
            Event::ApplicationDeleted { app } => {
                self.apps.remove(app);
            }
        }
    }

    fn accepted(&mut self, operation: &AcceptedOperation, now: Now) {
        let Subject::Application(app) = &operation.subject;
        if let Some(token) = &operation.client_token {
            let key = (operation.account.clone(), operation.action.clone(), token.token.clone());
            self.tokens.insert(key, (now.wall, operation.id.clone()));
        }
        if let Some(nonce) = &operation.nonce {
            self.nonces.insert((nonce.key_id.clone(), nonce.nonce.clone()), operation.id.clone());
        }
        if let Some(app) = self.apps.get_mut(app) {
            app.running = Some(operation.id.clone());
        }
        let accepted = Operation {
            account: operation.account.clone(),
            app: app.clone(),
            items: operation.items.clone(),
            deadline: operation.deadline,
            status: OperationStatus::Running,
            targets: OrdMap::new(),
        };
        self.operations.insert(operation.id.clone(), accepted);
    }

    fn planned(
        &mut self,
        operation: &OperationId,
        app: &AppId,
        resources: Resources,
        placement: &PlannedPlacement,
    ) {
        let account = self.apps.get(app).map(|app| app.account.clone()).unwrap_or_default();
        for planned in &placement.instances {
            let instance = Instance {
                account: account.clone(),
                app: app.clone(),
                node: placement.node.clone(),
                isp: placement.isp.clone(),
                resources,
                released_by: None,
                ready: false,
            };
            self.instances.insert(planned.id.clone(), instance);
            if let Some(operation) = self.operations.get_mut(operation) {
                operation.targets.insert(planned.id.clone(), placement.item);
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
        self.instances.iter().filter(|(_, instance)| instance.released_by.is_none())
    }
}
