//! What an application is: its template, its versions and where it stands. Types only; `decide` and `state`
//! say how they change.

use crate::id::{AccountId, AppId, Digest, OperationId, SpecName, VersionName};
use crate::port::PortRange;
use crate::probe::Probe;
use crate::time::WallTime;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Every event about it makes a new one beside those that readers hold, so what seldom changes is shared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Application {
    pub id: AppId,
    pub account: AccountId,
    pub meta: Arc<ApplicationMeta>,
    pub resources: Arc<ResourceAttribute>,
    /// In the order of their creation; never empty.
    pub versions: Arc<Vec<Version>>,
    pub stable_version: VersionName,
    /// Names of versions that are gone, which are not used again (`decisions.md` §9.10).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub deleted_versions: BTreeSet<VersionName>,
    pub phase: Phase,
    pub status: StatusDescription,
    pub created_at: WallTime,
    pub updated_at: WallTime,
    /// Rises with every accepted write, every end of an operation and whenever instances join or leave those it
    /// holds; not when a released one is confirmed gone.
    pub revision: u64,
    /// The running operation, if any.
    pub operation: Option<OperationId>,
}

/// What CreateApplication's `appMetaData` says, checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApplicationMeta {
    /// Unique per account and cluster.
    pub name: String,
    pub cluster: String,
    /// `Common` or `Scheduler`.
    pub app_type: String,
    pub description: String,
}

/// What CreateApplication's `resourceAttribute` says, checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResourceAttribute {
    pub resource_type: String,
    pub resource_agent: String,
    pub instance_spec: SpecName,
    pub system_disk_gb: u32,
    pub data_disk_gb: u32,
    pub bandwidth_out_mbit: u32,
    /// `National`, `Big`, `Middle`, `Small`, `RegionId`: as given, echoed.
    pub area_level: String,
    pub strategy: Strategy,
    pub ip_type: String,
    pub image_id: Option<String>,
    pub net_security_strategy: Option<Value>,
    pub init_config: Option<Value>,
    /// How many instances on one edge node and carrier stay ready while others are released or moved: the floor is
    /// this or what is wanted afterwards, whichever is less (`decisions.md` §9.1).
    #[serde(default)]
    pub min_ready: u32,
}

/// How placement spreads instances (`decisions.md` §1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Strategy {
    Disperse,
    Concentrate,
}

/// An immutable workload description under a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Version {
    pub name: VersionName,
    pub description: String,
    pub created_at: WallTime,
    pub workloads: Vec<Workload>,
    /// Image reference as written in the template → manifest digest it was pinned to.
    pub pins: BTreeMap<String, Digest>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    pub name: String,
    /// Pods on each instance, 1 to 100.
    pub pod_count: u32,
    /// `serviceConfig` as given (camelCase); shown in PascalCase.
    pub service_config: Option<Value>,
    /// What that binds on the machine, for the first pod. None in what was logged before ports were bound.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortRange>,
    pub containers: Vec<Container>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    pub name: String,
    pub image: String,
    /// Replaces the image's entrypoint when not empty.
    pub command: Vec<String>,
    /// Replaces the image's command when not empty.
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
    pub working_dir: Option<String>,
    pub ports: Vec<Port>,
    /// Whether it may be sent work; without one, whenever it runs. None in what was logged before there were probes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness: Option<Probe>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    pub container_port: u16,
    /// `TCP` or `UDP`.
    pub protocol: String,
}

/// `AppStatus.Phase` (ens-api.md §1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    Creating,
    Running,
    CreateFailed,
    Updating,
    UpdateFailed,
    Deleting,
    DeleteFailed,
}

impl Phase {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "CREATING",
            Self::Running => "RUNNING",
            Self::CreateFailed => "CREATE_FAILED",
            Self::Updating => "UPDATING",
            Self::UpdateFailed => "UPDATE_FAILED",
            Self::Deleting => "DELETING",
            Self::DeleteFailed => "DELETE_FAILED",
        }
    }
}

/// `AppStatus.StatusDescrip`, before it becomes a JSON string.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusDescription {
    /// `CREATE_WAITING`, `UPDATE_RUNNING`, `UPDATE_SUCCESS`, `DELETE_FAILED`, …
    pub status: String,
    /// `INIT`, `SCHEDULE_RESOURCE`, `CREATE_RESOURCE`, `DEPLOY_CONTAINER`, `RELEASE_CONTAINER`, `RELEASE_RESOURCE`, `DONE`.
    pub step: String,
    pub description: String,
    pub started_at: WallTime,
}

impl Version {
    /// Whether a container of it runs this image, as written.
    pub fn uses(&self, image: &str) -> bool {
        let mut containers = self.workloads.iter().flat_map(|workload| &workload.containers);
        containers.any(|container| container.image == image)
    }

    /// The node ports of one instance, those of all its pods.
    pub fn node_ports(&self) -> Vec<PortRange> {
        let of_workload = |workload: &Workload| {
            let pods = workload.pod_count;
            workload.ports.iter().map(move |range| range.of_pods(pods)).collect::<Vec<_>>()
        };
        self.workloads.iter().flat_map(of_workload).collect()
    }
}

impl Application {
    pub fn version(&self, name: &VersionName) -> Option<&Version> {
        self.versions.iter().find(|version| version.name == *name)
    }
}
