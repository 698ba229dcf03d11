//! DeleteApplication: releases all containers and instances of an application, and the application with the last of
//! them (ens-api.md §2.5). Accepted while another operation runs, which it ends.

use super::{APP_ID, BOTH, CLIENT_TOKEN, IF_REVISION, REQUEST_ID, owned, timeout};
use crate::entry::{Access, Action, Group, Kind, PublishedError};
use crate::error::Error;
use crate::parameters::Parameters;
use serde::{Deserialize, Serialize};

pub static ENTRY: Action = Action {
    name: "DeleteApplication",
    title: "Delete an application",
    summary: "Releases all instances of an application, and the application with the last of them, asynchronously. Accepted while another operation runs, which it ends.",
    group: Group::Application,
    kind: Kind::Write,
    methods: BOTH,
    path: "/",
    ram_action: "ens:DeleteApplication",
    access: Access::Delete,
    parameters: &[APP_ID.required(), timeout("300"), CLIENT_TOKEN, IF_REVISION],
    response: &[REQUEST_ID],
    errors: PublishedError::SIX,
    example: r#"{"RequestId":"AAE90880-4970-4D81-A534-A6C0F3631F74"}"#,
};

#[derive(Clone, Debug)]
pub struct Request {
    pub app_id: String,
    pub timeout_s: u32,
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
            timeout_s: parameters.integer("Timeout").unwrap_or(300),
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
