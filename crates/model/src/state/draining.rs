//! What is kept of a node that is being emptied. Types only; `decide::drain` says what follows from it.

use crate::id::{AppId, OperationId};
use crate::operation::Caller;
use crate::time::WallTime;
use imbl::OrdSet;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// A standing wish: nothing new comes to the node, and what is there is to move (`decisions.md` §9.5).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Draining {
    pub since: WallTime,
    /// The call that asked for it; who made it and how, since the wish outlives the memory of operations.
    pub operation: OperationId,
    pub caller: Caller,
    pub parameters: Arc<Value>,
    /// Applications of which a move from here failed: they are tried again only when somebody drains again, or
    /// something of theirs is written.
    pub failed: OrdSet<AppId>,
}
