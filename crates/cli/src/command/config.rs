//! `ensemble config …`: what the configuration says, and which of flag, variable, file and default said it.
//! Reads what `ensemble serve` reads; calls no server. Shows paths of secrets, never what stands in them.

use super::serve::{SourceArguments, read};
use crate::context::{Context, Outcome};
use crate::failure::Exit;
use crate::output::{self, Listing, Row};
use clap::{Args, Subcommand};
use ensemble_server::configuration::{Given, Origin, Value};
use serde_json::json;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what is set, and where: flag, environment variable, file and line
    ///
    /// Takes the flags of `ensemble serve`, so that what it would use can be seen without starting it.
    #[command(after_help = "Examples:
  ensemble config show
  ensemble config show --effective --config /etc/ensemble/ensemble.toml
  ensemble config show --effective -o json")]
    Show(Show),
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    sources: SourceArguments,
    /// Show every key, also those that nothing sets
    #[arg(long)]
    effective: bool,
}

pub(crate) fn run(context: &Context, command: Command) -> Outcome {
    match command {
        Command::Show(arguments) => show(context, &arguments),
    }
}

fn show(context: &Context, arguments: &Show) -> Outcome {
    let effective = read(&arguments.sources.sources(context))?;
    let is_shown = |entry: &&Given| arguments.effective || entry.origin != Origin::Default;
    let rows: Vec<Row> = effective.entries.iter().filter(is_shown).map(row).collect();
    if rows.is_empty() {
        context.say("Nothing is set: all defaults are in force. next: ensemble config show --effective");
    }
    output::print_listing(context.form(), Listing { columns: &["KEY", "VALUE", "FROM"], narrow: 3, rows });
    Ok(Exit::Done)
}

fn row(entry: &Given) -> Row {
    let name = entry.name();
    let value = match &entry.value {
        Value::Text(text) => json!(text),
        Value::List(parts) => json!(parts),
    };
    let from = entry.origin.to_string();
    let json = json!({"key": name, "value": value, "from": from});
    Row { cells: vec![name.clone(), entry.value.to_string(), from], name, json }
}
