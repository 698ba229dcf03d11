//! Writes answers to stdout in the asked form. Data goes to stdout, all else to stderr; a closed pipe ends quietly.

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;
use std::io::{self, Write};

/// `-o`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// Columns for people.
    #[default]
    Table,
    /// More columns.
    Wide,
    /// One JSON document.
    Json,
    /// One JSON document a line.
    Ndjson,
    /// Only ids.
    Name,
}

impl Form {
    pub(crate) fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::Ndjson)
    }
}

/// Columns and rows, beside the JSON they were made from.
pub(crate) struct Listing {
    pub(crate) columns: &'static [&'static str],
    /// How many of the columns a plain table shows.
    pub(crate) narrow: usize,
    pub(crate) rows: Vec<Row>,
}

pub(crate) struct Row {
    /// What `-o name` prints.
    pub(crate) name: String,
    pub(crate) cells: Vec<String>,
    pub(crate) json: Value,
}

pub(crate) fn print_listing(form: Form, listing: Listing) {
    match form {
        Form::Json => {
            let documents = listing.rows.into_iter().map(|row| row.json).collect();
            print_document(form, &Value::Array(documents));
        }
        Form::Ndjson => listing.rows.iter().for_each(|row| line(&row.json.to_string())),
        Form::Name => listing.rows.iter().for_each(|row| line(&row.name)),
        Form::Table => print_table(&listing, listing.narrow),
        Form::Wide => print_table(&listing, listing.columns.len()),
    }
}

/// One JSON document.
pub(crate) fn print_document(form: Form, value: &Value) {
    line(&document(form, value));
}

/// Indented for people, unless each line is to be a document.
fn document(form: Form, value: &Value) -> String {
    match form {
        Form::Ndjson => value.to_string(),
        Form::Table | Form::Wide | Form::Json | Form::Name => {
            serde_json::to_string_pretty(value).expect("a JSON value always prints")
        }
    }
}

/// One line on stdout. A reader that went away ends the program as it would end `cat`.
#[expect(
    clippy::disallowed_methods,
    reason = "nobody reads on, and the client holds nothing that needs an end"
)]
pub(crate) fn line(text: &str) {
    let mut stdout = io::stdout().lock();
    if writeln!(stdout, "{text}").and_then(|()| stdout.flush()).is_err() {
        std::process::exit(0);
    }
}

/// One line on stderr; nobody needs to read it.
pub(crate) fn say(text: &str) {
    let mut stderr = io::stderr().lock();
    // Losing a remark must not lose the work it is about.
    let _ = writeln!(stderr, "{text}");
}

fn print_table(listing: &Listing, columns: usize) {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(&listing.columns[..columns]);
    for row in &listing.rows {
        table.add_row(&row.cells[..columns]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for text in table.lines() {
        line(text.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ndjson_keeps_one_document_on_one_line() {
        let value = json!({"A": {"B": 1}});

        assert_eq!(document(Form::Ndjson, &value), r#"{"A":{"B":1}}"#);
        assert_eq!(document(Form::Json, &value).lines().count(), 5);
    }
}
