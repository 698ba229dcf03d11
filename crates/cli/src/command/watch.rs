//! `ensemble watch`: an application or an operation, first as it is, then every change.

use crate::client::{Client, Parameters, parameter};
use crate::command::app;
use crate::context::{Context, Outcome};
use crate::events::{Event, Events};
use crate::failure::{Exit, Failure};
use crate::operation_progress::{self, Waiting};
use crate::output;
use crate::words::pulled_percent;
use clap::Args;
use serde_json::Value;
use std::time::Duration;

/// Follow an application or an operation as it changes
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ensemble watch hello
  ensemble watch AAE90880-4970-4D81-A534-A6C0F3631F74
  ensemble watch hello --since 1842 -o ndjson")]
pub(crate) struct Arguments {
    /// An application (id, prefix or name), or the RequestId of an operation
    what: String,
    /// Begin behind this sequence of the log instead of with what is there
    #[arg(long, value_name = "SEQ")]
    since: Option<u64>,
}

/// A server that restarts is asked again, this often and at this pace.
const RECONNECTS_AT_MOST: u32 = 30;
const RECONNECT_PACE: Duration = Duration::from_secs(1);

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Outcome {
    let client = context.client()?;
    let is_operation =
        arguments.what.len() == 36 && arguments.what.chars().any(|letter| letter.is_ascii_uppercase());
    if is_operation && arguments.since.is_none() && !context.form().is_json() {
        let waiting = Waiting { wait_timeout: None, no_wait: false };
        return operation_progress::follow(context, &client, &arguments.what, &waiting).await;
    }
    let subject = if is_operation {
        parameter("OperationId", &arguments.what)
    } else {
        parameter("AppId", app::find(&client, &arguments.what).await?.id)
    };
    tokio::select! {
        outcome = follow(context, &client, subject, arguments.since) => outcome,
        _ = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
    }
}

/// Prints events until the server closes the stream for good; a cut one is resumed where it ended.
async fn follow(
    context: &Context,
    client: &Client,
    subject: (String, String),
    since: Option<u64>,
) -> Outcome {
    let mut since = since.map(|sequence| sequence.to_string());
    let mut failures = 0;
    loop {
        let mut parameters: Parameters = vec![subject.clone()];
        if let Some(since) = &since {
            parameters.push(parameter("Since", since));
        }
        match read(context, client, &parameters, &mut since, &mut failures).await {
            Ok(()) => return Ok(Exit::Done),
            Err(failure) if failure.exit == Exit::Unreachable && failures < RECONNECTS_AT_MOST => {
                failures += 1;
                tokio::time::sleep(RECONNECT_PACE).await;
            }
            Err(failure) => return Err(failure),
        }
    }
}

async fn read(
    context: &Context,
    client: &Client,
    parameters: &Parameters,
    since: &mut Option<String>,
    failures: &mut u32,
) -> Result<(), Failure> {
    let mut events = Events::new(client.stream("Watch", parameters).await?);
    while let Some(event) = events.next().await? {
        *failures = 0;
        show(context, &event);
        if let Some(id) = event.id {
            *since = Some(id);
        }
    }
    Ok(())
}

fn show(context: &Context, event: &Event) {
    if context.form().is_json() {
        output::line(&event.to_json().to_string());
        return;
    }
    let text = |key: &str| event.data[key].as_str().unwrap_or_default();
    let line = match event.kind.as_str() {
        "instance" => {
            let pods = event.data["Pods"].as_array().into_iter().flatten();
            let state = |pod: &Value| {
                let status = pod["Status"].as_str()?;
                let percent = pulled_percent(&pod["Pulled"]);
                Some(percent.map_or_else(|| status.to_owned(), |percent| format!("{status} {percent} %")))
            };
            let states: Vec<String> = pods.filter_map(state).collect();
            format!(
                "{:<28} {:<32} {:<8} {:<10} {}",
                text("InstanceId"),
                text("EnsRegionId"),
                text("IspCode"),
                text("InstanceStatus"),
                states.join(" ")
            )
        }
        "operation" => format!(
            "operation {} {} {}/{} {}",
            text("OperationId"),
            text("Status"),
            event.data["Ready"],
            event.data["Wanted"],
            text("Outcome")
        ),
        "application" => format!(
            "application {} {} {}/{} {}",
            text("AppName"),
            text("Phase"),
            event.data["InstanceRunningCount"],
            event.data["InstanceTotalCount"],
            description(text("StatusDescrip"))
        ),
        kind => format!("{kind} {}", event.data),
    };
    output::line(line.trim_end());
}

/// The words for people in a `StatusDescrip`, which is JSON inside a string.
fn description(status: &str) -> String {
    let status: Value = serde_json::from_str(status).unwrap_or_default();
    status["descrip"].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_shown_in_its_words() {
        assert_eq!(description(r#"{"status":"UPDATE_SUCCESS","descrip":"add success"}"#), "add success");
        assert_eq!(description("gone"), "");
    }
}
