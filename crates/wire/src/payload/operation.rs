//! `Operation` of DescribeOperation, ListOperations and the event stream (`decisions.md` §5). Times are
//! `2021-12-28T16:00:00Z`.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Operation {
    /// The RequestId of the acceptance.
    pub operation_id: String,
    /// The API action: `RescaleApplication`.
    pub action: String,
    /// `Add` or `Del`, of a RescaleApplication.
    pub rescale_type: Option<String>,
    /// Empty for what is about no application.
    pub app_id: String,
    /// The edge node that it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ens_region_id: Option<String>,
    pub revision: u64,
    pub principal: String,
    /// With which key it was asked; left out of lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key_id: Option<String>,
    /// From which address; left out of lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<String>,
    /// As they were called, what may be secret hidden; left out of lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Vec<Parameter>>,
    /// `Running`, `Succeeded`, `Failed`, `Canceled`, `Superseded`.
    pub status: String,
    pub accepted_at: String,
    pub deadline: String,
    pub ended_at: Option<String>,
    /// Without skipped items.
    pub wanted: usize,
    /// For a Del or Delete: the instances confirmed gone.
    pub ready: usize,
    pub skipped: Vec<Skipped>,
    pub nodes: Vec<Node>,
    /// Left out of lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<Step>>,
    /// One sentence, once it ended.
    pub outcome: Option<String>,
}

/// A parameter of the call; JSON stands as its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Parameter {
    pub name: String,
    pub value: String,
}

/// A selector item that did not fit (`AllowPartial`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Skipped {
    pub index: usize,
    pub wanted: u32,
    pub reason: String,
}

/// What an operation does on one edge node and carrier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Node {
    pub ens_region_id: String,
    pub isp_code: String,
    pub wanted: usize,
    pub ready: usize,
    /// How many instances are how: `{"Pulling":1,"Running":2}`.
    pub states: BTreeMap<String, usize>,
    /// How far the images are that instances here wait for; absent when none is being pulled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pulled: Option<Pulled>,
}

/// Progress of a pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Pulled {
    pub bytes: u64,
    pub total_bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Step {
    pub at: String,
    pub text: String,
}
