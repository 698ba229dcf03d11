//! What an operation is: one accepted asynchronous change, its deadline, its progress and its outcome.
//! Types only, `state::apply` changes them; it outlives its application (`decisions.md` §2.12).

use crate::id::{AccountId, AppId, EdgeNodeId, InstanceId, Isp, OperationId};
use crate::time::{LogTime, WallTime};
use imbl::Vector;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// How many steps an operation's history keeps; the first ones go.
pub const STEPS_AT_MOST: usize = 200;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    pub id: OperationId,
    /// Rises with every operation of the log: the order of acceptance, whatever the wall clock did.
    pub number: u64,
    pub account: AccountId,
    pub subject: Subject,
    pub kind: OperationKind,
    /// The API action that was called.
    pub action: String,
    pub caller: Caller,
    /// The parameters as they were called, for the history.
    pub parameters: Arc<Value>,
    /// The application's revision after acceptance.
    pub revision: u64,
    pub accepted_at: WallTime,
    /// What was asked for, from acceptance on.
    pub timeout_s: u32,
    /// Drives the deadline; `deadline_at` is what people see.
    pub deadline: LogTime,
    pub deadline_at: WallTime,
    pub ended_at: Option<WallTime>,
    pub status: OperationStatus,
    /// The selector's items that were planned; empty for a Delete.
    pub items: Vec<AskedItem>,
    /// What it is about: the instances it adds or releases, in the order they were planned.
    pub targets: Vector<Target>,
    /// How many targets stand where.
    pub tally: Tally,
    /// Items that did not fit and were skipped (`AllowPartial`).
    pub skipped: Vec<SkippedItem>,
    /// Bounded; the latest are kept.
    pub steps: Vector<Step>,
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

impl OperationKind {
    /// In the order of their declaration.
    pub const ALL: [Self; 4] = [Self::Create, Self::Add, Self::Del, Self::Delete];
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

impl OperationKind {
    /// Whether it waits for instances to become ready; else for them to go.
    pub fn adds(self) -> bool {
        match self {
            Self::Create | Self::Add => true,
            Self::Del | Self::Delete => false,
        }
    }
}

impl Tally {
    /// The counter of one state.
    pub(crate) fn of(&mut self, state: TargetState) -> &mut u32 {
        match state {
            TargetState::Waiting => &mut self.waiting,
            TargetState::Done => &mut self.done,
            TargetState::GivenUp => &mut self.given_up,
        }
    }
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

/// How many targets stand where, kept while they change: an operation may have 100,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pub waiting: u32,
    pub done: u32,
    pub given_up: u32,
}

/// A selector item as it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedItem {
    /// Its index in the selector.
    pub item: usize,
    pub region_code: Option<String>,
    pub isp: Option<Isp>,
    pub wanted: u32,
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
        self.tally.done as usize
    }

    pub fn is_running(&self) -> bool {
        self.status == OperationStatus::Running
    }
}
