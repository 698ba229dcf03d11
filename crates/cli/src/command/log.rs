//! `ensemble log show`: the durable log of the local server, one line an event. Only reads; a running server is
//! not disturbed.

use crate::context::{Context, Outcome};
use crate::failure::{Exit, Failure};
use crate::output;
use clap::Subcommand;
use ensemble_model::event::Entry;
use jiff::Timestamp;
use serde_json::{Value, json};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the log's entries, oldest first
    #[command(after_help = "Examples:
  ensemble log show
  ensemble log show --from 1842 --limit 10 -o ndjson")]
    Show {
        /// Begin at this sequence
        #[arg(long, default_value_t = 1, value_name = "SEQ")]
        from: u64,
        /// At most this many entries
        #[arg(long, default_value_t = 10_000)]
        limit: u64,
    },
}

pub(crate) async fn run(context: &Context, command: Command) -> Outcome {
    let Command::Show { from, limit } = command;
    let dir = context.data_dir();
    let entries = ensemble_server::read_log(&dir, from, limit).await.map_err(|error| {
        Failure::from_error(format!("could not read the log of `{}`", dir.display()), &error)
            .hint("--data-dir DIR names another server's directory")
    })?;
    if entries.is_empty() {
        context.say("no entries");
    }
    for entry in &entries {
        print(context, entry)?;
    }
    Ok(Exit::Done)
}

fn print(context: &Context, entry: &Entry) -> Result<(), Failure> {
    let at = Timestamp::from_millisecond(entry.now.wall.0)
        .map_or_else(|_| entry.now.wall.0.to_string(), |at| at.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string());
    for event in &entry.events {
        let event = serde_json::to_value(event)
            .map_err(|error| Failure::from_error("an event of the log cannot be shown", &error))?;
        if context.form().is_json() {
            output::line(&json!({"sequence": entry.sequence, "at": at, "event": event}).to_string());
        } else {
            output::line(&format!("{:>8}  {at}  {}", entry.sequence, one_line(&event)));
        }
    }
    Ok(())
}

/// `operation_accepted {…}`: the name first, then what it says.
fn one_line(event: &Value) -> String {
    let name = event["event"].as_str().unwrap_or("event");
    let content: serde_json::Map<String, Value> = event
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| *key != "event")
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    format!("{name} {}", Value::Object(content))
}
