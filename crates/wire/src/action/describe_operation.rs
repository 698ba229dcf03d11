//! DescribeOperation, ours: how far an accepted write is (`decisions.md` §5).

use super::{BOTH, OPERATION, REQUEST_ID};
use crate::entry::{Access, Action, Group, Kind, Member, Parameter, PublishedError};
use crate::error::Error;
use crate::parameters::Parameters;
use crate::payload::operation::Operation;
use serde::{Deserialize, Serialize};

pub static ENTRY: Action = Action {
    name: "DescribeOperation",
    title: "Describe an operation",
    summary: "Shows how far an accepted write is: what is wanted, what is ready, where, and how it ended.",
    group: Group::Extension,
    kind: Kind::Read,
    methods: BOTH,
    path: "/",
    ram_action: "ens:DescribeOperation",
    access: Access::Get,
    parameters: &[Parameter::text("OperationId", "AAE90880-4970-4D81-A534-A6C0F3631F74")
        .required()
        .about("The RequestId that the write was answered with.")],
    response: &[Member::object("Operation", OPERATION), REQUEST_ID],
    errors: PublishedError::SIX,
    example: r#"{"Operation":{"OperationId":"AAE90880-4970-4D81-A534-A6C0F3631F74","Action":"RescaleApplication","Status":"Running","Wanted":6,"Ready":5},"RequestId":"5B2E8A0C-9F3D-4E55-8C1F-0A6F5D2B7E11"}"#,
};

#[derive(Clone, Debug)]
pub struct Request {
    pub operation_id: String,
}

impl Request {
    /// Reads what `ENTRY.check` let through.
    ///
    /// # Errors
    /// None beyond those of `check`.
    pub fn read(parameters: &Parameters) -> Result<Self, Error> {
        Ok(Self { operation_id: parameters.required("OperationId")?.to_owned() })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    pub operation: Operation,
    pub request_id: String,
}
