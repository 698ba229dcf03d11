//! DrainEdgeNode, ResumeEdgeNode and LoseEdgeNode, ours: the operator's word about an edge node (`decisions.md` §9.3,
//! §9.5). For the account that owns the server.

use super::{BOTH, CLIENT_TOKEN, REQUEST_ID, owned, timeout};
use crate::entry::{Access, Action, Group, Kind, Parameter, PublishedError, ValueType};
use crate::error::Error;
use crate::parameters::{Flag, Parameters};
use serde::{Deserialize, Serialize};

pub static DRAIN_ENTRY: Action = Action {
    name: "DrainEdgeNode",
    title: "Drain an edge node",
    summary: "A standing wish: nothing new comes to the node, and what is there moves elsewhere within the scope that placed it, whenever its application is idle. DescribeEdgeNodes says what stays, and why. Only for the account that owns the server.",
    group: Group::Extension,
    kind: Kind::Write,
    methods: BOTH,
    path: "/",
    ram_action: "ens:DrainEdgeNode",
    access: Access::Update,
    parameters: &[ENS_REGION_ID, CLIENT_TOKEN],
    response: &[REQUEST_ID],
    errors: PublishedError::SIX,
    example: r#"{"RequestId":"5B2E8A0C-9F3D-4E55-8C1F-0A6F5D2B7E11"}"#,
};

pub static RESUME_ENTRY: Action = Action {
    name: "ResumeEdgeNode",
    title: "End the drain of an edge node",
    summary: "The node takes instances again. Only for the account that owns the server.",
    group: Group::Extension,
    kind: Kind::Write,
    methods: BOTH,
    path: "/",
    ram_action: "ens:ResumeEdgeNode",
    access: Access::Update,
    parameters: &[ENS_REGION_ID, CLIENT_TOKEN],
    response: &[REQUEST_ID],
    errors: PublishedError::SIX,
    example: r#"{"RequestId":"5B2E8A0C-9F3D-4E55-8C1F-0A6F5D2B7E11"}"#,
};

pub static LOSE_ENTRY: Action = Action {
    name: "LoseEdgeNode",
    title: "Declare an edge node lost",
    summary: "Whatever was on a node that cannot be reached is gone; with Replace others are placed within the scopes that placed the lost ones. Should the node come back, what runs there is stopped. Only for the account that owns the server.",
    group: Group::Extension,
    kind: Kind::Write,
    methods: BOTH,
    path: "/",
    ram_action: "ens:LoseEdgeNode",
    access: Access::Delete,
    parameters: &[
        ENS_REGION_ID,
        Parameter::of("Replace", ValueType::Flag, "true")
            .or("false")
            .about("Places as many instances elsewhere as there is room for, application by application."),
        timeout("300").about("Seconds until a replacement that is not ready is given up."),
        CLIENT_TOKEN,
    ],
    response: &[REQUEST_ID],
    errors: PublishedError::SIX,
    example: r#"{"RequestId":"5B2E8A0C-9F3D-4E55-8C1F-0A6F5D2B7E11"}"#,
};

const ENS_REGION_ID: Parameter = Parameter::text("EnsRegionId", "cn-shanghai-cmcc")
    .required()
    .about("The edge node. DescribeEnsRegions lists them.");

/// Of any of the three.
#[derive(Clone, Debug)]
pub struct Request {
    pub ens_region_id: String,
    pub replace: Flag,
    pub timeout_s: u32,
    pub client_token: Option<String>,
}

impl Request {
    /// Reads what the entry's `check` let through.
    ///
    /// # Errors
    /// None beyond those of `check`.
    pub fn read(parameters: &Parameters) -> Result<Self, Error> {
        Ok(Self {
            ens_region_id: parameters.required("EnsRegionId")?.to_owned(),
            replace: parameters.flag("Replace"),
            timeout_s: parameters.integer("Timeout").unwrap_or(300),
            client_token: owned(parameters, "ClientToken"),
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    pub request_id: String,
}
