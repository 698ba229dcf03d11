//! What an operation is: one accepted asynchronous change, its deadline, its progress and its outcome.
//! Types only, `state::apply` changes them; it outlives its application (`decisions.md` §2.12).

use crate::id::{AccountId, AppId, EdgeNodeId, InstanceId, Isp, OperationId, VersionName};
use crate::rollout::Rollout;
use crate::time::{LogTime, WallTime};
use imbl::Vector;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// How many steps an operation's history keeps at the most; beyond that the older half goes.
pub const STEPS_AT_MOST: usize = 400;

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
    /// What becomes of it at the deadline.
    #[serde(default)]
    pub on_timeout: OnTimeout,
    /// It is being taken back; its targets go then, whatever they were planned for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoing: Option<Undoing>,
    /// Drives the deadline; `deadline_at` is what people see.
    pub deadline: LogTime,
    pub deadline_at: WallTime,
    pub ended_at: Option<WallTime>,
    pub status: OperationStatus,
    /// Of an upgrade or a rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Arc<Rollout>>,
    /// The selector's items that were planned; empty for a Delete.
    pub items: Vec<AskedItem>,
    /// What it is about: the instances it adds or releases, in the order they were planned.
    pub targets: Vector<Target>,
    /// How many targets stand where.
    pub tally: Tally,
    /// Instances by themselves that it made.
    #[serde(default, skip_serializing_if = "Vector::is_empty")]
    pub made: Vector<InstanceId>,
    /// Items that did not fit and were skipped (`AllowPartial`).
    pub skipped: Vec<SkippedItem>,
    /// Bounded; the latest are kept.
    pub steps: Vector<Step>,
    /// One sentence, once it ended.
    pub outcome: Option<String>,
}

/// What an operation changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subject {
    Application(AppId),
    /// Instances of the account that belong to no application.
    Account,
    Node(EdgeNodeId),
}

impl Subject {
    pub fn app(&self) -> Option<&AppId> {
        match self {
            Self::Application(app) => Some(app),
            Self::Account | Self::Node(_) => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperationKind {
    Create,
    Add,
    Del,
    Delete,
    /// Instances make room for others elsewhere: rebalancing, and what a drain does.
    Move,
    /// Instances run another version, in place: an upgrade or a rollback.
    Upgrade,
    /// Done in the append that accepts it; only its history stays. Keeps no application busy.
    Immediate,
}

impl OperationKind {
    /// In the order of their declaration.
    pub const ALL: [Self; 7] =
        [Self::Create, Self::Add, Self::Del, Self::Delete, Self::Move, Self::Upgrade, Self::Immediate];
}

/// What becomes of an operation that is not done in time, or is canceled (`decisions.md` §9.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnTimeout {
    /// What is ready stays, what goes goes.
    #[default]
    Keep,
    /// Back to what was before.
    Undo,
}

impl OnTimeout {
    /// As the API says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Undo => "undo",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Undoing {
    /// Somebody canceled it.
    Canceled,
    /// Its time was up.
    TimedOut,
    /// What it brought does not become ready.
    Broken,
}

/// What a target is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It is to become ready.
    Comes,
    /// It is to go.
    Goes,
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

impl Tally {
    /// The counter of one state.
    pub(crate) fn of(&mut self, state: TargetState) -> &mut u32 {
        match state {
            TargetState::Waiting => &mut self.waiting,
            TargetState::OutOfReach => &mut self.out_of_reach,
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
    /// Of a Move: the instance that this one makes room for, once that one is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<InstanceId>,
    /// Of an upgrade: the version that it ran before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<VersionName>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TargetState {
    /// Planned, not ready (Add) or not yet gone (Del).
    Waiting,
    /// Its node cannot be reached: an operation does not wait for that (`decisions.md` §9.3).
    OutOfReach,
    /// Ready (Add) or confirmed gone (Del).
    Done,
    /// Given up: failed for good, or not done by the deadline.
    GivenUp,
}

/// How many targets stand where, kept while they change: an operation may have 100,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pub waiting: u32,
    #[serde(default)]
    pub out_of_reach: u32,
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
    /// It named instances.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_name: bool,
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
    /// How many instances it is about; a moved one counts once.
    pub fn wanted(&self) -> usize {
        match self.kind {
            OperationKind::Move => self.goers().count(),
            _ => self.targets.len(),
        }
    }

    /// How many did what it was asked for; for a Del, a Delete or a Move: the instances confirmed gone (`decisions.md` §5).
    /// Nothing of what is taken back did.
    pub fn done(&self) -> usize {
        if self.is_taken_back() { 0 } else { self.settled() }
    }

    /// Whether `target` is among those.
    pub fn is_done(&self, target: &Target) -> bool {
        target.state == TargetState::Done && !self.is_taken_back()
    }

    /// How many are where they are to be by now: of what is taken back, those that are gone.
    pub fn settled(&self) -> usize {
        match self.kind {
            OperationKind::Move => self.goers().filter(|target| target.state == TargetState::Done).count(),
            _ => self.tally.done as usize,
        }
    }

    /// It was to add, and what it added goes; or what it upgraded goes back.
    pub fn is_taken_back(&self) -> bool {
        let adds = matches!(self.kind, OperationKind::Create | OperationKind::Add | OperationKind::Upgrade);
        self.undoing.is_some() && adds
    }

    fn goers(&self) -> impl Iterator<Item = &Target> {
        self.targets.iter().filter(|target| self.role(target) == Role::Goes)
    }

    pub fn role(&self, target: &Target) -> Role {
        match self.kind {
            OperationKind::Create | OperationKind::Add if self.undoing.is_none() => Role::Comes,
            OperationKind::Move if target.replaced_by.is_none() => Role::Comes,
            OperationKind::Upgrade => Role::Comes,
            OperationKind::Create
            | OperationKind::Add
            | OperationKind::Del
            | OperationKind::Delete
            | OperationKind::Move
            | OperationKind::Immediate => Role::Goes,
        }
    }

    /// Of an upgrade: the version that the target is to run; going back, the one that it ran before.
    pub fn goal<'a>(&'a self, target: &'a Target) -> Option<&'a VersionName> {
        let rollout = self.rollout.as_ref()?;
        if self.undoing.is_some() { target.from.as_ref() } else { Some(&rollout.to) }
    }

    pub fn is_running(&self) -> bool {
        self.status == OperationStatus::Running
    }
}
