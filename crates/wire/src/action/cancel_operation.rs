//! CancelOperation, ours: ends a running operation before its time (`decisions.md` §9.4).

use super::{BOTH, CLIENT_TOKEN, ENDINGS, Ending, REQUEST_ID, owned};
use crate::entry::{Access, Action, Group, Kind, Parameter, PublishedError};
use crate::error::Error;
use crate::parameters::Parameters;
use serde::{Deserialize, Serialize};

pub static ENTRY: Action = Action {
    name: "CancelOperation",
    title: "Cancel an operation",
    summary: "Ends a running operation: what is ready is kept, or it goes back to what was before. A DeleteApplication cannot be canceled.",
    group: Group::Extension,
    kind: Kind::Write,
    methods: BOTH,
    path: "/",
    ram_action: "ens:CancelOperation",
    access: Access::Update,
    parameters: &[
        Parameter::text("OperationId", "AAE90880-4970-4D81-A534-A6C0F3631F74")
            .required()
            .about("The RequestId of the accepted write."),
        Parameter::choice("Mode", ENDINGS, "undo").or("keep").about(
            "keep: what is ready stays, what goes goes. undo: back to what was before; instances that were told to \
             stop cannot be brought back.",
        ),
        CLIENT_TOKEN,
    ],
    response: &[REQUEST_ID],
    errors: PublishedError::SIX,
    example: r#"{"RequestId":"5B2E8A0C-9F3D-4E55-8C1F-0A6F5D2B7E11"}"#,
};

#[derive(Clone, Debug)]
pub struct Request {
    pub operation_id: String,
    pub mode: Ending,
    pub client_token: Option<String>,
}

impl Request {
    /// Reads what `ENTRY.check` let through.
    ///
    /// # Errors
    /// None beyond those of `check`.
    pub fn read(parameters: &Parameters) -> Result<Self, Error> {
        Ok(Self {
            operation_id: parameters.required("OperationId")?.to_owned(),
            mode: Ending::read(parameters, "Mode"),
            client_token: owned(parameters, "ClientToken"),
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    pub request_id: String,
}
