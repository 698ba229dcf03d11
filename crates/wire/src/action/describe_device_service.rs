//! DescribeDeviceService: the typed view of an application's instances (ens-api.md §4.2). `RegionId` is also a
//! common parameter that old SDKs always send; whoever answers ignores it unless it is a known edge node (§1).

use super::{GET, owned};
use crate::entry::{Access, Action, Group, Kind, Member, Parameter, PublishedError, Schema};
use crate::error::Error;
use crate::parameters::Parameters;
use crate::payload::device::{AppMetaData, AppStatus, ResourceDetailInfo, ResourceInfo};
use serde::{Deserialize, Serialize};

pub static ENTRY: Action = Action {
    name: "DescribeDeviceService",
    title: "Describe the instances of an application",
    summary: "Shows the state of an application and its instances with their devices and addresses; needs one of AppId, InstanceId, RegionId and OrderId.",
    group: Group::Device,
    kind: Kind::Read,
    methods: GET,
    path: "/",
    ram_action: "ens:DescribeDeviceService",
    access: Access::Get,
    parameters: &[
        Parameter::text("ServiceId", "s-cxxxxx").about("Without effect: there are no services here."),
        Parameter::text("InstanceId", "i-5sg1owx0g4ojy66ab2tez77r2").about("Only this instance."),
        Parameter::text("RegionId", "cn-chongqing-11")
            .about("Only instances on this edge node; ignored unless it is one."),
        super::APP_ID,
        Parameter::text("EnsRegionId", "cn-chongqing-10").about("Without effect, as documented."),
        Parameter::text("OrderId", "2661b1dd-3453-418d-8182-bb34f79e8d3c")
            .about("Only instances that the write with this RequestId added."),
    ],
    response: &[
        super::REQUEST_ID,
        Member::list("ResourceDetailInfos", &Schema::Object(DETAIL)),
        Member::object("AppStatus", STATUS),
        Member::object("AppMetaData", META),
        Member::list("ResourceInfos", &Schema::Object(INFO)),
    ],
    errors: PublishedError::OF_DEVICES,
    example: r#"{"RequestId":"3A535110-3EE3-5EC5-B1ED-10B7067A1FC8","ResourceDetailInfos":[],"AppStatus":{"Phase":"CREATING","StatusDescrip":"Creating in progress","UpdateTime":"2021-01-26T05:04Z"},"AppMetaData":{"AppId":"97a32f2a-aa2c-436a-b19c-05b20d258618","AppName":"iotx-api-admin","AppStableVersion":"v1","AppType":"Common","ClusterName":"poc","CreateTime":"2022-03-03T03:42:11","Description":""},"ResourceInfos":[]}"#,
};

const DETAIL: &[Member] = &[
    Member::text("RegionID", "cn-jiaozuo-2"),
    Member::text("ID", "h-uf6009zoaexs5pefypbo"),
    Member::text("IP", "120.27.219.219"),
    Member::text("Server", "ens-nc2"),
    Member::text("Status", "Running"),
    Member::text("Type", "ens.ac6.large"),
    Member::text("Mac", "AA:BB:77:88:99:03"),
    Member::text("ISP", "cmcc"),
    Member::text("DeviceName", "5JhF100NEgdBcpNren32"),
    Member::text("ImageID", "m-2ze40oyhjorpyw61k7be"),
];
const STATUS: &[Member] = &[
    Member::text("Phase", "CREATING"),
    Member::text("StatusDescrip", "Creating in progress"),
    Member::text("UpdateTime", "2021-01-26T05:04Z"),
];
const META: &[Member] = &[
    Member::text("AppId", "97a32f2a-aa2c-436a-b19c-05b20d258618"),
    Member::text("AppName", "iotx-api-admin"),
    Member::text("AppStableVersion", "v1"),
    Member::text("AppType", "Common"),
    Member::text("ClusterName", "poc"),
    Member::text("CreateTime", "2022-03-03T03:42:11"),
    Member::text("Description", "test"),
];
const INFO: &[Member] = &[
    Member::text("AppVersion", "v1"),
    Member::text("AreaCode", "410800"),
    Member::text("AreaName", "华中,河南省,焦作市"),
    Member::text("CreateTime", "2019-10-02T08:26Z"),
    Member::list("DeviceInfos", &Schema::Object(DEVICE)),
    Member::text("InstanceId", "i-5s9boobrmh5000kv4jmi0oeai"),
    Member::text("InstanceStatus", "Running"),
    Member::list("InternalIps", &Schema::Object(&[Member::text("Ip", "10.0.2.3")])),
    Member::list("PublicIps", &Schema::Object(&[Member::text("Ip", "122.13.173.137")])),
    Member::text("RegionCode", "cn-jiaozuo-2"),
    Member::text("RegionId", "cn-jiaozuo-2"),
    Member::text("RegionName", "中国焦作-2"),
];
const DEVICE: &[Member] = &[
    Member::text("Name", "test-api"),
    Member::list("Network", &Schema::Object(NETWORK)),
    Member::text("Status", "Running"),
];
pub(super) const NETWORK: &[Member] = &[
    Member::text("ContainerPorts", "10000-10010"),
    Member::text("ExternalIp", "39.105.62.120"),
    Member::text("HostPorts", "80-8080"),
    Member::text("Protocol", "TCP"),
];

/// At least one of AppId, InstanceId, OrderId and RegionId must select something.
#[derive(Clone, Debug)]
pub struct Request {
    pub app_id: Option<String>,
    pub instance_id: Option<String>,
    pub order_id: Option<String>,
    pub region_id: Option<String>,
}

impl Request {
    /// Reads what `ENTRY.check` let through.
    ///
    /// # Errors
    /// None beyond those of `check`.
    pub fn read(parameters: &Parameters) -> Result<Self, Error> {
        Ok(Self {
            app_id: owned(parameters, "AppId"),
            instance_id: owned(parameters, "InstanceId"),
            order_id: owned(parameters, "OrderId"),
            region_id: owned(parameters, "RegionId"),
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    pub request_id: String,
    pub resource_detail_infos: Vec<ResourceDetailInfo>,
    /// Null when what was selected belongs to no single application.
    pub app_status: Option<AppStatus>,
    pub app_meta_data: Option<AppMetaData>,
    pub resource_infos: Vec<ResourceInfo>,
}
