//! The pure answer to "where would this go, and why": compact, in the order of the selector's items.
//! Words for people are made by `explain`, only when somebody asks.

use crate::id::{EdgeNodeId, InstanceId, Isp, PlanId};
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
    /// The victims of a Del; empty for an Add.
    pub victims: Vec<InstanceId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortage {
    /// How many of `wanted` there is no room for (Add), or that do not exist (Del).
    pub missing: u32,
    /// Add: where else the whole item would fit. Del: where else the application has instances. Best first; at
    /// most 8.
    pub alternatives: Vec<Alternative>,
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
