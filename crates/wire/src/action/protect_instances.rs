//! ProtectInstances and UnprotectInstances, ours: a protected instance is taken only when it is named
//! (`decisions.md` §9.1).

use super::{BOTH, CLIENT_TOKEN, INSTANCE_IDS, REQUEST_ID, owned, strings};
use crate::entry::{Access, Action, Group, Kind, PublishedError};
use crate::error::Error;
use crate::parameters::Parameters;
use serde::{Deserialize, Serialize};

pub static ENTRY: Action = Action {
    name: "ProtectInstances",
    title: "Protect instances",
    summary: "From here on these instances are released or moved only where a call names them, or everything goes.",
    group: Group::Extension,
    kind: Kind::Write,
    methods: BOTH,
    path: "/",
    ram_action: "ens:ProtectInstances",
    access: Access::Update,
    parameters: &[INSTANCE_IDS.required(), CLIENT_TOKEN],
    response: &[REQUEST_ID],
    errors: PublishedError::SIX,
    example: r#"{"RequestId":"5B2E8A0C-9F3D-4E55-8C1F-0A6F5D2B7E11"}"#,
};

pub static UNPROTECT_ENTRY: Action = Action {
    name: "UnprotectInstances",
    title: "Protect instances no longer",
    summary: "These instances may be released and moved again as any other.",
    group: Group::Extension,
    kind: Kind::Write,
    methods: BOTH,
    path: "/",
    ram_action: "ens:UnprotectInstances",
    access: Access::Update,
    parameters: &[INSTANCE_IDS.required(), CLIENT_TOKEN],
    response: &[REQUEST_ID],
    errors: PublishedError::SIX,
    example: r#"{"RequestId":"5B2E8A0C-9F3D-4E55-8C1F-0A6F5D2B7E11"}"#,
};

/// Of either.
#[derive(Clone, Debug)]
pub struct Request {
    pub instance_ids: Vec<String>,
    pub client_token: Option<String>,
}

impl Request {
    /// Reads what the entry's `check` let through.
    ///
    /// # Errors
    /// `InvalidParameter.InstanceIds` where one of them is no text.
    pub fn read(parameters: &Parameters) -> Result<Self, Error> {
        Ok(Self {
            instance_ids: strings(parameters, "InstanceIds")?,
            client_token: owned(parameters, "ClientToken"),
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    pub request_id: String,
}
