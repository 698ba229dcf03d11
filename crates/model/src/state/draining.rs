//! What is kept of a node that is being emptied. Types only; `decide::drain` says what follows from it.

use crate::id::{AppId, OperationId};
use crate::time::WallTime;
use imbl::OrdSet;
use serde::{Deserialize, Serialize};

/// A standing wish: nothing new comes to the node, and what is there is to move (`decisions.md` §9.5).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Draining {
    pub since: WallTime,
    /// The call that asked for it.
    pub operation: OperationId,
    /// Applications of which a move from here failed: they are tried again only when somebody drains again, or
    /// something of theirs is written.
    pub failed: OrdSet<AppId>,
}
