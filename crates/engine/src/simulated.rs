//! An engine that runs nothing: whatever is wanted becomes ready after a settable time, and what is released is
//! confirmed gone. For trying the API without containers, for tests and for the simulator. It can be asked for faults,
//! and live by a clock that is stepped by hand.
//! The shell only: the world it keeps is `simulated::world`, which knows no clock and no channel.

mod clock;
mod faults;
mod life;
mod site;
pub mod world;

use crate::exec::{ExecOrder, Execution};
use crate::{Capabilities, Engine, Error, LogLine, LogQuery};
use ensemble_model::id::{EdgeNodeId, EngineName};
use ensemble_model::observation::Observation;
use ensemble_model::wanted::Wanted;
use site::Site;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

pub use clock::Clock;
pub use faults::{Fates, Fault, FaultError, FaultKind, Measure};

#[derive(Clone, Debug)]
pub struct SimulatedOptions {
    /// From starting to ready.
    pub ready_after: Duration,
    pub faults: Vec<Fault>,
    /// What chances are drawn from.
    pub seed: u64,
    /// The edge nodes that it has, so that one can be cut off before anything is wanted there.
    pub nodes: Vec<EdgeNodeId>,
    pub clock: Clock,
}

impl Default for SimulatedOptions {
    fn default() -> Self {
        Self {
            ready_after: Duration::ZERO,
            faults: Vec::new(),
            seed: 0,
            nodes: Vec::new(),
            clock: Clock::running(),
        }
    }
}

/// Has no durable memory: after a restart it takes whatever is wanted at first for running, as if containers had
/// survived.
pub struct Simulated {
    shared: Arc<Shared>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    site: Mutex<Site>,
    /// Something to report, an instance that becomes ready sooner, or the end.
    changed: Notify,
    stopped: Notify,
    clock: Clock,
}

impl Simulated {
    /// Starts on the current tokio runtime; reports on `observations` until it is shut down or nobody listens.
    pub fn start(
        name: EngineName,
        options: SimulatedOptions,
        observations: mpsc::Sender<Observation>,
    ) -> Self {
        let ready_after_ms = i64::try_from(options.ready_after.as_millis()).unwrap_or(i64::MAX);
        let fates = Fates::new(options.faults, options.seed, ready_after_ms);
        let shared = Arc::new(Shared {
            site: Mutex::new(Site::new(name, fates, &options.nodes)),
            changed: Notify::new(),
            stopped: Notify::new(),
            clock: options.clock,
        });
        let worker = tokio::spawn(report(Arc::clone(&shared), observations));
        Self { shared, worker: Mutex::new(Some(worker)) }
    }

    /// Everything that was due by its clock is done, and said.
    pub fn is_at_rest(&self) -> bool {
        self.shared.site().is_at_rest(self.shared.clock.now_ms())
    }

    /// When it has something to do next, by its clock.
    pub fn next_due_ms(&self) -> Option<i64> {
        self.shared.site().next_due_ms()
    }
}

impl Engine for Simulated {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            pod_addresses: false,
            limits: false,
            starts_at_once: 1_000_000,
            pods_at_most: 10_000_000,
        }
    }

    async fn converge(&self, wanted: Wanted) -> Result<(), Error> {
        let now_ms = self.shared.clock.now_ms();
        self.shared.site().converge(wanted, now_ms)?;
        self.shared.changed.notify_one();
        Ok(())
    }

    /// Nothing runs, so nothing was written.
    async fn logs(&self, query: LogQuery) -> Result<Vec<LogLine>, Error> {
        match self.shared.site().knows(&query.instance) {
            true => Ok(Vec::new()),
            false => Err(Error::NoLogs { instance: query.instance }),
        }
    }

    /// Nothing runs, so nothing can be run in it.
    async fn exec(&self, _: ExecOrder) -> Result<Execution, Error> {
        Err(Error::NoExec)
    }

    async fn shut_down(&self) {
        self.shared.stopped.notify_one();
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(worker) = worker {
            // The worker has nothing to return; a panic in it was reported where it happened.
            worker.await.unwrap_or_default();
        }
    }
}

impl Shared {
    fn site(&self) -> MutexGuard<'_, Site> {
        // The site is consistent between calls, also after a panic elsewhere.
        self.site.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The worker. What is to be reported waits in the world, where a change replaces an older one of the same
/// instance: a slow listener holds up neither `converge` nor memory.
async fn report(shared: Arc<Shared>, observations: mpsc::Sender<Observation>) {
    loop {
        let (report, next_ms) = {
            let mut site = shared.site();
            site.advance(shared.clock.now_ms());
            (site.take_report(), site.next_due_ms())
        };
        if let Some(report) = report {
            tokio::select! {
                sent = observations.send(report) => if sent.is_err() { return },
                () = shared.stopped.notified() => return,
            }
            continue;
        }
        let due = async {
            match next_ms {
                Some(at_ms) => shared.clock.reached(at_ms).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shared.changed.notified() => {}
            () = shared.stopped.notified() => return,
            () = due => {}
        }
    }
}

#[cfg(test)]
mod tests;
