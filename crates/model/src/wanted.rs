//! What engines are told: which instances each cell should hold, complete for the cell, so that converging
//! twice changes nothing. Plain data; an engine never sees anything else of the state.

mod taken;

use crate::application::Container;
use crate::id::{AppId, Digest, EdgeNodeId, InstanceId, Isp, VersionName};
use crate::port::Exposed;
use crate::spec::Resources;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

pub use taken::Taken;

/// The leader's epoch: an engine refuses an older one than it has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Epoch(pub u64);

/// Application × version × edge node × ISP: what an engine converges.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CellKey {
    pub app: AppId,
    pub version: VersionName,
    pub node: EdgeNodeId,
    pub isp: Isp,
}

/// A change of what is wanted, for one engine.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub epoch: Epoch,
    /// Of the last log entry that it stands on: of two wishes about one cell, the greater is the newer.
    pub sequence: u64,
    pub coverage: Coverage,
    pub cells: Vec<WantedCell>,
}

/// How new a wish is: a later leader's is newer, then one that stands on more of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Standing {
    pub epoch: Epoch,
    pub sequence: u64,
}

/// What the absence of a cell from [`Wanted`] means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// Every cell of this engine is listed: what is not wanted in any of them goes.
    Complete,
    /// Only what is listed changes.
    Listed,
}

/// Everything one cell should hold: an instance in neither list of its cell is to be gone as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedCell {
    pub key: CellKey,
    /// The workload, shared by all instances of the cell.
    pub template: Arc<CellTemplate>,
    pub run: Vec<WantedInstance>,
    /// To be stopped and confirmed gone by an observation with `gone`, also when nothing of it is found.
    pub release: Vec<InstanceId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellTemplate {
    pub app_name: String,
    /// A limit on the instance's cgroup, shared by its pods (`decisions.md` §1.1).
    pub limits: Resources,
    pub workloads: Vec<WantedWorkload>,
    pub pins: BTreeMap<String, Digest>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedWorkload {
    pub name: String,
    pub pod_count: u32,
    /// What of it is open on the machine, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposed: Option<Exposed>,
    pub containers: Vec<Container>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedInstance {
    pub id: InstanceId,
    /// Eight lower-case letters, part of every device name.
    pub deployment: String,
    /// The instance of the account that it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<WantedHost>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedHost {
    /// What its containers are told it is called.
    pub id: InstanceId,
    /// What it has, which may be more than an instance of the application takes.
    pub limits: Resources,
}

impl Wanted {
    pub fn standing(&self) -> Standing {
        Standing { epoch: self.epoch, sequence: self.sequence }
    }
}

impl CellTemplate {
    /// The device name of one pod: `<app>-<workload>-<version>-<deployment>-<index>` (ens-api.md §6.4).
    pub fn pod_name(&self, version: &VersionName, deployment: &str, workload: &str, index: u32) -> String {
        format!("{}-{workload}-{version}-{deployment}-{index}", self.app_name)
    }

    /// What of one pod is open on the machine.
    pub fn exposed(&self, workload: &str, index: u32) -> Option<Exposed> {
        let workload = self.workloads.iter().find(|found| found.name == workload)?;
        workload.exposed.as_ref().map(|exposed| exposed.of_pod(index))
    }
}
