//! `ensemble app upgrade|rollback|versions|delete-version`: what instances of an application run, and how that changes.

use super::{absolute, find, read_template};
use crate::client::{Client, parameter};
use crate::context::{Context, Outcome};
use crate::failure::{Exit, Failure};
use crate::operation_progress::{self, Waiting};
use crate::output::{self, Listing, Row};
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Bring instances to a new version, or to one that exists, in place
///
/// A new version is the stable one with what the template or --image changes. Without --isp, --node, --area or --instance all
/// instances go; with one of them only these: a canary. A version that does not become ready stops by itself, and what has not
/// begun keeps its version.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ensemble app upgrade hello --to v2 --image oci:/images/hello-2.oci --node cn-shanghai-cmcc
  ensemble app upgrade hello --to v2 --at-once 2 --interval 10
  ensemble app upgrade hello upgrade.json --on-timeout undo")]
pub(crate) struct Upgrade {
    /// An id, a unique prefix of one, or a name
    app: String,
    /// A template as UpgradeApplication takes it (JSON); `-` reads it from stdin
    #[arg(required_unless_present = "to", conflicts_with_all = ["to", "image", "isp", "node", "area", "instance", "at_once", "ratio", "interval", "description"])]
    template: Option<PathBuf>,
    /// The version to go to; a new name makes one
    #[arg(long, value_name = "VERSION")]
    to: Option<String>,
    /// The image of a new version, for an application with one container: oci:PATH[:TAG] or a registry's
    #[arg(long)]
    image: Option<String>,
    /// What is new, for people
    #[arg(long)]
    description: Option<String>,
    /// Only instances on this carrier; may be repeated
    #[arg(long, conflicts_with_all = ["node", "area", "instance"])]
    isp: Vec<String>,
    /// Only instances on this edge node; may be repeated
    #[arg(long, conflicts_with_all = ["area", "instance"])]
    node: Vec<String>,
    /// Only instances in this district; may be repeated
    #[arg(long, conflicts_with = "instance", value_name = "DISTRICT")]
    area: Vec<String>,
    /// Only these instances; may be repeated
    #[arg(long, value_name = "ID")]
    instance: Vec<String>,
    /// At most so many at the same time, by and by
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    at_once: Option<u32>,
    /// At most this share at the same time, in percent
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(1..=100))]
    ratio: Option<u32>,
    /// Seconds from one look to the next, where few go at once
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    interval: u32,
    /// Seconds until it is given up
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u32>,
    /// What becomes of it then, and where the version does not become ready: keep, or undo
    #[arg(long, value_name = "ENDING", value_parser = ["keep", "undo"])]
    on_timeout: Option<String>,
    #[command(flatten)]
    waiting: Waiting,
}

/// Bring all instances of one version back to an earlier one
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ensemble app rollback hello --from v2
  ensemble app rollback hello --from v3 --to v1")]
pub(crate) struct Rollback {
    /// An id, a unique prefix of one, or a name
    app: String,
    /// The version to be rolled back
    #[arg(long, value_name = "VERSION")]
    from: String,
    /// The version to go back to [default: the one made before]
    #[arg(long, value_name = "VERSION")]
    to: Option<String>,
    /// Seconds until it is given up
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u32>,
    #[command(flatten)]
    waiting: Waiting,
}

/// List the versions of an application
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ensemble app versions hello")]
pub(crate) struct List {
    /// An id, a unique prefix of one, or a name
    app: String,
}

/// Forget a version that no instance carries; its name is not used again
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ensemble app delete-version hello v1")]
pub(crate) struct Delete {
    /// An id, a unique prefix of one, or a name
    app: String,
    /// The version
    version: String,
}

pub(crate) async fn upgrade(context: &Context, arguments: Upgrade) -> Outcome {
    let client = context.client()?;
    let found = find(&client, &arguments.app).await?;
    let template = match &arguments.template {
        Some(path) => read_template(path)?,
        None => template(&arguments, &found.info)?.to_string(),
    };
    let mut parameters = vec![
        parameter("AppId", &found.id),
        parameter("Template", template),
        parameter("ClientToken", uuid::Uuid::new_v4()),
    ];
    parameters.extend(arguments.timeout.map(|timeout| parameter("Timeout", timeout)));
    parameters.extend(arguments.on_timeout.as_ref().map(|ending| parameter("OnTimeout", ending)));
    let answer = operation_progress::submit(&client, "UpgradeApplication", &parameters).await?;
    let request = answer["RequestId"].as_str().unwrap_or_default();
    let to = arguments.to.as_deref().map(|to| format!(" to {to}")).unwrap_or_default();
    context.say(&format!("upgrading {}{to}    request {request}", found.name));
    operation_progress::finish(context, &client, &answer, &arguments.waiting).await
}

fn template(arguments: &Upgrade, info: &Value) -> Result<Value, Failure> {
    let mut template = json!({ "toAppVersion": arguments.to });
    if let Some(description) = &arguments.description {
        template["descrip"] = json!(description);
    }
    if let Some(image) = &arguments.image {
        let workloads = info["WorkloadAttribute"].as_array().map(Vec::as_slice).unwrap_or_default();
        let [only] = workloads else {
            return Err(Failure::usage("--image is for an application with one workload")
                .hint("give a template file that names the workloads"));
        };
        let name = &only["Name"];
        template["workload"] =
            json!([{"name": name, "podSpec": {"containers": [{"name": name, "image": absolute(image)?}]}}]);
    }
    let few = [
        ("ScheduleToISP", &arguments.isp),
        ("ScheduleToRegionId", &arguments.node),
        ("ScheduleToAreaCode", &arguments.area),
        ("ScheduleToInstanceId", &arguments.instance),
    ];
    if let Some((name, values)) = few.into_iter().find(|(_, values)| !values.is_empty()) {
        template["upgradeStrategy"] =
            json!({"name": name, "parameters": {"operator": "In", "values": values}});
    }
    if arguments.at_once.is_some() || arguments.ratio.is_some() {
        let mut rule = json!({"regionCodes": ["All"], "maxUpgradingRatio": arguments.ratio.unwrap_or(100)});
        if let Some(count) = arguments.at_once {
            rule["maxUpgradingCount"] = json!(count);
        }
        template["autoUpgradeStrategy"] = json!({"name": "AdjustToPodUsage", "checkInterval": arguments.interval,
            "level": "National", "rules": [rule]});
    }
    Ok(template)
}

pub(crate) async fn rollback(context: &Context, arguments: Rollback) -> Outcome {
    let client = context.client()?;
    let found = find(&client, &arguments.app).await?;
    let mut parameters = vec![
        parameter("AppId", &found.id),
        parameter("FromAppVersion", &arguments.from),
        parameter("ClientToken", uuid::Uuid::new_v4()),
    ];
    parameters.extend(arguments.to.as_ref().map(|to| parameter("ToAppVersion", to)));
    parameters.extend(arguments.timeout.map(|timeout| parameter("Timeout", timeout)));
    let answer = operation_progress::submit(&client, "RollbackApplication", &parameters).await?;
    let request = answer["RequestId"].as_str().unwrap_or_default();
    context.say(&format!("rolling {} back from {}    request {request}", found.name, arguments.from));
    operation_progress::finish(context, &client, &answer, &arguments.waiting).await
}

pub(crate) async fn list(context: &Context, arguments: List) -> Outcome {
    let client = context.client()?;
    let found = find(&client, &arguments.app).await?;
    let application = application(&client, &found.id).await?;
    let stable = application["AppMetaData"]["AppStableVersion"].clone();
    let versions = application["DetailStat"]["AppVersionStat"].as_array().cloned().unwrap_or_default();
    let rows = versions.into_iter().map(|version| {
        let text = |key: &str| version[key].as_str().unwrap_or_default().to_owned();
        let count = |key: &str| version[key].as_u64().unwrap_or_default();
        let running = format!("{}/{}", count("InstanceRunningCount"), count("InstanceTotalCount"));
        let mark = if version["AppVersion"] == stable { "stable" } else { "" };
        let cells = vec![text("AppVersion"), mark.to_owned(), running, text("CreateTime"), text("Descrip")];
        Row { name: text("AppVersion"), cells, json: version }
    });
    let columns = &["VERSION", "", "RUNNING", "CREATED", "DESCRIPTION"];
    output::print_listing(context.form(), Listing { columns, narrow: 5, rows: rows.collect() });
    Ok(Exit::Done)
}

async fn application(client: &Client, id: &str) -> Result<Value, Failure> {
    let parameters = vec![
        parameter("AppId", id),
        parameter("AppVersions", "All"),
        parameter("OutDetailStatParams", json!({"districtStat": false})),
    ];
    let answer = client.call("DescribeApplication", &parameters).await?;
    let text = answer["Application"].as_str();
    text.and_then(|text| serde_json::from_str(text).ok())
        .ok_or_else(|| Failure::new(Exit::Failed, "the server's `Application` is not JSON in a string"))
}

pub(crate) async fn delete(context: &Context, arguments: Delete) -> Outcome {
    let Delete { app, version } = arguments;
    let client = context.client()?;
    let found = find(&client, &app).await?;
    let parameters = vec![
        parameter("AppId", &found.id),
        parameter("AppVersion", &version),
        parameter("ClientToken", uuid::Uuid::new_v4()),
    ];
    let answer = operation_progress::submit(&client, "DeleteAppVersion", &parameters).await?;
    context.say(&format!("deleted version {version} of {}", found.name));
    super::print_answer(context, &answer);
    Ok(Exit::Done)
}
