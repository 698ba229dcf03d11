//! The pure answer to "where would this go, and why": compact, in the order of the selector's items.
//! Words for people are made by `explain`, only when somebody asks.

use crate::id::{EdgeNodeId, InstanceId, Isp, PlanId, SpecName};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// A digest of placements and victims.
    pub id: PlanId,
    /// By the selector's index.
    pub items: Vec<PlannedItem>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedItem {
    pub index: usize,
    pub wanted: u32,
    /// Add: where instances go, one entry per edge node and carrier, in the order first chosen.
    /// Del: where they are taken from.
    pub placements: Vec<Placement>,
    /// What stands against the item; its placements are empty then, and nothing of it is done.
    pub shortage: Option<Shortage>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    pub node: EdgeNodeId,
    pub isp: Isp,
    pub count: u32,
    /// Instances of this application on the node and carrier before this item.
    pub before: u32,
    /// The victims of a Del, in the order they are taken, or the instances that an Add hosts; empty for an Add that makes new
    /// ones.
    pub instances: Vec<InstanceId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortage {
    /// How many of `wanted` there is no room for (Add), or that do not exist or must stay (Del).
    pub missing: u32,
    /// Add: where else the whole item would fit. Del: where else the application has instances. Best first; at
    /// most 8.
    pub alternatives: Vec<Alternative>,
    /// What would make it fit where it was asked for; the smallest change of each kind.
    pub remedies: Vec<Remedy>,
}

/// A change after which the item would fit as it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Remedy {
    /// The drain of these nodes ends; they would hold so many more.
    DrainEnds { nodes: Vec<EdgeNodeId>, room: u32 },
    /// These nodes can be reached again.
    BackInReach { nodes: Vec<EdgeNodeId>, room: u32 },
    /// Instances of this spec are smaller; so many fit.
    SmallerSpec { spec: SpecName, room: u32 },
    /// These are no longer protected, or named.
    Unprotect { instances: Vec<InstanceId> },
    /// The application's `minReady` is less: it keeps so many.
    LowerMinReady { keeps: u32 },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alternative {
    /// An edge node id or a district code.
    pub region_code: String,
    pub isp: Option<Isp>,
    /// How many instances of the spec it has room for (Add), or has of the application (Del).
    pub room: u32,
}

impl PlannedItem {
    pub fn placed(&self) -> u32 {
        self.placements.iter().map(|placement| placement.count).sum()
    }
}

impl Plan {
    pub fn fits(&self) -> bool {
        self.items.iter().all(|item| item.shortage.is_none())
    }

    pub fn placed(&self) -> u32 {
        self.items.iter().map(PlannedItem::placed).sum()
    }
}

/// One instance that is to make room for another elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedMove {
    pub instance: InstanceId,
    pub node: EdgeNodeId,
    pub isp: Isp,
    pub to_node: EdgeNodeId,
    pub to_isp: Isp,
}

/// What a RebalanceApplication would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovePlan {
    /// A digest of the moves.
    pub id: PlanId,
    /// In the order in which they were chosen.
    pub moves: Vec<PlannedMove>,
    /// What could be moved but for this.
    pub kept: Vec<(InstanceId, EdgeNodeId, String)>,
}
