//! `ensemble operation …`: what was asked, how it went, and when; and how to end it before its time.

use crate::client::{Client, Parameters, parameter};
use crate::command::app;
use crate::command::scaling::Ending;
use crate::context::{Context, Outcome};
use crate::failure::{Exit, Failure};
use crate::operation_progress::{self, Waiting};
use crate::output::{self, Form, Listing, Row};
use clap::Subcommand;
use serde_json::Value;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List operations, newest first
    #[command(after_help = "Examples:
  ensemble operation list
  ensemble operation list hello --status Failed")]
    List {
        /// Only those of one application: an id, a unique prefix of one, or a name
        app: Option<String>,
        /// Running, Succeeded, Failed, Canceled or Superseded
        #[arg(long)]
        status: Option<String>,
        /// At most this many
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Show one operation with its steps
    #[command(after_help = "Examples:
  ensemble operation show AAE90880-4970-4D81-A534-A6C0F3631F74")]
    Show {
        /// The RequestId of the accepted write
        id: String,
    },
    /// End a running operation before its time
    ///
    /// What is ready is kept, unless --undo asks to go back to what was before. Instances that were told to stop cannot be
    /// brought back. A delete cannot be canceled.
    #[command(after_help = "Examples:
  ensemble operation cancel AAE90880-4970-4D81-A534-A6C0F3631F74
  ensemble operation cancel AAE90880-4970-4D81-A534-A6C0F3631F74 --undo")]
    Cancel {
        /// The RequestId of the accepted write
        id: String,
        /// Go back to what was before
        #[arg(long)]
        undo: bool,
        #[command(flatten)]
        waiting: Waiting,
    },
}

pub(crate) async fn run(context: &Context, command: Command) -> Outcome {
    match command {
        Command::List { app, status, limit } => list(context, app, status, limit).await,
        Command::Show { id } => show(context, &id).await,
        Command::Cancel { id, undo, waiting } => {
            let ending = if undo { Ending::Undo } else { Ending::Keep };
            cancel(context, &id, ending, &waiting).await
        }
    }
}

async fn cancel(context: &Context, id: &str, ending: Ending, waiting: &Waiting) -> Outcome {
    let client = context.client()?;
    context.confirm(&format!("cancel operation {id} ({})?", ending.as_str()))?;
    let parameters = vec![
        parameter("OperationId", id),
        parameter("Mode", ending.as_str()),
        parameter("ClientToken", uuid::Uuid::new_v4()),
    ];
    client.call("CancelOperation", &parameters).await?;
    context.say(&format!("canceled {id}: {}", ending.as_str()));
    // What was canceled ends as canceled, which is what was asked for.
    match operation_progress::follow(context, &client, id, waiting).await {
        Ok(exit) => Ok(exit),
        // Whoever stops waiting is told just that: a server that does not answer would keep it waiting on.
        Err(failure) if failure.exit != Exit::Failed => Err(failure),
        Err(failure) => {
            let operation = operation_progress::describe(&client, id).await?;
            if operation["Status"] != "Canceled" {
                return Err(failure);
            }
            context.say(operation["Outcome"].as_str().unwrap_or_default());
            Ok(Exit::Done)
        }
    }
}

async fn list(context: &Context, app: Option<String>, status: Option<String>, limit: u32) -> Outcome {
    let client = context.client()?;
    let mut parameters = vec![parameter("PageNumber", 1), parameter("PageSize", limit)];
    if let Some(app) = app {
        parameters.push(parameter("AppId", application(&client, &app).await?));
    }
    if let Some(status) = status {
        parameters.push(parameter("Status", status));
    }
    let columns =
        &["OPERATION", "ACTION", "STATUS", "READY", "ACCEPTED", "ENDED", "APP ID", "PRINCIPAL", "OUTCOME"];
    let rows = listed(&client, context, &parameters).await?.iter().map(row).collect();
    output::print_listing(context.form(), Listing { columns, narrow: 6, rows });
    Ok(Exit::Done)
}

/// What was asked of one application, when, by whom, and what became of it.
pub(super) async fn history(context: &Context, app: &str, limit: u32) -> Outcome {
    let client = context.client()?;
    let id = application(&client, app).await?;
    let parameters = vec![parameter("AppId", id), parameter("PageNumber", 1), parameter("PageSize", limit)];
    let columns = &["ACCEPTED", "ACTION", "STATUS", "READY", "PRINCIPAL", "OPERATION", "ENDED", "OUTCOME"];
    let rows = listed(&client, context, &parameters).await?.iter().map(history_row).collect();
    output::print_listing(context.form(), Listing { columns, narrow: 6, rows });
    Ok(Exit::Done)
}

/// Operations outlive their application: an id that no application has any more is passed on as it is.
async fn application(client: &Client, app: &str) -> Result<String, Failure> {
    match app::find(client, app).await {
        Ok(found) => Ok(found.id),
        Err(failure) if failure.exit == Exit::Refused && app.len() == 36 => Ok(app.to_owned()),
        Err(failure) => Err(failure),
    }
}

/// One page; says so when there are more.
async fn listed(client: &Client, context: &Context, parameters: &Parameters) -> Result<Vec<Value>, Failure> {
    let answer = client.call("ListOperations", parameters).await?;
    let operations = answer["Operations"].as_array().cloned().unwrap_or_default();
    let total = answer["TotalCount"].as_u64().unwrap_or_default();
    if total > operations.len() as u64 {
        context.say(&format!("{} of {total}; --limit {total} shows all", operations.len()));
    }
    Ok(operations)
}

fn text(operation: &Value, key: &str) -> String {
    operation[key].as_str().unwrap_or("–").to_owned()
}

/// `RescaleApplication Add`.
pub(super) fn action(operation: &Value) -> String {
    let action = operation["Action"].as_str().unwrap_or("–");
    match operation["RescaleType"].as_str() {
        Some(kind) => format!("{action} {kind}"),
        None => action.to_owned(),
    }
}

fn row(operation: &Value) -> Row {
    let text = |key: &str| text(operation, key);
    let ready = format!("{}/{}", operation["Ready"], operation["Wanted"]);
    let cells = vec![
        text("OperationId"),
        text("Action"),
        text("Status"),
        ready,
        text("AcceptedAt"),
        text("EndedAt"),
        text("AppId"),
        text("Principal"),
        text("Outcome"),
    ];
    Row { name: text("OperationId"), cells, json: operation.clone() }
}

fn history_row(operation: &Value) -> Row {
    let text = |key: &str| text(operation, key);
    let cells = vec![
        text("AcceptedAt"),
        action(operation),
        text("Status"),
        format!("{}/{}", operation["Ready"], operation["Wanted"]),
        text("Principal"),
        text("OperationId"),
        text("EndedAt"),
        text("Outcome"),
    ];
    Row { name: text("OperationId"), cells, json: operation.clone() }
}

async fn show(context: &Context, id: &str) -> Outcome {
    let operation = operation_progress::describe(&context.client()?, id).await?;
    match context.form() {
        Form::Json | Form::Ndjson => output::print_document(context.form(), &operation),
        Form::Name => output::line(operation["OperationId"].as_str().unwrap_or_default()),
        Form::Table | Form::Wide => lines(&operation).iter().for_each(|line| output::line(line)),
    }
    Ok(Exit::Done)
}

/// Everything that is known of an operation, for people.
fn lines(operation: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    let mut labelled = |label: &str, shown: String| {
        if !shown.is_empty() {
            lines.push(format!("{label:<12} {shown}"));
        }
    };
    let given = |key: &str| operation[key].as_str().unwrap_or_default().to_owned();
    labelled("Operation", given("OperationId"));
    labelled("Action", action(operation));
    labelled("Application", given("AppId"));
    labelled("Edge node", given("EnsRegionId"));
    labelled("Status", given("Status"));
    labelled("Outcome", given("Outcome"));
    labelled("Asked by", asked_by(operation));
    labelled("Accepted", given("AcceptedAt"));
    labelled("Deadline", given("Deadline"));
    labelled("Ended", given("EndedAt"));
    labelled("Revision", operation["Revision"].as_u64().map(|number| number.to_string()).unwrap_or_default());
    labelled("Ready", format!("{} of {}", operation["Ready"], operation["Wanted"]));
    let entries = |key: &str| operation[key].as_array().map(Vec::as_slice).unwrap_or_default();
    for (index, parameter) in entries("Parameters").iter().enumerate() {
        let (name, value) = (text(parameter, "Name"), text(parameter, "Value"));
        labelled(if index == 0 { "Parameters" } else { " " }, format!("{name} = {value}"));
    }
    for item in entries("Skipped") {
        let reason = item["Reason"].as_str().unwrap_or_default();
        labelled("Skipped", format!("item {} ({} asked for): {reason}", item["Index"], item["Wanted"]));
    }
    for node in entries("Nodes") {
        lines.push(format!(
            "  {:<32} {:<8} {}/{}  {}",
            node["EnsRegionId"].as_str().unwrap_or_default(),
            node["IspCode"].as_str().unwrap_or_default(),
            node["Ready"],
            node["Wanted"],
            node["States"]
        ));
    }
    for step in entries("Steps") {
        lines.push(format!("  {}  {}", text(step, "At"), text(step, "Text")));
    }
    lines
}

/// `1234567890123456 with key LTAI… from 127.0.0.1`.
pub(super) fn asked_by(operation: &Value) -> String {
    let mut who = operation["Principal"].as_str().unwrap_or_default().to_owned();
    for (key, word) in [("AccessKeyId", "with key"), ("SourceIp", "from")] {
        if let Some(text) = operation[key].as_str().filter(|text| !text.is_empty()) {
            who.push_str(&format!(" {word} {text}"));
        }
    }
    who
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_operation_is_shown_with_who_asked_what_and_each_step() {
        let operation = json!({"OperationId": "AAE9", "Action": "RescaleApplication", "RescaleType": "Add",
            "AppId": "474b", "Status": "Running", "Outcome": null, "Principal": "1234", "AccessKeyId": "LTAI",
            "SourceIp": "127.0.0.1", "AcceptedAt": "2026-03-27T08:00:02Z", "Deadline": "2026-03-27T08:05:02Z",
            "EndedAt": null, "Revision": 7, "Ready": 1, "Wanted": 2,
            "Parameters": [{"Name": "AppId", "Value": "474b"}, {"Name": "RescaleType", "Value": "Add"}],
            "Skipped": [{"Index": 1, "Wanted": 9, "Reason": "no room"}],
            "Nodes": [{"EnsRegionId": "cn-x", "IspCode": "cmcc", "Ready": 1, "Wanted": 2, "States": {"Running": 1}}],
            "Steps": [{"At": "2026-03-27T08:00:02Z", "Text": "accepted: add 2 instances"}]});

        assert_eq!(
            lines(&operation).join("\n"),
            "\
Operation    AAE9
Action       RescaleApplication Add
Application  474b
Status       Running
Asked by     1234 with key LTAI from 127.0.0.1
Accepted     2026-03-27T08:00:02Z
Deadline     2026-03-27T08:05:02Z
Revision     7
Ready        1 of 2
Parameters   AppId = 474b
             RescaleType = Add
Skipped      item 1 (9 asked for): no room
  cn-x                             cmcc     1/2  {\"Running\":1}
  2026-03-27T08:00:02Z  accepted: add 2 instances"
        );
    }

    #[test]
    fn an_operation_of_an_older_server_is_shown_as_far_as_it_is_known() {
        let lines = lines(&json!({"OperationId": "AAE9", "Principal": "1234", "Ready": 0, "Wanted": 0}));

        assert_eq!(lines[2], "Asked by     1234");
    }
}
