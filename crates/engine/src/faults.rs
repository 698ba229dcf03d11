//! Faults injected at the engine trait: a decorator over any engine that cuts nodes off, makes reports late and
//! instances fail, switchable while it runs. The simulator and the tests share it; nothing behind or before it can
//! tell. The shell only: what it lets through is decided by `ensemble_supervision::faults`.

use crate::exec::{ExecOrder, Execution};
use crate::{Capabilities, Engine, Error, LogLine, LogQuery};
use ensemble_model::id::EngineName;
use ensemble_model::observation::Observation;
use ensemble_model::wanted::Wanted;
pub use ensemble_supervision::faults::{Failure, Faults};
use ensemble_supervision::faults::{Filter, Switched};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Reports that are late at the same time; when there are more, the engine has to wait.
const MOST_LATE: usize = 1_024;

/// An engine with faults.
pub struct Faulty<E> {
    engine: Arc<E>,
    switch: FaultSwitch,
    worker: Mutex<Option<JoinHandle<()>>>,
}

/// Changes the faults of a running engine; clones share them.
#[derive(Clone)]
pub struct FaultSwitch {
    shared: Arc<Shared>,
}

struct Shared {
    filter: Mutex<Filter>,
    /// Held from deciding what the engine is told until it is told, so that nothing older overtakes.
    telling: tokio::sync::Mutex<()>,
    switched: Notify,
    stopped: Notify,
}

impl<E: Engine + 'static> Faulty<E> {
    /// Puts itself before `engine`, which reports on the channel that `reports` is the end of; what is left of the
    /// reports goes to `observations`. Runs on the current tokio runtime.
    pub fn start(
        name: EngineName,
        engine: E,
        reports: mpsc::Receiver<Observation>,
        observations: mpsc::Sender<Observation>,
    ) -> Self {
        let engine = Arc::new(engine);
        let shared = Arc::new(Shared {
            filter: Mutex::new(Filter::new(name)),
            telling: tokio::sync::Mutex::new(()),
            switched: Notify::new(),
            stopped: Notify::new(),
        });
        let worker = Worker {
            engine: Arc::clone(&engine),
            shared: Arc::clone(&shared),
            observations,
            late: VecDeque::new(),
        };
        let worker = tokio::spawn(worker.run(reports));
        Self { engine, switch: FaultSwitch { shared }, worker: Mutex::new(Some(worker)) }
    }

    pub fn switch(&self) -> FaultSwitch {
        self.switch.clone()
    }
}

impl FaultSwitch {
    /// Puts `faults` in the place of those in force.
    pub fn set(&self, faults: Faults) {
        self.shared.filter().set(faults);
        self.shared.switched.notify_one();
    }

    pub fn faults(&self) -> Faults {
        self.shared.filter().faults().clone()
    }
}

impl Shared {
    fn filter(&self) -> MutexGuard<'_, Filter> {
        lock(&self.filter)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind it is consistent between calls, also after a panic elsewhere.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<E: Engine + 'static> Engine for Faulty<E> {
    fn capabilities(&self) -> Capabilities {
        self.engine.capabilities()
    }

    async fn converge(&self, wanted: Wanted) -> Result<(), Error> {
        let _telling = self.switch.shared.telling.lock().await;
        let passed = self.switch.shared.filter().converge(wanted);
        self.engine.converge(passed).await
    }

    async fn logs(&self, query: LogQuery) -> Result<Vec<LogLine>, Error> {
        if self.switch.shared.filter().is_cut_off(&query.instance) {
            return Err(Error::Unreachable { reason: "its edge node is cut off".to_owned() });
        }
        self.engine.logs(query).await
    }

    async fn exec(&self, order: ExecOrder) -> Result<Execution, Error> {
        if self.switch.shared.filter().is_cut_off(&order.instance) {
            return Err(Error::Unreachable { reason: "its edge node is cut off".to_owned() });
        }
        self.engine.exec(order).await
    }

    async fn shut_down(&self) {
        self.switch.shared.stopped.notify_one();
        let worker = lock(&self.worker).take();
        if let Some(worker) = worker {
            // The worker has nothing to return; a panic in it was reported where it happened.
            worker.await.unwrap_or_default();
        }
        self.engine.shut_down().await;
    }
}

struct Worker<E> {
    engine: Arc<E>,
    shared: Arc<Shared>,
    observations: mpsc::Sender<Observation>,
    /// In the order in which they came, each with the time from which it may be heard.
    late: VecDeque<(Instant, Observation)>,
}

/// The listener is gone.
struct Unheard;

impl<E: Engine> Worker<E> {
    async fn run(mut self, mut reports: mpsc::Receiver<Observation>) {
        let shared = Arc::clone(&self.shared);
        let work = async { while self.turn(&mut reports).await.is_ok() {} };
        tokio::select! {
            () = work => {}
            () = shared.stopped.notified() => {}
        }
    }

    async fn turn(&mut self, reports: &mut mpsc::Receiver<Observation>) -> Result<(), Unheard> {
        let next = self.late.front().map(|(at, _)| *at);
        tokio::select! {
            () = self.shared.switched.notified() => self.carry_out().await,
            () = wait_until(next) => {
                let Some((_, report)) = self.late.pop_front() else { return Ok(()) };
                let heard = self.shared.filter().observe(report);
                self.say(heard).await
            }
            report = reports.recv(), if self.late.len() < MOST_LATE => {
                let report = report.ok_or(Unheard)?;
                let delay = self.shared.filter().faults().delay;
                self.late.push_back((Instant::now() + delay, report));
                Ok(())
            }
        }
    }

    async fn carry_out(&mut self) -> Result<(), Unheard> {
        let observations = {
            let _telling = self.shared.telling.lock().await;
            let Switched { wanted, observations } = self.shared.filter().due();
            for wanted in wanted {
                // A stale epoch means that a newer leader has told the engine something newer.
                self.engine.converge(wanted).await.unwrap_or_default();
            }
            observations
        };
        self.say(observations).await
    }

    async fn say(&self, observations: Vec<Observation>) -> Result<(), Unheard> {
        for observation in observations {
            self.observations.send(observation).await.map_err(|_| Unheard)?;
        }
        Ok(())
    }
}

async fn wait_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
