//! Rules about the other files: links in Markdown lead somewhere, the README stays short, and nothing in the tree
//! belongs to the machine it was written on.

use crate::expect_none;
use crate::tree::{Text, texts, top};
use std::path::Path;

const README_LINES_MAX: usize = 180;

#[test]
fn every_link_in_a_document_leads_somewhere() {
    let mut found = Vec::new();

    for document in texts().iter().filter(|text| text.path.ends_with(".md")) {
        for (number, target) in links(document) {
            if let Err(reason) = follow(document, &target) {
                found.push(format!("{}:{number}: `{target}` {reason}", document.path));
            }
        }
    }

    expect_none("dead links", &found);
}

#[test]
fn the_readme_can_be_read_in_one_go() {
    let readme = std::fs::read_to_string(top().join("README.md")).expect("there is a README.md");

    assert!(readme.lines().count() <= README_LINES_MAX, "README.md has {} lines", readme.lines().count());
}

#[test]
fn nothing_in_the_tree_belongs_to_one_machine() {
    let mut marks = vec![concat!("/ho", "me/").to_owned(), format!("{}/", top().display())];
    marks.extend(registry_hosts());
    let mut found = Vec::new();
    // What was recorded elsewhere stays as it was recorded.
    let is_ours = |text: &&Text| text.path != "Cargo.lock" && !text.path.contains("tests/data/");

    for text in texts().iter().filter(is_ours) {
        for (number, line) in text.lines() {
            if let Some(mark) = marks.iter().find(|mark| line.contains(mark.as_str())) {
                found.push(format!("{}:{number}: {mark}", text.path));
            }
        }
    }

    expect_none("a path or a host of somebody's machine", &found);
}

/// Hosts of package registries that this machine is set up with; a clone elsewhere has others, or none.
fn registry_hosts() -> Vec<String> {
    let home = std::env::var("HOME").unwrap_or_default();
    let files = [
        format!("{home}/.cargo/config.toml"),
        format!("{home}/.config/pip/pip.conf"),
        format!("{home}/.pip/pip.conf"),
        "/etc/pip.conf".to_owned(),
        format!("{home}/.npmrc"),
    ];
    let mut hosts = Vec::new();
    for content in files.iter().filter_map(|file| std::fs::read_to_string(file).ok()) {
        for (_, rest) in content.match_indices("://").map(|(at, mark)| content.split_at(at + mark.len())) {
            let host: &str = rest.split(['/', '"', ' ', '\n']).next().unwrap_or_default();
            let host = host.rsplit('@').next().unwrap_or_default();
            // Where the project itself lives is no secret.
            if !host.is_empty() && !host.ends_with("github.com") {
                hosts.push(host.to_owned());
            }
        }
    }
    hosts
}

/// What stands in `[text](target)`, outside of code blocks, with its line number.
fn links(document: &Text) -> Vec<(usize, String)> {
    let mut in_code = false;
    let mut links = Vec::new();
    for (number, line) in document.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if !in_code {
            // Every second piece between backticks is code.
            let prose = line.split('`').step_by(2).collect::<String>();
            let targets = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
            links.extend(targets.map(|target| (number, target.to_owned())));
        }
    }
    links
}

fn follow(document: &Text, target: &str) -> Result<(), String> {
    if ["https://", "http://", "mailto:"].iter().any(|scheme| target.starts_with(scheme)) {
        return Ok(());
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let here = top().join(&document.path);
    let there = match file {
        "" => here,
        file => here.parent().unwrap_or(Path::new("/")).join(file),
    };
    if !there.exists() {
        return Err("is not there".to_owned());
    }
    if anchor.is_empty() || there.extension().is_none_or(|extension| extension != "md") {
        return Ok(());
    }
    let content = std::fs::read_to_string(&there).map_err(|error| error.to_string())?;
    let mut headings = content.lines().filter(|line| line.starts_with('#')).map(anchor_of);
    if headings.any(|heading| heading == anchor) { Ok(()) } else { Err("has no such heading".to_owned()) }
}

/// The anchor that forges give a heading: lower case, punctuation gone, spaces to hyphens.
fn anchor_of(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept =
        text.chars().filter(|character| character.is_alphanumeric() || [' ', '-', '_'].contains(character));
    kept.map(|character| if character == ' ' { '-' } else { character }).collect()
}
