//! `ensemble operation …`: what was asked, how it went, and when; and how to end it before its time.

use crate::client::parameter;
use crate::command::app;
use crate::command::scaling::Ending;
use crate::context::{Context, Outcome};
use crate::failure::Exit;
use crate::operation_progress::{self, Waiting};
use crate::output::{self, Listing, Row};
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
        // Operations outlive their application: an id that no application has any more is passed on as it is.
        let id = match app::find(&client, &app).await {
            Ok(found) => found.id,
            Err(failure) if failure.exit == Exit::Refused && app.len() == 36 => app,
            Err(failure) => return Err(failure),
        };
        parameters.push(parameter("AppId", id));
    }
    if let Some(status) = status {
        parameters.push(parameter("Status", status));
    }
    let answer = client.call("ListOperations", &parameters).await?;
    let rows = answer["Operations"].as_array().into_iter().flatten().map(row).collect();
    let columns =
        &["OPERATION", "ACTION", "STATUS", "READY", "ACCEPTED", "ENDED", "APP ID", "PRINCIPAL", "OUTCOME"];
    output::print_listing(context.form(), Listing { columns, narrow: 6, rows });
    Ok(Exit::Done)
}

fn row(operation: &Value) -> Row {
    let text = |key: &str| operation[key].as_str().unwrap_or("–").to_owned();
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

async fn show(context: &Context, id: &str) -> Outcome {
    let operation = operation_progress::describe(&context.client()?, id).await?;
    if context.form().is_json() {
        output::print_document(context.form(), &operation);
        return Ok(Exit::Done);
    }
    for key in [
        "OperationId",
        "Action",
        "AppId",
        "Status",
        "Outcome",
        "AcceptedAt",
        "Deadline",
        "EndedAt",
        "Principal",
        "Revision",
    ] {
        let shown = match &operation[key] {
            Value::Null => continue,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        output::line(&format!("{key:<12} {shown}"));
    }
    output::line(&format!("{:<12} {} of {}", "Ready", operation["Ready"], operation["Wanted"]));
    for node in operation["Nodes"].as_array().into_iter().flatten() {
        output::line(&format!(
            "  {:<32} {:<8} {}/{}  {}",
            node["EnsRegionId"].as_str().unwrap_or_default(),
            node["IspCode"].as_str().unwrap_or_default(),
            node["Ready"],
            node["Wanted"],
            node["States"]
        ));
    }
    for step in operation["Steps"].as_array().into_iter().flatten() {
        let (at, text) = (step["At"].as_str().unwrap_or_default(), step["Text"].as_str().unwrap_or_default());
        output::line(&format!("  {at}  {text}"));
    }
    Ok(Exit::Done)
}
