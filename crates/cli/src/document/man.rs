//! The manual in roff: one page a command, with the sections that people look for at the end of a page. Writes no
//! file; `command::man` does.

use super::{Page, commands, environment, files};
use crate::failure::Exit;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use std::io;

/// One page of the manual.
pub(crate) struct ManPage {
    /// `ensemble-app-create.1`.
    pub(crate) file: String,
    pub(crate) roff: Vec<u8>,
}

/// Every page, parents before children.
///
/// # Errors
/// None in practice: pages are written to memory.
pub(crate) fn pages() -> io::Result<Vec<ManPage>> {
    let all = commands();
    all.iter().map(|page| Ok(ManPage { file: file_name(page), roff: render(page, &all)? })).collect()
}

fn file_name(page: &Page) -> String {
    format!("{}.1", page.words.join("-"))
}

fn render(page: &Page, all: &[Page]) -> io::Result<Vec<u8>> {
    let man = Man::new(page.command.clone());
    let title = page.words.join("-").to_uppercase();
    // By hand: the crate leaves the date out without a sign of it. No date, so that a build can be repeated.
    let mut out =
        format!(".TH {title} 1 \"\" \"ensemble {}\" \"Ensemble\"\n", env!("CARGO_PKG_VERSION")).into_bytes();
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    man.render_options_section(&mut out)?;
    if page.command.has_subcommands() {
        man.render_subcommands_section(&mut out)?;
    }
    let mut roff = Roff::new();
    examples(&mut roff, page);
    remarks(&mut roff, page);
    exit_status(&mut roff);
    let side = page.side();
    terms(&mut roff, "ENVIRONMENT", environment::of(side).into_iter());
    terms(&mut roff, "FILES", files::of(side).map(|file| (file.path, file.meaning)));
    see_also(&mut roff, page, all);
    roff.to_writer(&mut out)?;
    Ok(out)
}

fn examples(roff: &mut Roff, page: &Page) {
    let examples = page.examples();
    if !examples.is_empty() {
        roff.control("SH", ["EXAMPLES"]);
        as_written(roff, examples.iter().map(String::as_str));
    }
}

/// What the help tells beside examples and exit codes.
fn remarks(roff: &mut Roff, page: &Page) {
    let remarks = page.remarks().unwrap_or_default();
    for paragraph in remarks.split("\n\n").filter(|paragraph| !paragraph.starts_with("Exit codes:")) {
        if let Some((head, lines)) = paragraph.split_once('\n') {
            roff.control("SH", [head.trim_end_matches(':').to_uppercase().as_str()]);
            as_written(roff, lines.lines().map(|line| line.strip_prefix("  ").unwrap_or(line)));
        }
    }
}

/// Lines that are not to be filled.
fn as_written<'a>(roff: &mut Roff, lines: impl Iterator<Item = &'a str>) {
    roff.control("nf", []);
    for line in lines {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
}

fn exit_status(roff: &mut Roff) {
    let codes: Vec<String> = Exit::ALL.iter().map(|exit| exit.number().to_string()).collect();
    let rows = codes.iter().zip(Exit::ALL).map(|(code, exit)| (code.as_str(), exit.meaning()));
    terms(roff, "EXIT STATUS", rows);
}

/// A section of terms, each with what it means.
fn terms<'a>(roff: &mut Roff, title: &str, rows: impl Iterator<Item = (&'a str, &'a str)>) {
    roff.control("SH", [title]);
    for (term, meaning) in rows {
        roff.control("TP", []);
        roff.text([bold(term)]);
        roff.text([roman(meaning)]);
    }
}

/// The page above, or the pages below.
fn see_also(roff: &mut Roff, page: &Page, all: &[Page]) {
    let depth = page.words.len();
    let related = all.iter().filter(|other| {
        let other = &other.words;
        let is_above = other.len() + 1 == depth && page.words.starts_with(other);
        let is_below = other.len() == depth + 1 && other.starts_with(&page.words);
        is_above || is_below
    });
    let names: Vec<String> = related.map(|other| format!("{}(1)", other.words.join("-"))).collect();
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(names.join(", "))]);
}
