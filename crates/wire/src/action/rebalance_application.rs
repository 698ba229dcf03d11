//! RebalanceApplication and its plan, ours: moves instances to where the strategy would put them now
//! (`decisions.md` §9.5).

use super::rescale_application::IF_PLAN;
use super::{APP_ID, BOTH, CLIENT_TOKEN, IF_REVISION, REQUEST_ID, owned, timeout};
use crate::entry::{Access, Action, Group, Kind, Member, Parameter, PublishedError, Schema};
use crate::error::Error;
use crate::parameters::Parameters;
use crate::payload::plan::MovePlan;
use serde::{Deserialize, Serialize};

pub static ENTRY: Action = Action {
    name: "RebalanceApplication",
    title: "Rebalance an application",
    summary: "Moves instances, a few at most, to where the application's strategy would put them now: each new one is ready before the one it replaces goes. Hosted and protected ones stay.",
    group: Group::Extension,
    kind: Kind::Write,
    methods: BOTH,
    path: "/",
    ram_action: "ens:RebalanceApplication",
    access: Access::Update,
    parameters: &[APP_ID.required(), MAX_MOVES, timeout("900"), CLIENT_TOKEN, IF_REVISION, IF_PLAN],
    response: &[REQUEST_ID],
    errors: PublishedError::SIX,
    example: r#"{"RequestId":"5B2E8A0C-9F3D-4E55-8C1F-0A6F5D2B7E11"}"#,
};

pub static PLAN_ENTRY: Action = Action {
    name: "PlanRebalanceApplication",
    title: "Plan a rebalancing",
    summary: "Shows what RebalanceApplication would move, and changes nothing.",
    group: Group::Extension,
    kind: Kind::Read,
    methods: BOTH,
    path: "/",
    ram_action: "ens:PlanRebalanceApplication",
    access: Access::Get,
    parameters: &[APP_ID.required(), MAX_MOVES, IF_REVISION],
    response: &[Member::object("Plan", PLAN), REQUEST_ID],
    errors: PublishedError::SIX,
    example: r#"{"Plan":{"PlanId":"7c1f42ab","Revision":7,"Fits":true,"Blocked":null,"Moves":[{"InstanceId":"i-5s9boobrmh5000kv4jmi0oeai","EnsRegionId":"cn-shanghai-cmcc","IspCode":"cmcc","ToEnsRegionId":"cn-shanghai-cmcc-4","ToIspCode":"cmcc"}],"NotMoved":[]},"RequestId":"AAE90880-4970-4D81-A534-A6C0F3631F74"}"#,
};

const MAX_MOVES: Parameter =
    Parameter::integer("MaxMoves", 1, 100, "4").required().about("At most this many instances are moved.");

const PLAN: &[Member] = &[
    Member::text("PlanId", "7c1f42ab"),
    Member::integer("Revision", "7"),
    Member::flag("Fits", "true"),
    Member::text("Blocked", ""),
    Member::list("Moves", &Schema::Object(MOVE)),
    Member::list("NotMoved", &Schema::Object(NOT_MOVED)),
];
const MOVE: &[Member] = &[
    Member::text("InstanceId", "i-5s9boobrmh5000kv4jmi0oeai"),
    Member::text("EnsRegionId", "cn-shanghai-cmcc"),
    Member::text("IspCode", "cmcc"),
    Member::text("ToEnsRegionId", "cn-shanghai-cmcc-4"),
    Member::text("ToIspCode", "cmcc"),
];
pub(super) const NOT_MOVED: &[Member] = &[
    Member::text("InstanceId", "i-5s9boobrmh5000kv4jmi0oeai"),
    Member::text("EnsRegionId", "cn-shanghai-cmcc"),
    Member::text("Reason", "protected"),
];

/// Of either; a plan has no deadline, token or plan.
#[derive(Clone, Debug)]
pub struct Request {
    pub app_id: String,
    pub max_moves: u32,
    pub timeout_s: u32,
    pub client_token: Option<String>,
    pub if_revision: Option<u64>,
    pub if_plan: Option<String>,
}

impl Request {
    /// Reads what the entry's `check` let through.
    ///
    /// # Errors
    /// None beyond those of `check`.
    pub fn read(parameters: &Parameters) -> Result<Self, Error> {
        Ok(Self {
            app_id: parameters.required("AppId")?.to_owned(),
            max_moves: parameters.integer("MaxMoves").unwrap_or(1),
            timeout_s: parameters.integer("Timeout").unwrap_or(900),
            client_token: owned(parameters, "ClientToken"),
            if_revision: parameters.integer("IfRevision"),
            if_plan: owned(parameters, "IfPlan"),
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    pub request_id: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PlanResponse {
    pub plan: MovePlan,
    pub request_id: String,
}
