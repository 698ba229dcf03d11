//! `Instances` of DescribeInstances (ens-api.md §4.7): what exists by itself. What a share of an edge node has none of is
//! empty, as for a machine that was given none.

use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Instances {
    pub instance: Vec<Instance>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Instance {
    pub instance_id: String,
    pub instance_name: String,
    /// Always `EnsInstance`.
    pub instance_resource_type: String,
    pub ens_region_id: String,
    pub spec_name: String,
    /// Cores; a string, as published.
    pub cpu: String,
    /// In MB.
    pub memory: u64,
    /// In GB, of the system disk that was asked for; not enforced.
    pub disk: u64,
    pub status: String,
    pub creation_time: String,
    pub expired_time: String,
    pub host_name: String,
    pub image_id: String,
    #[serde(rename = "OSName")]
    pub os_name: String,
    pub internet_max_bandwidth_in: u64,
    pub internet_max_bandwidth_out: u64,
    pub private_ip_addresses: Value,
    pub public_ip_addresses: Value,
    pub inner_ip_address: Value,
    pub public_ip_address: Value,
    pub network_attributes: Value,
    pub system_disk: Value,
    pub data_disk: Value,
    pub security_group_ids: Value,
    pub tags: Tags,
    /// Ours: the carrier.
    pub isp_code: String,
    /// Ours: the application that runs on it, if any.
    pub hosted_by: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tags {
    pub tags: Vec<Tag>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tag {
    pub tag_key: String,
    pub tag_value: String,
}
