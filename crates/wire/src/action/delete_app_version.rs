//! DeleteAppVersion, ours: forgets a version that no instance carries (`decisions.md` §9.10).

use super::{APP_ID, BOTH, CLIENT_TOKEN, IF_REVISION, REQUEST_ID, owned};
use crate::entry::{Access, Action, Group, Kind, Parameter, PublishedError};
use crate::error::Error;
use crate::parameters::Parameters;
use serde::{Deserialize, Serialize};

pub static ENTRY: Action = Action {
    name: "DeleteAppVersion",
    title: "Delete a version",
    summary: "Forgets a version that no instance carries and that is not the stable one. Its name is not used again.",
    group: Group::Extension,
    kind: Kind::Write,
    methods: BOTH,
    path: "/",
    ram_action: "ens:DeleteAppVersion",
    access: Access::Update,
    parameters: &[
        APP_ID.required(),
        Parameter::text("AppVersion", "v1").required().about("The version to delete."),
        CLIENT_TOKEN,
        IF_REVISION,
    ],
    response: &[REQUEST_ID],
    errors: PublishedError::SIX,
    example: r#"{"RequestId":"8D1F7C52-2B0E-4C7B-9A53-6E0B1B9E4F10"}"#,
};

#[derive(Clone, Debug)]
pub struct Request {
    pub app_id: String,
    pub app_version: String,
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
            app_version: parameters.required("AppVersion")?.to_owned(),
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
