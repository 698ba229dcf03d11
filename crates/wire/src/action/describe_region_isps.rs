//! DescribeRegionIsps: the carriers of an edge node (ens-api.md §7.1). `Isps` is an array without a wrapper object.

use super::{GET, owned};
use crate::entry::{Access, Action, Group, Kind, Member, Parameter, PublishedError, Schema};
use crate::error::Error;
use crate::parameters::Parameters;
use serde::{Deserialize, Serialize};

pub static ENTRY: Action = Action {
    name: "DescribeRegionIsps",
    title: "List the carriers of an edge node",
    summary: "Lists the carriers that an edge node offers, or those of all edge nodes.",
    group: Group::Region,
    kind: Kind::Read,
    methods: GET,
    path: "/",
    ram_action: "ens:DescribeRegionIsps",
    access: Access::List,
    parameters: &[Parameter::text("EnsRegionId", "cn-dalian-unicom")
        .about("Only the carriers of this edge node; those of all by default.")],
    response: &[
        Member::text("RequestId", "DC90CC7E-23B6-5A90-9097-A17CE4A161C4"),
        Member::list("Isps", &Schema::Object(ISP)),
    ],
    errors: PublishedError::OF_CARRIERS,
    example: r#"{"RequestId":"DC90CC7E-23B6-5A90-9097-A17CE4A161C4","Isps":[{"Code":"cmcc","Name":"移动"}]}"#,
};

const ISP: &[Member] = &[Member::text("Code", "cmcc"), Member::text("Name", "移动")];

#[derive(Clone, Debug)]
pub struct Request {
    pub ens_region_id: Option<String>,
}

impl Request {
    /// Reads what `ENTRY.check` let through.
    ///
    /// # Errors
    /// None beyond those of `check`.
    pub fn read(parameters: &Parameters) -> Result<Self, Error> {
        Ok(Self { ens_region_id: owned(parameters, "EnsRegionId") })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    pub request_id: String,
    pub isps: Vec<Isp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Isp {
    pub code: String,
    pub name: String,
}
