//! What a run says, as text: tables, and for every aim whether it was met and by how much it was not. Each part of the
//! run owns one stretch of `docs/benchmarks.md`, between two marks; what stands outside of them is written by people.

use anyhow::{Context, Result};
use std::fmt::Write;
use std::path::Path;

/// What one part of a run found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Section {
    pub(crate) tables: Vec<Table>,
    pub(crate) aims: Vec<Aim>,
    /// How it was measured this time: durations, numbers of runs, what could not be done.
    pub(crate) notes: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) title: String,
    pub(crate) head: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

/// Something that was to be reached.
#[derive(Clone, Debug)]
pub(crate) struct Aim {
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) bound: Bound,
    pub(crate) measured: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Table {
    pub(crate) fn new(title: impl Into<String>, head: &[&str]) -> Self {
        Self {
            title: title.into(),
            head: head.iter().map(|&name| name.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }
}

impl Section {
    pub(crate) fn aim(&mut self, what: impl Into<String>, unit: &'static str, bound: Bound, measured: f64) {
        self.aims.push(Aim { what: what.into(), unit, bound, measured });
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        for table in &self.tables {
            text.push_str(&format!("**{}**\n\n", table.title));
            text.push_str(&rows(&table.head, &table.rows));
            text.push('\n');
        }
        if !self.aims.is_empty() {
            let head = ["aim", "", "measured", "verdict"].map(str::to_owned);
            let lines: Vec<Vec<String>> = self.aims.iter().map(Aim::cells).collect();
            text.push_str(&rows(&head, &lines));
            text.push('\n');
        }
        for note in &self.notes {
            writeln!(text, "- {note}").expect("a string takes every character");
        }
        text
    }
}

fn rows(head: &[String], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut text = line(head);
    text.push_str(&format!("|{}\n", "---|".repeat(head.len())));
    rows.iter().for_each(|cells| text.push_str(&line(cells)));
    text
}

impl Aim {
    pub(crate) fn is_met(&self) -> bool {
        match self.bound {
            Bound::AtLeast(bound) => self.measured >= bound,
            Bound::AtMost(bound) => self.measured <= bound,
        }
    }

    fn cells(&self) -> Vec<String> {
        let (word, bound) = match self.bound {
            Bound::AtLeast(bound) => ("at least", bound),
            Bound::AtMost(bound) => ("at most", bound),
        };
        let verdict = if self.is_met() {
            "met".to_owned()
        } else {
            format!("**missed**: {:.2} times the aim", self.measured / bound)
        };
        let with_unit = |value: f64| format!("{} {}", number(value), self.unit).trim_end().to_owned();
        vec![self.what.clone(), format!("{word} {}", with_unit(bound)), with_unit(self.measured), verdict]
    }
}

/// Three digits that count, thousands apart.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 => {
            let whole = format!("{value:.0}");
            let mut text = String::new();
            for (index, digit) in whole.chars().enumerate() {
                if index > 0 && (whole.len() - index).is_multiple_of(3) {
                    text.push(',');
                }
                text.push(digit);
            }
            text
        }
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Puts a part's text between its marks in the document.
///
/// # Errors
/// The document cannot be read or written, or has no such marks.
pub(crate) fn put(document: &Path, part: &str, body: &str) -> Result<()> {
    let text = std::fs::read_to_string(document).with_context(|| format!("`{}`", document.display()))?;
    let (begin, end) = (format!("<!-- {part}: written by make bench -->\n"), format!("<!-- {part}: end -->"));
    let missing = || format!("`{}` has no marks of `{part}`", document.display());
    let (before, rest) = text.split_once(&begin).with_context(missing)?;
    let (_, after) = rest.split_once(&end).with_context(missing)?;
    std::fs::write(document, format!("{before}{begin}\n{body}\n{end}{after}"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Aim, Bound, number};

    #[test]
    fn numbers_keep_three_digits_and_mark_thousands() {
        let check = |value: f64, expected: &str| assert_eq!(number(value), expected);
        check(0.456, "0.46");
        check(12.34, "12.3");
        check(123.4, "123");
        check(1_234_567.8, "1,234,568");
        check(20_000.0, "20,000");
    }

    #[test]
    fn a_missed_aim_says_by_how_much() {
        let aim =
            Aim { what: "calls".into(), unit: "/s", bound: Bound::AtLeast(10_000.0), measured: 7_500.0 };

        assert!(!aim.is_met());
        assert_eq!(aim.cells().last().map(String::as_str), Some("**missed**: 0.75 times the aim"));
    }
}
