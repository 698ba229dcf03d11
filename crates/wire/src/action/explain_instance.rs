//! ExplainInstance, ours: one instance, how it is, and why it is there or not there any more (`docs/differences.md`).

use super::describe_device_service::NETWORK;
use super::{BOTH, REQUEST_ID, STEP};
use crate::entry::{Access, Action, Group, Kind, Member, Parameter, PublishedError, Schema};
use crate::error::Error;
use crate::parameters::Parameters;
use crate::payload::event::Pod;
use crate::payload::operation::Step;
use serde::{Deserialize, Serialize};

pub static ENTRY: Action = Action {
    name: "ExplainInstance",
    title: "Explain an instance",
    summary: "Shows one instance, how it is, the operations that placed and released it, the selector item that each served, and who asked. Instances that are gone are known for 24 hours.",
    group: Group::Extension,
    kind: Kind::Read,
    methods: BOTH,
    path: "/",
    ram_action: "ens:ExplainInstance",
    access: Access::Get,
    parameters: &[Parameter::text("InstanceId", "i-5s9boobrmh5000kv4jmi0oeai")
        .required()
        .about("An instance of an application, or one that exists by itself.")],
    response: &[Member::object("Instance", INSTANCE), REQUEST_ID],
    errors: PublishedError::SIX,
    example: r#"{"Instance":{"InstanceId":"i-5s9boobrmh5000kv4jmi0oeai","EnsRegionId":"cn-shanghai-cmcc","InstanceStatus":"Running","Operations":[{"Role":"Placed","OperationId":"AAE90880-4970-4D81-A534-A6C0F3631F74"}]},"RequestId":"5B2E8A0C-9F3D-4E55-8C1F-0A6F5D2B7E11"}"#,
};

const INSTANCE: &[Member] = &[
    Member::text("InstanceId", "i-5s9boobrmh5000kv4jmi0oeai"),
    Member::text("AppId", "474bdef0-d149-4695-abfb-52912d9143f0"),
    Member::text("AppName", "hello"),
    Member::text("AppVersion", "v1"),
    Member::text("EnsRegionId", "cn-shanghai-cmcc"),
    Member::text("IspCode", "cmcc"),
    Member::text("InstanceSpec", "ens.sn1.tiny"),
    Member::text("Origin", "Created"),
    Member::flag("Protected", "false"),
    Member::text("InstanceStatus", "Running"),
    Member::text("Cause", "released on request"),
    Member::text("CreatedAt", "2026-03-27T08:00:00Z"),
    Member::text("GoneAt", "2026-03-27T09:00:00Z"),
    Member::object("Scope", &[Member::text("RegionCode", "310100"), Member::text("IspCode", "cmcc")]),
    Member::list("Pods", &Schema::Object(POD)),
    Member::list("Operations", &Schema::Object(INVOLVED)),
    Member::list("Steps", &Schema::Object(STEP)),
];

const POD: &[Member] = &[
    Member::text("Name", "hello-web-v1-abcdefgh-0"),
    Member::text("Workload", "web"),
    Member::integer("Index", "0"),
    Member::text("Status", "Running"),
    Member::text("Address", "10.80.1.2"),
    Member::list("Ports", &Schema::Object(NETWORK)),
    Member::integer("Restarts", "0"),
    Member::text("Message", ""),
];

const INVOLVED: &[Member] = &[
    Member::text("Role", "Placed"),
    Member::text("OperationId", "AAE90880-4970-4D81-A534-A6C0F3631F74"),
    Member::text("Action", "RescaleApplication"),
    Member::text("RescaleType", "Add"),
    Member::text("Principal", "1234567890123456"),
    Member::text("AccessKeyId", "LTAI5tExampleExample7Q2x"),
    Member::text("SourceIp", "127.0.0.1"),
    Member::text("AcceptedAt", "2026-03-27T08:00:00Z"),
    Member::text("Status", "Succeeded"),
    Member::text("Outcome", "6 of 6 ready"),
    Member::object(
        "Item",
        &[
            Member::integer("Index", "0"),
            Member::text("RegionCode", "310100"),
            Member::text("IspCode", "cmcc"),
            Member::integer("Wanted", "5"),
            Member::flag("ByName", "false"),
        ],
    ),
    Member::text("Replaces", "i-7kq02mzx91ab000kv4jmi0oea"),
    Member::text("ReplacedBy", "i-5s9boobrmh5000kv4jmi0oeai"),
];

#[derive(Clone, Debug)]
pub struct Request {
    pub instance_id: String,
}

impl Request {
    /// Reads what `ENTRY.check` let through.
    ///
    /// # Errors
    /// None beyond those of `check`.
    pub fn read(parameters: &Parameters) -> Result<Self, Error> {
        Ok(Self { instance_id: parameters.required("InstanceId")?.to_owned() })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    pub instance: Explained,
    pub request_id: String,
}

/// An instance and its history. Times are `2021-12-28T16:00:00Z`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Explained {
    pub instance_id: String,
    /// The application whose pods it carries, or carried; absent for one that carries none.
    pub app_id: Option<String>,
    pub app_name: Option<String>,
    pub app_version: Option<String>,
    pub ens_region_id: String,
    pub isp_code: String,
    pub instance_spec: String,
    /// `Created` for the application, `Hosted` on an instance of the account, `Own` = by itself.
    pub origin: String,
    pub protected: bool,
    /// `Gone` once it is no more.
    pub instance_status: String,
    /// Why it is being released, or was.
    pub cause: Option<String>,
    pub created_at: String,
    pub gone_at: Option<String>,
    /// Within what it was placed, as asked; absent for one that exists by itself.
    pub scope: Option<Scope>,
    pub pods: Vec<Pod>,
    /// Those that placed and released it, as far as they are remembered (7 days), the first one first.
    pub operations: Vec<Involved>,
    /// What those say of it.
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Scope {
    /// An edge node or district; empty where any node would do.
    pub region_code: String,
    pub isp_code: Option<String>,
}

/// What an operation has to do with an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Involved {
    /// `Placed`, `Released`, `Undone` (placed, and taken back) or, for one that exists by itself, `Made`.
    pub role: String,
    pub operation_id: String,
    pub action: String,
    pub rescale_type: Option<String>,
    pub principal: String,
    pub access_key_id: String,
    pub source_ip: String,
    pub accepted_at: String,
    pub status: String,
    pub outcome: Option<String>,
    /// The selector item that it served.
    pub item: Option<Item>,
    /// Of a move: the instance whose place it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// Of a move: the instance that took its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Item {
    pub index: usize,
    pub region_code: Option<String>,
    pub isp_code: Option<String>,
    pub wanted: u32,
    /// It named its instances.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_name: bool,
}
