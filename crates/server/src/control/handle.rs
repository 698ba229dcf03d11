//! The handle on the writer that actions hold: submit commands, read the durable state, follow what happens.
//! Must not change anything by itself.

use super::ENTRIES_BEHIND_AT_MOST;
use crate::metrics::Queue;
use ensemble_model::command::{Accepted, Command};
use ensemble_model::event::Entry;
use ensemble_model::fleet::Fleet;
use ensemble_model::refusal::Refusal;
use ensemble_model::state::State;
use ensemble_model::time::LogTime;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time;

/// A state and the entry that led to it, durable.
#[derive(Clone)]
pub(crate) struct Published {
    pub(crate) state: Arc<State>,
    pub(crate) entry: Arc<Entry>,
}

/// The handle that actions hold: submit commands, read the state, follow what happens.
#[derive(Clone)]
pub(crate) struct Control {
    pub(super) commands: mpsc::Sender<Submission>,
    pub(super) errands: mpsc::Sender<Errand>,
    pub(super) state: watch::Receiver<Arc<State>>,
    pub(super) entries: broadcast::Sender<Published>,
    pub(super) recent: Arc<Recent>,
}

/// The last entries, for watchers that come back.
#[derive(Default)]
pub(super) struct Recent(Mutex<VecDeque<Published>>);

/// Why a command was not decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unavailable {
    #[error("Too many changes wait to be decided; try again in a moment.")]
    Busy,
    #[error(
        "The server is stopping; whether the change was made is not known, so look before you repeat it."
    )]
    Stopped,
}

/// What the operator and the server itself have for the loop.
pub(super) enum Errand {
    /// Answered when the loop comes round to it.
    Turn(oneshot::Sender<Turn>),
    /// The operator lets a restored server act.
    Confirm(oneshot::Sender<()>),
    Fleet {
        fleet: Arc<Fleet>,
        answer: oneshot::Sender<Result<(), Refusal>>,
    },
}

/// A turn of the control loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    /// How long the append that is under way takes already.
    pub(crate) append_under_way_for: Option<Duration>,
    /// When it has something to do without being told.
    pub(crate) next_wake: Option<LogTime>,
}

pub(super) struct Submission {
    pub(super) command: Box<Command>,
    pub(super) answer: oneshot::Sender<Result<Accepted, Refusal>>,
}

impl Control {
    /// Decides `command` and waits until the decision is durable.
    pub(crate) async fn submit(&self, command: Command) -> Result<Result<Accepted, Refusal>, Unavailable> {
        let (answer, answered) = oneshot::channel();
        let submission = Submission { command: Box::new(command), answer };
        self.commands.try_send(submission).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Unavailable::Busy,
            mpsc::error::TrySendError::Closed(_) => Unavailable::Stopped,
        })?;
        answered.await.map_err(|_| Unavailable::Stopped)
    }

    /// Ends observing (`decisions.md` §9.9). The confirmation is durable before this is called; on return the loop
    /// decides, and engines are told what is wanted.
    pub(crate) async fn confirm(&self) -> Result<(), Unavailable> {
        let (answer, answered) = oneshot::channel();
        self.errands.send(Errand::Confirm(answer)).await.map_err(|_| Unavailable::Stopped)?;
        answered.await.map_err(|_| Unavailable::Stopped)
    }

    /// Waits until the loop turns, and says how it stands then; nothing when it does not turn within that time.
    pub(crate) async fn turn(&self, within: Duration) -> Option<Turn> {
        let turning = async {
            let (answer, answered) = oneshot::channel();
            self.errands.send(Errand::Turn(answer)).await.ok()?;
            answered.await.ok()
        };
        time::timeout(within, turning).await.ok().flatten()
    }

    /// Puts another fleet in force and waits until that is durable.
    pub(crate) async fn install_fleet(&self, fleet: Arc<Fleet>) -> Result<Result<(), Refusal>, Unavailable> {
        let (answer, answered) = oneshot::channel();
        let sent = self.errands.send(Errand::Fleet { fleet, answer }).await;
        sent.map_err(|_| Unavailable::Stopped)?;
        answered.await.map_err(|_| Unavailable::Stopped)
    }

    /// How full the queues of the loop are.
    pub(crate) fn queues(&self) -> Vec<Queue> {
        let queue = |name, limit: usize, free: usize| Queue { name, depth: limit - free, limit };
        vec![
            queue("commands", self.commands.max_capacity(), self.commands.capacity()),
            queue("errands", self.errands.max_capacity(), self.errands.capacity()),
        ]
    }

    /// The newest durable state.
    pub(crate) fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.borrow())
    }

    /// What becomes durable from here on. Subscribe first and read [`Self::state`] then, and nothing is missed.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Published> {
        self.entries.subscribe()
    }

    /// What became durable after `since`, up to `newest`.
    ///
    /// # Errors
    /// The first sequence that can be told from, when that much is not kept or `since` is yet to come.
    pub(crate) fn published_since(&self, since: u64, newest: u64) -> Result<Vec<Published>, u64> {
        let recent = self.recent.lock();
        let oldest = recent.front().map_or(newest, |published| published.entry.sequence - 1);
        if since > newest || since < oldest {
            return Err(oldest);
        }
        let missed = |published: &&Published| (since + 1..=newest).contains(&published.entry.sequence);
        Ok(recent.iter().filter(missed).cloned().collect())
    }
}

impl Recent {
    pub(super) fn push(&self, published: Published) {
        let mut recent = self.lock();
        if recent.len() == ENTRIES_BEHIND_AT_MOST {
            recent.pop_front();
        }
        recent.push_back(published);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Published>> {
        // A queue is whole between its calls.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
