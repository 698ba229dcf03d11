//! Every engine there is, as one closed type: the server holds this and never learns which one it drives.

use crate::embedded::EmbeddedEngine;
use crate::embedded::image::PullProgress;
use crate::exec::{ExecOrder, Execution};
use crate::simulated::Simulated;
use crate::{Capabilities, Engine, Error, LogLine, LogQuery};
use ensemble_model::id::{Digest, InstanceId};
use ensemble_model::wanted::Wanted;
use std::collections::BTreeMap;

pub enum AnyEngine {
    Embedded(EmbeddedEngine),
    Simulated(Simulated),
}

impl AnyEngine {
    /// The instances that it has something of on this machine, whoever wants them.
    ///
    /// # Errors
    /// [`Error::Read`] when that cannot be looked at.
    pub fn held(&self) -> Result<Vec<InstanceId>, Error> {
        match self {
            Self::Embedded(engine) => engine.held(),
            // Nothing runs.
            Self::Simulated(_) => Ok(Vec::new()),
        }
    }
}

impl Engine for AnyEngine {
    fn capabilities(&self) -> Capabilities {
        match self {
            Self::Embedded(engine) => engine.capabilities(),
            Self::Simulated(engine) => engine.capabilities(),
        }
    }

    fn pulls(&self) -> BTreeMap<Digest, PullProgress> {
        match self {
            Self::Embedded(engine) => engine.pulls(),
            Self::Simulated(engine) => engine.pulls(),
        }
    }

    async fn converge(&self, wanted: Wanted) -> Result<(), Error> {
        match self {
            Self::Embedded(engine) => engine.converge(wanted).await,
            Self::Simulated(engine) => engine.converge(wanted).await,
        }
    }

    async fn logs(&self, query: LogQuery) -> Result<Vec<LogLine>, Error> {
        match self {
            Self::Embedded(engine) => engine.logs(query).await,
            Self::Simulated(engine) => engine.logs(query).await,
        }
    }

    async fn exec(&self, order: ExecOrder) -> Result<Execution, Error> {
        match self {
            Self::Embedded(engine) => engine.exec(order).await,
            Self::Simulated(engine) => engine.exec(order).await,
        }
    }

    async fn shut_down(&self) {
        match self {
            Self::Embedded(engine) => engine.shut_down().await,
            Self::Simulated(engine) => engine.shut_down().await,
        }
    }
}
