//! ListOperations, ours: the writes of the account or of one application, newest first (`decisions.md` §5).

use super::{BOTH, OPERATION, PAGE_NUMBER, PAGE_SIZE, Page, REQUEST_ID, owned};
use crate::entry::{Access, Action, Group, Kind, Member, Parameter, PublishedError, Schema};
use crate::error::Error;
use crate::parameters::Parameters;
use crate::payload::operation::Operation;
use serde::{Deserialize, Serialize};

pub static ENTRY: Action = Action {
    name: "ListOperations",
    title: "List operations",
    summary: "Lists accepted writes, newest first, those of deleted applications included.",
    group: Group::Extension,
    kind: Kind::Read,
    methods: BOTH,
    path: "/",
    ram_action: "ens:ListOperations",
    access: Access::List,
    parameters: &[
        super::APP_ID.about("Only operations of this application; all of the account by default."),
        Parameter::choice("Status", &["Running", "Succeeded", "Failed", "Canceled", "Superseded"], "Running")
            .about("Only operations of this status."),
        PAGE_NUMBER,
        PAGE_SIZE,
    ],
    response: &[
        Member::list("Operations", &Schema::Object(OPERATION)),
        Member::integer("PageNumber", "1"),
        Member::integer("PageSize", "10"),
        Member::integer("TotalCount", "49"),
        REQUEST_ID,
    ],
    errors: PublishedError::SIX,
    example: r#"{"Operations":[],"PageNumber":1,"PageSize":10,"TotalCount":0,"RequestId":"5B2E8A0C-9F3D-4E55-8C1F-0A6F5D2B7E11"}"#,
};

#[derive(Clone, Debug)]
pub struct Request {
    pub app_id: Option<String>,
    pub status: Option<String>,
    /// `None` = everything.
    pub page: Option<Page>,
}

impl Request {
    /// Reads what `ENTRY.check` let through.
    ///
    /// # Errors
    /// None beyond those of `check`.
    pub fn read(parameters: &Parameters) -> Result<Self, Error> {
        Ok(Self {
            app_id: owned(parameters, "AppId"),
            status: owned(parameters, "Status"),
            page: Page::read(parameters),
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    /// Without their steps.
    pub operations: Vec<Operation>,
    pub page_number: usize,
    pub page_size: usize,
    pub total_count: usize,
    pub request_id: String,
}
