//! The environment variables that the program reads, for the manual and the reference: those of this table, and those
//! of the configuration's keys. A test looks for names in the sources that are in neither.

use super::Side;
use ensemble_server::configuration::{self, keys};

/// A variable, and what it is for.
#[derive(Debug)]
pub(crate) struct Variable {
    pub(crate) name: &'static str,
    /// Whose commands read it; empty = all of them.
    pub(crate) sides: &'static [Side],
    pub(crate) meaning: &'static str,
}

pub(crate) const VARIABLES: &[Variable] = &[
    Variable {
        name: "ENSEMBLE_DATA_DIR",
        sides: &[],
        meaning: "The local server's directory, where --data-dir names none.",
    },
    Variable {
        name: "ENSEMBLE_ENDPOINT",
        sides: &[Side::Client],
        meaning: "The server to call; counts only together with ENSEMBLE_ACCESS_KEY_ID and \
                  ENSEMBLE_ACCESS_KEY_SECRET.",
    },
    Variable {
        name: "ENSEMBLE_CA_FILE",
        sides: &[Side::Client],
        meaning: "Certificates (PEM) to trust an HTTPS server by, instead of the system's.",
    },
    Variable {
        name: "ENSEMBLE_ACCESS_KEY_ID",
        sides: &[Side::Server, Side::Client],
        meaning: "The key to call with. At the first start of a server: the key it will accept, instead of a \
                  random one.",
    },
    Variable {
        name: "ENSEMBLE_ACCESS_KEY_SECRET",
        sides: &[Side::Server, Side::Client],
        meaning: "The secret that belongs to ENSEMBLE_ACCESS_KEY_ID.",
    },
    Variable {
        name: configuration::FILE_VARIABLE,
        sides: &[Side::Server],
        meaning: "The configuration file, where --config names none; else /etc/ensemble/ensemble.toml, if it is there.",
    },
    Variable {
        name: "ALIBABA_CLOUD_ENDPOINT",
        sides: &[Side::Client],
        meaning: "The server to call where nothing of ours names one; counts only together with \
                  ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET. An endpoint of Alibaba Cloud \
                  itself is refused here.",
    },
    Variable {
        name: "ALIBABA_CLOUD_ACCESS_KEY_ID",
        sides: &[Side::Client],
        meaning: "The key for ALIBABA_CLOUD_ENDPOINT.",
    },
    Variable {
        name: "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
        sides: &[Side::Client],
        meaning: "The secret that belongs to ALIBABA_CLOUD_ACCESS_KEY_ID.",
    },
    Variable {
        name: "ALIBABA_CLOUD_PROFILE",
        sides: &[Side::Client],
        meaning: "The profile of ~/.aliyun/config.json to use instead of the current one.",
    },
    Variable {
        name: "ALIBABA_CLOUD_IGNORE_PROFILE",
        sides: &[Side::Client],
        meaning: "`true`: ~/.aliyun/config.json is read only where --profile asks for it.",
    },
    Variable {
        name: "NO_COLOR",
        sides: &[Side::Client],
        meaning: "Set to anything: neither colours nor bars.",
    },
    Variable {
        name: "XDG_DATA_HOME",
        sides: &[],
        meaning: "Where the data directory lies by default, as `ensemble`; else ~/.local/share.",
    },
    Variable { name: "HOME", sides: &[], meaning: "Where ~/.local/share and ~/.aliyun are looked for." },
];

/// Those that commands of one side read, each with what it is for.
pub(crate) fn of(side: Side) -> Vec<(&'static str, &'static str)> {
    let own = VARIABLES.iter().filter(|variable| variable.sides.is_empty() || variable.sides.contains(&side));
    let mut all: Vec<_> = own.map(|variable| (variable.name, variable.meaning)).collect();
    if side == Side::Server {
        all.extend(of_keys().map(|(name, key)| (name, key.meaning)));
    }
    all
}

/// Those that set a key of the configuration and are not in the table themselves.
pub(crate) fn of_keys() -> impl Iterator<Item = (&'static str, &'static keys::Key)> {
    let is_told = |name: &str| VARIABLES.iter().any(|variable| variable.name == name);
    keys::KEYS.iter().filter_map(|key| Some((key.environment?, key))).filter(move |(name, _)| !is_told(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    #[test]
    fn every_variable_that_the_sources_name_is_told() {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut missing = Vec::new();

        for krate in ["cli", "server", "engine"] {
            for text in sources(&crates.join(krate).join("src")) {
                for word in text.split('"').filter(|word| is_variable(word)) {
                    let is_of_a_key = of_keys().any(|(name, _)| name == word);
                    if !is_of_a_key && !VARIABLES.iter().any(|variable| variable.name == word) {
                        missing.push(word.to_owned());
                    }
                }
            }
        }

        assert!(missing.is_empty(), "not in the table: {missing:?}");
    }

    fn is_variable(word: &str) -> bool {
        ["ENSEMBLE_", "ALIBABA_CLOUD_"]
            .iter()
            .any(|prefix| word.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty()))
            && word.chars().all(|character| character.is_ascii_uppercase() || character == '_')
    }

    fn sources(directory: &Path) -> Vec<String> {
        let mut texts = Vec::new();
        for entry in fs::read_dir(directory).expect("a source directory can be read") {
            let path = entry.expect("an entry can be read").path();
            if path.is_dir() {
                texts.extend(sources(&path));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                texts.push(fs::read_to_string(&path).expect("a source can be read"));
            }
        }
        texts
    }
}
