//! The page about the command line, from the tree of commands.

use super::super::{Page, commands};
use super::markdown::{anchor, code, codes, fenced, paragraph, table};
use clap::Arg;

/// What clap calls the options that every command takes.
const GLOBAL: &str = "Global options";

pub(super) fn page() -> String {
    let pages = commands();
    let mut text = String::from("# Commands\n\n");
    text.push_str(&paragraph(
        "`ensemble COMMAND --help` shows the same. Answers go to stdout, everything else to stderr. Commands that call a \
         server find the one of the same user on this machine by themselves. An application is named by its id, a unique \
         prefix of it, or its name. [Exit codes](exit-codes.md), [environment](environment.md) and [files](files.md) have \
         pages of their own.",
    ));
    let rows = pages.iter().skip(1).map(|page| {
        let name = page.words.join(" ");
        vec![format!("[{}](#{})", code(&name), anchor(&name)), about(page)]
    });
    text.push_str(&table(&["Command", "What it does"], rows));
    for page in &pages {
        text.push_str(&section(page));
    }
    text
}

fn about(page: &Page) -> String {
    page.command.get_about().map(ToString::to_string).unwrap_or_default()
}

fn section(page: &Page) -> String {
    let is_root = page.words.len() == 1;
    let mut text = format!("## {}\n\n", page.words.join(" "));
    let long = page.command.get_long_about().or_else(|| page.command.get_about());
    for part in long.map(ToString::to_string).unwrap_or_default().split("\n\n") {
        text.push_str(&paragraph(part));
    }
    if !page.command.has_subcommands() || is_root {
        let usage = page.command.clone().render_usage().to_string();
        let usage: Vec<&str> = usage.trim_start_matches("Usage: ").lines().map(str::trim_start).collect();
        text.push_str(&fenced("", &usage.join("\n")));
        text.push_str(&arguments(page, is_root));
    }
    let examples = page.examples();
    if !examples.is_empty() {
        text.push_str(&fenced("sh", &examples.join("\n")));
    }
    for remark in page.remarks().unwrap_or_default().split("\n\n") {
        // The codes have a page of their own.
        if let Some((head, lines)) = remark.split_once('\n').filter(|(head, _)| *head != "Exit codes:") {
            let lines: Vec<&str> =
                lines.lines().map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
            text.push_str(&paragraph(head));
            text.push_str(&fenced("", &lines.join("\n")));
        }
    }
    text
}

/// Arguments and options; those that every command takes stand with the program itself.
fn arguments(page: &Page, with_global: bool) -> String {
    let shown: Vec<&Arg> = page
        .command
        .get_arguments()
        .filter(|argument| {
            !argument.is_hide_set() && !["help", "version"].contains(&argument.get_id().as_str())
        })
        .filter(|argument| with_global || argument.get_help_heading() != Some(GLOBAL))
        .collect();
    if shown.is_empty() {
        return String::new();
    }
    let rows = shown.into_iter().map(|argument| {
        let help = argument.get_long_help().or_else(|| argument.get_help());
        vec![code(&written(argument)), defaults(argument), meaning(argument, help.map(ToString::to_string))]
    });
    table(&["Option", "Default", "Meaning"], rows)
}

/// `-o, --output FORM`, `APP`.
fn written(argument: &Arg) -> String {
    let names: Vec<String> =
        argument.get_value_names().into_iter().flatten().map(|name| name.to_string()).collect();
    let value = names.join(" ");
    if argument.is_positional() {
        return value;
    }
    let short = argument.get_short().map(|letter| format!("-{letter}"));
    let long = argument.get_long().map(|name| format!("--{name}"));
    let mut text = short.into_iter().chain(long).collect::<Vec<_>>().join(", ");
    if argument.get_action().takes_values() {
        text.push(' ');
        text.push_str(&value);
    }
    text
}

fn defaults(argument: &Arg) -> String {
    if !argument.get_action().takes_values() {
        return String::new();
    }
    let values: Vec<&str> = argument.get_default_values().iter().filter_map(|value| value.to_str()).collect();
    codes(values)
}

fn meaning(argument: &Arg, help: Option<String>) -> String {
    let mut text = help.unwrap_or_default().replace('<', "\\<");
    // The parser of actions offers all of them, and they have pages.
    if argument.get_id() == "action" || !argument.get_action().takes_values() {
        return text;
    }
    let values: Vec<String> =
        argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    if !values.is_empty() {
        text.push_str(&format!(": {}", codes(values.iter().map(String::as_str))));
    }
    text
}
