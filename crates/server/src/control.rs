//! The one writer: a task around `ControlLoop::step`, which decides. It takes commands and observations from
//! bounded queues, appends what the loop says, at most one append at a time, and hands on answers, states and wishes.
//! Must not decide, and must not go on after a failed append.

mod handle;

use crate::clock::Clock;
use crate::engines::Wishes;
use crate::high_water::HighWater;
use crate::metrics::Metrics;
use crate::store::{self, LogStore};
use ensemble_model::census;
use ensemble_model::command::Accepted;
use ensemble_model::log::snapshot::Snapshot;
use ensemble_model::observation::Observation;
use ensemble_model::refusal::Refusal;
use ensemble_model::state::State;
use ensemble_model::step::{ControlLoop, Input, Output};
use ensemble_model::wanted::Epoch;
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::Instant;

pub(crate) use handle::{Control, Published, Turn};
use handle::{Errand, Recent, Submission};

/// Commands that wait to be decided; more are refused as a temporary failure.
const COMMANDS_AT_MOST: usize = 1_024;

/// Inputs that the operator and the server itself have for the loop: reloads, and questions whether it turns.
const ERRANDS_AT_MOST: usize = 64;

/// Inputs taken into one batch before it is flushed, so that a flood cannot put an answer off for ever.
const BATCH_AT_MOST: usize = 256;

/// Entries a slow watcher may lag behind, or one that comes back may have missed, before it has to start over.
const ENTRIES_BEHIND_AT_MOST: usize = 1_024;

/// Why the server must stop; nothing durable is lost by it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the log could not be written, and is not written again: what it holds is what was answered")]
    Append(#[source] store::Error),
    #[error(transparent)]
    HighWater(#[from] crate::high_water::Error),
    #[error("the control loop stopped: {reason}")]
    Halted { reason: String },
}

type Appending = Pin<Box<dyn Future<Output = Result<u64, store::Error>> + Send>>;

/// The writer itself; [`Writer::run`] is its task.
pub(crate) struct Writer<S> {
    core: ControlLoop,
    first: Vec<Output>,
    clock: Clock,
    epoch: Epoch,
    store: Arc<S>,
    high_water: HighWater,
    wishes: Wishes,
    commands: mpsc::Receiver<Submission>,
    errands: mpsc::Receiver<Errand>,
    observations: mpsc::Receiver<Observation>,
    state: watch::Sender<Arc<State>>,
    entries: broadcast::Sender<Published>,
    recent: Arc<Recent>,
    /// Bounded by the loop, which refuses commands beyond `Settings::waiting_answers`.
    waiting: HashMap<u64, oneshot::Sender<Result<Accepted, Refusal>>>,
    waiting_fleets: HashMap<u64, oneshot::Sender<Result<(), Refusal>>>,
    next_ticket: u64,
    appending: Option<Appending>,
    /// When the append that is under way began.
    append_began: Option<Instant>,
    metrics: Arc<Metrics>,
    snapshot: Option<tokio::task::JoinHandle<()>>,
}

/// What a writer starts from.
pub(crate) struct Start<S> {
    pub(crate) core: ControlLoop,
    /// What the loop said when the fleet was put in force; [`Writer::begin`] carries it out.
    pub(crate) first: Vec<Output>,
    pub(crate) clock: Clock,
    pub(crate) epoch: Epoch,
    pub(crate) store: Arc<S>,
    pub(crate) high_water: HighWater,
    pub(crate) wishes: Wishes,
    pub(crate) observations: mpsc::Receiver<Observation>,
    pub(crate) metrics: Arc<Metrics>,
}

/// What wakes the writer.
enum Wake {
    Stop,
    Command(Submission),
    Errand(Errand),
    Observation(Observation),
    Appended(Result<u64, store::Error>),
    Time,
}

impl<S: LogStore> Writer<S> {
    pub(crate) fn new(start: Start<S>) -> (Self, Control) {
        let (commands, submitted) = mpsc::channel(COMMANDS_AT_MOST);
        let (errands, sent) = mpsc::channel(ERRANDS_AT_MOST);
        let (state, published) = watch::channel(start.core.state().clone());
        let (entries, _) = broadcast::channel(ENTRIES_BEHIND_AT_MOST);
        let recent = Arc::new(Recent::default());
        let control = Control {
            commands,
            errands,
            state: published,
            entries: entries.clone(),
            recent: Arc::clone(&recent),
        };
        let writer = Self {
            core: start.core,
            first: start.first,
            clock: start.clock,
            epoch: start.epoch,
            store: start.store,
            high_water: start.high_water,
            wishes: start.wishes,
            commands: submitted,
            errands: sent,
            observations: start.observations,
            state,
            entries,
            recent,
            waiting: HashMap::new(),
            waiting_fleets: HashMap::new(),
            next_ticket: 0,
            appending: None,
            append_began: None,
            metrics: start.metrics,
            snapshot: None,
        };
        (writer, control)
    }

    /// Makes durable what the loop said when it started, so that the first request finds the fleet in force.
    ///
    /// # Errors
    /// When the log cannot be written, or the loop halts.
    pub(crate) async fn begin(&mut self) -> Result<(), Error> {
        for output in std::mem::take(&mut self.first) {
            self.act(output)?;
        }
        self.step(Input::Flush)?;
        while let Some(appending) = self.appending.take() {
            self.appended(appending.await)?;
        }
        Ok(())
    }

    /// Runs until `stop` is sent or dropped; what was submitted before is decided and answered.
    ///
    /// # Errors
    /// When the log cannot be written, or the loop halts. Nobody who waits is answered then.
    pub(crate) async fn run(mut self, mut stop: oneshot::Receiver<()>) -> Result<(), Error> {
        loop {
            match self.wake(&mut stop).await {
                Wake::Stop => break,
                Wake::Command(submission) => self.command(submission)?,
                Wake::Errand(errand) => self.errand(errand)?,
                Wake::Observation(observation) => self.step(Input::Observed(observation))?,
                Wake::Appended(result) => self.appended(result)?,
                Wake::Time => self.step(Input::Tick)?,
            }
            self.drain()?;
            self.step(Input::Flush)?;
        }
        self.commands.close();
        while let Some(submission) = self.commands.recv().await {
            self.command(submission)?;
        }
        self.step(Input::Flush)?;
        while let Some(appending) = self.appending.take() {
            self.appended(appending.await)?;
        }
        if let Some(snapshot) = self.snapshot.take() {
            // It logs its own failure; a snapshot that is missing costs time at the next start and nothing else.
            let _ = snapshot.await;
        }
        self.high_water.sync()?;
        Ok(())
    }

    async fn wake(&mut self, stop: &mut oneshot::Receiver<()>) -> Wake {
        let (clock, next_wake) = (&self.clock, self.core.next_wake());
        let alarm = async {
            match next_wake {
                Some(at) => clock.reached(at).await,
                None => std::future::pending().await,
            }
        };
        let full = self.core.is_full();
        let appended = async {
            match &mut self.appending {
                Some(appending) => appending.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            result = appended => {
                self.appending = None;
                Wake::Appended(result)
            }
            // Before commands, so that a flood of them is not taken for a loop that stands still.
            Some(errand) = self.errands.recv() => Wake::Errand(errand),
            Some(submission) = self.commands.recv() => Wake::Command(submission),
            Some(observation) = self.observations.recv(), if !full => Wake::Observation(observation),
            () = alarm => Wake::Time,
            _ = stop => Wake::Stop,
        }
    }

    /// Takes what is waiting into the same batch: group commit.
    fn drain(&mut self) -> Result<(), Error> {
        for _ in 0..BATCH_AT_MOST {
            let mut idle = true;
            if let Ok(submission) = self.commands.try_recv() {
                self.command(submission)?;
                idle = false;
            }
            if !self.core.is_full()
                && let Ok(observation) = self.observations.try_recv()
            {
                self.step(Input::Observed(observation))?;
                idle = false;
            }
            if idle {
                break;
            }
        }
        Ok(())
    }

    fn errand(&mut self, errand: Errand) -> Result<(), Error> {
        match errand {
            Errand::Turn(answer) => {
                let append_under_way_for = self.append_began.map(|began| began.elapsed());
                // Whoever asked may have stopped waiting.
                let _ = answer.send(Turn { append_under_way_for, next_wake: self.core.next_wake() });
                Ok(())
            }
            Errand::Confirm(answer) => {
                self.step(Input::Confirm)?;
                // Whoever asked may have gone; it is confirmed all the same.
                let _ = answer.send(());
                Ok(())
            }
            Errand::Fleet { fleet, answer } => {
                let ticket = self.ticket();
                self.waiting_fleets.insert(ticket, answer);
                self.step(Input::Fleet { ticket, fleet })
            }
        }
    }

    fn ticket(&mut self) -> u64 {
        self.next_ticket += 1;
        self.next_ticket
    }

    fn command(&mut self, submission: Submission) -> Result<(), Error> {
        let ticket = self.ticket();
        self.waiting.insert(ticket, submission.answer);
        self.step(Input::Command { ticket, command: submission.command })
    }

    fn appended(&mut self, result: Result<u64, store::Error>) -> Result<(), Error> {
        match result {
            Ok(sequence) => {
                if let Some(began) = self.append_began.take() {
                    self.metrics.appended(began.elapsed());
                }
                self.high_water.raise(sequence)?;
                self.step(Input::Appended { sequence })
            }
            Err(error) => {
                // The loop is told so that nothing it decided is taken for durable; what it says to it changes
                // nothing about the end.
                let reason = error.to_string();
                drop(self.core.step(self.clock.now(), Input::AppendFailed { reason }));
                Err(Error::Append(error))
            }
        }
    }

    fn step(&mut self, input: Input) -> Result<(), Error> {
        for output in self.core.step(self.clock.now(), input) {
            self.act(output)?;
        }
        Ok(())
    }

    fn act(&mut self, output: Output) -> Result<(), Error> {
        match output {
            Output::Append { sequence, record } => self.append(sequence, record)?,
            Output::Answer { ticket, answer } => {
                if let Some(waiting) = self.waiting.remove(&ticket) {
                    // A caller that went away does not undo what is durable.
                    let _ = waiting.send(answer);
                }
            }
            Output::FleetAnswer { ticket, answer } => {
                if let Some(waiting) = self.waiting_fleets.remove(&ticket) {
                    let _ = waiting.send(answer);
                }
            }
            Output::Converge { engine, wanted } => self.wishes.put(&engine, wanted),
            Output::Publish { state, entry } => {
                let changes = census::changes(&self.state.borrow(), &entry);
                self.metrics.changed(entry.events.len(), &changes);
                let published = Published { state: Arc::clone(&state), entry };
                // Before the state, so that whoever sees the state finds the way to it.
                self.recent.push(published.clone());
                self.state.send_replace(state);
                // Nobody may be watching.
                let _ = self.entries.send(published);
            }
            Output::PutSnapshot { sequence, snapshot } => self.put_snapshot(sequence, snapshot),
            Output::Halt { reason } => return Err(Error::Halted { reason }),
        }
        Ok(())
    }

    fn append(&mut self, sequence: u64, record: Vec<u8>) -> Result<(), Error> {
        if self.appending.is_some() {
            return Err(Error::Halted { reason: format!("{sequence} was to be appended beside another") });
        }
        let (store, epoch) = (Arc::clone(&self.store), self.epoch);
        self.append_began = Some(Instant::now());
        self.appending = Some(Box::pin(async move {
            store.append(epoch, sequence, &record).await?;
            Ok(sequence)
        }));
        Ok(())
    }

    /// Encoded and written beside the loop, which does not wait for it.
    fn put_snapshot(&mut self, sequence: u64, snapshot: Box<Snapshot>) {
        if self.snapshot.as_ref().is_some_and(|running| !running.is_finished()) {
            tracing::debug!("the last snapshot is still being written; the one at {sequence} is left out");
            return;
        }
        let (store, epoch) = (Arc::clone(&self.store), self.epoch);
        self.snapshot = Some(tokio::spawn(async move {
            let encoded = tokio::task::spawn_blocking(move || snapshot.encode()).await;
            let bytes = encoded.expect("encoding a snapshot does not panic");
            if let Err(error) = store.put_snapshot(epoch, sequence, &bytes).await {
                tracing::warn!("the snapshot at {sequence} was not kept: {error}");
            }
        }));
    }
}

#[cfg(test)]
mod nth_failure;
#[cfg(test)]
mod tests;
