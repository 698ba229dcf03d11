//! DescribeInstanceTypes: the specs there are (ens-api.md §4.7).

use super::{BOTH, REQUEST_ID};
use crate::entry::{Access, Action, Group, Kind, Member, PublishedError, Schema};
use serde::{Deserialize, Serialize};

pub static ENTRY: Action = Action {
    name: "DescribeInstanceTypes",
    title: "List instance types",
    summary: "Lists what an instance can take of an edge node.",
    group: Group::Instance,
    kind: Kind::Read,
    methods: BOTH,
    path: "/",
    ram_action: "ens:DescribeInstanceTypes",
    access: Access::List,
    parameters: &[],
    response: &[
        Member::integer("Code", "0"),
        Member::object("InstanceTypes", &[Member::list("InstanceType", &Schema::Object(TYPE))]),
        REQUEST_ID,
    ],
    errors: PublishedError::SIX,
    example: r#"{"Code":0,"InstanceTypes":{"InstanceType":[{"InstanceTypeName":"ens.sn1.tiny","InstanceTypeId":"ens.sn1.tiny","CpuCoreCount":2,"MemorySize":4096}]},"RequestId":"5B2E8A0C-9F3D-4E55-8C1F-0A6F5D2B7E11"}"#,
};

const TYPE: &[Member] = &[
    Member::text("InstanceTypeName", "ens.sn1.tiny"),
    Member::text("InstanceTypeId", "ens.sn1.tiny"),
    Member::integer("CpuCoreCount", "2"),
    Member::integer("MemorySize", "4096"),
];

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InstanceType {
    pub instance_type_name: String,
    pub instance_type_id: String,
    pub cpu_core_count: u32,
    /// In MB.
    pub memory_size: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InstanceTypes {
    pub instance_type: Vec<InstanceType>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    /// Always 0.
    pub code: i32,
    pub instance_types: InstanceTypes,
    pub request_id: String,
}
