//! A second reading of the log: what the encoded records say, folded by a few lines that share nothing with the core's
//! state. Invariants and the reference are checked against it. Naive on purpose: maps of what was said, no indices, no
//! rules. A clone shares structure, so that the shadow before each event of an entry can be kept.

mod fold;

use ensemble_model::application::{Phase, Strategy};
use ensemble_model::event::Entry;
use ensemble_model::fleet::Fleet;
use ensemble_model::id::{AccountId, AppId, EdgeNodeId, InstanceId, Isp, OperationId, VersionName};
use ensemble_model::instance::Scope;
use ensemble_model::log::Fault;
use ensemble_model::log::format::{self, Chain};
use ensemble_model::operation::{OnTimeout, OperationKind, OperationStatus};
use ensemble_model::rollout::Rollout;
use ensemble_model::spec::Resources;
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
    /// Nodes that are to be emptied, with the applications of which a move from there failed.
    pub(crate) draining: OrdMap<EdgeNodeId, OrdSet<AppId>>,
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
    pub(crate) versions: OrdSet<VersionName>,
    pub(crate) min_ready: u32,
    pub(crate) phase: Phase,
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
    /// It went to another version at some time, so that what ran before was stopped.
    pub(crate) was_redeployed: bool,
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
    /// The API action that led to it.
    pub(crate) action: String,
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
    /// Where instances go to another version: to which, in which units, and from which.
    pub(crate) rollout: Option<Arc<Rollout>>,
    pub(crate) from: OrdMap<InstanceId, VersionName>,
    /// Those whose turn has come.
    pub(crate) begun: OrdSet<InstanceId>,
    /// The nodes that they leave.
    pub(crate) left: OrdSet<EdgeNodeId>,
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

    /// The instance that an account knows by this id.
    pub(crate) fn known_as<'a>(&'a self, id: &'a InstanceId) -> &'a InstanceId {
        self.owned.get(id).and_then(|own| own.runs.as_ref()).unwrap_or(id)
    }

    /// What an application holds.
    pub(crate) fn held_by<'a>(
        &'a self,
        app: &'a AppId,
    ) -> impl Iterator<Item = (&'a InstanceId, &'a Instance)> {
        self.held().filter(move |(_, instance)| instance.app == *app)
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
            if let Some(goal) = operation.goal(id) {
                // Going back, what had not begun stays as it is.
                let is_about = !operation.is_undoing || operation.begun.contains(id);
                return found.is_held() && is_about && (found.version != *goal || !found.is_ready());
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
            OperationKind::Upgrade => true,
            OperationKind::Move => !self.moves.contains_key(target),
            OperationKind::Del | OperationKind::Delete | OperationKind::Immediate => false,
        }
    }
}

impl Operation {
    /// The version that a target is to run; `None` where that is not what it is about.
    pub(crate) fn goal(&self, target: &InstanceId) -> Option<&VersionName> {
        let rollout = self.rollout.as_ref()?;
        if self.is_undoing { self.from.get(target) } else { Some(&rollout.to) }
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
