//! What an instance is: one unit of resource on an edge node and carrier, and the pods on it.
//! Allocation (who holds the capacity) is kept apart from deployment (what runs); types only.

use crate::id::{AccountId, AppId, EdgeNodeId, InstanceId, Isp, OperationId, SpecName, VersionName};
use crate::spec::Resources;
use crate::time::WallTime;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// Never used twice. What people see is [`Self::shown_id`].
    pub id: InstanceId,
    /// The instance of the account that it runs on, where it is hosted: that one may be hosted many times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<InstanceId>,
    pub account: AccountId,
    pub app: AppId,
    pub version: VersionName,
    pub node: EdgeNodeId,
    pub isp: Isp,
    pub spec: SpecName,
    /// What it takes of its node's capacity.
    pub resources: Resources,
    pub origin: Origin,
    pub scope: Scope,
    /// The operation that created it.
    pub operation: OperationId,
    /// Eight lower-case letters: the deployment, part of every device name on this instance (ens-api.md §6.4).
    pub deployment: String,
    pub created_at: WallTime,
    pub allocation: Allocation,
    /// Why it is being released, for people; `None` while it is held.
    pub cause: Option<String>,
    /// It was released while its node could not be reached, and has not been in reach since: nobody there was told.
    #[serde(default)]
    pub untold: bool,
    /// Taken only when it is named (`decisions.md` §9.1).
    #[serde(default)]
    pub protected: bool,
    /// The engine cannot say how it is.
    pub unknown: bool,
    /// Every pod was ready when the engine last reported; says nothing while `unknown`.
    pub ready: bool,
    /// Every workload's pods in the version's order; their status as last observed.
    pub pods: Vec<Pod>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// Made for the application; destroyed when released.
    Created,
    /// An instance of the account that the application runs on; given back when released (`decisions.md` §9.2).
    Hosted,
}

/// The selector item that placed an instance, as asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Scope {
    pub region_code: String,
    pub isp: Option<Isp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Allocation {
    Held,
    /// Keeps its capacity until the engine confirms that it is gone (`decisions.md` §1.9).
    Releasing,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    pub workload: String,
    pub index: u32,
    pub status: PodStatus,
    pub address: Option<IpAddr>,
    /// The address of its instance, on which the node ports of this pod are open; none where it binds none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposed_at: Option<IpAddr>,
    pub restarts: u32,
    /// Why it is not running: exit code, cause; empty when there is nothing to say.
    pub message: String,
}

/// Device `Status` (`decisions.md` §7.5), from least to most advanced where that is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PodStatus {
    Unknown,
    Failed,
    Stopped,
    Pending,
    Pulling,
    Starting,
    Running,
}

/// `InstanceStatus` (`decisions.md` §7.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum InstanceStatus {
    Pending,
    Running,
    Failed,
    Releasing,
    Unknown,
}

impl PodStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "Unknown",
            Self::Failed => "Failed",
            Self::Stopped => "Stopped",
            Self::Pending => "Pending",
            Self::Pulling => "Pulling",
            Self::Starting => "Starting",
            Self::Running => "Running",
        }
    }
}

impl InstanceStatus {
    /// In the order of their declaration.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Running, Self::Failed, Self::Releasing, Self::Unknown];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Failed => "Failed",
            Self::Releasing => "Releasing",
            Self::Unknown => "Unknown",
        }
    }
}

impl Instance {
    pub fn status(&self) -> InstanceStatus {
        if self.allocation == Allocation::Releasing {
            InstanceStatus::Releasing
        } else if self.unknown {
            InstanceStatus::Unknown
        } else if self.pods.iter().any(|pod| pod.status == PodStatus::Failed) {
            InstanceStatus::Failed
        } else if self.pods.iter().all(|pod| pod.status == PodStatus::Running) {
            InstanceStatus::Running
        } else {
            InstanceStatus::Pending
        }
    }

    /// The id that an account knows it by: where it is hosted, that of the instance it runs on.
    pub fn shown_id(&self) -> &InstanceId {
        self.host.as_ref().unwrap_or(&self.id)
    }

    /// Ready now, as far as its engine can say.
    pub fn is_ready(&self) -> bool {
        self.ready && !self.unknown
    }

    /// Counts in totals, spreading and "exists": everything but what is being released.
    pub fn is_held(&self) -> bool {
        self.allocation == Allocation::Held
    }

    /// The name of one device: `<app>-<workload>-<version>-<deployment>-<index>` (ens-api.md §6.4).
    pub fn device_name(&self, app_name: &str, workload: &str, index: u32) -> String {
        format!("{app_name}-{workload}-{}-{}-{index}", self.version, self.deployment)
    }
}
