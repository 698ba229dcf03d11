//! DescribeApplicationResourceSummary: what the account's applications have and could have, by district and carrier
//! (ens-api.md §4.6). ENS took it out of its API in 2024; clients of before still call it. `ApplicationResource` is a
//! string that holds JSON.

use super::{BOTH, LEVEL, Level, REQUEST_ID, owned};
use crate::entry::{Access, Action, Group, Kind, Member, Parameter, PublishedError};
use crate::error::Error;
use crate::parameters::Parameters;
use serde::{Deserialize, Serialize};

pub static ENTRY: Action = Action {
    name: "DescribeApplicationResourceSummary",
    title: "Count instances and room",
    summary: "Counts the instances of the account's applications by spec, district and carrier, beside how many there could be with the room there is. ENS itself no longer has it.",
    group: Group::Application,
    kind: Kind::Read,
    methods: BOTH,
    path: "/",
    ram_action: "ens:DescribeApplicationResourceSummary",
    access: Access::Get,
    parameters: &[
        LEVEL,
        Parameter::text("ResourceType", "Ens")
            .about("Only instances of applications with this resourceType: Ens or BareMetal-Arm."),
    ],
    response: &[Member::text("ApplicationResource", "{\"Level\":\"National\",\"Summary\":[]}"), REQUEST_ID],
    errors: PublishedError::SIX,
    example: r#"{"ApplicationResource":"{\"Level\":\"RegionId\",\"Summary\":[{\"InstanceType\":\"ens.a6e.large\",\"SystemDiskMaxSize\":1000000,\"DataDiskMaxSize\":1000000,\"BandwidthOutLimit\":1000000,\"InstanceTotalMaxCount\":7,\"InstanceTotalCount\":4,\"InstanceCountStat\":[{\"AreaCode\":\"330100\",\"AreaName\":\"华东,浙江省,杭州市\",\"IspCode\":\"cmcc\",\"RegionIds\":[\"cn-hangzhou-cmcc-7\"],\"InstanceMaxCount\":7,\"InstanceCount\":4}]}]}","RequestId":"50373E71-7710-4620-8AAB-133CCE49451C"}"#,
};

#[derive(Clone, Debug)]
pub struct Request {
    pub level: Level,
    pub resource_type: Option<String>,
}

impl Request {
    /// Reads what `ENTRY.check` let through.
    ///
    /// # Errors
    /// None beyond those of `check`.
    pub fn read(parameters: &Parameters) -> Result<Self, Error> {
        Ok(Self { level: Level::read(parameters), resource_type: owned(parameters, "ResourceType") })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    /// [`crate::payload::summary::ApplicationResource`] as JSON text.
    pub application_resource: String,
    pub request_id: String,
}
