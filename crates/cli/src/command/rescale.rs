//! `ensemble rescale`: adds or releases instances and waits until it is done.

use crate::client::{Client, parameter};
use crate::command::app::Found;
use crate::command::plan::with_partial_hint;
use crate::command::scaling::{Call, Direction, Scaling};
use crate::context::{Context, Outcome};
use crate::failure::{Exit, Failure};
use crate::operation_progress::{self, Waiting};
use crate::words::counted;
use clap::Args;
use serde_json::Value;

/// Add or release instances of an application
///
/// A place is an edge node id (`cn-shanghai-cmcc`) or a district code (`310100`, or `all`), with a carrier if
/// one is meant: `310100/cmcc=2`. Counts are changes with --add and --del, and totals with --to.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ensemble rescale hello --add cn-shanghai-cmcc=4 --add cn-wuxi-telecom_unicom_cmcc-3/telecom=2
  ensemble rescale hello --del cn-wuxi-telecom_unicom_cmcc-3=1
  ensemble rescale hello --to 310100=6 --timeout 120
  ensemble rescale hello --del-instance i-5s9boobrmh5000kv4jmi0oeai --del-instance i-7kq02mzx91ab000kv4jmi0oea
  ensemble rescale hello --add 310100=20 --timeout 600 --on-timeout undo
  ensemble rescale hello --level RegionId --selector '[{\"regionCode\":\"cn-shanghai-cmcc\",\"count\":4}]'")]
pub(crate) struct Arguments {
    #[command(flatten)]
    scaling: Scaling,
    /// Do exactly this plan, or nothing; `ensemble plan` prints it
    #[arg(long, value_name = "PLAN")]
    if_plan: Option<String>,
    #[command(flatten)]
    waiting: Waiting,
}

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Outcome {
    let Some((client, found, call)) = arguments.scaling.begin(context).await? else {
        return Ok(Exit::Done);
    };
    let plan = preview(&client, &call).await?;
    let mut parameters = call.parameters;
    if call.direction == Direction::Del && (plan.is_null() || plan["Fits"] == true) {
        let many = if plan.is_null() { "instances".to_owned() } else { counted(placed(&plan), "instance") };
        context.confirm(&format!("release {many} of {}?", found.name))?;
    }
    if let Some(plan) = &arguments.if_plan {
        parameters.push(parameter("IfPlan", plan));
    }
    parameters.push(parameter("ClientToken", uuid::Uuid::new_v4()));
    let answer =
        client.call("RescaleApplication", &parameters).await.map_err(|failure| match failure.exit {
            Exit::DoesNotFit => with_partial_hint(&plan, failure),
            _ => failure,
        })?;
    let request = answer["RequestId"].as_str().unwrap_or_default();
    context
        .say(&format!("{}    request {request}", announcement(&plan, call.direction, &found, &call.version)));
    let exit = operation_progress::finish(context, &client, &answer, &arguments.waiting).await?;
    if exit == Exit::Done && !arguments.waiting.no_wait {
        context.say(&format!("next: ensemble instances {}", found.name));
    }
    Ok(exit)
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
fn announcement(plan: &Value, direction: Direction, found: &Found, version: &str) -> String {
    let (sign, at) = match direction {
        Direction::Add => ('+', format!(" at {version}")),
        Direction::Del => ('-', String::new()),
    };
    if plan.is_null() {
        return format!("{sign}instances of {}{at}", found.name);
    }
    let many = counted(placed(plan), "instance");
    format!("{sign}{many} of {}{at}    {} → {}", found.name, plan["Before"], plan["After"])
}

/// How many instances a plan adds or releases.
pub(super) fn placed(plan: &Value) -> u64 {
    plan["Items"].as_array().into_iter().flatten().filter_map(|item| item["Placed"].as_u64()).sum()
}
