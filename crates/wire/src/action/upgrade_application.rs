//! UpgradeApplication: brings instances to a version, which it makes where it does not exist (ens-api.md §2.3).

use super::{APP_ID, BOTH, CLIENT_TOKEN, Ending, IF_REVISION, ON_TIMEOUT, REQUEST_ID, owned, timeout};
use crate::entry::{Access, Action, Group, JsonField, Kind, Member, Parameter, PublishedError, ValueType};
use crate::error::Error;
use crate::parameters::Parameters;
use crate::template::Upgrade;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub static ENTRY: Action = Action {
    name: "UpgradeApplication",
    title: "Upgrade an application",
    summary: "Brings instances to a version, in place: a new one, made of the stable one and what the template gives, or a further step of one that exists. A version that does not become ready stops by itself, and what has not begun keeps its version.",
    group: Group::Application,
    kind: Kind::Write,
    methods: BOTH,
    path: "/",
    ram_action: "ens:UpgradeApplication",
    access: Access::Update,
    parameters: &[
        APP_ID.required(),
        Parameter::of("Template", ValueType::JsonObject, TEMPLATE_EXAMPLE)
            .required()
            .about("The version to go to, what of it differs, which instances go, and when.")
            .with(FIELDS),
        timeout("300"),
        CLIENT_TOKEN,
        ON_TIMEOUT,
        IF_REVISION,
    ],
    response: &[REQUEST_ID, Member::text("TaskId", "6f24a774-6bd5-4026-bb7d-deffb1dad875")],
    errors: PublishedError::SIX,
    example: r#"{"RequestId":"473469C7-AA6F-4DC5-B3DB-A3DC0DE3C83E","TaskId":"6f24a774-6bd5-4026-bb7d-deffb1dad875"}"#,
};

const TEMPLATE_EXAMPLE: &str = r#"{"fromAppVersions":{"operator":"In","values":["v1","v2"]},"toAppVersion":"v3","descrip":"xxx","workload":[{"name":"nginx","podSpec":{}}],"upgradeStrategy":{"name":"ScheduleToISP","parameters":{"operator":"In","values":["telecom"]}}}"#;

/// In the order of the documentation's example.
const FIELDS: &[JsonField] = &[
    JsonField::of(
        "toAppVersion",
        "a letter or digit, then up to 62 letters, digits, `.`, `_`, `-`",
        r#""v3""#,
        "A new name makes a version; of one that exists this is a further step, and workload is left out.",
    )
    .required(),
    JsonField::of(
        "fromAppVersions",
        "operator (In, NotIn) and values",
        r#"{"operator":"In","values":["v1","v2"]}"#,
        "Only instances of these versions go. All others by default.",
    ),
    JsonField::of("descrip", "at most 256 characters", r#""xxx""#, "For people; shown with the version."),
    JsonField::of(
        "workload[]",
        "as in CreateApplication",
        r#"[{"name":"nginx","podSpec":{}}]"#,
        "What differs from the stable version, by name: what is given replaces, what is absent is kept; podSpec as a \
         whole, unless it is empty.",
    ),
    JsonField::of(
        "upgradeStrategy",
        "name and parameters",
        r#"{"name":"ScheduleToISP","parameters":{"operator":"In","values":["telecom"]}}"#,
        "Which instances go now: ScheduleToISP, ScheduleToRegionId, ScheduleToInstanceId, ScheduleToAreaCode, \
         ScheduleToAllByMatchExpressions (keys region_id, isp, instance_id, area_code, app_version), ScheduleToAll.",
    ),
    JsonField::of(
        "autoUpgradeStrategy",
        "AdjustToPodUsage: checkInterval, startTime, endTime, startHourPoint, endHourPoint, level, rules",
        r#"{"name":"AdjustToPodUsage","checkInterval":60,"rules":[{"regionCodes":["All"],"maxUpgradingRatio":20}]}"#,
        "By and by: each checkInterval seconds, within the hours, as many of a unit as the first matching rule allows \
         (maxUpgradingRatio, maxUpgradingCount). Without it all go at once. Timeout then counts inside the window only.",
    ),
];

#[derive(Clone, Debug)]
pub struct Request {
    pub app_id: String,
    template: Value,
    pub timeout_s: u32,
    pub on_timeout: Ending,
    pub client_token: Option<String>,
    pub if_revision: Option<u64>,
}

impl Request {
    /// Reads what `ENTRY.check` let through.
    ///
    /// # Errors
    /// None beyond those of `check`.
    pub fn read(parameters: &Parameters) -> Result<Self, Error> {
        Ok(Self {
            app_id: parameters.required("AppId")?.to_owned(),
            template: parameters.json("Template").cloned().unwrap_or_default(),
            timeout_s: parameters.integer("Timeout").unwrap_or(300),
            on_timeout: Ending::read(parameters, "OnTimeout"),
            client_token: owned(parameters, "ClientToken"),
            if_revision: parameters.integer("IfRevision"),
        })
    }

    /// The template's content, which is looked at only after permission and token (`decisions.md` §3).
    ///
    /// # Errors
    /// `InvalidParameter` that names the first wrong field by its path.
    pub fn template(&self) -> Result<Upgrade, Error> {
        Upgrade::read(&self.template)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    pub request_id: String,
    pub task_id: String,
}
