//! What the control loop is asked to change. A command carries everything a decision needs from outside:
//! the permit, ids, a seed and the request's own words; times come in beside it.

use crate::application::{ApplicationMeta, ResourceAttribute, Workload};
use crate::id::{AppId, Digest, OperationId, PlanId, VersionName};
use crate::permit::Permit;
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
    pub app: AppId,
    pub revision: u64,
}
