//! DescribeEnsNetSaleDistrict: districts with their edge nodes and instances by carrier (ens-api.md §7.1).
//! `EnsRegionIdCount` and `InstanceCount` are strings that hold JSON, as published; there is one entry for each carrier, so
//! the JSON is an array.

use super::BOTH;
use super::describe_ens_net_district::{District, NET_LEVEL_CODE, net_district_code};
use crate::entry::{Access, Action, Group, Kind, Member, PublishedError, Schema};
use serde::{Deserialize, Serialize};

pub use super::describe_ens_net_district::Request;

pub static ENTRY: Action = Action {
    name: "DescribeEnsNetSaleDistrict",
    title: "List districts by carrier",
    summary: "Lists districts as DescribeEnsNetDistrict does, each with its edge nodes and the account's instances by carrier.",
    group: Group::Region,
    kind: Kind::Read,
    methods: BOTH,
    path: "/",
    ram_action: "ens:DescribeEnsNetSaleDistrict",
    access: Access::Get,
    parameters: &[NET_LEVEL_CODE, net_district_code("100105")],
    response: &[
        Member::integer("Code", "0"),
        Member::object("EnsNetDistricts", &[Member::list("EnsNetDistrict", &Schema::Object(DISTRICT))]),
        Member::text("RequestId", "1707B55C-A12F-43EF-BC66-14FFDB9253C3"),
    ],
    errors: PublishedError::OF_DISTRICTS,
    example: r#"{"Code":0,"EnsNetDistricts":{"EnsNetDistrict":[{"EnsRegionIdCount":"[{\"count\":2,\"name\":\"电信\",\"code\":\"telecom\",\"country\":\"cn\"}]","InstanceCount":"[{\"count\":2,\"code\":\"telecom\"}]","NetDistrictCode":"100101","NetDistrictEnName":"northEast","NetDistrictFatherCode":"100000","NetDistrictLevel":"Big","NetDistrictName":"东北"}]},"RequestId":"1707B55C-A12F-43EF-BC66-14FFDB9253C3"}"#,
};

const DISTRICT: &[Member] = &[
    Member::text("EnsRegionIdCount", r#"[{"count":2,"name":"电信","code":"telecom","country":"cn"}]"#),
    Member::text("InstanceCount", r#"[{"count":2,"code":"telecom"}]"#),
    Member::text("NetDistrictCode", "100101"),
    Member::text("NetDistrictEnName", "northEast"),
    Member::text("NetDistrictFatherCode", "100000"),
    Member::text("NetDistrictLevel", "Big"),
    Member::text("NetDistrictName", "东北"),
];

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    /// Always 0.
    pub code: i32,
    pub ens_net_districts: EnsNetDistricts,
    pub request_id: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EnsNetDistricts {
    pub ens_net_district: Vec<EnsNetDistrict>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EnsNetDistrict {
    /// [`NodeCount`]s as JSON text.
    pub ens_region_id_count: String,
    /// [`InstanceCount`]s as JSON text.
    pub instance_count: String,
    #[serde(flatten)]
    pub district: District,
}

/// Edge nodes of a district that offer a carrier, or several (`multiCarrier`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeCount {
    pub count: usize,
    pub name: String,
    pub code: String,
    pub country: String,
}

/// Instances of the account in a district, on a carrier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceCount {
    pub count: usize,
    pub code: String,
}
