//! `ensemble api …`: the catalog, without a server: which actions there are, and what one takes and answers.

use crate::command::call;
use crate::context::{Context, Outcome};
use crate::failure::Exit;
use crate::output::{self, Listing, Row};
use clap::Subcommand;
use ensemble_wire::catalog::{ACTIONS, api_docs};
use ensemble_wire::entry::{Group, Kind};
use serde_json::Value;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the actions of the API
    #[command(after_help = "Examples:
  ensemble api list
  ensemble api list -o json        in the shape of the portal's api-docs.json")]
    List,
    /// Show what an action takes, answers and may be refused with
    #[command(after_help = "Examples:
  ensemble api show RescaleApplication
  ensemble api show RescaleApplication -o json")]
    Show {
        /// The action: RescaleApplication
        #[arg(value_parser = call::ActionName)]
        action: String,
    },
}

pub(crate) fn run(context: &Context, command: &Command) -> Outcome {
    match command {
        Command::List => list(context),
        Command::Show { action } => show(context, action),
    }
}

fn list(context: &Context) -> Outcome {
    let mut documents = api_docs();
    if context.form() == output::Form::Json {
        output::print_document(context.form(), &documents);
        return Ok(Exit::Done);
    }
    let rows = ACTIONS.iter().map(|action| {
        let kind = match action.kind {
            Kind::Read => "read",
            Kind::Write => "write",
            Kind::Stream => "stream",
        };
        let origin = match action.group {
            Group::Application | Group::Device | Group::Instance | Group::Region => "ENS",
            Group::Extension => "ours",
        };
        let cells = [action.name, kind, action.access.as_str(), origin, action.title, action.ram_action];
        Row {
            name: action.name.to_owned(),
            cells: cells.map(str::to_owned).to_vec(),
            json: documents["apis"][action.name].take(),
        }
    });
    let rows = rows.collect();
    let columns = &["ACTION", "KIND", "ACCESS", "FROM", "TITLE", "RAM ACTION"];
    output::print_listing(context.form(), Listing { columns, narrow: 5, rows });
    Ok(Exit::Done)
}

fn show(context: &Context, name: &str) -> Outcome {
    let action = call::find(name)?;
    match context.form() {
        output::Form::Json | output::Form::Ndjson => {
            let document: Value = api_docs()["apis"][action.name].take();
            output::print_document(context.form(), &document);
        }
        output::Form::Name => output::line(action.name),
        output::Form::Table | output::Form::Wide => output::line(&call::description(action)),
    }
    Ok(Exit::Done)
}
