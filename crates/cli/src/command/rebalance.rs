//! `ensemble rebalance`: moves instances to where the application's strategy would put them now; planned first.

use crate::client::parameter;
use crate::command::app;
use crate::context::{Context, Outcome};
use crate::failure::{Exit, Failure};
use crate::operation_progress::{self, Waiting};
use crate::output;
use crate::words::counted;
use clap::Args;
use serde_json::Value;

/// Move instances of an application to where its strategy would put them now
///
/// Shows the plan and asks on a terminal. Each new instance is ready before the one it replaces goes; hosted and protected
/// ones stay.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ensemble rebalance hello --max-moves 4 --plan
  ensemble rebalance hello --max-moves 4")]
pub(crate) struct Arguments {
    /// An id, a unique prefix of one, or a name
    app: String,
    /// Move at most this many
    #[arg(long, value_name = "K", default_value_t = 4)]
    max_moves: u32,
    /// Show the plan, and do nothing
    #[arg(long)]
    plan: bool,
    /// Do exactly this plan, or nothing
    #[arg(long, value_name = "PLAN", conflicts_with = "plan")]
    if_plan: Option<String>,
    /// Seconds until what is not moved stays where it is [default: 900]
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u32>,
    #[command(flatten)]
    waiting: Waiting,
}

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Outcome {
    let client = context.client()?;
    let found = app::find(&client, &arguments.app).await?;
    let mut parameters = vec![parameter("AppId", &found.id), parameter("MaxMoves", arguments.max_moves)];
    let mut answer = client.call("PlanRebalanceApplication", &parameters).await?;
    let plan = answer["Plan"].take();
    let id = plan["PlanId"].as_str().unwrap_or_default();
    if arguments.plan {
        print(context, &plan);
        if plan["Fits"] != true {
            return Err(blocked(&plan));
        }
        let (app, most) = (&arguments.app, arguments.max_moves);
        context
            .say(&format!("Apply exactly this:  ensemble rebalance {app} --max-moves {most} --if-plan {id}"));
        return Ok(Exit::Done);
    }
    if plan["Fits"] != true {
        return Err(blocked(&plan));
    }
    let moves = plan["Moves"].as_array().map_or(0, Vec::len) as u64;
    context.confirm(&format!("move {} of {}?", counted(moves, "instance"), found.name))?;
    parameters.push(parameter("IfPlan", arguments.if_plan.as_deref().unwrap_or(id)));
    parameters.push(parameter("ClientToken", uuid::Uuid::new_v4()));
    if let Some(timeout) = arguments.timeout {
        parameters.push(parameter("Timeout", timeout));
    }
    let answer = client.call("RebalanceApplication", &parameters).await?;
    let request = answer["RequestId"].as_str().unwrap_or_default();
    context.say(&format!("moving {} of {}    request {request}", counted(moves, "instance"), found.name));
    operation_progress::finish(context, &client, &answer, &arguments.waiting).await
}

fn blocked(plan: &Value) -> Failure {
    Failure::new(Exit::Refused, "this would be refused").cause(plan["Blocked"].as_str().unwrap_or_default())
}

fn print(context: &Context, plan: &Value) {
    if context.form().is_json() {
        output::print_document(context.form(), plan);
        return;
    }
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    for moved in plan["Moves"].as_array().into_iter().flatten() {
        output::line(&format!(
            "  ~ {}  {} {} → {} {}",
            text(moved, "InstanceId"),
            text(moved, "EnsRegionId"),
            text(moved, "IspCode"),
            text(moved, "ToEnsRegionId"),
            text(moved, "ToIspCode")
        ));
    }
    for kept in plan["NotMoved"].as_array().into_iter().flatten() {
        output::line(&format!(
            "  · {}  {}  stays: {}",
            text(kept, "InstanceId"),
            text(kept, "EnsRegionId"),
            text(kept, "Reason")
        ));
    }
    let moves = plan["Moves"].as_array().map_or(0, Vec::len);
    output::line(&format!("Plan: {moves} to move."));
}
