//! DescribeAvailableResource: how many instances of which spec each edge node has room for (ens-api.md §7.1). All values
//! of a resource are strings.

use super::BOTH;
use crate::entry::{Access, Action, Group, Kind, Member, PublishedError, Schema};
use serde::{Deserialize, Serialize};

pub static ENTRY: Action = Action {
    name: "DescribeAvailableResource",
    title: "List what there is room for",
    summary: "Lists how many instances of each spec would fit on each edge node now, where at least one does. There are no machine images here: Images is empty.",
    group: Group::Region,
    kind: Kind::Read,
    methods: BOTH,
    path: "/",
    ram_action: "ens:DescribeAvailableResource",
    access: Access::Get,
    parameters: &[],
    response: &[
        Member::integer("Code", "0"),
        Member::object("Images", &[Member::list("Image", &Schema::Object(IMAGE))]),
        Member::text("RequestId", "473469C7-AA6F-4DC5-B3DB-A3DC0DE3C83E"),
        Member::object("SupportResources", &[Member::list("SupportResource", &Schema::Object(RESOURCE))]),
    ],
    errors: PublishedError::OF_RESOURCES,
    example: r#"{"Code":0,"Images":{"Image":[]},"RequestId":"473469C7-AA6F-4DC5-B3DB-A3DC0DE3C83E","SupportResources":{"SupportResource":[{"DataDiskSize":"0","EnsRegionId":"cn-beijing-cmcc","InstanceSpec":"ens.sn1.stiny","SupportResourcesCount":"9","SystemDiskSize":"20"}]}}"#,
};

const IMAGE: &[Member] = &[
    Member::text("ImageId", "centos_6_08_64_20G_alibase_20171208"),
    Member::text("ImageName", "centos_6_08_64_20G_alibase_20171208"),
];
const RESOURCE: &[Member] = &[
    Member::text("DataDiskSize", "0"),
    Member::text("EnsRegionId", "cn-beijing-cmcc"),
    Member::text("InstanceSpec", "ens.sn1.stiny"),
    Member::text("SupportResourcesCount", "9"),
    Member::text("SystemDiskSize", "20"),
];

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    /// Always 0.
    pub code: i32,
    pub images: Images,
    pub request_id: String,
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
    pub image_id: String,
    pub image_name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SupportResources {
    pub support_resource: Vec<SupportResource>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SupportResource {
    /// In GB; kept and shown, not enforced, so the least there is.
    pub data_disk_size: String,
    pub ens_region_id: String,
    pub instance_spec: String,
    pub support_resources_count: String,
    /// In GB, as `DataDiskSize`.
    pub system_disk_size: String,
}
