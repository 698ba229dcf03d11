//! The fleet that the settings choose: the built-in one, or the file that is named. Reads; what a fleet file may say is
//! `ensemble_model::fleet::file`'s.

use crate::configuration::settings::{EngineChoice, FleetChoice, Settings};
use crate::named_file;
use ensemble_model::fleet::{EngineKind, Fleet, builtin, file};
use ensemble_model::id::EngineName;
use std::io;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("could not read the fleet file `{path}`")]
    Unreadable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the fleet file `{path}` has mistakes:\n{}", mistakes.join("\n"))]
    Mistakes {
        path: PathBuf,
        /// `3:1: unknown key …`, in the order of the file.
        mistakes: Vec<String>,
    },
}

/// # Errors
/// A file that cannot be read, or all mistakes in it.
pub(crate) fn load(settings: &Settings) -> Result<Fleet, Error> {
    match &settings.fleet {
        FleetChoice::Builtin => {
            let (kind, name) = match settings.engine {
                EngineChoice::Embedded => (EngineKind::Embedded, "embedded"),
                EngineChoice::Simulated => (EngineKind::Simulated, "simulated"),
            };
            Ok(builtin::builtin(kind, EngineName::new(name)))
        }
        FleetChoice::File(path) => {
            let text = named_file::read_to_string(path)
                .map_err(|source| Error::Unreadable { path: path.clone(), source })?;
            file::parse(&text).map_err(|mistakes| Error::Mistakes {
                path: path.clone(),
                mistakes: mistakes.iter().map(ToString::to_string).collect(),
            })
        }
    }
}
