//! DescribeInstances: the instances that exist by themselves (ens-api.md §4.7). Those made for an application are
//! DescribeDeviceService's.

use super::{BOTH, Page, REQUEST_ID, optional_strings, owned};
use crate::entry::{Access, Action, Group, Kind, Member, Parameter, PublishedError, Schema, ValueType};
use crate::error::Error;
use crate::parameters::Parameters;
use crate::payload::instance::Instances;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub static ENTRY: Action = Action {
    name: "DescribeInstances",
    title: "List instances",
    summary: "Lists the instances that exist by themselves, whether or not an application runs on them. HostedBy is ours.",
    group: Group::Instance,
    kind: Kind::Read,
    methods: BOTH,
    path: "/",
    ram_action: "ens:DescribeInstances",
    access: Access::List,
    parameters: &[
        Parameter::text("InstanceId", "i-5s9boobrmh5000kv4jmi0oeai").about("Only this one."),
        IDS.about("Only these: a JSON array of at most 100 ids."),
        Parameter::text("EnsRegionId", "cn-shanghai-cmcc").about("Only on this edge node."),
        Parameter::of("EnsRegionIds", ARRAY, r#"["cn-shanghai-cmcc"]"#)
            .about("Only on these edge nodes: a JSON array of at most 100 ids."),
        Parameter::text("InstanceName", "batch001").about("Only of this name."),
        Parameter::text("InstanceType", "ens.sn1.tiny").about("Only of this spec."),
        Parameter::text("Status", "Running").about("Only of this status: Running."),
        Parameter::of("Tags", ARRAY, r#"[{"TagKey":"team","TagValue":"video"}]"#)
            .about("Only with all of these tags: a JSON array of TagKey and TagValue."),
        Parameter::text("InstanceResourceType", "EnsInstance").about("Only of this kind: EnsInstance."),
        Parameter::text("ImageId", "").about(HAS_NONE),
        Parameter::text("IntranetIp", "").about(HAS_NONE),
        Parameter::text("NetworkId", "").about(HAS_NONE),
        Parameter::text("SecurityGroupId", "").about(HAS_NONE),
        Parameter::of("ServiceStatus", ARRAY, r#"["serving"]"#).about(HAS_NONE),
        Parameter::text("VSwitchId", "").about(HAS_NONE),
        Parameter::text("OrderByParams", "").about("Without effect: they come in the order of their ids."),
        Parameter::text("SearchKey", "").about("Without effect."),
        super::PAGE_NUMBER,
        super::PAGE_SIZE,
    ],
    response: &[
        Member::integer("Code", "0"),
        Member::object("Instances", &[Member::list("Instance", &Schema::Object(INSTANCE))]),
        Member::integer("PageNumber", "1"),
        Member::integer("PageSize", "10"),
        Member::integer("TotalCount", "1"),
        REQUEST_ID,
    ],
    errors: PublishedError::SIX,
    example: r#"{"Code":0,"Instances":{"Instance":[]},"PageNumber":1,"PageSize":10,"TotalCount":0,"RequestId":"5B2E8A0C-9F3D-4E55-8C1F-0A6F5D2B7E11"}"#,
};

/// A share of an edge node has nothing that these could be asked of.
const HAS_NONE: &str = "No instance here has one: nothing matches.";
const MATCHES_NOTHING: [&str; 6] =
    ["ImageId", "IntranetIp", "NetworkId", "SecurityGroupId", "ServiceStatus", "VSwitchId"];

const ARRAY: ValueType = ValueType::JsonArray { minimum_items: 0, maximum_items: 100 };
const IDS: Parameter = Parameter::of("InstanceIds", ARRAY, r#"["i-5s9boobrmh5000kv4jmi0oeai"]"#);

const INSTANCE: &[Member] = &[
    Member::text("InstanceId", "i-5s9boobrmh5000kv4jmi0oeai"),
    Member::text("InstanceName", "batch001"),
    Member::text("InstanceResourceType", "EnsInstance"),
    Member::text("EnsRegionId", "cn-shanghai-cmcc"),
    Member::text("SpecName", "ens.sn1.tiny"),
    Member::text("Cpu", "2"),
    Member::integer("Memory", "4096"),
    Member::integer("Disk", "20"),
    Member::text("Status", "Running"),
    Member::text("CreationTime", "2026-03-27T08:00:00Z"),
    Member::text("ExpiredTime", ""),
    Member::text("HostName", ""),
    Member::text("HostedBy", "474bdef0-d149-4695-abfb-52912d9143f0"),
];

#[derive(Clone, Debug)]
pub struct Request {
    /// `InstanceId` and `InstanceIds` together; `None` = all.
    pub instance_ids: Option<Vec<String>>,
    /// The same of edge nodes.
    pub ens_region_ids: Option<Vec<String>>,
    pub instance_name: Option<String>,
    pub instance_type: Option<String>,
    pub status: Option<String>,
    pub instance_resource_type: Option<String>,
    /// Something is asked for that no instance here has.
    pub matches_nothing: bool,
    /// Keys with their values, where one is asked for.
    pub tags: Vec<(String, Option<String>)>,
    /// `None` = everything.
    pub page: Option<Page>,
}

impl Request {
    /// Reads what `ENTRY.check` let through.
    ///
    /// # Errors
    /// `InvalidParameter.<Name>` for an array of something else.
    pub fn read(parameters: &Parameters) -> Result<Self, Error> {
        let both = |one: &str, many: &str| -> Result<Option<Vec<String>>, Error> {
            let many = optional_strings(parameters, many)?;
            Ok(match (owned(parameters, one), many) {
                (None, many) => many,
                (Some(one), None) => Some(vec![one]),
                // Both narrow.
                (Some(one), Some(many)) => Some(many.into_iter().filter(|id| *id == one).collect()),
            })
        };
        Ok(Self {
            instance_ids: both("InstanceId", "InstanceIds")?,
            ens_region_ids: both("EnsRegionId", "EnsRegionIds")?,
            instance_name: owned(parameters, "InstanceName"),
            instance_type: owned(parameters, "InstanceType"),
            status: owned(parameters, "Status"),
            instance_resource_type: owned(parameters, "InstanceResourceType"),
            matches_nothing: MATCHES_NOTHING
                .iter()
                .any(|name| parameters.text(name).is_some() || is_list_of_something(parameters.json(name))),
            tags: tags(parameters)?,
            page: Page::read(parameters),
        })
    }
}

/// An empty list asks for nothing.
fn is_list_of_something(given: Option<&Value>) -> bool {
    given.and_then(Value::as_array).is_some_and(|list| !list.is_empty())
}

fn tags(parameters: &Parameters) -> Result<Vec<(String, Option<String>)>, Error> {
    let given = parameters.json("Tags").and_then(Value::as_array).cloned().unwrap_or_default();
    let tag = |tag: &Value| {
        let key = tag["TagKey"].as_str().or_else(|| tag["Key"].as_str())?;
        let value = tag["TagValue"].as_str().or_else(|| tag["Value"].as_str());
        Some((key.to_owned(), value.map(str::to_owned)))
    };
    let tags: Option<Vec<_>> = given.iter().map(tag).collect();
    tags.ok_or_else(|| {
        Error::invalid_parameter("Tags", "Tags: each has a TagKey, and a TagValue where that matters.")
    })
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    /// Always 0.
    pub code: i32,
    pub instances: Instances,
    pub page_number: usize,
    pub page_size: usize,
    pub total_count: usize,
    pub request_id: String,
}
