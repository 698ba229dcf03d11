//! RollbackApplication: brings all instances of one version back to an earlier one (ens-api.md §2.4).

use super::{APP_ID, BOTH, CLIENT_TOKEN, Ending, IF_REVISION, ON_TIMEOUT, REQUEST_ID, owned, timeout};
use crate::entry::{Access, Action, Group, Kind, Parameter, PublishedError};
use crate::error::Error;
use crate::parameters::Parameters;
use serde::{Deserialize, Serialize};

pub static ENTRY: Action = Action {
    name: "RollbackApplication",
    title: "Roll an application back",
    summary: "Brings all instances of one version back to an earlier one, in place. Where it was the stable version, that moves back as well.",
    group: Group::Application,
    kind: Kind::Write,
    methods: BOTH,
    path: "/",
    ram_action: "ens:RollbackApplication",
    access: Access::Update,
    parameters: &[
        APP_ID.required(),
        Parameter::text("FromAppVersion", "v2-1").required().about("The version to be rolled back."),
        Parameter::text("ToAppVersion", "v2")
            .about("The version to go back to; the one made before by default."),
        timeout("300"),
        CLIENT_TOKEN,
        ON_TIMEOUT,
        IF_REVISION,
    ],
    response: &[REQUEST_ID],
    errors: PublishedError::SIX,
    example: r#"{"RequestId":"C0003E8B-B930-4F59-ADC0-0E209A9012A8"}"#,
};

#[derive(Clone, Debug)]
pub struct Request {
    pub app_id: String,
    pub from_app_version: String,
    pub to_app_version: Option<String>,
    pub timeout_s: u32,
    pub on_timeout: Ending,
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
            from_app_version: parameters.required("FromAppVersion")?.to_owned(),
            to_app_version: owned(parameters, "ToAppVersion"),
            timeout_s: parameters.integer("Timeout").unwrap_or(300),
            on_timeout: Ending::read(parameters, "OnTimeout"),
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
