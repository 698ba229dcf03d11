//! RunInstances: takes shares of edge nodes that no application manages (ens-api.md §4.7). What promises a machine of its
//! own is refused; what is harmless is echoed.

use super::{BOTH, CLIENT_TOKEN, REQUEST_ID, owned};
use crate::entry::{Access, Action, Group, Kind, Member, Parameter, PublishedError, Schema, ValueType};
use crate::error::Error;
use crate::parameters::{Flag, Parameters};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub static ENTRY: Action = Action {
    name: "RunInstances",
    title: "Create instances",
    summary: "Takes shares of edge nodes: each an instance by itself, which an application can host its pods on (RescaleApplication, RescaleLevel InstanceId, Add). It holds its room at once, and runs nothing until then.",
    group: Group::Instance,
    kind: Kind::Write,
    methods: BOTH,
    path: "/",
    ram_action: "ens:RunInstances",
    access: Access::Create,
    parameters: PARAMETERS,
    response: &[
        Member::list("InstanceIds", &Schema::Text("i-5s9boobrmh5000kv4jmi0oeai")),
        Member::text("OrderId", "AAE90880-4970-4D81-A534-A6C0F3631F74"),
        REQUEST_ID,
    ],
    errors: PublishedError::SIX,
    example: r#"{"InstanceIds":["i-5s9boobrmh5000kv4jmi0oeai"],"OrderId":"AAE90880-4970-4D81-A534-A6C0F3631F74","RequestId":"AAE90880-4970-4D81-A534-A6C0F3631F74"}"#,
};

const PARAMETERS: &[Parameter] = &[
    Parameter::text("InstanceType", "ens.sn1.tiny")
        .required()
        .about("The spec. DescribeInstanceTypes lists them."),
    Parameter::choice("ScheduleAreaLevel", &["National", "Big", "Middle", "Small", "Region"], "Region")
        .required()
        .about("Region: on EnsRegionId; Big, Middle and Small: in NetDistrictCode, which is of that level; National: anywhere in the country."),
    Parameter::integer("Amount", 1, 100, "1").or("1").about("How many."),
    Parameter::text("EnsRegionId", "cn-shanghai-cmcc").about("The edge node; required at level Region, refused at the others."),
    Parameter::text("NetDistrictCode", "310100")
        .about("The district; required at levels Big, Middle and Small. At level Region the edge node has to lie in it."),
    Parameter::text("Carrier", "cmcc").about("The carrier: telecom, unicom, cmcc, cbn; any by default."),
    Parameter::choice("SchedulingStrategy", &["Concentrate", "Disperse"], "Concentrate")
        .or("Disperse")
        .about("Whether they are spread over edge nodes or kept together."),
    Parameter::of("InstanceName", ValueType::Text { max_bytes: 128 }, "batch").about("Their name."),
    Parameter::of("UniqueSuffix", ValueType::Flag, "true").about("Numbers the names: batch001, batch002, …"),
    Parameter::of("Tag", ValueType::Family { keys: &["Key", "Value"], at_most: 20 }, "")
        .about("Tag.1.Key, Tag.1.Value and so on: kept, shown, and searched by DescribeInstances."),
    CLIENT_TOKEN,
    Parameter::of("SystemDisk", ValueType::JsonObject, r#"{"Category":"cloud_efficiency","Size":"20"}"#)
        .about(ECHOED),
    Parameter::text("InternetChargeType", "95BandwidthByMonth").about(ECHOED),
    Parameter::text("InternetMaxBandwidthOut", "10").about(ECHOED),
    Parameter::text("IpType", "ipv4").about(ECHOED),
    Parameter::choice("InstanceChargeType", &["PostPaid"], "PostPaid").about(ECHOED),
    Parameter::text("HostName", "batch").about(ECHOED),
    Parameter::text("PublicIpIdentification", "true").about(ECHOED),
    Parameter::text("PasswordInherit", "true").about(ECHOED),
    Parameter::text("InstanceChargeStrategy", "instance").about(ECHOED),
    Parameter::refused("DataDisk", NO_MACHINE),
    Parameter::refused("ImageId", NO_MACHINE),
    Parameter::refused("Password", NO_MACHINE),
    Parameter::refused("KeyPairName", NO_MACHINE),
    Parameter::refused("UserData", NO_MACHINE),
    Parameter::refused("VSwitchId", NO_MACHINE),
    Parameter::refused("NetWorkId", NO_MACHINE),
    Parameter::refused("PrivateIpAddress", NO_MACHINE),
    Parameter::refused("SecurityId", NO_MACHINE),
    Parameter::refused("SpotStrategy", NO_BILL),
    Parameter::refused("SpotDuration", NO_BILL),
    Parameter::refused("LaunchTemplateId", NO_MACHINE),
    Parameter::refused("LaunchTemplateName", NO_MACHINE),
    Parameter::refused("LaunchTemplateVersion", NO_MACHINE),
    Parameter::refused("Period", NO_BILL),
    Parameter::refused("PeriodUnit", NO_BILL),
    Parameter::refused("AutoRenew", NO_BILL),
    Parameter::refused("AutoReleaseTime", NO_BILL),
    Parameter::refused("DeletionProtection", "`ProtectInstances` protects what an application runs on"),
];

const ECHOED: &str = "Kept and shown, without effect.";
const NO_MACHINE: &str =
    "an instance is a share of an edge node, without a system, disks or a network of its own; leave it out";
const NO_BILL: &str = "nothing is billed here, and an instance stays until it is released; leave it out";

/// The parameters that are kept and shown.
const ECHO: [&str; 9] = [
    "SystemDisk",
    "InternetChargeType",
    "InternetMaxBandwidthOut",
    "IpType",
    "InstanceChargeType",
    "HostName",
    "PublicIpIdentification",
    "PasswordInherit",
    "InstanceChargeStrategy",
];

#[derive(Clone, Debug)]
pub struct Request {
    pub instance_type: String,
    pub amount: u32,
    pub level: AreaLevel,
    /// Given at level Region, and only there.
    pub ens_region_id: Option<String>,
    /// Given where the level is of a district; at level Region it says where the edge node has to lie.
    pub net_district_code: Option<String>,
    pub carrier: Option<String>,
    pub strategy: Strategy,
    pub instance_name: String,
    pub unique_suffix: Flag,
    pub tags: Vec<(String, String)>,
    /// An object of what was given and means nothing here; null when nothing was.
    pub echoed: Value,
    pub client_token: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AreaLevel {
    National,
    Big,
    Middle,
    Small,
    Region,
}

impl AreaLevel {
    fn read(text: &str) -> Self {
        match text {
            "Region" => Self::Region,
            "Big" => Self::Big,
            "Middle" => Self::Middle,
            "Small" => Self::Small,
            _ => Self::National,
        }
    }

    /// As the API says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::National => "National",
            Self::Big => "Big",
            Self::Middle => "Middle",
            Self::Small => "Small",
            Self::Region => "Region",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    Concentrate,
    Disperse,
}

impl Request {
    /// Reads what `ENTRY.check` let through.
    ///
    /// # Errors
    /// `MissingParameter` for a place that the level needs, `InvalidParameter.<Name>` for one that it would pass over;
    /// `InvalidParameter.Tag` for a tag without a key.
    pub fn read(parameters: &Parameters) -> Result<Self, Error> {
        let level = AreaLevel::read(parameters.required("ScheduleAreaLevel")?);
        check_place(parameters, level)?;
        Ok(Self {
            instance_type: parameters.required("InstanceType")?.to_owned(),
            amount: parameters.integer("Amount").unwrap_or(1),
            level,
            ens_region_id: owned(parameters, "EnsRegionId"),
            net_district_code: owned(parameters, "NetDistrictCode"),
            carrier: owned(parameters, "Carrier"),
            strategy: match parameters.text("SchedulingStrategy") {
                Some("Concentrate") => Strategy::Concentrate,
                _ => Strategy::Disperse,
            },
            instance_name: owned(parameters, "InstanceName").unwrap_or_default(),
            unique_suffix: parameters.flag("UniqueSuffix"),
            tags: tags(parameters)?,
            echoed: echoed(parameters),
            client_token: owned(parameters, "ClientToken"),
        })
    }
}

/// The code of the whole country.
const COUNTRY: &str = "100000";

/// Whoever names a place gets that place or is refused.
fn check_place(parameters: &Parameters, level: AreaLevel) -> Result<(), Error> {
    let (node, district) = (parameters.text("EnsRegionId"), parameters.text("NetDistrictCode"));
    let passed_over = |name: &str, instead: &str| {
        let level = level.as_str();
        let text =
            format!("{name}: is passed over at ScheduleAreaLevel {level}; {instead}, or leave it out.");
        Err(Error::invalid_parameter(name, text))
    };
    match (level, node, district) {
        (AreaLevel::Region, None, _) => Err(Error::missing_parameter("EnsRegionId")),
        (AreaLevel::Big | AreaLevel::Middle | AreaLevel::Small, None, None) => {
            Err(Error::missing_parameter("NetDistrictCode"))
        }
        (AreaLevel::Region, Some(_), _) => Ok(()),
        (_, Some(_), _) => passed_over("EnsRegionId", "use ScheduleAreaLevel=Region"),
        (AreaLevel::National, None, Some(code)) if code != COUNTRY => {
            passed_over("NetDistrictCode", "use the ScheduleAreaLevel of that district")
        }
        (_, None, _) => Ok(()),
    }
}

fn tags(parameters: &Parameters) -> Result<Vec<(String, String)>, Error> {
    let given = parameters.json("Tag").and_then(Value::as_array).cloned().unwrap_or_default();
    let tag = |tag: &Value| {
        let value = tag["Value"].as_str().unwrap_or_default();
        Some((tag["Key"].as_str()?.to_owned(), value.to_owned()))
    };
    let tags: Option<Vec<_>> = given.iter().map(tag).collect();
    tags.ok_or_else(|| Error::invalid_parameter("Tag", "Tag: a tag has a value and no key."))
}

fn echoed(parameters: &Parameters) -> Value {
    let text = |name: &str| parameters.text(name).map(Value::from);
    let given = ECHO.iter().filter_map(|name| {
        Some(((*name).to_owned(), text(name).or_else(|| parameters.json(name).cloned())?))
    });
    let object: Map<String, Value> = given.collect();
    if object.is_empty() { Value::Null } else { Value::Object(object) }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    pub instance_ids: Vec<String>,
    pub order_id: String,
    pub request_id: String,
}
