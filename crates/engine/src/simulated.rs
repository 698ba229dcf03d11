//! An engine that runs nothing: whatever is wanted becomes ready after a settable time, and what is released is
//! confirmed gone. For trying the API without containers, for tests and for the simulator.
//! The shell only: the world it keeps is `simulated::world`, which knows no clock and no channel.

pub mod world;

use crate::{Capabilities, Engine, Error, LogLine, LogQuery};
use ensemble_model::id::EngineName;
use ensemble_model::observation::Observation;
use ensemble_model::wanted::Wanted;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use world::World;

/// Instances named in one observation; the report of the whole is the exception.
const REPORTED_AT_ONCE: usize = 1_000;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SimulatedOptions {
    /// From starting to ready.
    pub ready_after: Duration,
}

/// Has no durable memory: after a restart it takes whatever is wanted at first for running, as if containers had
/// survived.
pub struct Simulated {
    shared: Arc<Shared>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    world: Mutex<World>,
    /// Something to report, an instance that becomes ready sooner, or the end.
    changed: Notify,
    stopped: Notify,
    started: Instant,
}

impl Simulated {
    /// Starts on the current tokio runtime; reports on `observations` until it is shut down or nobody listens.
    pub fn start(
        name: EngineName,
        options: SimulatedOptions,
        observations: mpsc::Sender<Observation>,
    ) -> Self {
        let ready_after_ms = i64::try_from(options.ready_after.as_millis()).unwrap_or(i64::MAX);
        let shared = Arc::new(Shared {
            world: Mutex::new(World::new(name, ready_after_ms)),
            changed: Notify::new(),
            stopped: Notify::new(),
            started: Instant::now(),
        });
        let worker = tokio::spawn(report(Arc::clone(&shared), observations));
        Self { shared, worker: Mutex::new(Some(worker)) }
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
        let now_ms = self.shared.now_ms();
        self.shared.world().converge(wanted, now_ms)?;
        self.shared.changed.notify_one();
        Ok(())
    }

    /// Nothing runs, so nothing was written.
    async fn logs(&self, query: LogQuery) -> Result<Vec<LogLine>, Error> {
        match self.shared.world().knows(&query.instance) {
            true => Ok(Vec::new()),
            false => Err(Error::NoLogs { instance: query.instance }),
        }
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
    fn world(&self) -> MutexGuard<'_, World> {
        // The world is consistent between calls, also after a panic elsewhere.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

/// The worker. What is to be reported waits in the world, where a change replaces an older one of the same
/// instance: a slow listener holds up neither `converge` nor memory.
async fn report(shared: Arc<Shared>, observations: mpsc::Sender<Observation>) {
    loop {
        let now_ms = shared.now_ms();
        let (report, next_ms) = {
            let mut world = shared.world();
            world.advance(now_ms);
            (world.take_report(REPORTED_AT_ONCE), world.next_due_ms())
        };
        if let Some(report) = report {
            tokio::select! {
                sent = observations.send(report) => if sent.is_err() { return },
                () = shared.stopped.notified() => return,
            }
            continue;
        }
        let wait_ms = next_ms.map_or(u64::MAX, |due| u64::try_from(due - now_ms).unwrap_or_default());
        tokio::select! {
            () = shared.changed.notified() => {}
            () = shared.stopped.notified() => return,
            () = tokio::time::sleep(Duration::from_millis(wait_ms)), if next_ms.is_some() => {}
        }
    }
}

#[cfg(test)]
mod tests;
