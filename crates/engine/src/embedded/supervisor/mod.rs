//! The shell around the engine's loop: receives, has the loop decide, lets actions run, watches supervisors, hands on
//! what is told. One task owns the loop; actions run beside it and report back. Decides nothing.

mod containers;
pub(crate) mod machine;
pub(crate) mod probes;
pub(crate) mod program;
mod under_way;
pub(crate) mod watch;

use ensemble_model::id::Digest;
use ensemble_model::observation::Observation;
use ensemble_model::wanted::Wanted;
use ensemble_supervision::layout::ContainerKey;
use ensemble_supervision::probing::Readiness;
use ensemble_supervision::reconcile::state::Action;
use ensemble_supervision::supervisor::{Begin, Input, LOOK_AROUND, Learnt, Round, SOON, Supervisor};
use machine::{Done, Machine};
use probes::Probes;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use under_way::{End, UnderWay};
use watch::Watches;

/// A step that is cut short is repaired by the next start; but letting it end leaves less to repair.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// What the loop is told from outside.
pub(crate) enum Message {
    Converge(Wanted),
    /// A supervisor has ended.
    Ended(ContainerKey),
    /// An image is not in the store and is being fetched.
    Pulling(Digest),
    /// What this attempt of a container is held to be, by its probe.
    Probed {
        container: ContainerKey,
        attempt: u32,
        readiness: Readiness,
    },
    ShutDown(oneshot::Sender<()>),
}

pub(crate) struct Shell {
    pub(crate) machine: Arc<Machine>,
    pub(crate) supervisor: Supervisor,
    pub(crate) observations: mpsc::Sender<Observation>,
    pub(crate) messages: mpsc::Receiver<Message>,
    /// For what actions say while they are under way.
    pub(crate) own: mpsc::Sender<Message>,
    pub(crate) watches: Watches,
    pub(crate) probes: Probes,
}

impl Shell {
    /// Runs until it is told to stop or nobody can tell it anything any more.
    pub(crate) async fn run(mut self) {
        let mut under_way = UnderWay::default();
        let mut look_around = tokio::time::interval(LOOK_AROUND);
        look_around.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        look_around.reset();
        let stopped = loop {
            let sleep = self.step(&mut under_way);
            tokio::select! {
                message = self.messages.recv() => match message {
                    Some(Message::Converge(wanted)) => self.take(Input::Wanted(wanted)),
                    Some(Message::Ended(key)) => {
                        self.watches.forget(&key);
                        self.take(Input::SupervisorEnded(key));
                    }
                    Some(Message::Pulling(pin)) => self.take(Input::Pulling(pin)),
                    Some(Message::Probed { container, attempt, readiness }) => {
                        self.take(Input::Probed { container, attempt, readiness });
                    }
                    Some(Message::ShutDown(stopped)) => break Some(stopped),
                    None => break None,
                },
                end = under_way.next() => self.ended(end),
                _ = look_around.tick() => if self.supervisor.is_at_rest() {
                    let found = self.machine.network.found().await;
                    self.take(Input::LookedAround(found));
                },
                () = tokio::time::sleep(sleep) => {}
            }
            // Whatever is ready now is taken before the next decision, so that a burst is decided on once.
            while let Some(end) = under_way.try_next() {
                self.ended(end);
            }
        };
        self.watches.end();
        self.probes.end();
        under_way.end(END_PATIENCE).await;
        // Whoever asked may have stopped waiting.
        let _ = stopped.map(|stopped| stopped.send(()));
    }

    fn take(&mut self, input: Input) {
        self.supervisor.take(self.machine.host(), input);
    }

    /// Has the loop decide, and carries out what it says. Returns how long it may sleep if nothing comes.
    fn step(&mut self, under_way: &mut UnderWay) -> Duration {
        let Round { begin, cut, watch, tell, sleep } = self.supervisor.decide(self.machine.host());
        for begin in begin {
            self.begin(begin, under_way);
        }
        for subject in cut {
            under_way.cut(&subject);
        }
        self.watches.settle(self.supervisor.held());
        for (key, identity) in watch {
            self.watches.watch(key, identity);
        }
        self.probes.settle(self.supervisor.probed());
        let Some(observation) = tell else { return sleep };
        match self.observations.try_send(observation.clone()) {
            Ok(()) => {
                self.supervisor.told(observation);
                sleep
            }
            Err(mpsc::error::TrySendError::Full(_)) => sleep.min(SOON),
            // Nobody listens any more: the server is going down.
            Err(mpsc::error::TrySendError::Closed(_)) => sleep,
        }
    }

    fn begin(&self, begin: Begin, under_way: &mut UnderWay) {
        let Begin { action, record } = begin;
        let (machine, own) = (Arc::clone(&self.machine), self.own.clone());
        let pulled = match &action {
            Action::Fetch { pin, .. } => Some(pin.clone()),
            _ => None,
        };
        let pulls = move || {
            // When the queue is full it is only not shown that it is pulled.
            let _ = pulled.map(|pin| own.try_send(Message::Pulling(pin)));
        };
        under_way.begin(action.clone(), machine.act(action, record, pulls));
    }

    fn ended(&mut self, end: End) {
        match end {
            End::Finished { action, outcome } => {
                let outcome = outcome.map(|done| match (done, &action) {
                    (Done::Spawned(process), Action::Start { container, .. }) => {
                        self.watches.take(container.clone(), process);
                        Learnt::Nothing
                    }
                    (Done::Spawned(_), _) => Learnt::Nothing,
                    (Done::Learnt(learnt), _) => learnt,
                });
                self.take(Input::Finished { action, outcome });
            }
            End::Broke(action) => self.take(Input::Broke(action)),
            End::Cut => {}
        }
    }
}
