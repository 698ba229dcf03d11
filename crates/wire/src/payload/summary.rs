//! `ApplicationResource` of DescribeApplicationResourceSummary (ens-api.md §4.6).

use serde::{Deserialize, Serialize};

/// Travels as JSON text inside a string.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ApplicationResource {
    pub level: String,
    pub summary: Vec<Summary>,
}

/// One instance spec.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Summary {
    pub instance_type: String,
    /// In GB, as the two that follow the most that a template may ask for.
    pub system_disk_max_size: u32,
    pub data_disk_max_size: u32,
    /// In Mbit/s.
    pub bandwidth_out_limit: u32,
    /// With all the room that is left.
    pub instance_total_max_count: u64,
    pub instance_total_count: u64,
    pub instance_count_stat: Vec<InstanceCountStat>,
}

/// One unit of the asked Level and one carrier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InstanceCountStat {
    pub area_code: String,
    pub area_name: String,
    pub isp_code: String,
    pub region_ids: Vec<String>,
    /// With the room that is left on these edge nodes, which their other carriers share.
    pub instance_max_count: u64,
    pub instance_count: u64,
}
