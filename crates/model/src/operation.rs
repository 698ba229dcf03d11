//! What an operation is: one accepted asynchronous change, its deadline, its progress and its outcome.
//! Types only; it outlives its application (`decisions.md` §2.12).

use crate::id::{AccountId, AppId, EdgeNodeId, InstanceId, Isp, OperationId};
use crate::time::{LogTime, WallTime};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    pub id: OperationId,
    pub account: AccountId,
    pub subject: Subject,
    pub kind: OperationKind,
    /// The API action that was called.
    pub action: String,
    pub caller: Caller,
    /// The parameters as they were called, for the history.
    pub parameters: Value,
    /// The application's revision after acceptance.
    pub revision: u64,
    pub accepted_at: WallTime,
    /// Drives the deadline; `deadline_at` is what people see.
    pub deadline: LogTime,
    pub deadline_at: WallTime,
    pub ended_at: Option<WallTime>,
    pub status: OperationStatus,
    /// What it is about: the instances it adds or releases, in the order they were planned.
    pub targets: Vec<Target>,
    /// Items that did not fit and were skipped (`AllowPartial`).
    pub skipped: Vec<SkippedItem>,
    /// Bounded; the latest are kept.
    pub steps: Vec<Step>,
    /// One sentence, once it ended.
    pub outcome: Option<String>,
}

/// What an operation changes; edge nodes follow later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subject {
    Application(AppId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperationKind {
    Create,
    Add,
    Del,
    Delete,
}

/// Who called, with which key and from where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The account or, later, the user or role session.
    pub principal: String,
    pub key_id: String,
    pub source: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperationStatus {
    Running,
    Succeeded,
    Failed,
    Canceled,
    Superseded,
}

impl OperationStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Canceled => "Canceled",
            Self::Superseded => "Superseded",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    pub instance: InstanceId,
    pub node: EdgeNodeId,
    pub isp: Isp,
    /// Index of the selector item it serves.
    pub item: usize,
    pub state: TargetState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TargetState {
    /// Planned, not ready (Add) or not yet gone (Del).
    Waiting,
    /// Ready (Add) or confirmed gone (Del).
    Done,
    /// Given up: failed for good, or not done by the deadline.
    GivenUp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedItem {
    pub item: usize,
    pub wanted: u32,
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub at: WallTime,
    pub text: String,
}

impl Operation {
    pub fn wanted(&self) -> usize {
        self.targets.len()
    }

    /// For a Del or Delete: the instances confirmed gone (`decisions.md` §5).
    pub fn done(&self) -> usize {
        self.targets.iter().filter(|target| target.state == TargetState::Done).count()
    }

    pub fn is_running(&self) -> bool {
        self.status == OperationStatus::Running
    }
}
