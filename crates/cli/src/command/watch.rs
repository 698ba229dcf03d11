//! `ensemble watch`: an application or an operation, first as it is, then every change; a broken link is taken up again.

use crate::client::{Client, parameter};
use crate::command::app;
use crate::context::{Context, Outcome};
use crate::events::Event;
use crate::failure::{Exit, Failure};
use crate::following::Following;
use crate::operation_progress::{self, Waiting};
use crate::output;
use crate::words::pulled_percent;
use clap::Args;
use serde_json::Value;

/// Follow an application or an operation as it changes
///
/// A link that breaks is taken up again behind the last change that came whole; none is lost and none comes twice. After
/// Ctrl-C, --since goes on from there. An operation ends with exit 1 when it failed.
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

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Outcome {
    let client = context.client()?;
    let what = &arguments.what;
    let is_operation = is_request_id(what);
    if is_operation && arguments.since.is_none() && !context.form().is_json() {
        let waiting = Waiting { wait_timeout: None, no_wait: false };
        return operation_progress::follow(context, &client, what, &waiting).await;
    }
    let subject = if is_operation {
        parameter("OperationId", what)
    } else {
        parameter("AppId", application(&client, what, arguments.since).await?)
    };
    let mut following = Following::new(context, &client, subject, arguments.since);
    let outcome = tokio::select! {
        outcome = follow(context, &mut following) => outcome,
        _ = tokio::signal::ctrl_c() => Err(Failure::new(Exit::Interrupted, "interrupted; what was watched goes on")),
    };
    let since = following.since().map(|since| format!(" --since {since}")).unwrap_or_default();
    outcome.map_err(|failure| match failure.exit {
        Exit::Interrupted => failure.hint(format!("ensemble watch {what}{since}")),
        Exit::Unreachable if !since.is_empty() => failure.hint(format!("ensemble watch {what}{since}")),
        _ => failure,
    })
}

/// RequestIds are UUIDs in upper case, application ids in lower case (`decisions.md` §7.6).
fn is_request_id(text: &str) -> bool {
    let is_upper = !text.chars().any(|letter| letter.is_ascii_lowercase());
    text.len() == 36 && is_upper && uuid::Uuid::parse_str(text).is_ok()
}

/// The id of the application; one that is gone can be watched to its end by its id.
async fn application(client: &Client, what: &str, since: Option<u64>) -> Result<String, Failure> {
    match app::find(client, what).await {
        Ok(found) => Ok(found.id),
        Err(failure)
            if failure.exit == Exit::Refused && since.is_some() && uuid::Uuid::parse_str(what).is_ok() =>
        {
            Ok(what.to_owned())
        }
        Err(failure) => Err(failure),
    }
}

/// Prints events until the subject has come to its end.
async fn follow(context: &Context, following: &mut Following<'_>) -> Outcome {
    let mut exit = Exit::Done;
    while let Some(event) = following.next().await? {
        show(context, &event);
        if event.kind == "operation" {
            exit = exit_of(&event.data, exit);
        }
    }
    // Of an application nothing failed by its end.
    Ok(if following.is_of_operation() { exit } else { Exit::Done })
}

fn exit_of(operation: &Value, before: Exit) -> Exit {
    match operation["Status"].as_str() {
        Some("Succeeded") => Exit::Done,
        Some("Failed" | "Canceled" | "Superseded") => Exit::Failed,
        Some(_) | None => before,
    }
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
    fn operations_are_told_from_applications() {
        for (text, expected) in [
            ("AAE90880-4970-4D81-A534-A6C0F3631F74", true),
            ("474bdef0-d149-4695-abfb-52912d9143f0", false),
            ("AN-APPLICATION-WITH-36-LETTERS-EXACT", false),
            ("hello", false),
        ] {
            assert_eq!(is_request_id(text), expected, "{text}");
        }
    }

    #[test]
    fn an_operation_that_failed_is_exit_1() {
        let operation = |status: &str| serde_json::json!({"Status": status});

        assert_eq!(exit_of(&operation("Running"), Exit::Done), Exit::Done);
        assert_eq!(exit_of(&operation("Failed"), Exit::Done), Exit::Failed);
        assert_eq!(exit_of(&operation("Succeeded"), Exit::Done), Exit::Done);
    }

    #[test]
    fn a_status_is_shown_in_its_words() {
        assert_eq!(description(r#"{"status":"UPDATE_SUCCESS","descrip":"add success"}"#), "add success");
        assert_eq!(description("gone"), "");
    }
}
