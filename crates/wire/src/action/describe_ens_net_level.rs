//! DescribeEnsNetLevel: the levels of districts there are (ens-api.md §7.1).

use super::BOTH;
use crate::entry::{Access, Action, Group, Kind, Member, PublishedError, Schema};
use serde::{Deserialize, Serialize};

pub static ENTRY: Action = Action {
    name: "DescribeEnsNetLevel",
    title: "List the levels of districts",
    summary: "Lists the levels of districts: area, province and city.",
    group: Group::Region,
    kind: Kind::Read,
    methods: BOTH,
    path: "/",
    ram_action: "ens:DescribeEnsNetLevel",
    access: Access::Get,
    parameters: &[],
    response: &[
        Member::integer("Code", "0"),
        Member::object("EnsNetLevels", &[Member::list("EnsNetLevel", &Schema::Object(LEVEL))]),
        Member::text("RequestId", "86A6D421-A0C7-4C01-8648-47377CA6A2CE"),
    ],
    errors: PublishedError::OF_DISTRICTS,
    example: r#"{"Code":0,"EnsNetLevels":{"EnsNetLevel":[{"EnsNetLevelCode":"Big"}]},"RequestId":"86A6D421-A0C7-4C01-8648-47377CA6A2CE"}"#,
};

const LEVEL: &[Member] = &[Member::text("EnsNetLevelCode", "Big")];

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    /// Always 0.
    pub code: i32,
    pub ens_net_levels: EnsNetLevels,
    pub request_id: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EnsNetLevels {
    pub ens_net_level: Vec<EnsNetLevel>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EnsNetLevel {
    /// `Big`, `Middle`, `Small`.
    pub ens_net_level_code: String,
}
