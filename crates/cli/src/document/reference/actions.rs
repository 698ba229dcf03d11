//! The pages about actions: an overview, and a page for each with parameters, answer, errors and examples.

use super::Document;
use super::errors;
use super::markdown::{code, codes, fenced, paragraph, table};
use ensemble_wire::catalog::{ACTIONS, API_VERSION};
use ensemble_wire::entry::{
    Action, Group, JsonField, Kind, MAX_TEXT_BYTES, Member, Method, Origin, Parameter, Presence, Schema,
    ValueType,
};
use serde_json::Value;

const GROUPS: [Group; 5] =
    [Group::Application, Group::Device, Group::Instance, Group::Region, Group::Extension];

/// Longest example that stands in a table.
const SHORT: usize = 60;

pub(super) fn overview() -> String {
    let mut text = String::from("# Actions\n\n");
    text.push_str(&paragraph(&format!(
        "The API is version {API_VERSION} of Alibaba Cloud ENS, product `Ens`, style RPC: an action and its parameters in \
         the query or in a form, signed (V1 or V3), answered in JSON or XML. GET and POST are taken for every action. \
         Names and values compare with case. A text has at most {MAX_TEXT_BYTES} bytes. Any of them can be called with `ensemble call ACTION Name=value …`.",
    )));
    for group in GROUPS {
        text.push_str(&format!("## {}\n\n", group.title()));
        if group == Group::Extension {
            text.push_str(&paragraph(
                "Ours, not part of ENS: official clients never meet them by accident. `ensemble` uses them.",
            ));
        }
        let rows = ACTIONS.iter().filter(|action| action.group == group).map(|action| {
            vec![
                format!("[{0}](actions/{0}.md)", action.name),
                kind(action.kind).to_owned(),
                action.access.as_str().to_owned(),
                action.summary.to_owned(),
            ]
        });
        text.push_str(&table(&["Action", "Kind", "Access", "What it does"], rows));
    }
    text
}

pub(super) fn pages() -> Vec<Document> {
    ACTIONS.iter().map(|action| Document::new(format!("actions/{}.md", action.name), page(action))).collect()
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Read => "read",
        Kind::Write => "write",
        Kind::Stream => "stream",
    }
}

fn page(action: &Action) -> String {
    let mut text = format!("# {}\n\n", action.name);
    text.push_str(&paragraph(action.summary));
    text.push_str(&facts(action));
    text.push_str(&parameters(action));
    text.push_str(&answer(action));
    text.push_str(&action_errors(action));
    text.push_str(&paragraph("[All actions](../actions.md)"));
    text
}

fn facts(action: &Action) -> String {
    let methods = action.methods.iter().map(|method| match method {
        Method::Get => "GET",
        Method::Post => "POST",
    });
    let kind = match action.kind {
        Kind::Read => "read: answered from the state as it is, without waiting for writes",
        Kind::Write => "write: answered once it is durable; what it starts goes on behind the answer",
        Kind::Stream => "stream: answered with server-sent events, for as long as there are any",
    };
    let origin = match action.group {
        Group::Application | Group::Device | Group::Instance | Group::Region => "ENS, as published",
        Group::Extension => "Ensemble; not part of ENS",
    };
    let rows = [
        ("Comes from", origin.to_owned()),
        ("Group", action.group.title().to_owned()),
        ("Kind", kind.to_owned()),
        ("Methods", methods.collect::<Vec<_>>().join(", ")),
        ("Path", code(action.path)),
        ("RAM action", format!("{} ({})", code(action.ram_action), action.access.as_str())),
    ];
    table(&["", ""], rows.map(|(name, value)| vec![name.to_owned(), value]))
}

fn parameters(action: &Action) -> String {
    let mut text = String::from("## Parameters\n\n");
    let rows = action.parameters.iter().map(|parameter| parameter_row(action, parameter));
    text.push_str(&table(&["Name", "Type", "Required", "Default", "Example", "Meaning"], rows));
    for parameter in action.parameters.iter().filter(|parameter| !parameter.fields.is_empty()) {
        text.push_str(&format!("### Inside {}\n\n", parameter.name));
        let rows = parameter.fields.iter().map(field_row);
        text.push_str(&table(&["Field", "Value", "Required", "Default", "Example", "Meaning"], rows));
    }
    for parameter in action.parameters.iter().filter(|parameter| parameter.example.len() > SHORT) {
        text.push_str(&paragraph(&format!("An example of `{}`:", parameter.name)));
        text.push_str(&fenced("json", &pretty(parameter.example)));
    }
    text.push_str(&paragraph("A call:"));
    text + &fenced("sh", &example_call(action))
}

fn parameter_row(action: &Action, parameter: &Parameter) -> Vec<String> {
    let mut meaning = parameter.description.to_owned();
    if !parameter.unbuilt.is_empty() {
        meaning.push_str(&format!(" Not built yet: {}.", codes(parameter.unbuilt.iter().copied())));
    }
    if parameter.origin == Origin::Ours && action.group != Group::Extension {
        meaning.push_str(" *Ours.*");
    }
    let example = if parameter.example.len() > SHORT { "below".to_owned() } else { code(parameter.example) };
    vec![
        code(parameter.name),
        type_of(parameter.value),
        required(parameter.presence),
        code(parameter.default.unwrap_or_default()),
        example,
        meaning,
    ]
}

fn field_row(field: &JsonField) -> Vec<String> {
    vec![
        code(field.path),
        field.kind.to_owned(),
        required(field.presence),
        field.default.to_owned(),
        code(field.example),
        field.description.to_owned(),
    ]
}

fn required(presence: Presence) -> String {
    match presence {
        Presence::Required => "yes".to_owned(),
        Presence::Optional => String::new(),
    }
}

fn type_of(value: ValueType) -> String {
    match value {
        ValueType::Text { max_bytes: MAX_TEXT_BYTES } => "text".to_owned(),
        ValueType::Text { max_bytes } => format!("text, at most {max_bytes} bytes"),
        ValueType::Enum(values) => format!("one of {}", codes(values.iter().copied())),
        ValueType::Integer { minimum, maximum: i64::MAX, .. } => format!("integer from {minimum}"),
        ValueType::Integer { minimum, maximum, .. } if maximum == i64::from(i32::MAX) => {
            format!("integer from {minimum}")
        }
        ValueType::Integer { minimum, maximum, .. } => format!("integer from {minimum} to {maximum}"),
        ValueType::Flag => "`true` or `false`".to_owned(),
        ValueType::JsonArray { minimum_items, maximum_items } => {
            format!("JSON array of {minimum_items} to {maximum_items} items")
        }
        ValueType::JsonObject => "JSON object".to_owned(),
        ValueType::Family { keys, at_most } => {
            format!("1 to {at_most} numbered ones, each with {}", codes(keys.iter().copied()))
        }
        ValueType::Refused { .. } => "refused".to_owned(),
        ValueType::Date => "date, `yyyy-MM-dd` (UTC)".to_owned(),
    }
}

fn answer(action: &Action) -> String {
    let mut text = String::from("## Answer\n\n");
    if !action.response.is_empty() {
        let mut rows = Vec::new();
        member_rows("", action.response, &mut rows);
        text.push_str(&table(&["Member", "Type", "Example"], rows));
    }
    let language = if action.kind == Kind::Stream { "" } else { "json" };
    text + &fenced(language, &pretty(action.example))
}

/// A row for each member at any depth, under its path.
fn member_rows(path: &str, members: &[Member], rows: &mut Vec<Vec<String>>) {
    for member in members {
        schema_rows(&format!("{path}{}", member.name), &member.schema, rows);
    }
}

fn schema_rows(path: &str, schema: &Schema, rows: &mut Vec<Vec<String>>) {
    let mut row = |kind: &str, example: &str| {
        rows.push(vec![code(path), kind.to_owned(), code(example)]);
    };
    match schema {
        Schema::Text(example) => row("text", example),
        Schema::Integer(example) => row("integer", example),
        Schema::Flag(example) => row("true or false", example),
        Schema::Object(members) => member_rows(&format!("{path}."), members, rows),
        Schema::List(item) => schema_rows(&format!("{path}[]"), item, rows),
    }
}

fn action_errors(action: &Action) -> String {
    let mut text = String::from("## Errors\n\n");
    text.push_str(&paragraph(
        "Those that the action publishes, all with HTTP status 400; [errors](../errors.md) tells what each means, with \
         those that any call may meet.",
    ));
    let rows = action.errors.iter().map(|error| {
        let heading = errors::heading_of(error.code);
        let name = code(error.code);
        let name =
            if errors::is_told(error.code) { format!("[{name}](../errors.md#{heading})") } else { name };
        vec![name, error.message.to_owned()]
    });
    text + &table(&["Code", "Message"], rows)
}

/// `ensemble call …` with every required parameter; where there is none, with the application.
fn example_call(action: &Action) -> String {
    let is_required = |parameter: &Parameter| parameter.presence == Presence::Required;
    let any_is = action.parameters.iter().any(is_required);
    let named = action.parameters.iter().filter(|parameter| match any_is {
        true => is_required(parameter),
        false => parameter.name == "AppId",
    });
    let words = named.map(|parameter| {
        let value = if parameter.example.len() > 200 { "…" } else { parameter.example };
        let is_plain = value.chars().all(|letter| letter.is_alphanumeric() || "-_.:…".contains(letter));
        if is_plain {
            format!(" {}={value}", parameter.name)
        } else {
            format!(" {}='{value}'", parameter.name)
        }
    });
    format!("ensemble call {}{}", action.name, words.collect::<String>())
}

/// JSON with indentation; anything else as it is.
fn pretty(example: &str) -> String {
    let value: Option<Value> = serde_json::from_str(example).ok();
    value.and_then(|value| serde_json::to_string_pretty(&value).ok()).unwrap_or_else(|| example.to_owned())
}
