//! DescribeEnsRegions: the edge nodes there are (ens-api.md §7.1).

use super::{BOTH, owned};
use crate::entry::{Access, Action, Group, Kind, Member, Parameter, PublishedError, Schema};
use crate::error::Error;
use crate::parameters::Parameters;
use serde::{Deserialize, Serialize};

pub static ENTRY: Action = Action {
    name: "DescribeEnsRegions",
    title: "List edge nodes",
    summary: "Lists the edge nodes that can be used, or shows one. Isps, Districts, Capacity, Used, Instances and Engine of each are ours, beside the published members.",
    group: Group::Region,
    kind: Kind::Read,
    methods: BOTH,
    path: "/",
    ram_action: "ens:DescribeEnsRegions",
    access: Access::List,
    parameters: &[Parameter::text("EnsRegionId", "cn-dalian-unicom")
        .about("Only this edge node; all of them by default.")],
    response: &[
        Member::integer("Code", "0"),
        Member::object("EnsRegions", &[Member::list("EnsRegions", &Schema::Object(REGION))]),
        Member::text("RequestId", "473469C7-AA6F-4DC5-B3DB-A3DC0DE3C83E"),
    ],
    errors: PublishedError::OF_REGIONS,
    example: r#"{"Code":0,"EnsRegions":{"EnsRegions":[{"Area":"NorthEastChina","EnName":"NorthChina","EnsRegionId":"cn-dalian-unicom","Name":"大连联通","Province":"辽宁省"}]},"RequestId":"473469C7-AA6F-4DC5-B3DB-A3DC0DE3C83E"}"#,
};

const REGION: &[Member] = &[
    Member::text("Area", "NorthEastChina"),
    Member::text("EnName", "NorthChina"),
    Member::text("EnsRegionId", "cn-dalian-unicom"),
    Member::text("Name", "大连联通"),
    Member::text("Province", "辽宁省"),
];

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
    /// Always 0.
    pub code: i32,
    pub ens_regions: EnsRegions,
    pub request_id: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EnsRegions {
    pub ens_regions: Vec<EnsRegion>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EnsRegion {
    pub area: String,
    pub en_name: String,
    pub ens_region_id: String,
    pub name: String,
    pub province: String,
    /// From here on ours, beside the published shape: SDKs leave it alone, our command line shows it. Empty for a nameless carrier.
    pub isps: Vec<String>,
    /// The node's own district and those above it, narrowest first.
    pub districts: Vec<String>,
    pub capacity: Resources,
    /// By all accounts.
    pub used: Resources,
    /// Of all accounts, those being released included.
    pub instances: usize,
    pub engine: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Resources {
    pub vcpu: u32,
    pub memory_mib: u64,
}
