//! Why a server did not start or stopped by itself, and the command that mends it where there is one.

use crate::{control, credentials, data_dir, emulation, engines, fleet, high_water, restored, store, tls};
use ensemble_model::log::Fault;
use ensemble_model::refusal::Refusal;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the server did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    DataDir(#[from] data_dir::Error),
    #[error(transparent)]
    Credentials(#[from] credentials::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("the log in `{path}` cannot be gone on with")]
    Log {
        path: PathBuf,
        #[source]
        fault: Fault,
    },
    #[error(transparent)]
    HighWater(#[from] high_water::Error),
    #[error(transparent)]
    Fleet(#[from] fleet::Error),
    #[error("the fleet cannot be put in force")]
    FleetInUse(#[source] Refusal),
    #[error("HTTPS cannot be served as configured")]
    Tls(#[from] tls::Error),
    #[error("the server cannot be an emulator as it was asked to")]
    Emulation(#[from] emulation::Error),
    #[error(transparent)]
    Engine(#[from] engines::StartError),
    #[error(transparent)]
    Restored(#[from] restored::Error),
    #[error("could not listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Control(#[from] control::Error),
    #[error("could not wait for signals")]
    Signals(#[source] io::Error),
}

impl Error {
    /// What to do about it, where there is something: a command that can be typed.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Engine(engines::StartError::Lacking { missing, .. }) => {
                let mends = missing.iter().filter_map(|finding| finding.mend.as_deref());
                let simulated = "`ensemble serve --engine simulated` runs without containers".to_owned();
                let ways: Vec<String> = mends.map(|mend| format!("`{mend}`")).chain([simulated]).collect();
                Some(ways.join("; "))
            }
            Self::Engine(engines::StartError::Embedded { .. }) => Some(
                "`ensemble doctor` says what is missing; `ensemble serve --engine simulated` runs everything but \
                 containers"
                    .into(),
            ),
            Self::Listen { .. } => Some("`--listen 127.0.0.1:0` picks a free port".into()),
            Self::Emulation(error) => Some(error.hint().into()),
            Self::Fleet(fleet::Error::Mistakes { path, .. }) => {
                Some(format!("`ensemble fleet check {}`", path.display()))
            }
            // Its own sentence says it.
            Self::Engine(engines::StartError::Registries(_)) => None,
            Self::DataDir(_)
            | Self::Credentials(_)
            | Self::Store(_)
            | Self::Log { .. }
            | Self::HighWater(_)
            | Self::Fleet(fleet::Error::Unreadable { .. })
            | Self::FleetInUse(_)
            | Self::Restored(_)
            | Self::Tls(_)
            | Self::Control(_)
            | Self::Signals(_) => None,
        }
    }
}
