//! RescaleApplication: adds instances to an application or releases some, asynchronously (ens-api.md §2.2).

use super::{APP_ID, BOTH, CLIENT_TOKEN, Ending, IF_REVISION, ON_TIMEOUT, REQUEST_ID, owned, timeout};
use crate::entry::{Access, Action, Group, Kind, Parameter, PublishedError, ValueType};
use crate::error::Error;
use crate::parameters::{Flag, Parameters};
use crate::selector::{self, Selector};
use serde::{Deserialize, Serialize};

pub static ENTRY: Action = Action {
    name: "RescaleApplication",
    title: "Rescale an application",
    summary: "Adds instances to an application, or releases some, asynchronously: their containers start or stop behind the answer.",
    group: Group::Application,
    kind: Kind::Write,
    methods: BOTH,
    path: "/",
    ram_action: "ens:RescaleApplication",
    access: Access::Update,
    parameters: &[
        APP_ID.required(),
        RESCALE_TYPE,
        RESCALE_LEVEL,
        RESOURCE_SELECTOR,
        TO_APP_VERSION,
        timeout("300"),
        CLIENT_TOKEN,
        ON_TIMEOUT,
        IF_REVISION,
        IF_PLAN,
        ALLOW_PARTIAL,
    ],
    response: &[REQUEST_ID],
    errors: PublishedError::SIX,
    example: r#"{"RequestId":"AAE90880-4970-4D81-A534-A6C0F3631F74"}"#,
};

pub(super) const RESCALE_TYPE: Parameter = Parameter::choice("RescaleType", &["Add", "Del"], "Add")
    .required()
    .about("Add places new instances, Del releases some.");

pub(super) const RESCALE_LEVEL: Parameter = Parameter::choice(
    "RescaleLevel",
    &["AreaIspCode", "RegionId", "InstanceId"],
    "RegionId",
)
.or("AreaIspCode")
.about(
    "How items are read: AreaIspCode an area and carrier, RegionId an edge node, InstanceId instances by their ids: Del releases exactly these, Add hosts the application on ones that no application manages.",
);

pub(super) const RESOURCE_SELECTOR: Parameter = Parameter::of(
    "ResourceSelector",
    selector::FORM,
    r#"[{"regionCode":"cn-wuxi-telecom_unicom_cmcc-3","ispCode":"telecom","count":2},{"regionCode":"cn-shanghai-cmcc","count":4}]"#,
)
.required()
.about("The resources to add or release: a JSON array of 1 to 100 items; count is a difference, never a target.")
.with(selector::FIELDS);

pub(super) const TO_APP_VERSION: Parameter = Parameter::text("ToAppVersion", "v2")
    .about("The version to deploy; the stable version by default. Takes effect for Add only.");

pub(super) const ALLOW_PARTIAL: Parameter = Parameter::of("AllowPartial", ValueType::Flag, "true")
    .or("false")
    .about("Skips whole items that do not fit instead of refusing the call.")
    .ours();

pub(super) const IF_PLAN: Parameter = Parameter::text("IfPlan", "7c1f42ab")
    .about("Executes exactly the plan of this PlanId, or nothing.")
    .ours();

/// A RescaleApplication whose form is right.
#[derive(Clone, Debug)]
pub struct Request {
    pub app_id: String,
    pub rescale_type: RescaleType,
    pub level: RescaleLevel,
    /// Its items are read by whoever decides, after what comes before them (`decisions.md` §3).
    pub selector: Selector,
    pub to_app_version: Option<String>,
    pub timeout_s: u32,
    pub on_timeout: Ending,
    pub client_token: Option<String>,
    pub if_revision: Option<u64>,
    pub if_plan: Option<String>,
    pub allow_partial: Flag,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RescaleType {
    Add,
    Del,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RescaleLevel {
    AreaIspCode,
    RegionId,
    InstanceId,
}

impl Request {
    /// Reads what `ENTRY.check` let through.
    ///
    /// # Errors
    /// None beyond those of `check`.
    pub fn read(parameters: &Parameters) -> Result<Self, Error> {
        Ok(Self {
            app_id: parameters.required("AppId")?.to_owned(),
            rescale_type: rescale_type(parameters)?,
            level: rescale_level(parameters),
            selector: Selector::read("ResourceSelector", parameters.json("ResourceSelector"))?,
            to_app_version: owned(parameters, "ToAppVersion"),
            timeout_s: parameters.integer("Timeout").unwrap_or(300),
            on_timeout: Ending::read(parameters, "OnTimeout"),
            client_token: owned(parameters, "ClientToken"),
            if_revision: parameters.integer("IfRevision"),
            if_plan: owned(parameters, "IfPlan"),
            allow_partial: parameters.flag("AllowPartial"),
        })
    }
}

pub(super) fn rescale_type(parameters: &Parameters) -> Result<RescaleType, Error> {
    Ok(match parameters.required("RescaleType")? {
        "Del" => RescaleType::Del,
        _ => RescaleType::Add,
    })
}

pub(super) fn rescale_level(parameters: &Parameters) -> RescaleLevel {
    match parameters.text("RescaleLevel") {
        Some("RegionId") => RescaleLevel::RegionId,
        Some("InstanceId") => RescaleLevel::InstanceId,
        _ => RescaleLevel::AreaIspCode,
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    pub request_id: String,
}
