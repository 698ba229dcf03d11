//! PlanRescaleApplication, ours: what RescaleApplication would do, and why, without doing it (`decisions.md` §5).
//! Answers 200 with `Fits: false` wherever the input itself is sound.

use super::rescale_application::{self as rescale, RescaleLevel, RescaleType};
use super::{APP_ID, BOTH, IF_REVISION, REQUEST_ID, owned};
use crate::entry::{Access, Action, Group, Kind, Member, Parameter, PublishedError, Schema};
use crate::error::Error;
use crate::parameters::{Flag, Parameters};
use crate::payload::plan::Plan;
use crate::selector::Selector;
use serde::{Deserialize, Serialize};

pub static ENTRY: Action = Action {
    name: "PlanRescaleApplication",
    title: "Plan a rescale",
    summary: "Shows where RescaleApplication would place or release instances, and why, and changes nothing.",
    group: Group::Extension,
    kind: Kind::Read,
    methods: BOTH,
    path: "/",
    ram_action: "ens:PlanRescaleApplication",
    access: Access::Get,
    parameters: &[
        APP_ID.required(),
        rescale::RESCALE_TYPE,
        rescale::RESCALE_LEVEL,
        rescale::RESOURCE_SELECTOR,
        rescale::TO_APP_VERSION,
        TIMEOUT,
        IF_REVISION,
        rescale::ALLOW_PARTIAL,
    ],
    response: &[Member::object("Plan", PLAN), REQUEST_ID],
    errors: PublishedError::SIX,
    example: r#"{"Plan":{"PlanId":"7c1f42ab","Revision":7,"Fits":true,"Blocked":null,"Before":0,"After":2,"Items":[{"Index":0,"Wanted":2,"Placed":2,"Placements":[{"EnsRegionId":"cn-shanghai-cmcc","IspCode":"cmcc","Before":0,"After":2,"Reason":"named by the item"}],"NotChosen":[],"Shortage":null}]},"RequestId":"AAE90880-4970-4D81-A534-A6C0F3631F74"}"#,
};

/// Taken so that the same parameters plan and rescale; a plan has no deadline.
const TIMEOUT: Parameter = super::timeout("300").about("Without effect: a plan has no deadline.");

const PLAN: &[Member] = &[
    Member::text("PlanId", "7c1f42ab"),
    Member::integer("Revision", "7"),
    Member::flag("Fits", "true"),
    Member::text("Blocked", ""),
    Member::integer("Before", "0"),
    Member::integer("After", "6"),
    Member::list("Items", &Schema::Object(ITEM)),
];
const ITEM: &[Member] = &[
    Member::integer("Index", "0"),
    Member::integer("Wanted", "4"),
    Member::integer("Placed", "4"),
    Member::list("Placements", &Schema::Object(PLACEMENT)),
    Member::list("NotChosen", &Schema::Object(NOT_CHOSEN)),
    Member::integer("NotChosenCount", "1"),
    Member::object("Shortage", SHORTAGE),
];
const PLACEMENT: &[Member] = &[
    Member::text("EnsRegionId", "cn-shanghai-cmcc"),
    Member::text("IspCode", "cmcc"),
    Member::integer("Before", "0"),
    Member::integer("After", "4"),
    Member::list("InstanceIds", &Schema::Text("i-5s9boobrmh5000kv4jmi0oeai")),
    Member::list("Instances", &Schema::Object(CHOSEN)),
    Member::text("Reason", "fewest of the application"),
];
const CHOSEN: &[Member] =
    &[Member::text("InstanceId", "i-5s9boobrmh5000kv4jmi0oeai"), Member::text("Reason", "not ready")];
const NOT_CHOSEN: &[Member] =
    &[Member::text("EnsRegionId", "cn-shanghai-unicom"), Member::text("Reason", "no carrier cmcc")];
const SHORTAGE: &[Member] = &[
    Member::integer("Missing", "1"),
    Member::list("Alternatives", &Schema::Object(ALTERNATIVE)),
    Member::list("Remedies", &Schema::Object(REMEDY)),
];
const REMEDY: &[Member] = &[
    Member::text("Change", "DrainEnds"),
    Member::list("EnsRegionIds", &Schema::Text("cn-shanghai-cmcc")),
    Member::list("InstanceIds", &Schema::Text("i-5s9boobrmh5000kv4jmi0oeai")),
    Member::text("InstanceType", "ens.sn1.stiny"),
    Member::integer("Room", "7"),
];
const ALTERNATIVE: &[Member] =
    &[Member::text("RegionCode", "310100"), Member::text("IspCode", "cmcc"), Member::integer("Room", "21")];

#[derive(Clone, Debug)]
pub struct Request {
    pub app_id: String,
    pub rescale_type: RescaleType,
    pub level: RescaleLevel,
    /// Its items are read by whoever plans.
    pub selector: Selector,
    pub to_app_version: Option<String>,
    pub if_revision: Option<u64>,
    pub allow_partial: Flag,
}

impl Request {
    /// Reads what `ENTRY.check` let through.
    ///
    /// # Errors
    /// As for RescaleApplication.
    pub fn read(parameters: &Parameters) -> Result<Self, Error> {
        Ok(Self {
            app_id: parameters.required("AppId")?.to_owned(),
            rescale_type: rescale::rescale_type(parameters)?,
            level: rescale::rescale_level(parameters),
            selector: Selector::read("ResourceSelector", parameters.json("ResourceSelector"))?,
            to_app_version: owned(parameters, "ToAppVersion"),
            if_revision: parameters.integer("IfRevision"),
            allow_partial: parameters.flag("AllowPartial"),
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    pub plan: Plan,
    pub request_id: String,
}
