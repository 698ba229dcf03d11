//! ReleaseInstance: gives up an instance that no application manages (ens-api.md §4.7).

use super::{BOTH, CLIENT_TOKEN, REQUEST_ID, owned};
use crate::entry::{Access, Action, Group, Kind, Member, Parameter, PublishedError};
use crate::error::Error;
use crate::parameters::Parameters;
use serde::{Deserialize, Serialize};

pub static ENTRY: Action = Action {
    name: "ReleaseInstance",
    title: "Release an instance",
    summary: "Gives up an instance that exists by itself; its room is free at once. One that hosts an application is refused.",
    group: Group::Instance,
    kind: Kind::Write,
    methods: BOTH,
    path: "/",
    ram_action: "ens:ReleaseInstance",
    access: Access::Delete,
    parameters: &[
        Parameter::text("InstanceId", "i-5s9boobrmh5000kv4jmi0oeai").required().about("The instance."),
        CLIENT_TOKEN,
    ],
    response: &[Member::text("ResourceType", RESOURCE_TYPE), REQUEST_ID],
    errors: PublishedError::SIX,
    example: r#"{"ResourceType":"EnsInstance","RequestId":"5B2E8A0C-9F3D-4E55-8C1F-0A6F5D2B7E11"}"#,
};

pub const RESOURCE_TYPE: &str = "EnsInstance";

#[derive(Clone, Debug)]
pub struct Request {
    pub instance_id: String,
    pub client_token: Option<String>,
}

impl Request {
    /// Reads what `ENTRY.check` let through.
    ///
    /// # Errors
    /// None beyond those of `check`.
    pub fn read(parameters: &Parameters) -> Result<Self, Error> {
        Ok(Self {
            instance_id: parameters.required("InstanceId")?.to_owned(),
            client_token: owned(parameters, "ClientToken"),
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    pub resource_type: String,
    pub request_id: String,
}
