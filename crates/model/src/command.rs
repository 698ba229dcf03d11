//! What the control loop is asked to change. A command carries everything a decision needs from outside:
//! the permit, ids, a seed and the request's own words; times come in beside it.

use crate::application::{ApplicationMeta, ResourceAttribute, Strategy, Workload};
use crate::id::{AppId, Digest, EdgeNodeId, InstanceId, OperationId, PlanId, SpecName, VersionName};
use crate::matching::Condition;
use crate::operation::OnTimeout;
use crate::own_instance::Tag;
use crate::permit::Permit;
use crate::rollout::{Rule, Schedule, UnitLevel};
use crate::selector::{Level, SelectorItem};
use crate::time::WallTime;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub struct Command {
    pub permit: Permit,
    pub request: RequestFacts,
    /// Where instance ids and deployment names come from; drawn by the caller.
    pub seed: u64,
    pub change: Change,
}

/// What the history keeps of the request that carried a command.
#[derive(Clone, Debug)]
pub struct RequestFacts {
    /// Becomes the operation's id when the command is accepted.
    pub request_id: OperationId,
    /// The API action.
    pub action: String,
    /// The peer's address, without port.
    pub source: String,
    /// The parameters as called.
    pub parameters: Value,
    pub client_token: Option<ClientToken>,
    pub nonce: Option<Nonce>,
}

/// `ClientToken` with a digest of the other parameters (`decisions.md` §2.11).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientToken {
    pub token: String,
    pub fingerprint: Digest,
}

/// The signature nonce of the request, kept with an accepted write (`decisions.md` §4.1).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Nonce {
    pub key_id: String,
    pub nonce: String,
    /// The request's own time stamp.
    pub stamp: WallTime,
}

#[derive(Clone, Debug)]
pub enum Change {
    Create(Box<CreateApplication>),
    Rescale(RescaleApplication),
    Delete(DeleteApplication),
    Modify(ModifyApplication),
    Upgrade(Box<UpgradeApplication>),
    Rollback(RollbackApplication),
    DeleteVersion(DeleteAppVersion),
    Rebalance(RebalanceApplication),
    Cancel(CancelOperation),
    RunInstances(Box<RunInstances>),
    ReleaseInstance(ReleaseInstance),
    Protect(ProtectInstances),
    Node(ChangeNode),
}

impl Change {
    /// The API action that asks for it.
    pub fn action(&self) -> &'static str {
        match self {
            Self::Create(_) => "CreateApplication",
            Self::Rescale(_) => "RescaleApplication",
            Self::Delete(_) => "DeleteApplication",
            Self::Modify(_) => "ModifyApplicationAttribute",
            Self::Upgrade(_) => "UpgradeApplication",
            Self::Rollback(_) => "RollbackApplication",
            Self::DeleteVersion(_) => "DeleteAppVersion",
            Self::Rebalance(_) => "RebalanceApplication",
            Self::Cancel(_) => "CancelOperation",
            Self::RunInstances(_) => "RunInstances",
            Self::ReleaseInstance(_) => "ReleaseInstance",
            Self::Protect(protect) => match protect.protection {
                Protection::On => "ProtectInstances",
                Protection::Off => "UnprotectInstances",
            },
            Self::Node(change) => match change.change {
                NodeChange::Drain => "DrainEdgeNode",
                NodeChange::Resume => "ResumeEdgeNode",
                NodeChange::Lose { .. } => "LoseEdgeNode",
            },
        }
    }
}

#[derive(Clone, Debug)]
pub struct CreateApplication {
    /// Drawn by the caller.
    pub app: AppId,
    pub meta: ApplicationMeta,
    pub resources: ResourceAttribute,
    /// The name of the first version.
    pub version: VersionName,
    pub workloads: Vec<Workload>,
    pub pins: BTreeMap<String, Digest>,
    pub level: Level,
    /// May be empty: an application without resources.
    pub selector: Vec<SelectorItem>,
    pub timeout_s: u32,
    pub on_timeout: OnTimeout,
}

#[derive(Clone, Debug)]
pub struct RescaleApplication {
    pub app: AppId,
    pub direction: Direction,
    pub level: Level,
    pub selector: Vec<SelectorItem>,
    /// `None` = the stable version. Ignored for a Del.
    pub to_version: Option<VersionName>,
    pub timeout_s: u32,
    pub on_timeout: OnTimeout,
    pub partial: Partial,
    pub if_revision: Option<u64>,
    pub if_plan: Option<PlanId>,
}

#[derive(Clone, Debug)]
pub struct DeleteApplication {
    pub app: AppId,
    pub timeout_s: u32,
    pub if_revision: Option<u64>,
}

/// Changes what an application keeps to (`decisions.md` §9.1).
#[derive(Clone, Debug)]
pub struct ModifyApplication {
    pub app: AppId,
    pub min_ready: u32,
    pub if_revision: Option<u64>,
}

/// Brings instances to a version, which is made for it or exists already (ens-api.md §2.3).
#[derive(Clone, Debug)]
pub struct UpgradeApplication {
    pub app: AppId,
    pub to: VersionName,
    pub description: String,
    /// Of a new version: what differs from the stable one.
    pub workloads: Vec<WorkloadPatch>,
    /// Of the images that these bring.
    pub pins: BTreeMap<String, Digest>,
    /// Which versions instances are taken from; `None` = all others.
    pub from: Option<Condition>,
    /// Which instances go now: all of these must hold.
    pub only: Vec<Condition>,
    pub auto: Option<AutoUpgrade>,
    /// Drawn by the caller; the TaskId of the answer.
    pub task: String,
    pub timeout_s: u32,
    pub on_timeout: OnTimeout,
    pub if_revision: Option<u64>,
}

/// A workload as an upgrade's template gives it: what it does not name stays as it is.
#[derive(Clone, Debug)]
pub struct WorkloadPatch {
    /// Where something was not given, what a new workload would have.
    pub workload: Workload,
    pub gives_pod_count: bool,
    pub gives_service_config: bool,
    /// `podSpec` with containers, which replaces the old one as a whole.
    pub gives_pod_spec: bool,
}

/// `autoUpgradeStrategy`.
#[derive(Clone, Debug)]
pub struct AutoUpgrade {
    pub schedule: Schedule,
    pub level: UnitLevel,
    pub rules: Vec<Rule>,
}

/// Brings all instances of one version back to an earlier one (ens-api.md §2.4).
#[derive(Clone, Debug)]
pub struct RollbackApplication {
    pub app: AppId,
    pub from: VersionName,
    /// `None` = the one made before `from`.
    pub to: Option<VersionName>,
    pub timeout_s: u32,
    pub on_timeout: OnTimeout,
    pub if_revision: Option<u64>,
}

/// Forgets a version that no instance carries (`decisions.md` §9.10).
#[derive(Clone, Debug)]
pub struct DeleteAppVersion {
    pub app: AppId,
    pub version: VersionName,
    pub if_revision: Option<u64>,
}

/// Moves instances to where the application's strategy would put them now (`decisions.md` §9.5).
#[derive(Clone, Debug)]
pub struct RebalanceApplication {
    pub app: AppId,
    pub max_moves: u32,
    pub timeout_s: u32,
    pub if_revision: Option<u64>,
    pub if_plan: Option<PlanId>,
}

/// Ends a running operation before its time (`decisions.md` §9.4).
#[derive(Clone, Debug)]
pub struct CancelOperation {
    pub operation: OperationId,
    pub mode: OnTimeout,
}

/// Takes shares of edge nodes for the account, each an instance that no application manages (ens-api.md §4.7).
#[derive(Clone, Debug)]
pub struct RunInstances {
    pub spec: SpecName,
    pub level: Level,
    /// Where; its count is how many.
    pub item: SelectorItem,
    pub strategy: Strategy,
    pub names: InstanceNames,
    pub tags: Vec<Tag>,
    pub echoed: Value,
}

/// `InstanceName` and `UniqueSuffix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstanceNames {
    /// All have this one.
    Same(String),
    /// `name001`, `name002`, …
    Numbered(String),
}

#[derive(Clone, Debug)]
pub struct ReleaseInstance {
    pub instance: InstanceId,
}

/// Protects instances from being taken unnamed, or no longer does (`decisions.md` §9.1).
#[derive(Clone, Debug)]
pub struct ProtectInstances {
    pub instances: Vec<InstanceId>,
    pub protection: Protection,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protection {
    On,
    Off,
}

/// The operator's word about an edge node (`decisions.md` §9.3, §9.5); the server lets nobody else say it.
#[derive(Clone, Debug)]
pub struct ChangeNode {
    pub node: EdgeNodeId,
    pub change: NodeChange,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeChange {
    /// Nothing new comes here, and what is here moves elsewhere.
    Drain,
    /// It takes instances again.
    Resume,
    /// What was here is gone for good; it cannot be reached.
    Lose { replacement: Replacement, timeout_s: u32 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replacement {
    None,
    /// Instead of each lost instance another one, within the scope that placed it.
    Wanted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    Add,
    Del,
}

/// `AllowPartial`: whether items that do not fit are skipped or refuse the whole call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partial {
    Refused,
    Allowed,
}

/// The durable yes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The RequestId to answer: the request's own, or the first one's when a `ClientToken` came again.
    pub operation: OperationId,
    /// `None` where no application was written.
    pub app: Option<AppId>,
    /// Of the application; 0 where there is none.
    pub revision: u64,
}
