//! ModifyApplicationAttribute, ours: changes what an application keeps to (`decisions.md` §9.1).

use super::{APP_ID, BOTH, CLIENT_TOKEN, IF_REVISION, REQUEST_ID, owned};
use crate::entry::{Access, Action, Group, Kind, Parameter, PublishedError};
use crate::error::Error;
use crate::parameters::Parameters;
use serde::{Deserialize, Serialize};

pub static ENTRY: Action = Action {
    name: "ModifyApplicationAttribute",
    title: "Change what an application keeps to",
    summary: "Sets minReady: how many instances on one edge node and carrier stay ready while others are released or moved.",
    group: Group::Extension,
    kind: Kind::Write,
    methods: BOTH,
    path: "/",
    ram_action: "ens:ModifyApplicationAttribute",
    access: Access::Update,
    parameters: &[
        APP_ID.required(),
        Parameter::integer("MinReady", 0, 1_000, "2").required().about(
            "The floor per edge node and carrier, over all versions; where fewer are wanted afterwards, that many. 0 for none.",
        ),
        CLIENT_TOKEN,
        IF_REVISION,
    ],
    response: &[REQUEST_ID],
    errors: PublishedError::SIX,
    example: r#"{"RequestId":"5B2E8A0C-9F3D-4E55-8C1F-0A6F5D2B7E11"}"#,
};

#[derive(Clone, Debug)]
pub struct Request {
    pub app_id: String,
    pub min_ready: u32,
    pub client_token: Option<String>,
    pub if_revision: Option<u64>,
}

impl Request {
    /// Reads what `ENTRY.check` let through.
    ///
    /// # Errors
    /// None beyond those of `check`.
    pub fn read(parameters: &Parameters) -> Result<Self, Error> {
        Ok(Self {
            app_id: parameters.required("AppId")?.to_owned(),
            min_ready: parameters.integer("MinReady").unwrap_or(0),
            client_token: owned(parameters, "ClientToken"),
            if_revision: parameters.integer("IfRevision"),
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    pub request_id: String,
}
