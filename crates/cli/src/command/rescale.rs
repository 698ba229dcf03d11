//! `ensemble rescale`: adds or releases instances, as asked now or as a plan in a file says, and waits until it is
//! done.

use crate::client::{Client, Parameters, parameter};
use crate::command::plan::with_partial_hint;
use crate::command::scaling::{Call, Direction, Scaling};
use crate::context::{Context, Outcome};
use crate::failure::{Exit, Failure};
use crate::operation_progress::{self, Waiting};
use crate::plan_difference::differences;
use crate::plan_file::PlanFile;
use crate::words::counted;
use clap::Args;
use jiff::Timestamp;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Add or release instances of an application
///
/// A place is an edge node id (`cn-shanghai-cmcc`) or a district code (`310100`, or `all`), with a carrier if
/// one is meant: `310100/cmcc=2`. Counts are changes with --add and --del, and totals with --to.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ensemble rescale hello --add cn-shanghai-cmcc=4 --add cn-wuxi-telecom_unicom_cmcc-3/telecom=2
  ensemble rescale hello --del cn-wuxi-telecom_unicom_cmcc-3=1
  ensemble rescale hello --to 310100=6 --timeout 120 --wait-timeout 30
  ensemble rescale hello --del-instance i-5s9boobrmh5000kv4jmi0oeai --del-instance i-7kq02mzx91ab000kv4jmi0oea
  ensemble rescale hello --add 310100=20 --timeout 600 --on-timeout undo
  ensemble rescale --plan plan.json
  ensemble rescale hello --level RegionId --selector '[{\"regionCode\":\"cn-shanghai-cmcc\",\"count\":4}]'")]
#[command(override_usage = "ensemble rescale [OPTIONS] <APP>
       ensemble rescale [OPTIONS] --plan <FILE>")]
pub(crate) struct Arguments {
    /// An id, a unique prefix of one, or a name
    #[arg(required_unless_present = "plan")]
    app: Option<String>,
    #[command(flatten)]
    scaling: Scaling,
    /// Do exactly this plan, or nothing; `ensemble plan` prints it
    #[arg(long, value_name = "PLAN")]
    if_plan: Option<String>,
    /// Do exactly the plan that `ensemble plan --out FILE` wrote, or nothing; a second use finds the first one's operation
    #[arg(long, value_name = "FILE", conflicts_with_all = ["add", "del", "to", "add_instance",
        "del_instance", "level", "selector", "type", "to_version", "timeout", "on_timeout", "partial", "if_revision", "if_plan"])]
    plan: Option<PathBuf>,
    #[command(flatten)]
    waiting: Waiting,
}

/// One RescaleApplication about to be sent.
struct Order {
    name: String,
    direction: Direction,
    /// The version that an Add deploys.
    version: String,
    parameters: Parameters,
    /// What it is expected to do; null where that may not be asked.
    plan: Value,
}

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Outcome {
    let app = arguments.app.as_deref();
    if let Some(path) = &arguments.plan {
        return planned(context, (path, app), &arguments.waiting).await;
    }
    let app = app.expect("clap requires it where there is no plan");
    let Some((client, found, call)) = arguments.scaling.begin(context, app).await? else {
        return Ok(Exit::Done);
    };
    let plan = preview(&client, &call).await?;
    let mut parameters = call.parameters;
    if let Some(plan) = &arguments.if_plan {
        parameters.push(parameter("IfPlan", plan));
    }
    parameters.push(parameter("ClientToken", uuid::Uuid::new_v4()));
    let (direction, version) = (call.direction, call.version);
    let written = call.written;
    let order = Order { name: found.name, direction, version, parameters, plan };
    match send(context, &client, &order, &arguments.waiting).await {
        // Of the plan that was meant only the id is known: the refusal tells the one there is now.
        Err(failure) if failure.reason() == Some("PlanChanged") => {
            Err(failure.hint(format!("ensemble plan {app} {written}")))
        }
        outcome => outcome,
    }
}

/// Does what a file says, which names the application itself.
async fn planned(context: &Context, (path, app): (&Path, Option<&str>), waiting: &Waiting) -> Outcome {
    let file = PlanFile::read(path, Timestamp::now())?;
    if let Some(app) = app.filter(|app| !file.is_about(app)) {
        let (name, id) = (&file.app_name, &file.app_id);
        return Err(Failure::usage(format!("`{}` plans for {name}, not for {app}", path.display()))
            .cause(format!("its application is {id}"))
            .hint("without an application the plan's own is meant"));
    }
    let order = Order {
        name: file.app_name.clone(),
        direction: file.direction(),
        version: file.version.clone(),
        parameters: file.call(),
        plan: file.plan.clone(),
    };
    let client = context.client()?;
    match send(context, &client, &order, waiting).await {
        Err(failure) if failure.reason() == Some("PlanChanged") => {
            Err(moved(&client, &file, path, failure).await)
        }
        outcome => outcome,
    }
}

async fn send(context: &Context, client: &Client, order: &Order, waiting: &Waiting) -> Outcome {
    let plan = &order.plan;
    if order.direction == Direction::Del && (plan.is_null() || plan["Fits"] == true) {
        let many = if plan.is_null() { "instances".to_owned() } else { counted(placed(plan), "instance") };
        context.confirm(&format!("release {many} of {}?", order.name))?;
    }
    let answer = operation_progress::submit(client, "RescaleApplication", &order.parameters).await.map_err(
        |failure| match failure.exit {
            Exit::DoesNotFit => with_partial_hint(plan, failure),
            _ => failure,
        },
    )?;
    let request = answer["RequestId"].as_str().unwrap_or_default();
    context.say(&format!("{}    request {request}", announcement(order)));
    let exit = operation_progress::finish(context, client, &answer, waiting).await?;
    if exit == Exit::Done && !waiting.no_wait {
        context.say(&format!("next: ensemble instances {}", order.name));
    }
    Ok(exit)
}

/// The refusal of a plan that does not hold any more, with what moved since.
async fn moved(client: &Client, file: &PlanFile, path: &Path, mut failure: Failure) -> Failure {
    let told = failure.refusal.as_ref().map(|body| body["Plan"].clone()).filter(Value::is_object);
    let now = match told {
        Some(plan) => plan,
        // A key that may rescale and not plan learns that it moved, and not what.
        None => {
            let asked = client.call("PlanRescaleApplication", &file.call()).await;
            asked.map(|mut answer| answer["Plan"].take()).unwrap_or_default()
        }
    };
    if now.is_object() {
        failure.causes.extend(differences(&file.plan, &now));
    }
    let (name, arguments) = (&file.app_name, &file.arguments);
    failure.hint(format!("ensemble plan {name} {arguments} --out {}", path.display()))
}

/// The plan, for the totals and the question. A key that may rescale and not plan goes without.
async fn preview(client: &Client, call: &Call) -> Result<Value, Failure> {
    match client.call("PlanRescaleApplication", &call.parameters).await {
        Ok(mut answer) => Ok(answer["Plan"].take()),
        Err(failure) if failure.code.as_deref() == Some("NoPermission") => Ok(Value::Null),
        Err(failure) => Err(failure),
    }
}

/// `+6 instances of hello at v1    0 → 6`.
fn announcement(order: &Order) -> String {
    let (name, plan) = (&order.name, &order.plan);
    let (sign, at) = match order.direction {
        Direction::Add => ('+', format!(" at {}", order.version)),
        Direction::Del => ('-', String::new()),
    };
    if plan.is_null() {
        return format!("{sign}instances of {name}{at}");
    }
    let many = counted(placed(plan), "instance");
    format!("{sign}{many} of {name}{at}    {} → {}", plan["Before"], plan["After"])
}

/// How many instances a plan adds or releases.
pub(super) fn placed(plan: &Value) -> u64 {
    plan["Items"].as_array().into_iter().flatten().filter_map(|item| item["Placed"].as_u64()).sum()
}
