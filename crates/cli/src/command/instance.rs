//! `ensemble instance …`: instances one by one: how one is and why it is there, those that exist by themselves, and the
//! protection of any.

mod explained;

use crate::client::{Client, Parameters, parameter};
use crate::command::app::print_answer;
use crate::command::instances;
use crate::context::{Context, Outcome};
use crate::failure::{Exit, Failure};
use crate::output::{self, Form, Listing, Row};
use crate::words::counted;
use clap::{Args, Subcommand};
use explained::Why;
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the instances of an application, or those that exist by themselves
    #[command(after_help = "Examples:
  ensemble instance list
  ensemble instance list hello")]
    List {
        /// An id, a unique prefix of one, or a name; without one, the instances that exist by themselves
        app: Option<String>,
    },
    /// Show one instance, also one that is gone since yesterday
    #[command(after_help = "Examples:
  ensemble instance show i-5s9boobrmh5000kv4jmi0oeai
  ensemble instance show i-5s9boobrmh5000kv4jmi0oeai --why")]
    Show {
        /// Its id
        id: String,
        /// Also tell which operations placed and released it, for which item of which selector, and who asked
        #[arg(long)]
        why: bool,
    },
    Create(Create),
    /// Give up an instance that exists by itself
    #[command(after_help = "Examples:
  ensemble instance release i-5s9boobrmh5000kv4jmi0oeai")]
    Release {
        /// Its id
        id: String,
    },
    /// Protect instances: they are taken only when they are named
    #[command(after_help = "Examples:
  ensemble instance protect i-5s9boobrmh5000kv4jmi0oeai")]
    Protect {
        /// Their ids
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Protect instances no longer
    #[command(after_help = "Examples:
  ensemble instance unprotect i-5s9boobrmh5000kv4jmi0oeai")]
    Unprotect {
        /// Their ids
        #[arg(required = true)]
        ids: Vec<String>,
    },
}

/// Create instances by themselves: shares of edge nodes that no application manages
///
/// They take their room at once, and run nothing until an application is hosted on them (`ensemble rescale APP
/// --add-instance ID`).
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ensemble instance create --node cn-shanghai-cmcc
  ensemble instance create --district 310100 --isp cmcc --count 4 --name batch --spec ens.sn1.small")]
pub(crate) struct Create {
    /// On this edge node
    #[arg(long, value_name = "NODE", conflicts_with = "district")]
    node: Option<String>,
    /// In this district; anywhere in the country by default
    #[arg(long, value_name = "CODE")]
    district: Option<String>,
    /// On this carrier
    #[arg(long)]
    isp: Option<String>,
    /// How many
    #[arg(long, default_value_t = 1)]
    count: u32,
    /// What each takes of its edge node
    #[arg(long, default_value = "ens.sn1.tiny")]
    spec: String,
    /// Their name; several are numbered
    #[arg(long, default_value = "")]
    name: String,
}

/// Which level a district is of is the server's to know, and it says so when another one is named.
const LIKELY_LEVEL: &str = "Small";

fn level_told(failure: &Failure) -> Option<String> {
    let is_about_level = failure.code.as_deref() == Some("InvalidParameter.ScheduleAreaLevel");
    failure.refusal.as_ref().filter(|_| is_about_level)?["ScheduleAreaLevel"].as_str().map(str::to_owned)
}

pub(crate) async fn run(context: &Context, command: Command) -> Outcome {
    match command {
        Command::List { app: Some(app) } => instances::of(context, &app).await,
        Command::List { app: None } => list(context).await,
        Command::Show { id, why } => show(context, &id, if why { Why::Told } else { Why::LeftOut }).await,
        Command::Create(create) => self::create(context, create).await,
        Command::Release { id } => release(context, &id).await,
        Command::Protect { ids } => protect(context, "ProtectInstances", &ids).await,
        Command::Unprotect { ids } => protect(context, "UnprotectInstances", &ids).await,
    }
}

async fn list(context: &Context) -> Outcome {
    let found = own(&context.client()?).await?;
    if found.is_empty() && !context.form().is_json() {
        context.say("no instances by themselves; next: ensemble instance create --node cn-shanghai-cmcc");
    }
    let rows = found.into_iter().map(row).collect();
    let columns = &["INSTANCE", "EDGE NODE", "ISP", "SPEC", "NAME", "HOSTED BY", "CREATED"];
    output::print_listing(context.form(), Listing { columns, narrow: 6, rows });
    Ok(Exit::Done)
}

async fn own(client: &Client) -> Result<Vec<Value>, Failure> {
    let mut answer = client.call("DescribeInstances", &Parameters::new()).await?;
    match answer["Instances"]["Instance"].take() {
        Value::Array(found) => Ok(found),
        _ => Ok(Vec::new()),
    }
}

fn row(instance: Value) -> Row {
    let text = |key: &str| instance[key].as_str().filter(|text| !text.is_empty()).unwrap_or("–").to_owned();
    let cells = vec![
        text("InstanceId"),
        text("EnsRegionId"),
        text("IspCode"),
        text("SpecName"),
        text("InstanceName"),
        text("HostedBy"),
        text("CreationTime"),
    ];
    Row { name: text("InstanceId"), cells, json: instance }
}

async fn show(context: &Context, id: &str, why: Why) -> Outcome {
    let mut answer = context.client()?.call("ExplainInstance", &vec![parameter("InstanceId", id)]).await?;
    let instance = answer["Instance"].take();
    match context.form() {
        Form::Json | Form::Ndjson => output::print_document(context.form(), &instance),
        Form::Name => output::line(instance["InstanceId"].as_str().unwrap_or_default()),
        Form::Table | Form::Wide => {
            explained::lines(&instance, why).iter().for_each(|line| output::line(line));
        }
    }
    Ok(Exit::Done)
}

async fn create(context: &Context, create: Create) -> Outcome {
    let client = context.client()?;
    let mut parameters = vec![
        parameter("InstanceType", &create.spec),
        parameter("Amount", create.count),
        parameter("ClientToken", uuid::Uuid::new_v4()),
    ];
    match (&create.node, &create.district) {
        (Some(node), _) => {
            parameters.push(parameter("ScheduleAreaLevel", "Region"));
            parameters.push(parameter("EnsRegionId", node));
        }
        (None, Some(district)) => {
            parameters.push(parameter("ScheduleAreaLevel", LIKELY_LEVEL));
            parameters.push(parameter("NetDistrictCode", district));
        }
        (None, None) => parameters.push(parameter("ScheduleAreaLevel", "National")),
    }
    if let Some(isp) = &create.isp {
        parameters.push(parameter("Carrier", isp));
    }
    if !create.name.is_empty() {
        parameters.push(parameter("InstanceName", &create.name));
        parameters.push(parameter("UniqueSuffix", create.count > 1));
    }
    let answer = match client.call("RunInstances", &parameters).await {
        Err(failure) => {
            let Some(level) = level_told(&failure) else { return Err(failure) };
            let asked = parameters.iter_mut().find(|(name, _)| *name == "ScheduleAreaLevel");
            if let Some((_, asked)) = asked {
                *asked = level;
            }
            client.call("RunInstances", &parameters).await?
        }
        Ok(answer) => answer,
    };
    let ids: Vec<&str> =
        answer["InstanceIds"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    match context.form() {
        Form::Json | Form::Ndjson => output::print_document(context.form(), &answer),
        Form::Name | Form::Table | Form::Wide => ids.iter().for_each(|id| output::line(id)),
    }
    let first = ids.first().copied().unwrap_or_default();
    context.say(&format!(
        "{} created; next: ensemble rescale APP --add-instance {first}",
        counted(ids.len() as u64, "instance")
    ));
    Ok(Exit::Done)
}

async fn release(context: &Context, id: &str) -> Outcome {
    let client = context.client()?;
    context.confirm(&format!("release instance {id}?"))?;
    let parameters = vec![parameter("InstanceId", id), parameter("ClientToken", uuid::Uuid::new_v4())];
    let answer = client.call("ReleaseInstance", &parameters).await?;
    context.say(&format!("{id} is released"));
    print_answer(context, &answer);
    Ok(Exit::Done)
}

async fn protect(context: &Context, action: &str, ids: &[String]) -> Outcome {
    let parameters =
        vec![parameter("InstanceIds", json!(ids)), parameter("ClientToken", uuid::Uuid::new_v4())];
    let answer = context.client()?.call(action, &parameters).await?;
    let named: BTreeSet<&String> = ids.iter().collect();
    let many = counted(named.len() as u64, "instance");
    context.say(&match action {
        "ProtectInstances" => format!("{many} protected: released or moved only when named"),
        _ => format!("{many} no longer protected"),
    });
    print_answer(context, &answer);
    Ok(Exit::Done)
}
