//! The operator's word about edge nodes, for `ensemble fleet`: drain, resume, lose; and how a node stands.

use crate::client::{Client, parameter};
use crate::command::app::print_answer;
use crate::context::{Context, Outcome};
use crate::failure::{Exit, Failure};
use crate::output;
use crate::words::counted;
use serde_json::Value;

pub(super) async fn drain(context: &Context, node: &str) -> Outcome {
    let client = context.client()?;
    let answer = client.call("DrainEdgeNode", &named(node)).await?;
    context.say(&format!(
        "{node} is drained: nothing new comes, and what is there moves as its applications are idle"
    ));
    print_answer(context, &answer);
    if !context.form().is_json() {
        print_standing(&client, node).await?;
        context.say(&format!("next: ensemble fleet show {node}"));
    }
    Ok(Exit::Done)
}

pub(super) async fn resume(context: &Context, node: &str) -> Outcome {
    let answer = context.client()?.call("ResumeEdgeNode", &named(node)).await?;
    context.say(&format!("{node} takes instances again"));
    print_answer(context, &answer);
    Ok(Exit::Done)
}

pub(super) async fn lose(context: &Context, node: &str, replace: bool, timeout: Option<u32>) -> Outcome {
    let client = context.client()?;
    let standing = standing(&client, node).await?;
    let many = counted(standing["Instances"].as_u64().unwrap_or_default(), "instance");
    context.confirm(&format!("declare {node} lost, with {many} on it?"))?;
    let mut parameters = named(node);
    parameters.push(parameter("Replace", replace));
    if let Some(timeout) = timeout {
        parameters.push(parameter("Timeout", timeout));
    }
    let answer = client.call("LoseEdgeNode", &parameters).await?;
    context.say(&format!("{node} is lost, and {many} with it"));
    print_answer(context, &answer);
    if replace {
        context.say("replacements are operations of their applications; next: ensemble operation list");
    }
    Ok(Exit::Done)
}

fn named(node: &str) -> crate::client::Parameters {
    vec![parameter("EnsRegionId", node), parameter("ClientToken", uuid::Uuid::new_v4())]
}

/// How a node stands with the operator.
pub(super) async fn standing(client: &Client, node: &str) -> Result<Value, Failure> {
    let mut answer = client.call("DescribeEdgeNodes", &vec![parameter("EnsRegionId", node)]).await?;
    Ok(answer["EdgeNodes"][0].take())
}

/// Prints since when it cannot be reached or drains, and what stays on it and why.
pub(super) async fn print_standing(client: &Client, node: &str) -> Result<(), Failure> {
    let standing = standing(client, node).await?;
    for (key, label) in [("UnreachableSince", "unreachable"), ("DrainingSince", "draining")] {
        if let Some(since) = standing[key].as_str() {
            output::line(&format!("{label:<12} since {since}"));
        }
    }
    for stays in standing["Stays"].as_array().into_iter().flatten() {
        output::line(&format!(
            "  {}  {}",
            stays["InstanceId"].as_str().unwrap_or_default(),
            stays["Reason"].as_str().unwrap_or_default()
        ));
    }
    Ok(())
}
