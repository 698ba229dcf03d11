//! `Plan` of PlanRescaleApplication (`decisions.md` §5): where instances would go or be taken from, and why.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Plan {
    /// What `IfPlan` compares.
    pub plan_id: String,
    pub revision: u64,
    pub fits: bool,
    /// What stands against it whatever fits: a running operation, an engine that is down.
    pub blocked: Option<String>,
    /// Instances of the application before and after.
    pub before: usize,
    pub after: usize,
    /// By the selector's index.
    pub items: Vec<Item>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Item {
    pub index: usize,
    pub wanted: u32,
    pub placed: u32,
    pub placements: Vec<Placement>,
    /// At most ten for each reason.
    pub not_chosen: Vec<NotChosen>,
    /// How many there are.
    #[serde(default)]
    pub not_chosen_count: usize,
    pub shortage: Option<Shortage>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Placement {
    pub ens_region_id: String,
    pub isp_code: String,
    pub before: u32,
    pub after: u32,
    /// The victims of a Del.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_ids: Option<Vec<String>>,
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NotChosen {
    pub ens_region_id: String,
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Shortage {
    pub missing: u32,
    pub alternatives: Vec<Alternative>,
}

/// Where else there is room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Alternative {
    /// An edge node id or a district code.
    pub region_code: String,
    pub isp_code: Option<String>,
    pub room: u32,
}
