//! What makes a server an emulator for somebody's tests: faults on request, a seed, a clock that is stepped. All of it
//! needs engines that run nothing; without it nothing here is ever asked.

use crate::configuration::settings::Settings;
use ensemble_model::fleet::{EngineKind, Fleet};
use ensemble_model::suggestion::clause;

pub use ensemble_engine::simulated::Fault;

/// What was asked for. The default is a server as any other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Emulation {
    pub faults: Vec<Fault>,
    /// What chances are drawn from. In an ephemeral server also what ids are made of.
    pub seed: Option<u64>,
    pub time: Time,
    pub keeping: Keeping,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Time {
    /// Passes by itself.
    #[default]
    Real,
    /// Stands still until AdvanceClock steps it.
    Manual,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keeping {
    #[default]
    DataDir,
    /// Everything goes with the server.
    Nothing,
}

/// What does not go together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error(
        "`{flag}` is for engines that run nothing, and engine `{engine}` of the fleet runs real containers"
    )]
    RealContainers { flag: &'static str, engine: String },
    #[error(
        "`--clock manual` is for `--ephemeral` servers: a log that is kept would know times that never were"
    )]
    KeptTimes,
    #[error(
        "`--clock manual` and `--faults FILE` do not go together: a file is looked at by the machine's clock"
    )]
    FaultsByFile,
    #[error("the fleet has no edge node `{node}`, which `--fault` names{suggestion}")]
    UnknownNode { node: String, suggestion: String },
}

impl Error {
    pub fn hint(&self) -> &'static str {
        match self {
            Self::RealContainers { .. } => "`ensemble serve --engine simulated …`",
            Self::KeptTimes => "`ensemble serve --engine simulated --ephemeral --clock manual`",
            Self::FaultsByFile => {
                "`--fault NODE:unreachable=5m` cuts an edge node off by the server's own clock"
            }
            Self::UnknownNode { .. } => "`ensemble call DescribeEnsRegions` on a running server lists them",
        }
    }
}

impl Emulation {
    /// # Errors
    /// The first thing that does not go together, or is not there.
    pub(crate) fn check(&self, settings: &Settings, fleet: &Fleet) -> Result<(), Error> {
        let real = fleet.engines.iter().find(|(_, kind)| **kind != EngineKind::Simulated);
        if let (Some((engine, _)), Some(flag)) = (real, self.first_flag()) {
            return Err(Error::RealContainers { flag, engine: engine.to_string() });
        }
        if self.time == Time::Manual && self.keeping == Keeping::DataDir {
            return Err(Error::KeptTimes);
        }
        if self.time == Time::Manual && settings.faults.is_some() {
            return Err(Error::FaultsByFile);
        }
        let named = self.faults.iter().filter_map(|fault| fault.node.as_ref());
        for node in named {
            if !fleet.nodes.iter().any(|known| known.id == *node) {
                let suggestion = clause(node.as_str(), fleet.nodes.iter().map(|known| known.id.as_str()));
                return Err(Error::UnknownNode { node: node.to_string(), suggestion });
            }
        }
        Ok(())
    }

    fn first_flag(&self) -> Option<&'static str> {
        let asked = [
            (self.keeping == Keeping::Nothing, "--ephemeral"),
            (!self.faults.is_empty(), "--fault"),
            (self.seed.is_some(), "--seed"),
            (self.time == Time::Manual, "--clock manual"),
        ];
        asked.into_iter().find(|(is_asked, _)| *is_asked).map(|(_, flag)| flag)
    }
}
