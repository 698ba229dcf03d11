//! DescribeAvailableResourceInfo: what can be asked for, and where (ens-api.md §7.1). Edge nodes of the same carriers
//! that have room for the same specs stand in one entry.

use super::BOTH;
use crate::entry::{Access, Action, Group, Kind, Member, PublishedError, Schema};
use serde::{Deserialize, Serialize};

pub static ENTRY: Action = Action {
    name: "DescribeAvailableResourceInfo",
    title: "List what can be asked for",
    summary: "Lists the specs there is room for, with the edge nodes, carriers and sizes. Nothing is billed and there are no machine images here: BandwidthTypes and Images are empty.",
    group: Group::Region,
    kind: Kind::Read,
    methods: BOTH,
    path: "/",
    ram_action: "ens:DescribeAvailableResourceInfo",
    access: Access::Get,
    parameters: &[],
    response: &[
        Member::text("RequestId", "8629F679-B51D-4194-A1CC-5D8F504C362B"),
        Member::object("Images", &[Member::list("Image", &Schema::Object(IMAGE))]),
        Member::object("SupportResources", &[Member::list("SupportResource", &Schema::Object(RESOURCE))]),
    ],
    errors: PublishedError::OF_RESOURCES,
    example: r#"{"RequestId":"8629F679-B51D-4194-A1CC-5D8F504C362B","Images":{"Image":[]},"SupportResources":{"SupportResource":[{"DataDiskMaxSize":1000000,"BandwidthTypes":{"BandwidthType":[]},"SystemDiskMinSize":20,"EnsRegionIds":{"EnsRegionId":["cn-chengdu-telecom-4"]},"EnsRegionIdsExtends":{"EnsRegionId":[{"EnsRegionId":"cn-chengdu-telecom-4","EnName":"China Chengdu telecom-4","Area":"SouthWestChina","Name":"成都电信4","Province":"四川省","Isp":"telecom"}]},"InstanceSpeces":{"InstanceSpec":["ens.sn1.tiny"]},"SystemDiskMaxSize":1000000,"DataDiskMinSize":0,"Isp":{"Isp":["telecom"]}}]}}"#,
};

const IMAGE: &[Member] = &[
    Member::integer("ImageSize", "20"),
    Member::text("ImageName", "centos_6_08_64_20G_alibase_20171208"),
    Member::text("ImageId", "centos_6_08_64_20G_alibase_20171208"),
];
const RESOURCE: &[Member] = &[
    Member::integer("DataDiskMaxSize", "1000000"),
    Member::object("BandwidthTypes", &[Member::list("BandwidthType", &Schema::Text("95BandwidthByMonth"))]),
    Member::integer("SystemDiskMinSize", "20"),
    Member::object("EnsRegionIds", &[Member::list("EnsRegionId", &Schema::Text("cn-chengdu-telecom-4"))]),
    Member::object("EnsRegionIdsExtends", &[Member::list("EnsRegionId", &Schema::Object(REGION))]),
    Member::object("InstanceSpeces", &[Member::list("InstanceSpec", &Schema::Text("ens.se1.tiny"))]),
    Member::integer("SystemDiskMaxSize", "1000000"),
    Member::integer("DataDiskMinSize", "0"),
    Member::object("Isp", &[Member::list("Isp", &Schema::Text("telecom"))]),
];
const REGION: &[Member] = &[
    Member::text("EnsRegionId", "cn-chengdu-telecom-4"),
    Member::text("EnName", "China Chengdu telecom-4"),
    Member::text("Area", "SouthWestChina"),
    Member::text("Name", "成都电信4"),
    Member::text("Province", "四川省"),
    Member::text("Isp", "telecom"),
];

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    pub request_id: String,
    pub images: Images,
    pub support_resources: SupportResources,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Images {
    pub image: Vec<Image>,
}

/// A machine image; there are none here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Image {
    /// In GB.
    pub image_size: u32,
    pub image_name: String,
    pub image_id: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SupportResources {
    pub support_resource: Vec<SupportResource>,
}

/// Sizes are in GB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SupportResource {
    pub data_disk_max_size: u32,
    pub bandwidth_types: BandwidthTypes,
    pub system_disk_min_size: u32,
    pub ens_region_ids: EnsRegionIds,
    pub ens_region_ids_extends: EnsRegionIdsExtends,
    pub instance_speces: InstanceSpeces,
    pub system_disk_max_size: u32,
    pub data_disk_min_size: u32,
    pub isp: Isps,
}

/// Ways of billing; there are none here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct BandwidthTypes {
    pub bandwidth_type: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EnsRegionIds {
    pub ens_region_id: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EnsRegionIdsExtends {
    pub ens_region_id: Vec<EnsRegion>,
}

/// An edge node with one of its carriers: one of several carriers stands there once for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EnsRegion {
    pub ens_region_id: String,
    pub en_name: String,
    pub area: String,
    pub name: String,
    pub province: String,
    pub isp: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InstanceSpeces {
    pub instance_spec: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Isps {
    pub isp: Vec<String>,
}
