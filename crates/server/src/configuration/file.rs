//! The configuration file: TOML in, what it gives or every mistake in it out. Which keys there are is `keys`'s.
//! Pure: whoever calls reads the file.

use super::keys::{Form, KEYS, Key, REGISTRY_CREDENTIALS};
use super::{Given, Origin, Settings, Value};
use ensemble_model::document::{Mistake, Reader, Section};
use ensemble_model::suggestion::quoted;
use std::ops::Range;
use std::path::Path;
use toml::de::DeTable;

const REGISTRIES: &str = "registries";

/// Reads the text of the file at `path`, against whose directory relative paths are resolved.
///
/// # Errors
/// Every mistake in it, in the order of the text.
pub(super) fn parse(text: &str, path: &Path) -> Result<Vec<Given>, Vec<Mistake>> {
    let mut reader = Reader::new(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        reader.mistake(&error.span().unwrap_or_default(), error.message(), None);
    }
    if !reader.has_none() {
        return Err(reader.into_mistakes());
    }
    let top = Section { table: document.get_ref(), span: 0..0, what: "the configuration file".into() };
    let mut file = File { reader, path, scratch: Settings::of(Path::new("")), given: Vec::new() };
    let heads: Vec<&str> = KEYS.iter().map(|key| in_parts(key).0).collect();
    file.reader.only_known(&top, &heads);
    let mut done: Vec<&str> = Vec::new();
    for key in KEYS {
        let (head, leaf) = in_parts(key);
        if leaf.is_none() {
            file.read(&top, key, head);
        } else if !done.contains(&head) {
            done.push(head);
            file.read_table(&top, head);
        }
    }
    match file.reader.has_none() {
        true => Ok(file.given),
        false => Err(file.reader.into_mistakes()),
    }
}

/// The table of a key and its name there, or its name alone.
fn in_parts(key: &Key) -> (&'static str, Option<&'static str>) {
    match key.name.split_once('.') {
        Some((table, leaf)) => (table, Some(leaf)),
        None => (key.name, None),
    }
}

struct File<'t> {
    reader: Reader<'t>,
    path: &'t Path,
    /// Takes values in to see whether they are sound, and is thrown away.
    scratch: Settings,
    given: Vec<Given>,
}

impl File<'_> {
    fn read_table(&mut self, top: &Section<'_, '_>, head: &'static str) {
        let Some(mut section) = self.reader.table(top, head) else { return };
        section.what = format!("[{head}]");
        if head == REGISTRIES {
            return self.read_registries(&section);
        }
        let keys = KEYS.iter().filter_map(|key| match in_parts(key) {
            (table, Some(leaf)) if table == head => Some((key, leaf)),
            _ => None,
        });
        let keys: Vec<(&Key, &str)> = keys.collect();
        let leaves: Vec<&str> = keys.iter().map(|(_, leaf)| *leaf).collect();
        self.reader.only_known(&section, &leaves);
        for (key, leaf) in keys {
            self.read(&section, key, leaf);
        }
    }

    fn read_registries(&mut self, registries: &Section<'_, '_>) {
        let key = super::keys::find(REGISTRY_CREDENTIALS).expect("the table of keys has it");
        for (host, table) in registries.table.iter() {
            let what = format!("registry {}", quoted(host.get_ref()));
            let Some(section) = self.reader.as_section(table.get_ref(), table.span(), what) else { continue };
            self.reader.only_known(&section, &["credentials"]);
            let Some(credentials) = self.reader.required_string(&section, "credentials") else { continue };
            let value = Value::Text(self.against_directory(&credentials.value));
            self.take(key, Some(host.get_ref().to_string()), value, &host.span());
        }
    }

    fn read(&mut self, section: &Section<'_, '_>, key: &'static Key, leaf: &str) {
        let Some(place) = section.table.get(leaf).map(|value| value.span()) else { return };
        let value = match key.form {
            Form::Count(most) => {
                self.reader.count(section, leaf, most).map(|count| Value::Text(count.value.to_string()))
            }
            Form::List => {
                let strings = self.reader.strings(section, leaf);
                Some(Value::List(strings.into_iter().map(|string| string.value).collect()))
            }
            Form::Path => {
                let path = self.reader.string(section, leaf);
                path.map(|path| Value::Text(self.against_directory(&path.value)))
            }
            Form::Text | Form::Choice(_) | Form::Size | Form::Duration => {
                self.reader.string(section, leaf).map(|text| Value::Text(text.value))
            }
        };
        if let Some(value) = value {
            self.take(key, None, value, &place);
        }
    }

    fn take(&mut self, key: &'static Key, subject: Option<String>, value: Value, place: &Range<usize>) {
        let (line, _) = self.reader.place(place.start);
        let origin = Origin::File { path: self.path.to_owned(), line };
        let given = Given { key, subject, value, origin };
        match (key.set)(&mut self.scratch, &given) {
            Ok(()) => self.given.push(given),
            Err(fault) => {
                self.reader.mistake(place, format!("`{}`: {}", key.name, fault.message), fault.hint);
            }
        }
    }

    /// A relative path means one beside the file, wherever the server is started. `builtin` is no path.
    fn against_directory(&self, path: &str) -> String {
        if path == "builtin" {
            return path.to_owned();
        }
        let directory = self.path.parent().unwrap_or(Path::new(""));
        directory.join(path).to_string_lossy().into_owned()
    }
}
