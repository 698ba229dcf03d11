//! The engines of the fleet: started, told what is wanted, asked for logs, shut down. One courier per engine takes
//! wishes to it, so that an engine that cannot be reached holds up nobody.
//! Must not decide what is wanted, nor know one engine from another outside of `start`.

use crate::mailbox::Mailbox;
use ensemble_engine::any::AnyEngine;
use ensemble_engine::simulated::{Simulated, SimulatedOptions};
use ensemble_engine::{Engine, Error, LogLine, LogQuery};
use ensemble_model::fleet::EngineKind;
use ensemble_model::id::EngineName;
use ensemble_model::observation::Observation;
use ensemble_model::wanted::Wanted;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time;

/// Between two tries to reach an engine: doubles from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Observations that wait for the control loop; an engine waits when there are more.
const OBSERVATIONS_AT_MOST: usize = 1_024;

/// Why an engine could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("engine `{engine}` cannot run containers here: {reason}")]
    Embedded { engine: EngineName, reason: String },
}

/// All engines of the fleet.
pub(crate) struct Engines {
    by_name: BTreeMap<EngineName, Arc<AnyEngine>>,
}

/// Where the control loop leaves its wishes.
pub(crate) struct Wishes {
    mailboxes: BTreeMap<EngineName, Arc<Mailbox>>,
}

/// What starting the engines gives.
pub(crate) struct Started {
    pub(crate) engines: Engines,
    pub(crate) wishes: Wishes,
    pub(crate) observations: mpsc::Receiver<Observation>,
    /// End with the server, not by themselves.
    pub(crate) couriers: JoinSet<()>,
}

impl Engines {
    /// Starts every engine of the fleet.
    ///
    /// # Errors
    /// [`StartError`] for the first one that cannot work here.
    pub(crate) fn start(kinds: &BTreeMap<EngineName, EngineKind>) -> Result<Started, StartError> {
        let (report, observations) = mpsc::channel(OBSERVATIONS_AT_MOST);
        let (mut by_name, mut mailboxes, mut couriers) = (BTreeMap::new(), BTreeMap::new(), JoinSet::new());
        for (name, kind) in kinds {
            let engine = Arc::new(start(name, *kind, report.clone())?);
            let mailbox = Arc::new(Mailbox::default());
            couriers.spawn(deliver(name.clone(), Arc::clone(&engine), Arc::clone(&mailbox)));
            by_name.insert(name.clone(), engine);
            mailboxes.insert(name.clone(), mailbox);
        }
        let (engines, wishes) = (Self { by_name }, Wishes { mailboxes });
        Ok(Started { engines, wishes, observations, couriers })
    }

    /// The last lines that a container wrote.
    ///
    /// # Errors
    /// [`Error::Unreachable`] for an engine that the fleet no longer has, and what the engine says.
    pub(crate) async fn logs(&self, name: &EngineName, query: LogQuery) -> Result<Vec<LogLine>, Error> {
        match self.by_name.get(name) {
            Some(engine) => engine.logs(query).await,
            None => Err(Error::Unreachable { reason: format!("the fleet has no engine `{name}`") }),
        }
    }

    /// Stops converging and reporting; containers stay.
    pub(crate) async fn shut_down(&self) {
        for engine in self.by_name.values() {
            engine.shut_down().await;
        }
    }
}

impl Wishes {
    pub(crate) fn put(&self, engine: &EngineName, wanted: Wanted) {
        match self.mailboxes.get(engine) {
            Some(mailbox) => mailbox.put(wanted),
            None => tracing::error!("the fleet has no engine `{engine}` to tell what is wanted"),
        }
    }
}

fn start(
    name: &EngineName,
    kind: EngineKind,
    report: mpsc::Sender<Observation>,
) -> Result<AnyEngine, StartError> {
    match kind {
        EngineKind::Simulated => {
            let options = SimulatedOptions::default();
            Ok(AnyEngine::Simulated(Simulated::start(name.clone(), options, report)))
        }
        EngineKind::Embedded => {
            Err(StartError::Embedded { engine: name.clone(), reason: "not built".into() })
        }
    }
}

/// Takes wishes to one engine for as long as the server runs.
async fn deliver(name: EngineName, engine: Arc<AnyEngine>, mailbox: Arc<Mailbox>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let wanted = mailbox.take().await;
        match engine.converge(wanted.clone()).await {
            Ok(()) => pause = FIRST_PAUSE,
            Err(error @ Error::StaleEpoch { .. }) => {
                tracing::error!(engine = %name, "engine `{name}` obeys a newer server: {error}");
                return;
            }
            Err(error) => {
                tracing::warn!(engine = %name, "engine `{name}` was not told what is wanted: {error}");
                mailbox.put_back(wanted);
                time::sleep(pause).await;
                pause = LONGEST_PAUSE.min(pause * 2);
            }
        }
    }
}
