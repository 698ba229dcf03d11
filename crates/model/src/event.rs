//! What happened, as the log keeps it: versioned by the record format, readable, complete enough that applying
//! the same entries always gives the same state. `decide` makes events, `state::apply` believes them.
//! Fields may be added with a serde default; a field that changes its meaning is a new major version of the log.

use crate::application::{ApplicationMeta, ResourceAttribute, Version, Workload};
use crate::command::{ClientToken, Nonce, Protection};
use crate::fleet::Fleet;
use crate::id::{AccountId, AppId, Digest, EdgeNodeId, InstanceId, Isp, OperationId, SpecName, VersionName};
use crate::instance::{Origin, Pod, Scope};
use crate::operation::{
    AskedItem, Caller, OnTimeout, OperationKind, OperationStatus, SkippedItem, Subject, Undoing,
};
use crate::own_instance::OwnInstance;
use crate::rollout::{Redeployed, RolledInstance, Rollout};
use crate::spec::Resources;
use crate::time::{LogTime, Now, WallTime};
use crate::wanted::{CellKey, Epoch};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One durable write: everything that a batch of inputs changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// 1, 2, 3, … without gaps.
    pub sequence: u64,
    /// The two times of all its events (`decisions.md` §2.8).
    pub now: Now,
    /// The leader that wrote it.
    pub epoch: Epoch,
    pub events: Vec<Event>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The fleet in force from here on.
    FleetInstalled {
        fleet: Arc<Fleet>,
    },
    ApplicationCreated {
        application: Box<NewApplication>,
    },
    /// A write was accepted; the instances it adds or releases follow in the same entry.
    OperationAccepted {
        operation: Box<AcceptedOperation>,
    },
    /// Instances exist from here on, and take their room.
    InstancesPlanned {
        operation: OperationId,
        app: AppId,
        version: VersionName,
        spec: SpecName,
        /// What each takes of its node, as the table said at the time.
        resources: Resources,
        placements: Vec<PlannedPlacement>,
    },
    /// Instances are to go. They keep their room until they are confirmed gone.
    InstancesReleasing {
        operation: OperationId,
        app: AppId,
        cause: ReleaseCause,
        instances: Vec<ReleasedInstance>,
    },
    /// They are not to go after all: nobody there was told (`decisions.md` §9.4).
    InstancesRevived {
        operation: OperationId,
        app: AppId,
        instances: Vec<InstanceId>,
    },
    /// Only named calls take them from here on, or any again.
    InstancesProtected {
        app: AppId,
        instances: Vec<InstanceId>,
        protection: Protection,
    },
    /// The account holds these shares of edge nodes from here on; no application manages them.
    OwnInstancesCreated {
        instances: Vec<OwnInstance>,
    },
    /// Its owner gave it up.
    OwnInstanceReleased {
        instance: InstanceId,
    },
    VersionCreated {
        app: AppId,
        version: Box<Version>,
    },
    VersionDeleted {
        app: AppId,
        version: VersionName,
    },
    StableVersionMoved {
        app: AppId,
        version: VersionName,
    },
    /// The instances that an upgrade or a rollback is about; each goes when its turn comes.
    RolloutPlanned {
        operation: OperationId,
        rollout: Box<Rollout>,
        instances: Vec<RolledInstance>,
    },
    /// These run the version from here on, in place.
    InstancesRedeployed {
        operation: OperationId,
        app: AppId,
        version: VersionName,
        instances: Vec<Redeployed>,
    },
    /// A scheduled rollout was looked at, and will be again then.
    RolloutChecked {
        operation: OperationId,
        next: LogTime,
    },
    ApplicationModified {
        app: AppId,
        min_ready: u32,
    },
    /// How an instance is, where that differs from what was known; it is known, too.
    InstanceObserved {
        instance: InstanceId,
        ready: bool,
        /// Only pods that changed.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pods: Vec<Pod>,
    },
    /// Confirmed: nothing of it is left, and its room is free.
    InstanceGone {
        instance: InstanceId,
    },
    /// An image of a version was resolved for the first time: from here on the version means this digest.
    ImagePinned {
        app: AppId,
        version: VersionName,
        /// As written in the template.
        image: String,
        digest: Digest,
    },
    /// The engine cannot say how anything on these nodes is.
    NodesUnreachable {
        nodes: Vec<EdgeNodeId>,
    },
    NodesReachable {
        nodes: Vec<EdgeNodeId>,
    },
    /// Nothing new comes to the node, and what is there is to move.
    NodeDraining {
        node: EdgeNodeId,
        operation: OperationId,
    },
    NodeResumed {
        node: EdgeNodeId,
    },
    /// The operation goes back to what was before; it has until then.
    OperationUndoing {
        operation: OperationId,
        cause: Undoing,
        deadline: LogTime,
        deadline_at: WallTime,
    },
    OperationEnded {
        operation: OperationId,
        status: OperationStatus,
        /// One sentence for the operation's history.
        outcome: String,
        /// `descrip` of the application's StatusDescrip.
        description: String,
    },
    /// Its last instance is gone; nothing of it is left but the history.
    ApplicationDeleted {
        app: AppId,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewApplication {
    pub app: AppId,
    pub account: AccountId,
    pub meta: ApplicationMeta,
    pub resources: ResourceAttribute,
    pub version: VersionName,
    pub workloads: Vec<Workload>,
    pub pins: BTreeMap<String, Digest>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AcceptedOperation {
    pub id: OperationId,
    pub account: AccountId,
    pub subject: Subject,
    pub kind: OperationKind,
    pub action: String,
    pub caller: Caller,
    pub parameters: Arc<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_token: Option<ClientToken>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<Nonce>,
    pub timeout_s: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_timeout: OnTimeout,
    pub deadline: LogTime,
    pub deadline_at: WallTime,
    pub items: Vec<AskedItem>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<SkippedItem>,
    /// `descrip` of the application's StatusDescrip while it runs.
    pub description: String,
}

/// Instances that one selector item put on one node and carrier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedPlacement {
    pub item: usize,
    pub scope: Scope,
    pub origin: Origin,
    pub node: EdgeNodeId,
    pub isp: Isp,
    pub instances: Vec<PlannedInstance>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedInstance {
    pub id: InstanceId,
    pub deployment: String,
    /// The instance of the account that it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<InstanceId>,
    /// The instance that makes room for it once it is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<InstanceId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasedInstance {
    pub id: InstanceId,
    /// The selector item that picked it; 0 where there is no selector.
    pub item: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum ReleaseCause {
    /// The operation is about releasing them.
    Asked,
    /// They were not ready when the operation's time was up.
    Deadline,
    /// They can never run as they are (`decisions.md` §2.4).
    Hopeless { reason: String },
    /// They were not ready when the operation was canceled.
    Canceled,
    /// The operation that made them is taken back.
    Undone,
    /// Another instance is ready in their place.
    Moved,
    /// The operator declared their edge node lost.
    NodeLost,
}

impl ReleaseCause {
    /// For people, on the instance.
    pub fn text(&self) -> String {
        match self {
            Self::Asked => "released on request".into(),
            Self::Deadline => "not ready when the time was up".into(),
            Self::Hopeless { reason } => reason.clone(),
            Self::Canceled => "not ready when the operation was canceled".into(),
            Self::Undone => "its operation was undone".into(),
            Self::Moved => "moved to another edge node".into(),
            Self::NodeLost => "its edge node was declared lost".into(),
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl PlannedPlacement {
    pub(crate) fn cell(&self, app: &AppId, version: &VersionName) -> CellKey {
        CellKey { app: app.clone(), version: version.clone(), node: self.node.clone(), isp: self.isp.clone() }
    }
}
