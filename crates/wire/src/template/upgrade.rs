//! The Template of UpgradeApplication (ens-api.md §2.3): the version to go to, what of it differs, which instances go, and
//! when. What its names mean in a fleet is not known here.

use super::field::{Field, short};
use super::service_config::{self, NodePorts};
use super::{MAX_WORKLOADS, Workload, is_version_name, pod_count, pod_spec};
use crate::error::Error;
use crate::time;
use serde_json::Value;
use std::collections::HashSet;

const MAX_DESCRIPTION: usize = 256;
const MAX_VALUES: usize = 1_000;
const MAX_RULES: usize = 100;
/// A day, the longest Timeout there is.
const MAX_CHECK_S: u32 = 86_400;

#[derive(Clone, Debug, PartialEq)]
pub struct Upgrade {
    pub to: String,
    pub description: String,
    /// Empty: the version exists, or is like the stable one.
    pub workloads: Vec<WorkloadPatch>,
    pub from: Option<Condition>,
    /// All of them must hold; none is everything.
    pub only: Vec<Condition>,
    pub auto: Option<AutoUpgrade>,
}

/// A workload and what of it was given.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkloadPatch {
    pub workload: Workload,
    pub gives_pod_count: bool,
    pub gives_service_config: bool,
    /// `podSpec` has containers.
    pub gives_pod_spec: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    pub key: MatchKey,
    /// `In`; else `NotIn`.
    pub is_in: bool,
    pub values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchKey {
    RegionId,
    Isp,
    InstanceId,
    AreaCode,
    AppVersion,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AutoUpgrade {
    pub check_s: u32,
    /// Milliseconds since 1970, local to the configured time zone as if that were UTC.
    pub from_local_ms: Option<i64>,
    pub until_local_ms: Option<i64>,
    pub start_hour: u8,
    pub end_hour: u8,
    /// `National`, `Big`, `Middle`, `Small` or `RegionId`.
    pub level: &'static str,
    pub rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub region_codes: Vec<String>,
    pub busy_at_most: u32,
    pub ratio: u32,
    pub count: Option<u32>,
}

impl Upgrade {
    /// # Errors
    /// `InvalidParameter` that names the first wrong field by its path.
    pub fn read(template: &Value) -> Result<Self, Error> {
        let root = Field::root("Template", template);
        let to = root.required("toAppVersion")?;
        let name = to.text()?;
        if !is_version_name(name) {
            let why = "is not a letter or digit and up to 62 letters, digits, `.`, `_` and `-`";
            return Err(to.refuse(&format!("`{}` {why}", short(name))));
        }
        let description = root.text_or("descrip", "")?;
        if description.chars().count() > MAX_DESCRIPTION {
            return Err(Error::invalid(format!("Template.descrip has over {MAX_DESCRIPTION} characters")));
        }
        let from = root.child("fromAppVersions")?;
        Ok(Self {
            to: name.to_owned(),
            description,
            workloads: patches(&root)?,
            from: from.map(|from| condition(&from, MatchKey::AppVersion)).transpose()?,
            only: root.child("upgradeStrategy")?.map_or(Ok(Vec::new()), |strategy| conditions(&strategy))?,
            auto: root.child("autoUpgradeStrategy")?.map(|auto| auto_upgrade(&auto)).transpose()?,
        })
    }
}

fn patches(root: &Field<'_>) -> Result<Vec<WorkloadPatch>, Error> {
    let mut names = HashSet::new();
    let mut patches = Vec::new();
    let mut node_ports = NodePorts::default();
    for item in root.children("workload", MAX_WORKLOADS)? {
        let name = item.required("name")?.label()?;
        if !names.insert(name.clone()) {
            return Err(item.refuse(&format!("has the name `{name}` of another workload")));
        }
        let spec = item.child("podSpec")?;
        // `{}` keeps the old one, as in the documentation's example.
        let given = spec.filter(|spec| spec.value.as_object().is_none_or(|members| !members.is_empty()));
        let containers = given.as_ref().map(pod_spec::containers).transpose()?;
        let pods = pod_count(&item)?;
        let service = service_config::read(&item, pods, containers.as_deref(), &mut node_ports)?;
        patches.push(WorkloadPatch {
            gives_pod_count: item.child("podCount")?.is_some() || item.child("count")?.is_some(),
            gives_service_config: item.child("serviceConfig")?.is_some(),
            gives_pod_spec: given.is_some(),
            workload: Workload {
                name,
                pod_count: pods,
                service_config: service.given,
                bound_ports: service.ports,
                containers: containers.unwrap_or_default(),
            },
        });
    }
    Ok(patches)
}

/// `{"operator":"In","values":[…]}`.
fn condition(field: &Field<'_>, key: MatchKey) -> Result<Condition, Error> {
    let is_in = field.choice("operator", &["In", "NotIn"])? == "In";
    let values = field.required("values")?;
    let items = values.items(MAX_VALUES)?;
    if items.is_empty() {
        return Err(values.refuse("is empty"));
    }
    let values = items.iter().map(|value| value.text().map(str::to_owned)).collect::<Result<_, _>>()?;
    Ok(Condition { key, is_in, values })
}

/// One of the strategies of ens-api.md §5.4.
fn conditions(strategy: &Field<'_>) -> Result<Vec<Condition>, Error> {
    let names = [
        "ScheduleToAll",
        "ScheduleToISP",
        "ScheduleToRegionId",
        "ScheduleToInstanceId",
        "ScheduleToAreaCode",
        "ScheduleToAllByMatchExpressions",
    ];
    strategy.required("name")?;
    let one = |key| Ok(vec![condition(&strategy.required("parameters")?, key)?]);
    match strategy.choice("name", &names)? {
        "ScheduleToISP" => one(MatchKey::Isp),
        "ScheduleToRegionId" => one(MatchKey::RegionId),
        "ScheduleToInstanceId" => one(MatchKey::InstanceId),
        "ScheduleToAreaCode" => one(MatchKey::AreaCode),
        "ScheduleToAllByMatchExpressions" => {
            let expressions = strategy.required("parameters")?.required("match_expressions")?;
            expressions
                .items(MAX_RULES)?
                .iter()
                .map(|expression| condition(expression, key(expression)?))
                .collect()
        }
        _ => Ok(Vec::new()),
    }
}

fn key(expression: &Field<'_>) -> Result<MatchKey, Error> {
    expression.required("key")?;
    Ok(match expression.choice("key", &["region_id", "isp", "instance_id", "area_code", "app_version"])? {
        "isp" => MatchKey::Isp,
        "instance_id" => MatchKey::InstanceId,
        "area_code" => MatchKey::AreaCode,
        "app_version" => MatchKey::AppVersion,
        _ => MatchKey::RegionId,
    })
}

fn auto_upgrade(auto: &Field<'_>) -> Result<AutoUpgrade, Error> {
    auto.required("name")?;
    auto.choice("name", &["AdjustToPodUsage"])?;
    let (start_hour, end_hour) = (hour(auto, "startHourPoint", 0)?, hour(auto, "endHourPoint", 24)?);
    if start_hour == end_hour {
        return Err(auto.refuse("has no hours: startHourPoint and endHourPoint are the same"));
    }
    let (from_local_ms, until_local_ms) = (moment(auto, "startTime")?, moment(auto, "endTime")?);
    if let (Some(from), Some(until)) = (from_local_ms, until_local_ms)
        && from >= until
    {
        return Err(auto.refuse("ends before it begins: endTime is not after startTime"));
    }
    let rules = auto.children("rules", MAX_RULES)?;
    Ok(AutoUpgrade {
        check_s: auto.integer_or("checkInterval", (1, MAX_CHECK_S), 600)?,
        from_local_ms,
        until_local_ms,
        start_hour,
        end_hour,
        level: auto.choice("level", &["RegionId", "National", "Big", "Middle", "Small"])?,
        rules: rules.iter().map(rule).collect::<Result<_, _>>()?,
    })
}

/// `"0"` to `"24"`, or the number.
fn hour(auto: &Field<'_>, key: &str, default: u8) -> Result<u8, Error> {
    let Some(field) = auto.child(key)? else { return Ok(default) };
    let number = match field.value {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64().and_then(|number| u8::try_from(number).ok()),
    };
    number.filter(|hour| *hour <= 24).ok_or_else(|| field.refuse("is not an hour from 0 to 24"))
}

fn moment(auto: &Field<'_>, key: &str) -> Result<Option<i64>, Error> {
    let Some(field) = auto.child(key)? else { return Ok(None) };
    let text = field.text()?;
    if text.is_empty() {
        return Ok(None);
    }
    let read = time::parse_spaced(text);
    read.map(Some).ok_or_else(|| field.refuse(&format!("`{}` is not `yyyy-MM-dd HH:mm:ss`", short(text))))
}

fn rule(field: &Field<'_>) -> Result<Rule, Error> {
    let codes = field.children("regionCodes", MAX_VALUES)?;
    let region_codes: Vec<String> =
        codes.iter().map(|code| code.text().map(str::to_owned)).collect::<Result<_, _>>()?;
    let usage = field.child("usageRatioLimit")?;
    let busy_at_most = usage.map_or(Ok(100), |usage| usage.integer_or("maxPodUsageRatio", (0, 100), 100))?;
    let count = field.child("maxUpgradingCount")?;
    Ok(Rule {
        region_codes: if region_codes.is_empty() { vec!["All".to_owned()] } else { region_codes },
        busy_at_most,
        ratio: field.integer_or("maxUpgradingRatio", (1, 100), 100)?,
        count: count.map(|count| count.integer(1, 1_000_000)).transpose()?,
    })
}
