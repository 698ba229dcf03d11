//! An instance by itself: a share of an edge node that an account holds, whatever runs on it. An application may host
//! its pods there; what runs then is an [`Instance`](crate::instance::Instance) of its own. Types only.

use crate::id::{AccountId, AppId, EdgeNodeId, InstanceId, Isp, OperationId, SpecName};
use crate::spec::Resources;
use crate::time::WallTime;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnInstance {
    pub id: InstanceId,
    pub account: AccountId,
    /// `InstanceName`; not unique.
    pub name: String,
    pub spec: SpecName,
    /// What it takes of its node's capacity, also while nothing runs on it.
    pub resources: Resources,
    pub node: EdgeNodeId,
    pub isp: Isp,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// What was given and means nothing here, echoed where an answer has it (ens-api.md §4.7).
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub echoed: Value,
    pub created_at: WallTime,
    /// The operation that made it.
    pub operation: OperationId,
    /// The application that runs on it, until it is given back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosted_by: Option<AppId>,
    /// What runs on it, or ran there last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<InstanceId>,
    /// What it carried before that too, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hostings: Vec<Hosting>,
}

/// How many hostings are remembered of one instance.
pub const HOSTINGS_AT_MOST: usize = 16;

/// One time that an application ran on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hosting {
    pub app: AppId,
    pub instance: InstanceId,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    pub key: String,
    pub value: String,
}
