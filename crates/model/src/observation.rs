//! What engines report: how instances are, as of now. An observation is complete for the instances it names,
//! so a lost or doubled one does no harm, and its number says which of two is newer.
//! Progress within a state is no observation.

use crate::id::{AppId, Digest, EdgeNodeId, EngineName, InstanceId, VersionName};
use crate::instance::PodStatus;
use crate::wanted::Epoch;
use std::net::IpAddr;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    pub engine: EngineName,
    /// The epoch under which the engine acts: a leader of another one does not believe it. An engine that comes to act
    /// under a later epoch says anew how everything is.
    pub epoch: Epoch,
    /// Rises with every report of this engine within the epoch, from 1: what an instance was said to be by a lower one
    /// is older.
    pub number: u64,
    pub reach: Reach,
    pub instances: Vec<InstanceObservation>,
    /// Images of versions that had no pin, as this engine resolved them. The first one that is logged is the pin.
    pub resolved: Vec<ResolvedImage>,
}

/// What an image reference led to when an engine asked for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ResolvedImage {
    pub app: AppId,
    pub version: VersionName,
    /// As written in the template.
    pub image: String,
    /// Of the manifest.
    pub digest: Digest,
}

/// How much the engine looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It looked at everything it runs: an instance of its that is not named is not there. One that is to be released is
    /// confirmed gone by name all the same.
    Whole,
    /// It names what changed; nothing is said about the rest.
    Listed,
    /// It cannot reach these nodes: their instances are `Unknown`, neither failed nor gone, also where it names them.
    Unreachable(Vec<EdgeNodeId>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceObservation {
    pub instance: InstanceId,
    pub presence: Presence,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Confirmed: nothing of it is left.
    Gone,
    Here {
        /// What it is told of: an instance gets another one when it gets another version.
        deployment: String,
        /// Every wanted pod of the instance.
        pods: Vec<PodObservation>,
        /// All containers of all pods have run long enough without an exit (`decisions.md` §2.5).
        ready: bool,
        /// It can never run as it is: no such executable, image or platform (`decisions.md` §2.4). One sentence.
        hopeless: Option<String>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodObservation {
    pub workload: String,
    pub index: u32,
    pub status: PodStatus,
    pub address: Option<IpAddr>,
    /// The address of its instance, while node ports of it lead to this pod.
    pub exposed_at: Option<IpAddr>,
    pub restarts: u32,
    /// Last exit or cause, for people: `exited 1`, `killed by signal 9 (out of memory)`; empty when all is well.
    pub message: String,
}
