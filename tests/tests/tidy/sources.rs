//! Rules about Rust files: length, module head, names, unfinished work, and where `unsafe` may stand.

use crate::expect_none;
use crate::tree::{Text, only_tests, sources};

const PRODUCTION_LINES_MAX: usize = 400;

/// Names that say nothing about what a file holds.
const EMPTY_NAMES: [&str; 6] = ["utils", "util", "helpers", "helper", "manager", "common"];

/// Where the kernel demands it. A new place needs a reason in the review, and a `// SAFETY:` (clippy asks for it).
const UNSAFE_ALLOWED: [&str; 9] = [
    "crates/engine/src/embedded/cgroup/devices.rs",
    "crates/engine/src/embedded/shim/executor.rs",
    "crates/engine/src/embedded/shim/stage.rs",
    "crates/engine/src/embedded/shim/watch.rs",
    "crates/engine/src/embedded/supervisor/program.rs",
    "crates/engine/src/embedded/supervisor/watch.rs",
    "crates/engine/src/exec.rs",
    "crates/engine/tests/fixture/program.rs",
    "examples/hello-edge/src/kernel.rs",
];

#[test]
fn no_file_has_more_production_lines_than_a_reader_keeps_in_mind() {
    let sources = sources();
    let only_tests = only_tests(&sources);

    let found: Vec<String> = sources
        .iter()
        .filter(|source| !only_tests.contains(&source.path))
        .map(|source| (&source.path, source.production().count()))
        .filter(|(_, lines)| *lines > PRODUCTION_LINES_MAX)
        .map(|(path, lines)| format!("{path}: {lines} lines before its tests"))
        .collect();

    expect_none(&format!("a file has at most {PRODUCTION_LINES_MAX} production lines"), &found);
}

#[test]
fn every_file_begins_by_saying_what_it_owns() {
    let found: Vec<String> = sources()
        .iter()
        .filter(|source| !source.content.starts_with("//! "))
        .map(|source| source.path.clone())
        .collect();

    expect_none("a file starts with `//!`: what it owns, what it must not do", &found);
}

#[test]
fn no_file_has_a_name_that_says_nothing() {
    let found: Vec<String> = sources()
        .into_iter()
        .map(|source| source.path)
        .filter(|path| path.split(['/', '.']).any(|part| EMPTY_NAMES.contains(&part)))
        .collect();

    expect_none("a file is named after the noun it is about", &found);
}

#[test]
fn nothing_is_left_unfinished_or_silenced() {
    // Written in two halves, so that this file does not find itself.
    let marks = [
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("#[ign", "ore"),
        concat!("FIX", "ME"),
        concat!("allow(dead", "_code"),
        concat!("allow(unu", "sed"),
    ];

    let found = places(&sources(), |line| marks.iter().any(|mark| line.contains(mark)));

    expect_none("unfinished code is not committed, and nothing is silenced", &found);
}

#[test]
fn unsafe_code_stands_only_where_the_kernel_demands_it() {
    let elsewhere: Vec<Text> = sources()
        .into_iter()
        .filter(|source| !UNSAFE_ALLOWED.iter().any(|allowed| source.path.starts_with(allowed)))
        .collect();

    let found = places(&elsewhere, |line| {
        let code = line.split("//").next().unwrap_or_default();
        let mut next_words = code.split("unsafe ").skip(1);
        next_words.any(|next| ["{", "fn", "impl", "extern"].iter().any(|word| next.starts_with(word)))
    });

    expect_none("`unsafe` is allowed in the files of `UNSAFE_ALLOWED` only", &found);
}

fn places(sources: &[Text], breaks_the_rule: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        let lines = source.lines().filter(|(_, line)| breaks_the_rule(line));
        found.extend(lines.map(|(number, line)| format!("{}:{number}: {}", source.path, line.trim())));
    }
    found
}
