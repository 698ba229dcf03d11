//! Reads values out of a TOML text and notes every mistake with its place, instead of stopping at the first.
//! Knows TOML, and nothing about what the text is for: the fleet file and the configuration file are read by it.

use crate::suggestion::{nearest, quoted};
use std::ops::Range;
use toml::de::{DeTable, DeValue};

/// Mistakes that are kept; a text with more is not going to be mended in one go.
const MOST_MISTAKES: usize = 100;

/// What is wrong at one place of a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct Mistake {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

/// A text, and the mistakes that were found in it so far.
pub struct Reader<'t> {
    text: &'t str,
    /// Where each line begins, in bytes.
    lines: Vec<usize>,
    mistakes: Vec<Mistake>,
}

/// A table of the text.
pub struct Section<'a, 'i> {
    pub table: &'a DeTable<'i>,
    /// Of its header, or of the whole inline table: where a missing key is reported.
    pub span: Range<usize>,
    /// For messages: ``edge node `a` ``.
    pub what: String,
}

/// A value with the place it stands at.
pub struct Placed<T> {
    pub value: T,
    pub span: Range<usize>,
}

impl<'t> Reader<'t> {
    /// A text in which nothing was found yet.
    pub fn new(text: &'t str) -> Self {
        let after_newlines =
            text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { text, lines: std::iter::once(0).chain(after_newlines).collect(), mistakes: Vec::new() }
    }

    /// Notes a mistake at the start of `span`.
    pub fn mistake(&mut self, span: &Range<usize>, message: impl Into<String>, hint: Option<String>) {
        if self.mistakes.len() < MOST_MISTAKES {
            let (line, column) = self.place(span.start);
            self.mistakes.push(Mistake { line, column, message: message.into(), hint });
        }
    }

    /// Line and column, both from 1, the column in characters.
    pub fn place(&self, at: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|start| *start <= at).max(1);
        let start = self.lines[line - 1];
        let before = self.text.get(start..at).unwrap_or_default();
        (line, before.chars().count() + 1)
    }

    /// In the order of the text.
    pub fn into_mistakes(mut self) -> Vec<Mistake> {
        self.mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
        self.mistakes
    }

    /// Whether no mistake was found.
    pub fn has_none(&self) -> bool {
        self.mistakes.is_empty()
    }

    /// Notes every key of the section that is not among `known`.
    pub fn only_known(&mut self, section: &Section<'_, '_>, known: &[&str]) {
        for key in section.table.keys() {
            let name = key.get_ref().as_ref();
            if !known.contains(&name) {
                let hint = match nearest(name, known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("known keys are {}", known.join(", ")),
                };
                let message = format!("unknown key {} in {}", quoted(name), section.what);
                self.mistake(&key.span(), message, Some(hint));
            }
        }
    }

    /// A string that must not be absent or empty.
    pub fn required_string(&mut self, section: &Section<'_, '_>, key: &str) -> Option<Placed<String>> {
        if !section.table.contains_key(key) {
            self.missing(section, key, "a string");
            return None;
        }
        self.string(section, key)
    }

    /// A string that may be absent, but not empty.
    pub fn string(&mut self, section: &Section<'_, '_>, key: &str) -> Option<Placed<String>> {
        let value = section.table.get(key)?;
        match value.get_ref() {
            DeValue::String(text) if text.is_empty() => {
                self.mistake(&value.span(), format!("`{key}` of {} is empty", section.what), None);
                None
            }
            DeValue::String(text) => Some(Placed { value: text.to_string(), span: value.span() }),
            other => {
                let hint = match other {
                    DeValue::Integer(number) => Some(format!("write {key} = \"{number}\"")),
                    _ => None,
                };
                self.wrong_type(
                    &value.span(),
                    &format!("`{key}` of {}", section.what),
                    "a string",
                    other,
                    hint,
                );
                None
            }
        }
    }

    /// A whole number from 1 to `most`.
    pub fn required_count(&mut self, section: &Section<'_, '_>, key: &str, most: u32) -> Option<Placed<u32>> {
        if !section.table.contains_key(key) {
            self.missing(section, key, "a whole number");
            return None;
        }
        self.count(section, key, most)
    }

    /// A whole number from 1 to `most`, that may be absent.
    pub fn count(&mut self, section: &Section<'_, '_>, key: &str, most: u32) -> Option<Placed<u32>> {
        let value = section.table.get(key)?;
        let subject = format!("`{key}` of {}", section.what);
        let DeValue::Integer(number) = value.get_ref() else {
            self.wrong_type(&value.span(), &subject, "a whole number", value.get_ref(), None);
            return None;
        };
        match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(count) if (1..=i64::from(most)).contains(&count) => {
                let value_of = u32::try_from(count).ok()?;
                Some(Placed { value: value_of, span: value.span() })
            }
            Ok(_) | Err(_) => {
                let message = format!("{subject} is {number}; it must be from 1 to {most}");
                self.mistake(&value.span(), message, None);
                None
            }
        }
    }

    /// The strings of an array, or none when it is absent.
    pub fn strings(&mut self, section: &Section<'_, '_>, key: &str) -> Vec<Placed<String>> {
        let Some(value) = section.table.get(key) else { return Vec::new() };
        let DeValue::Array(array) = value.get_ref() else {
            let subject = format!("`{key}` of {}", section.what);
            self.wrong_type(&value.span(), &subject, "an array of strings", value.get_ref(), None);
            return Vec::new();
        };
        let mut strings = Vec::new();
        for element in array.iter() {
            match element.get_ref() {
                DeValue::String(text) => {
                    strings.push(Placed { value: text.to_string(), span: element.span() });
                }
                other => {
                    let subject = format!("an element of `{key}` of {}", section.what);
                    self.wrong_type(&element.span(), &subject, "a string", other, None);
                }
            }
        }
        strings
    }

    /// The tables of `[[key]]`, or none when it is absent.
    pub fn tables<'a, 'i>(
        &mut self,
        section: &Section<'a, 'i>,
        key: &str,
        what: &str,
    ) -> Vec<Section<'a, 'i>> {
        let Some(value) = section.table.get(key) else { return Vec::new() };
        let DeValue::Array(array) = value.get_ref() else {
            let hint = Some(format!("each {what} begins with [[{key}]]"));
            self.wrong_type(&value.span(), &format!("`{key}`"), "an array of tables", value.get_ref(), hint);
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (number, element) in array.iter().enumerate() {
            let what = format!("{what} {}", number + 1);
            sections.extend(self.as_section(element.get_ref(), element.span(), what));
        }
        sections
    }

    /// The table under `key`; its absence is a mistake, `example` says what belongs there.
    pub fn required_table<'a, 'i>(
        &mut self,
        section: &Section<'a, 'i>,
        key: &str,
        example: &str,
    ) -> Option<Section<'a, 'i>> {
        if !section.table.contains_key(key) {
            self.missing(section, key, example);
        }
        self.table(section, key)
    }

    /// The table under `key`, that may be absent.
    pub fn table<'a, 'i>(&mut self, section: &Section<'a, 'i>, key: &str) -> Option<Section<'a, 'i>> {
        let value = section.table.get(key)?;
        self.as_section(value.get_ref(), value.span(), format!("`{key}` of {}", section.what))
    }

    /// A value that has to be a table.
    pub fn as_section<'a, 'i>(
        &mut self,
        value: &'a DeValue<'i>,
        span: Range<usize>,
        what: String,
    ) -> Option<Section<'a, 'i>> {
        let DeValue::Table(table) = value else {
            self.wrong_type(&span, &what, "a table", value, None);
            return None;
        };
        Some(Section { table, span, what })
    }

    fn missing(&mut self, section: &Section<'_, '_>, key: &str, example: &str) {
        let message = format!("{} has no `{key}`", section.what);
        self.mistake(&section.span, message, Some(format!("`{key}` is {example}")));
    }

    fn wrong_type(
        &mut self,
        span: &Range<usize>,
        subject: &str,
        expected: &str,
        found: &DeValue<'_>,
        hint: Option<String>,
    ) {
        let message = format!("{subject} must be {expected}, not {}", type_in_words(found));
        self.mistake(span, message, hint);
    }
}

fn type_in_words(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
