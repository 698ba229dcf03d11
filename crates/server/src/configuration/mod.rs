//! The configuration: flag before environment before file before default, each value with where it came from.
//! `keys` declares what there is, `file` reads the TOML, `settings` holds what the server works with.
//! Must not act on a value; a reload reads the same sources again.

mod file;
pub mod keys;
pub mod settings;
mod value;

use crate::named_file;
use ensemble_model::document::Mistake;
use keys::{Form, KEYS, Key};
use settings::{FleetChoice, Settings};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Where the packaged server has its configuration.
pub const USUAL_FILE: &str = "/etc/ensemble/ensemble.toml";

/// Names a configuration file, as `--config` does.
pub const FILE_VARIABLE: &str = "ENSEMBLE_CONFIG";

/// Everything that a configuration is made of, to be read at start and again at each reload.
#[derive(Clone, Debug)]
pub struct Sources {
    pub file: File,
    /// Key names and values, as flags gave them.
    pub flags: Vec<(&'static str, String)>,
    /// The variables of the process; those that no key names are not looked at.
    pub environment: BTreeMap<String, String>,
    /// Where data goes when nothing says otherwise.
    pub data_dir: PathBuf,
}

/// Which file is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum File {
    /// It has to be there.
    Named(PathBuf),
    /// It may be there.
    Usual(PathBuf),
    None,
}

/// A configuration read: what is in force, and why.
#[derive(Clone, Debug)]
pub struct Effective {
    pub settings: Settings,
    /// One entry per key that has a value, in the order of [`KEYS`].
    pub entries: Vec<Given>,
    /// The file that was read, if one was.
    pub file: Option<PathBuf>,
}

/// A value of a key, and where it comes from.
#[derive(Clone, Debug)]
pub struct Given {
    pub key: &'static Key,
    /// The registry, for the key of which there is one per registry.
    pub subject: Option<String>,
    pub value: Value,
    pub origin: Origin,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Text(String),
    List(Vec<String>),
}

/// The layers, the strongest last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Default,
    File { path: PathBuf, line: usize },
    Environment(&'static str),
    Flag(&'static str),
}

/// What is wrong with one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    message: String,
    hint: Option<String>,
}

/// What is wrong with the configuration, at one place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct Problem {
    /// `/etc/ensemble/ensemble.toml:3:1`, `ENSEMBLE_LISTEN`, `--listen`.
    pub place: String,
    pub message: String,
    pub hint: Option<String>,
}

/// Everything that is wrong with a configuration, at once.
#[derive(Debug, thiserror::Error)]
#[error("{}", listed(.0))]
pub struct Error(pub Vec<Problem>);

fn listed(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems
        .iter()
        .map(|problem| match &problem.hint {
            Some(hint) => format!("{problem}; {hint}"),
            None => problem.to_string(),
        })
        .collect();
    lines.join("\n")
}

impl Sources {
    /// Nothing but defaults, on this data directory.
    pub fn defaults(data_dir: &Path) -> Self {
        Self {
            file: File::None,
            flags: Vec::new(),
            environment: BTreeMap::new(),
            data_dir: data_dir.to_owned(),
        }
    }

    /// Reads all layers.
    ///
    /// # Errors
    /// All that is wrong in any of them.
    pub fn read(&self) -> Result<Effective, Error> {
        let mut problems = Vec::new();
        let mut given = self.read_defaults();
        let (file, from_file) = self.read_file(&mut problems);
        given.extend(from_file);
        given.extend(self.read_environment(&mut problems));
        given.extend(self.read_flags(&mut problems));
        // A later layer wins; the order of the reference is kept.
        let mut winners: BTreeMap<(usize, Option<String>), Given> = BTreeMap::new();
        for given in given {
            let rank = KEYS.iter().position(|key| key.name == given.key.name).unwrap_or(KEYS.len());
            winners.insert((rank, given.subject.clone()), given);
        }
        let entries: Vec<Given> = winners.into_values().collect();
        let mut settings = Settings::of(&self.data_dir);
        for entry in &entries {
            // Each was tried when its layer was read.
            let _ = (entry.key.set)(&mut settings, entry);
        }
        problems.extend(contradictions(&settings, &entries));
        if problems.is_empty() { Ok(Effective { settings, entries, file }) } else { Err(Error(problems)) }
    }

    fn read_defaults(&self) -> Vec<Given> {
        let of = |key: &'static Key| {
            let text = match key.name {
                "data_dir" => self.data_dir.to_string_lossy().into_owned(),
                _ if key.default.is_empty() => return None,
                _ => key.default.to_owned(),
            };
            let value = key.form.value(&text);
            Some(Given { key, subject: None, value, origin: Origin::Default })
        };
        KEYS.iter().filter_map(of).collect()
    }

    fn read_file(&self, problems: &mut Vec<Problem>) -> (Option<PathBuf>, Vec<Given>) {
        let path = match &self.file {
            File::Named(path) | File::Usual(path) => path,
            File::None => return (None, Vec::new()),
        };
        let text = match named_file::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && matches!(self.file, File::Usual(_)) => {
                return (None, Vec::new());
            }
            Err(error) => {
                let place = path.display().to_string();
                let message = format!("the configuration file could not be read: {error}");
                problems.push(Problem { place, message, hint: None });
                return (None, Vec::new());
            }
        };
        match file::parse(&text, path) {
            Ok(given) => (Some(path.clone()), given),
            Err(mistakes) => {
                problems.extend(mistakes.into_iter().map(|mistake| of_mistake(path, mistake)));
                (None, Vec::new())
            }
        }
    }

    fn read_environment(&self, problems: &mut Vec<Problem>) -> Vec<Given> {
        let mut given = Vec::new();
        for key in KEYS {
            let Some(variable) = key.environment else { continue };
            // A variable that is set to nothing counts as not set.
            let Some(text) = self.environment.get(variable).filter(|text| !text.is_empty()) else { continue };
            given.extend(tried(key, text, Origin::Environment(variable), problems));
        }
        given
    }

    fn read_flags(&self, problems: &mut Vec<Problem>) -> Vec<Given> {
        let mut given = Vec::new();
        for (name, text) in &self.flags {
            let key = keys::find(name).expect("a flag names a key of the table");
            given.extend(tried(key, text, Origin::Flag(key.flag.unwrap_or(key.name)), problems));
        }
        given
    }
}

/// A value from outside the file, if it is sound.
fn tried(key: &'static Key, text: &str, origin: Origin, problems: &mut Vec<Problem>) -> Option<Given> {
    let given = Given { key, subject: None, value: key.form.value(text), origin };
    match (key.set)(&mut Settings::of(Path::new("")), &given) {
        Ok(()) => Some(given),
        Err(Fault { message, hint }) => {
            problems.push(Problem { place: given.origin.to_string(), message, hint });
            None
        }
    }
}

/// What is sound by itself and not together.
fn contradictions(settings: &Settings, entries: &[Given]) -> Vec<Problem> {
    let origin = |name: &str| entries.iter().find(|entry| entry.key.name == name).map(|entry| &entry.origin);
    let mut problems = Vec::new();
    if let (FleetChoice::File(_), Some(fleet), Some(engine)) =
        (&settings.fleet, origin("fleet"), origin("engine"))
        // An engine from a weaker layer is for the built-in fleet that the stronger one put aside.
        && engine.layer() >= fleet.layer()
    {
        problems.push(Problem {
            place: engine.to_string(),
            message: "an engine goes with the built-in fleet only".into(),
            hint: Some("a fleet file names its own engines: [engines.here] kind = \"embedded\"".into()),
        });
    }
    match (origin("tls.certificate"), origin("tls.key")) {
        (Some(origin), None) | (None, Some(origin)) => problems.push(Problem {
            place: origin.to_string(),
            message: "HTTPS needs both a certificate and its key".into(),
            hint: Some("set tls.certificate and tls.key".into()),
        }),
        (Some(_), Some(_)) | (None, None) => {}
    }
    problems
}

fn of_mistake(path: &Path, mistake: Mistake) -> Problem {
    Problem {
        place: format!("{}:{}:{}", path.display(), mistake.line, mistake.column),
        message: mistake.message,
        hint: mistake.hint,
    }
}

impl Form {
    /// A value of this form from the text that a flag or a variable has.
    fn value(self, text: &str) -> Value {
        match self {
            Self::List => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                Value::List(parts.map(str::to_owned).collect())
            }
            Self::Text | Self::Path | Self::Choice(_) | Self::Count(_) | Self::Size | Self::Duration => {
                Value::Text(text.to_owned())
            }
        }
    }
}

impl Given {
    /// The key as the file has it: `registries."host".credentials`.
    pub fn name(&self) -> String {
        match &self.subject {
            Some(subject) => self.key.name.replace("HOST", subject),
            None => self.key.name.to_owned(),
        }
    }

    fn text(&self) -> &str {
        match &self.value {
            Value::Text(text) => text,
            Value::List(_) => "",
        }
    }

    fn list(&self) -> &[String] {
        match &self.value {
            Value::List(parts) => parts,
            Value::Text(_) => &[],
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => formatter.write_str(text),
            Self::List(parts) => formatter.write_str(&parts.join(",")),
        }
    }
}

impl Origin {
    fn layer(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File { .. } => 1,
            Self::Environment(_) => 2,
            Self::Flag(_) => 3,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::File { path, line } => write!(formatter, "{}:{line}", path.display()),
            Self::Environment(variable) => formatter.write_str(variable),
            Self::Flag(flag) => formatter.write_str(flag),
        }
    }
}

impl Fault {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

#[cfg(test)]
mod tests;
