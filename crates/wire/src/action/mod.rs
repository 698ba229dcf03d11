//! One file per action: its catalog entry, its typed request and its answer.
//! What several actions share in their entries stands here; what they do is the server's.

pub mod advance_clock;
pub mod cancel_operation;
pub mod change_edge_node;
pub mod confirm_restore;
pub mod create_application;
pub mod delete_app_version;
pub mod delete_application;
pub mod describe_application;
pub mod describe_application_resource_summary;
pub mod describe_available_resource;
pub mod describe_available_resource_info;
pub mod describe_device_service;
pub mod describe_edge_nodes;
pub mod describe_ens_net_district;
pub mod describe_ens_net_level;
pub mod describe_ens_net_sale_district;
pub mod describe_ens_regions;
pub mod describe_images;
pub mod describe_instance_logs;
pub mod describe_instance_types;
pub mod describe_instances;
pub mod describe_operation;
pub mod describe_region_isps;
pub mod exec_instance;
pub mod explain_instance;
pub mod list_applications;
pub mod list_operations;
pub mod modify_application_attribute;
pub mod plan_rescale_application;
pub mod protect_instances;
pub mod prune_images;
pub mod rebalance_application;
pub mod release_instance;
pub mod rescale_application;
pub mod rollback_application;
pub mod run_instances;
pub mod upgrade_application;
pub mod watch;

use crate::entry::{JsonField, Member, Method, Parameter, Schema, ValueType, Width};
use crate::error::Error;
use crate::parameters::Parameters;
use serde_json::Value;

/// In the order in which the metadata lists them.
const BOTH: &[Method] = &[Method::Post, Method::Get];
const GET: &[Method] = &[Method::Get];

const APP_ID: Parameter = Parameter::text("AppId", "474bdef0-d149-4695-abfb-52912d9143f0")
    .about("The ID of the application. ListApplications shows it.");

/// Longest deadline: a day (ens-api.md §1.2).
const MAX_TIMEOUT_S: i64 = 86_400;

/// Seconds from acceptance; the default differs by action.
const fn timeout(default: &'static str) -> Parameter {
    Parameter::integer("Timeout", 1, MAX_TIMEOUT_S, "1800")
        .or(default)
        .about("Seconds from acceptance until what is not ready is given up.")
}

const CLIENT_TOKEN: Parameter =
    Parameter::of("ClientToken", ValueType::Text { max_bytes: 64 }, "0c593ea1-3bea-11e9-b96b-88e9fe637760")
        .about("Makes the write idempotent: the same token with the same parameters gets the same RequestId.")
        .ours();

const ON_TIMEOUT: Parameter = Parameter::choice("OnTimeout", ENDINGS, "undo")
    .or("keep")
    .about(
        "What becomes of it at the deadline: keep leaves what is ready, undo goes back to what was before.",
    )
    .ours();

const ENDINGS: &[&str] = &["keep", "undo"];

/// What becomes of an operation that is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// What is ready stays.
    Keep,
    /// Back to what was before.
    Undo,
}

impl Ending {
    fn read(parameters: &Parameters, name: &str) -> Self {
        match parameters.text(name) {
            Some("undo") => Self::Undo,
            _ => Self::Keep,
        }
    }
}

const INSTANCE_IDS: Parameter = Parameter::of(
    "InstanceIds",
    ValueType::JsonArray { minimum_items: 1, maximum_items: 1_000 },
    r#"["i-5s9boobrmh5000kv4jmi0oeai"]"#,
)
.about("Instances of applications of the account: a JSON array of 1 to 1,000 ids.");

const IF_REVISION: Parameter = Parameter::of(
    "IfRevision",
    ValueType::Integer { minimum: 0, maximum: i64::MAX, width: Width::Int64 },
    "7",
)
.about("Refuses the write unless the application still has this revision (AppStatus.Revision).")
.ours();

const APP_VERSIONS: Parameter = Parameter::text("AppVersions", "v1,v2")
    .about("Versions to show, separated by commas, or All. The stable version by default.");

const LEVEL: Parameter =
    Parameter::choice("Level", &["National", "Big", "Middle", "Small", "RegionId"], "National")
        .or("National")
        .about("The level to aggregate at: country, area, province, city or edge node.");

const FLAGS_EXAMPLE: &str = r#"{"appInfo":true,"detailStat":true,"appVersionStat":true,"districtStat":true,"instanceStat":true,"podCountStat":true}"#;

/// The parts that a flag object names, each `true` unless it says otherwise.
const FLAGS: &[JsonField] = &[
    JsonField::of("appInfo", "true, false", "true", "What the application is: metadata and resources.")
        .or("true"),
    JsonField::of("detailStat", "true, false", "true", "How it is; false leaves out all that follows.")
        .or("true"),
    JsonField::of("appVersionStat", "true, false", "true", "By version; false leaves out all that follows.")
        .or("true"),
    JsonField::of(
        "districtStat",
        "true, false",
        "true",
        "By district and carrier; false leaves out what follows.",
    )
    .or("true"),
    JsonField::of("instanceStat", "true, false", "true", "Each instance with its devices.").or("true"),
    JsonField::of("podCountStat", "true, false", "true", "Counts of pods.").or("true"),
];

const PAGE_NUMBER: Parameter =
    Parameter::integer("PageNumber", 1, i32::MAX as i64, "1").about("The page to show, from 1.");
const PAGE_SIZE: Parameter = Parameter::integer("PageSize", 1, i32::MAX as i64, "10")
    .about("Entries on a page. Without PageNumber and PageSize everything is shown.");

const REQUEST_ID: Member = Member::text("RequestId", "AAE90880-4970-4D81-A534-A6C0F3631F74");

/// The members of an `Operation` payload.
const OPERATION: &[Member] = &[
    Member::text("OperationId", "AAE90880-4970-4D81-A534-A6C0F3631F74"),
    Member::text("Action", "RescaleApplication"),
    Member::text("RescaleType", "Add"),
    Member::text("AppId", "474bdef0-d149-4695-abfb-52912d9143f0"),
    Member::text("EnsRegionId", "cn-shanghai-cmcc"),
    Member::integer("Revision", "7"),
    Member::text("Principal", "1234567890123456"),
    Member::text("AccessKeyId", "LTAI5tExampleExample7Q2x"),
    Member::text("SourceIp", "127.0.0.1"),
    Member::list("Parameters", &Schema::Object(PARAMETER)),
    Member::text("Status", "Running"),
    Member::text("AcceptedAt", "2026-03-27T08:00:00Z"),
    Member::text("Deadline", "2026-03-27T08:05:00Z"),
    Member::text("EndedAt", "2026-03-27T08:00:05Z"),
    Member::integer("Wanted", "6"),
    Member::integer("Ready", "5"),
    Member::list("Skipped", &Schema::Object(SKIPPED)),
    Member::list("Nodes", &Schema::Object(NODE)),
    Member::list("Steps", &Schema::Object(STEP)),
    Member::text("Outcome", "6 of 6 ready"),
];

const PARAMETER: &[Member] = &[Member::text("Name", "RescaleType"), Member::text("Value", "Add")];

const SKIPPED: &[Member] =
    &[Member::integer("Index", "0"), Member::integer("Wanted", "2"), Member::text("Reason", "no room")];

const NODE: &[Member] = &[
    Member::text("EnsRegionId", "cn-shanghai-cmcc"),
    Member::text("IspCode", "cmcc"),
    Member::integer("Wanted", "4"),
    Member::integer("Ready", "3"),
    Member::object("States", &[Member::integer("Running", "3"), Member::integer("Pulling", "1")]),
    Member::object(
        "Pulled",
        &[Member::integer("Bytes", "6501171"), Member::integer("TotalBytes", "10485760")],
    ),
];

const STEP: &[Member] = &[Member::text("At", "2026-03-27T08:00:00Z"), Member::text("Text", "accepted")];

/// Which versions an answer shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Versions {
    Stable,
    All,
    Named(Vec<String>),
}

/// The level an answer aggregates at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    National,
    Big,
    Middle,
    Small,
    RegionId,
}

/// Which parts an answer shows (ens-api.md §2.6); a part left out takes its children along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    pub app_info: bool,
    pub detail_stat: bool,
    pub app_version_stat: bool,
    pub district_stat: bool,
    pub instance_stat: bool,
    pub pod_count_stat: bool,
}

/// A page of a list, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    pub number: usize,
    pub size: usize,
}

impl Level {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::National => "National",
            Self::Big => "Big",
            Self::Middle => "Middle",
            Self::Small => "Small",
            Self::RegionId => "RegionId",
        }
    }

    fn read(parameters: &Parameters) -> Self {
        match parameters.text("Level") {
            Some("Big") => Self::Big,
            Some("Middle") => Self::Middle,
            Some("Small") => Self::Small,
            Some("RegionId") => Self::RegionId,
            _ => Self::National,
        }
    }
}

impl Versions {
    fn read(parameters: &Parameters) -> Self {
        match parameters.text("AppVersions") {
            None => Self::Stable,
            Some("All") => Self::All,
            Some(list) => Self::Named(comma_list(list)),
        }
    }
}

impl Parts {
    /// Reads a flag object; what it does not name is shown, what it does not know is ignored.
    ///
    /// # Errors
    /// `InvalidParameter` for a flag that is neither true nor false.
    fn read(parameters: &Parameters, name: &str) -> Result<Self, Error> {
        let flags = parameters.json(name);
        let flag = |key: &str| match flags.and_then(|flags| flags.get(key)) {
            None | Some(Value::Null | Value::Bool(true)) => Ok(true),
            Some(Value::Bool(false)) => Ok(false),
            Some(Value::String(text)) if text == "true" => Ok(true),
            Some(Value::String(text)) if text == "false" => Ok(false),
            Some(_) => Err(Error::invalid(format!("{name}.{key} is neither true nor false"))),
        };
        Ok(Self {
            app_info: flag("appInfo")?,
            detail_stat: flag("detailStat")?,
            app_version_stat: flag("appVersionStat")?,
            district_stat: flag("districtStat")?,
            instance_stat: flag("instanceStat")?,
            pod_count_stat: flag("podCountStat")?,
        })
    }
}

impl Page {
    /// `None` when neither parameter is there: everything is asked for.
    fn read(parameters: &Parameters) -> Option<Self> {
        const USUAL_SIZE: usize = 10;
        match (parameters.integer("PageNumber"), parameters.integer("PageSize")) {
            (None, None) => None,
            (number, size) => Some(Self { number: number.unwrap_or(1), size: size.unwrap_or(USUAL_SIZE) }),
        }
    }

    /// The entries of this page.
    pub fn of<T>(self, all: impl IntoIterator<Item = T>) -> Vec<T> {
        let before = (self.number.saturating_sub(1)).saturating_mul(self.size);
        all.into_iter().skip(before).take(self.size).collect()
    }
}

/// A JSON array of texts that the catalog declares required.
fn strings(parameters: &Parameters, name: &'static str) -> Result<Vec<String>, Error> {
    optional_strings(parameters, name)?.ok_or_else(|| Error::missing_parameter(name))
}

/// A JSON array of texts.
fn optional_strings(parameters: &Parameters, name: &str) -> Result<Option<Vec<String>>, Error> {
    let Some(Value::Array(given)) = parameters.json(name) else { return Ok(None) };
    let texts: Option<Vec<String>> =
        given.iter().map(|text| text.as_str().filter(|text| !text.is_empty()).map(str::to_owned)).collect();
    let texts = texts.ok_or_else(|| {
        Error::invalid_parameter(name, format!("{name}: it holds something that is no text."))
    })?;
    Ok(Some(texts))
}

fn comma_list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn owned(parameters: &Parameters, name: &str) -> Option<String> {
    parameters.text(name).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_past_the_end_is_empty() {
        let of = |number, size| Page { number, size }.of(1..=5);

        assert_eq!(of(1, 2), [1, 2]);
        assert_eq!(of(3, 2), [5]);
        assert_eq!(of(4, 2), Vec::<i32>::new());
        assert_eq!(of(usize::MAX, usize::MAX), Vec::<i32>::new());
    }
}
