//! The typed view of DescribeDeviceService (ens-api.md §4.2): plain arrays, all values strings, members in the order
//! of the published schema, misspelt names and all.

use super::application::InternalIp;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AppStatus {
    pub phase: String,
    pub status_descrip: String,
    /// `2021-01-26T05:04Z`.
    pub update_time: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AppMetaData {
    pub app_id: String,
    pub app_name: String,
    pub app_stable_version: String,
    pub app_type: String,
    pub cluster_name: String,
    /// `2022-03-03T03:42:11`.
    pub create_time: String,
    pub description: String,
}

/// A bare-metal device; there are none here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceDetailInfo {
    #[serde(rename = "RegionID")]
    pub region_id: String,
    #[serde(rename = "ID")]
    pub id: String,
    #[serde(rename = "IP")]
    pub ip: String,
    #[serde(rename = "Server")]
    pub server: String,
    #[serde(rename = "Status")]
    pub status: String,
    #[serde(rename = "Type")]
    pub kind: String,
    #[serde(rename = "Mac")]
    pub mac: String,
    #[serde(rename = "ISP")]
    pub isp: String,
    #[serde(rename = "DeviceName")]
    pub device_name: String,
    #[serde(rename = "ImageID")]
    pub image_id: String,
}

/// One instance and what runs on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ResourceInfo {
    pub app_version: String,
    pub area_code: String,
    pub area_name: String,
    /// `2019-10-02T08:26Z`.
    pub create_time: String,
    pub device_infos: Vec<DeviceInfo>,
    pub instance_id: String,
    pub instance_status: String,
    pub internal_ips: Vec<InternalIp>,
    pub public_ips: Vec<InternalIp>,
    pub region_code: String,
    pub region_id: String,
    pub region_name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeviceInfo {
    pub name: String,
    pub network: Vec<Network>,
    pub status: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Network {
    pub container_ports: String,
    pub external_ip: String,
    pub host_ports: String,
    pub protocol: String,
}
