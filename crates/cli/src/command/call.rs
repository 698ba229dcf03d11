//! `ensemble call`: any action of the catalog, signed. Its help is the catalog itself.

use crate::client::{Client, Parameters};
use crate::context::{Context, Outcome};
use crate::events::Events;
use crate::failure::{Exit, Failure};
use crate::output;
use clap::Args;
use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use ensemble_wire::catalog::ACTIONS;
use ensemble_wire::entry::{Action, Presence, ValueType};
use serde_json::Value;
use std::ffi::OsStr;

/// Call any action of the API, signed
#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The action: DescribeApplication
    #[arg(value_parser = ActionName)]
    action: Option<String>,
    /// Name=value
    parameters: Vec<String>,
    /// Also decode JSON inside strings (`Application`, `AppInfo`, `StatusDescrip`)
    #[arg(long)]
    decode: bool,
    /// Show the actions, or the parameters of one
    #[arg(long, short)]
    help: bool,
}

const EXAMPLES: &str = "\
Examples:
  ensemble call --help                                          the actions
  ensemble call DescribeApplication --help                      the parameters of one
  ensemble call DescribeApplication AppId=… Level=RegionId --decode
  ensemble call ListOperations Status=Running -o ndjson";

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Outcome {
    let Some(name) = &arguments.action else {
        output::line(&overview());
        return if arguments.help { Ok(Exit::Done) } else { Err(Failure::usage("which action?")) };
    };
    if arguments.help {
        output::line(&description(find(name)?));
        return Ok(Exit::Done);
    }
    let mut parameters = Parameters::new();
    for text in &arguments.parameters {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("`{text}` is no parameter; expected Name=value")))?;
        if parameters.iter().any(|(known, _)| known == name) {
            return Err(Failure::usage(format!("`{name}` stands there twice")));
        }
        parameters.push((name.to_owned(), value.to_owned()));
    }
    let client = context.client()?;
    if streams(name, &parameters) {
        return follow(&client, name, &parameters).await;
    }
    let mut answer = client.call(name, &parameters).await.map_err(|failure| {
        if failure.code.as_deref() == Some("InvalidAction.NotFound") { unknown(name) } else { failure }
    })?;
    if arguments.decode {
        decode(&mut answer);
    }
    output::print_document(context.form(), &answer);
    Ok(Exit::Done)
}

/// Any text; shells are offered the actions of the catalog. What the catalog lacks is refused by the server, whose
/// catalog may be another.
#[derive(Clone)]
pub(super) struct ActionName;

impl TypedValueParser for ActionName {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(ACTIONS.iter().map(|action| PossibleValue::new(action.name).help(action.title))))
    }
}

/// Whether the answer comes as server-sent events, for as long as there are any.
fn streams(action: &str, parameters: &Parameters) -> bool {
    action == "Watch" || parameters.iter().any(|(name, value)| name == "Follow" && value == "true")
}

async fn follow(client: &Client, action: &str, parameters: &Parameters) -> Outcome {
    let all = async {
        let mut events = Events::new(client.stream(action, parameters).await?);
        while let Some(event) = events.next().await? {
            output::line(&event.to_json().to_string());
        }
        Ok(Exit::Done)
    };
    tokio::select! {
        outcome = all => outcome,
        _ = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
    }
}

/// # Errors
/// The nearest name, where the catalog lacks this one.
pub(super) fn find(name: &str) -> Result<&'static Action, Failure> {
    ACTIONS.iter().find(|action| action.name == name).copied().ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> Failure {
    let near = ACTIONS
        .iter()
        .map(|action| (strsim::jaro_winkler(name, action.name), action.name))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness > 0.8);
    let failure = Failure::new(Exit::Refused, format!("no action is called `{name}`"));
    match near {
        Some((_, near)) => failure.hint(format!("did you mean `{near}`?")),
        None => failure.hint("`ensemble api list` lists them"),
    }
}

fn overview() -> String {
    let mut text = String::from(
        "Call any action of the API, signed\n\nUsage: ensemble call ACTION [Name=value …] [--decode]\n\nActions:\n",
    );
    for action in ACTIONS {
        text.push_str(&format!("  {:<26} {}\n", action.name, action.title));
    }
    text.push_str(&format!("\n{EXAMPLES}"));
    text
}

/// What the catalog tells of an action, for a terminal.
pub(super) fn description(action: &Action) -> String {
    let mut text = format!("{}: {}\n\n{}\n\n", action.name, action.title, action.summary);
    text.push_str(&format!("Usage: ensemble call {}", action.name));
    for parameter in action.parameters.iter().filter(|parameter| parameter.presence == Presence::Required) {
        text.push_str(&format!(" {}=…", parameter.name));
    }
    text.push_str("\n\nParameters:\n");
    for parameter in action.parameters {
        let need = match parameter.presence {
            Presence::Required => "required",
            Presence::Optional => "optional",
        };
        text.push_str(&format!("  {:<22} {need}  {}\n", parameter.name, parameter.description));
        if let ValueType::Enum(values) = parameter.value {
            text.push_str(&format!("{:34}one of: {}\n", "", values.join(", ")));
        }
        if !parameter.unbuilt.is_empty() {
            text.push_str(&format!("{:34}not built yet: {}\n", "", parameter.unbuilt.join(", ")));
        }
        if let Some(default) = parameter.default {
            text.push_str(&format!("{:34}default: {default}\n", ""));
        }
        if !parameter.example.is_empty() {
            text.push_str(&format!("{:34}example: {}\n", "", parameter.example));
        }
    }
    text.push_str(&format!("\nRAM action: {} ({})", action.ram_action, action.access.as_str()));
    text
}

/// Replaces strings that hold a JSON object or array by what they hold, at any depth.
fn decode(value: &mut Value) {
    match value {
        Value::String(text) if text.starts_with(['{', '[']) => {
            if let Ok(mut inner) = serde_json::from_str::<Value>(text) {
                decode(&mut inner);
                *value = inner;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(decode),
        Value::Object(members) => members.values_mut().for_each(decode),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_streams_is_followed() {
        let follow = |value: &str| vec![("Follow".to_owned(), value.to_owned())];

        assert!(streams("Watch", &Parameters::new()));
        assert!(streams("DescribeInstanceLogs", &follow("true")));
        assert!(!streams("DescribeInstanceLogs", &follow("false")));
    }

    #[test]
    fn json_in_strings_is_decoded_at_any_depth() {
        let mut value =
            json!({"Application": r#"{"AppStatus":{"StatusDescrip":"{\"step\":\"DONE\"}"}}"#, "Text": "{no"});

        decode(&mut value);

        assert_eq!(value["Application"]["AppStatus"]["StatusDescrip"]["step"], "DONE");
        assert_eq!(value["Text"], "{no");
    }
}
