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
    /// At most 1,000 for each reason.
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
    /// The victims of a Del, or the hosts of an Add that names some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_ids: Option<Vec<String>>,
    /// The same, each with the rule that chose it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instances: Vec<Chosen>,
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Chosen {
    pub instance_id: String,
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
    /// What would make it fit where it was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remedies: Vec<Remedy>,
}

/// A change after which the item fits as it was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Remedy {
    /// `DrainEnds`, `BackInReach`, `SmallerSpec`, `Unprotect`, `LowerMinReady`.
    pub change: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ens_region_ids: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instance_ids: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_type: Option<String>,
    /// How many instances there would be room for, or that could be taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<u32>,
}

/// `Plan` of PlanRebalanceApplication.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct MovePlan {
    /// What `IfPlan` compares.
    pub plan_id: String,
    pub revision: u64,
    pub fits: bool,
    /// What stands against it: a running operation, nothing to move.
    pub blocked: Option<String>,
    pub moves: Vec<Move>,
    pub not_moved: Vec<NotMoved>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Move {
    pub instance_id: String,
    pub ens_region_id: String,
    pub isp_code: String,
    pub to_ens_region_id: String,
    pub to_isp_code: String,
}

/// An instance that stays where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NotMoved {
    pub instance_id: String,
    pub ens_region_id: String,
    pub reason: String,
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
