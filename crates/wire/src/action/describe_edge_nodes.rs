//! DescribeEdgeNodes, ours: how edge nodes stand with the operator: in reach, draining, and what stays there and why.

use super::rebalance_application::NOT_MOVED;
use super::{BOTH, REQUEST_ID, owned};
use crate::entry::{Access, Action, Group, Kind, Member, Parameter, PublishedError, Schema};
use crate::error::Error;
use crate::parameters::Parameters;
use crate::payload::plan::NotMoved;
use serde::{Deserialize, Serialize};

pub static ENTRY: Action = Action {
    name: "DescribeEdgeNodes",
    title: "Show how edge nodes stand",
    summary: "Lists the edge nodes that cannot be reached or are draining, or shows one. What stays on a draining node, and why, is shown only of the caller's own instances.",
    group: Group::Extension,
    kind: Kind::Read,
    methods: BOTH,
    path: "/",
    ram_action: "ens:DescribeEdgeNodes",
    access: Access::List,
    parameters: &[
        Parameter::text("EnsRegionId", "cn-shanghai-cmcc").about("Only this edge node, however it stands.")
    ],
    response: &[Member::list("EdgeNodes", &Schema::Object(NODE)), REQUEST_ID],
    errors: PublishedError::SIX,
    example: r#"{"EdgeNodes":[{"EnsRegionId":"cn-shanghai-cmcc","Reachable":true,"UnreachableSince":null,"DrainingSince":"2026-03-27T08:00:00Z","Instances":3,"Stays":[{"InstanceId":"i-5s9boobrmh5000kv4jmi0oeai","EnsRegionId":"cn-shanghai-cmcc","Reason":"protected"}]}],"RequestId":"5B2E8A0C-9F3D-4E55-8C1F-0A6F5D2B7E11"}"#,
};

const NODE: &[Member] = &[
    Member::text("EnsRegionId", "cn-shanghai-cmcc"),
    Member::flag("Reachable", "true"),
    Member::text("UnreachableSince", "2026-03-27T08:00:00Z"),
    Member::text("DrainingSince", "2026-03-27T08:00:00Z"),
    Member::integer("Instances", "3"),
    Member::list("Stays", &Schema::Object(NOT_MOVED)),
];

#[derive(Clone, Debug)]
pub struct Request {
    pub ens_region_id: Option<String>,
}

impl Request {
    /// Reads what `ENTRY.check` let through.
    ///
    /// # Errors
    /// None beyond those of `check`.
    pub fn read(parameters: &Parameters) -> Result<Self, Error> {
        Ok(Self { ens_region_id: owned(parameters, "EnsRegionId") })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EdgeNode {
    pub ens_region_id: String,
    pub reachable: bool,
    pub unreachable_since: Option<String>,
    pub draining_since: Option<String>,
    /// Of all accounts, those being released included.
    pub instances: usize,
    pub stays: Vec<NotMoved>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    pub edge_nodes: Vec<EdgeNode>,
    pub request_id: String,
}
