//! `Application` of DescribeApplication and `AppInfo` of ListApplications (ens-api.md §2.6, §2.7, §6.2). The two are
//! of different years and order and name some members differently; each keeps its own example's form.

use super::device::Network;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Travels as JSON text inside a string.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Application {
    pub app_meta_data: Option<AppMetaData>,
    pub app_status: AppStatus,
    pub resource_attribute: Option<ResourceAttribute>,
    pub workload_attribute: Option<Vec<WorkloadAttribute>>,
    pub detail_stat: Option<DetailStat>,
}

/// Travels as JSON text inside a string.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AppInfo {
    pub app_meta_data: Option<AppMetaData>,
    pub app_status: ListedStatus,
    pub resource_attribute: Option<ListedResourceAttribute>,
    pub workload_attribute: Option<Vec<WorkloadAttribute>>,
    pub detail_stat: Option<DetailStat>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AppMetaData {
    pub app_id: String,
    pub app_name: String,
    pub cluster_name: String,
    pub app_stable_version: String,
    pub app_type: String,
    pub description: String,
    /// `2020-08-25 16:36:16`.
    pub create_time: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AppStatus {
    pub phase: String,
    /// [`StatusDescription`] as JSON text.
    pub status_descrip: String,
    /// `2021-08-18 14:46:45`.
    pub update_time: String,
    /// Ours (`decisions.md` §2.10).
    pub revision: u64,
}

/// As [`AppStatus`], with the member that ListApplications adds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListedStatus {
    pub phase: String,
    pub status_descrip: String,
    pub update_time: String,
    /// Always null: there are no orders here.
    pub order_status: Option<Value>,
    pub revision: u64,
}

/// Inside `StatusDescrip`, in lower case (ens-api.md §1.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusDescription {
    pub status: String,
    pub step: String,
    pub descrip: String,
    /// `2021-08-18 14:46:45`.
    pub start_time: String,
}

/// Names of 2021: `ResourceType` is the inventory, `ResourceAgent` the system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ResourceAttribute {
    pub resource_type: String,
    pub resource_agent: String,
    pub instance_spec: String,
    pub system_disk_size: u32,
    pub data_disk_size: u32,
    pub bandwith_out: u32,
    pub scheduling_strategy: String,
    pub area_level: String,
    pub ip_type: String,
    /// The same as `ResourceType`, under the name of 2022.
    pub inventory_type: String,
    pub image_id: Option<String>,
    pub net_security_info: Option<Value>,
    pub init_config: Option<Value>,
    /// Ours: the floor of `ModifyApplicationAttribute`; left out where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_ready: Option<u32>,
}

/// Names of 2022: `InventoryType` is the inventory, `ResourceType` the system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListedResourceAttribute {
    pub net_security_info: Option<Value>,
    pub init_config: Option<Value>,
    pub inventory_type: String,
    pub instance_spec: String,
    pub system_disk_size: u32,
    pub data_disk_size: u32,
    pub bandwith_out: u32,
    pub scheduling_strategy: String,
    pub image_id: Option<String>,
    pub resource_type: String,
    pub area_level: String,
    pub ip_type: String,
    /// The same as `ResourceType`, under the name of 2021.
    pub resource_agent: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct WorkloadAttribute {
    pub name: String,
    pub pod_count: u32,
    /// The same number under ListApplications' name.
    pub count: u32,
    pub service_config: Option<Value>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DetailStat {
    pub level: String,
    pub instance_total_count: usize,
    pub instance_running_count: usize,
    pub pod_count_stat: Option<Vec<PodCountStat>>,
    pub app_version_stat: Option<Vec<AppVersionStat>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AppVersionStat {
    pub app_version: String,
    pub descrip: String,
    /// `2021-08-10 11:20:04`.
    pub create_time: String,
    pub instance_total_count: usize,
    pub instance_running_count: usize,
    pub pod_count_stat: Option<Vec<PodCountStat>>,
    pub district_stat: Option<Vec<DistrictStat>>,
}

/// One unit of the asked Level and one carrier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DistrictStat {
    pub area_code: String,
    pub area_name: String,
    pub region_code: String,
    pub region_name: String,
    pub isp_code: String,
    pub region_ids: Vec<String>,
    pub instance_total_count: usize,
    pub instance_running_count: usize,
    pub pod_count_stat: Option<Vec<PodCountStat>>,
    pub instance_stat: Option<Vec<InstanceStat>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InstanceStat {
    pub instance_id: String,
    pub public_ips: Vec<PublicIp>,
    pub internal_ips: Vec<InternalIp>,
    pub region_id: String,
    pub nc_name: String,
    pub instance_status: String,
    /// `2020-09-12 22:33:08`.
    pub create_time: String,
    pub pod_count_stat: Option<Vec<PodCountStat>>,
    pub app_version_descrip: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PublicIp {
    pub public_ip: String,
    pub isp: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InternalIp {
    pub ip: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PodCountStat {
    pub name: String,
    pub running_count: usize,
    pub produced_count: usize,
    /// Null on every aggregate; filled under `InstanceStat`.
    pub devices: Option<Vec<Device>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Device {
    pub name: String,
    pub status: String,
    /// Null where none is open; else as DescribeDeviceService's `Network`: no source shows any.
    pub ports: Option<Vec<Network>>,
    /// Ours.
    #[serde(default)]
    pub restarts: u32,
    /// Ours: why it is not running; empty when all is well.
    #[serde(default)]
    pub message: String,
}
