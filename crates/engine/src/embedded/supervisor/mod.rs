//! The engine's loop: takes wishes, learns what ended, decides with `reconcile`, lets actions run with a bound, tells
//! what changed. One task owns all state; actions run beside it and report back. Holds no rule of its own about what
//! should happen.

mod containers;
mod fetches;
pub(crate) mod machine;
pub(crate) mod program;
pub(crate) mod watch;

use super::kernel::clocks;
use ensemble_model::id::{Digest, EngineName};
use ensemble_model::observation::{InstanceObservation, Observation, Reach, ResolvedImage};
use ensemble_model::wanted::{Epoch, Wanted};
use ensemble_supervision::layout::ContainerKey;
use ensemble_supervision::reconcile::state::{Action, Failure, ImageOf, Knowledge, Subject};
use ensemble_supervision::reconcile::{Decision, reconcile};
use ensemble_supervision::scan;
use ensemble_supervision::supervisor::memory::{Memory, earlier};
use ensemble_supervision::supervisor::steps::Error;
pub(crate) use fetches::Fetches;
use machine::{Learnt, Machine};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use watch::Watches;

/// Everything is looked at again this often, as long as nothing is under way: somebody else may have touched it.
const LOOK_AROUND: Duration = Duration::from_secs(60);

/// Everything else may be under way so many times over: it waits for the disk and for the network's one thread, which
/// makes many changes in the time of one.
const STEPS_TO_A_START: usize = 8;

/// The longest sleep; shorter where something is due.
const IDLE: Duration = Duration::from_secs(3_600);

/// When whoever takes observations is slow, or a supervisor is not yet told.
const SOON: Duration = Duration::from_millis(50);

/// What the loop is told from outside.
pub(crate) enum Message {
    Converge(Wanted),
    /// A supervisor has ended.
    Ended(ContainerKey),
    /// An image is not in the store and is being fetched.
    Pulling(Digest),
    ShutDown(oneshot::Sender<()>),
}

pub(crate) struct Supervisor {
    pub(crate) name: EngineName,
    pub(crate) epoch: Epoch,
    /// Of the last report.
    pub(crate) number: u64,
    pub(crate) machine: Arc<Machine>,
    /// Containers that may start at once: that is the kernel's work, and more of it at once is not quicker.
    pub(crate) at_once: usize,
    /// How many start.
    pub(crate) starts: usize,
    pub(crate) observations: mpsc::Sender<Observation>,
    pub(crate) messages: mpsc::Receiver<Message>,
    /// For what actions say while they are under way.
    pub(crate) own: mpsc::Sender<Message>,
    /// What is under way for images: beside the bound on other actions, and cut short when nobody waits any more.
    pub(crate) fetches: Fetches,
    pub(crate) watches: Watches,
    pub(crate) memory: Memory,
}

/// An action's end.
struct Done {
    action: Action,
    outcome: Result<Learnt, Error>,
}

impl Supervisor {
    /// Runs until it is told to stop or nobody can tell it anything any more.
    pub(crate) async fn run(mut self) {
        let mut under_way: JoinSet<Done> = JoinSet::new();
        let mut look_around = tokio::time::interval(LOOK_AROUND);
        look_around.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        look_around.reset();
        let stopped = loop {
            let sleep = self.step(&mut under_way);
            tokio::select! {
                message = self.messages.recv() => match message {
                    Some(Message::Converge(wanted)) => self.take(wanted),
                    Some(Message::Ended(key)) => self.ended(&key),
                    Some(Message::Pulling(pin)) => self.pulling(pin),
                    Some(Message::ShutDown(stopped)) => break Some(stopped),
                    None => break None,
                },
                Some(done) = under_way.join_next() => self.finished(done),
                _ = look_around.tick() => if under_way.len() == self.fetches.len() { self.look_around().await },
                () = tokio::time::sleep(sleep) => {}
            }
            self.take_what_waits(&mut under_way);
        };
        self.watches.end();
        // What has come of an image is kept, and gone on with.
        self.fetches.end();
        // A step that is cut short is repaired by the next start; but letting it end leaves less to repair.
        let _ = tokio::time::timeout(Duration::from_secs(5), async {
            while under_way.join_next().await.is_some() {}
        })
        .await;
        under_way.abort_all();
        // Whoever asked may have stopped waiting.
        let _ = stopped.map(|stopped| stopped.send(()));
    }

    fn take(&mut self, wanted: Wanted) {
        if wanted.epoch < self.epoch {
            return;
        }
        if wanted.epoch > self.epoch {
            self.memory.forget_what_was_told();
        }
        self.epoch = wanted.epoch;
        self.memory.take(wanted);
    }

    /// Decides, lets actions begin, tells. Returns how long it may sleep if nothing comes.
    fn step(&mut self, under_way: &mut JoinSet<Done>) -> Duration {
        let now = clocks();
        let all_are_started = self.look_at_adopted();
        let Memory { wishes, records, facts, .. } = &self.memory;
        let Decision { actions, wake_at_boot_ms, images } = reconcile(wishes, records, facts, now);
        for action in actions {
            // The end of one of those that fill the place wakes the loop.
            let is_full = if action.subject().is_image() {
                self.fetches.is_full()
            } else if matches!(action, Action::Start { .. }) {
                self.starts >= self.at_once
            } else {
                under_way.len() - self.fetches.len() - self.starts >= STEPS_TO_A_START * self.at_once
            };
            if !is_full {
                self.begin(action, under_way);
            }
        }
        self.forget_images_but(&images);
        let all_are_watched = self.watches.follow(&self.memory.facts.held, &self.machine.layout);
        let (news, wake_for_ready) = self.memory.news(now);
        let all_is_told = self.tell(news);
        let due = earlier(wake_at_boot_ms, wake_for_ready);
        let sleep = due.map_or(IDLE, |due| Duration::from_millis(due.saturating_sub(now.boot_ms).max(1)));
        if all_are_started && all_are_watched && all_is_told { sleep } else { sleep.min(SOON) }
    }

    /// A supervisor that an engine before us started, and that was adopted in the middle of it, tells nobody when its
    /// program runs: it is looked at until it does. Says whether there is none.
    fn look_at_adopted(&mut self) -> bool {
        let Memory { records, facts, .. } = &mut self.memory;
        let is_starting = |key: &&ContainerKey| {
            let running = records.containers.get(*key).and_then(|records| records.running_attempt());
            running.is_none() && !facts.busy.contains(&Subject::Container((*key).clone()))
        };
        let starting: Vec<ContainerKey> = facts.held.iter().filter(is_starting).cloned().collect();
        for key in &starting {
            if let Err(error) = scan::one_container(self.machine.host(), key, records, facts) {
                tracing::warn!("could not look at a container that starts: {error}");
            }
        }
        starting.is_empty()
    }

    fn begin(&mut self, action: Action, under_way: &mut JoinSet<Done>) {
        let facts = &mut self.memory.facts;
        facts.busy.insert(action.subject());
        self.starts += usize::from(matches!(action, Action::Start { .. }));
        let instance = match &action {
            Action::Start { container, .. } => Some(&container.pod.instance),
            Action::Prepare(_)
            | Action::Attach { .. }
            | Action::Collect { .. }
            | Action::Stop(_)
            | Action::Kill(_)
            | Action::Detach(_)
            | Action::Retire(_)
            | Action::Sweep(_)
            | Action::Resolve(_)
            | Action::Fetch { .. } => None,
        };
        let record = instance.and_then(|id| self.memory.records.instances.get(id)).cloned();
        let (machine, own, subject) = (Arc::clone(&self.machine), self.own.clone(), action.subject());
        let pulled = match &action {
            Action::Fetch { pin, .. } => Some(pin.clone()),
            _ => None,
        };
        let pulls = move || {
            // When the queue is full it is only not shown that it is pulled.
            let _ = pulled.map(|pin| own.try_send(Message::Pulling(pin)));
        };
        let begun = under_way.spawn(async move {
            let outcome = machine.act(action.clone(), record, pulls).await;
            Done { action, outcome }
        });
        if subject.is_image() {
            self.fetches.add(subject, begun);
        }
    }

    fn pulling(&mut self, pin: Digest) {
        let facts = &mut self.memory.facts;
        if facts.busy.contains(&Subject::Image(pin.clone())) {
            facts.pulling.insert(pin);
        }
    }

    /// An image that nobody waits for is not fetched any further, and what went wrong with it is of no interest.
    fn forget_images_but(&mut self, waited_for: &BTreeSet<Subject>) {
        let facts = &mut self.memory.facts;
        for subject in self.fetches.cut_but(waited_for) {
            facts.busy.remove(&subject);
            if let Subject::Image(pin) = &subject {
                facts.pulling.remove(pin);
            }
        }
        facts.failures.retain(|subject, _| !subject.is_image() || waited_for.contains(subject));
        facts.resolved.retain(|of, _| waited_for.contains(&Subject::Resolution(of.clone())));
    }

    /// Whatever is ready now is taken before the next decision, so that a burst is decided on once.
    fn take_what_waits(&mut self, under_way: &mut JoinSet<Done>) {
        while let Some(done) = under_way.try_join_next() {
            self.finished(done);
        }
    }

    fn finished(&mut self, done: Result<Done, tokio::task::JoinError>) {
        match done {
            Ok(Done { action, outcome }) => self.account(&action, outcome),
            // Cut short: nobody waits for it.
            Err(error) if error.is_cancelled() => {}
            Err(error) => {
                // Actions answer errors; one that panicked is a fault of ours. Its subject stays busy for good
                // rather than being tried for ever.
                tracing::error!(%error, "a step of the engine broke: {error}");
            }
        }
    }

    fn account(&mut self, action: &Action, outcome: Result<Learnt, Error>) {
        let subject = action.subject();
        self.memory.facts.busy.remove(&subject);
        self.starts -= usize::from(matches!(action, Action::Start { .. }));
        self.fetches.remove(&subject);
        if let Action::Fetch { pin, .. } = action {
            self.memory.facts.pulling.remove(pin);
        }
        match outcome {
            Ok(learnt) => {
                self.memory.facts.failures.remove(&subject);
                self.worked(action, learnt);
            }
            Err(error) => {
                if let Action::Attach { pod, .. } = action {
                    self.memory.facts.remnants.insert(pod.clone());
                }
                if let Error::ImageLost { pin, .. } = &error {
                    self.memory.facts.images.remove(pin);
                }
                let reason = error.sentence();
                tracing::warn!(subject = ?subject, "a step failed: {reason}");
                let streak = self.memory.facts.failures.get(&subject).map_or(0, |failure| failure.streak);
                let failure = Failure {
                    streak: streak.saturating_add(1),
                    at_boot_ms: clocks().boot_ms,
                    reason,
                    prospect: error.prospect(),
                };
                self.memory.facts.failures.insert(subject, failure);
            }
        }
        self.look_at(action);
    }

    fn worked(&mut self, action: &Action, learnt: Learnt) {
        let facts = &mut self.memory.facts;
        match (action, learnt) {
            (Action::Attach { pod, .. }, Learnt::Attached(address)) => {
                facts.remnants.remove(pod);
                facts.networks.insert(pod.clone(), address);
            }
            (Action::Start { container, .. }, Learnt::Spawned(process)) => {
                self.watches.take(container.clone(), process);
            }
            (Action::Detach(pod), _) => {
                facts.remnants.remove(pod);
                facts.networks.remove(pod);
            }
            (Action::Stop(key), _) => {
                facts.asked_to_stop.insert(key.clone(), clocks().boot_ms);
            }
            (Action::Retire(id), _) => facts.failures.retain(|subject, _| !subject.is_of(id)),
            (Action::Sweep(stray), _) => {
                facts.strays.remove(stray);
            }
            (Action::Fetch { pin, .. }, _) => {
                facts.images.insert(pin.clone());
            }
            (Action::Resolve(of), Learnt::Resolved(digest)) => {
                facts.resolved.insert(of.clone(), digest.clone());
                let ImageOf { app, version, image } = of.clone();
                self.memory.untold.push(ResolvedImage { app, version, image, digest });
            }
            (
                Action::Prepare(_)
                | Action::Resolve(_)
                | Action::Attach { .. }
                | Action::Start { .. }
                | Action::Collect { .. }
                | Action::Kill(_),
                _,
            ) => {}
        }
    }

    /// What an action touched is looked at again, whether it worked or not.
    fn look_at(&mut self, action: &Action) {
        let Memory { records, facts, .. } = &mut self.memory;
        let host = self.machine.host();
        let looked = match action {
            Action::Start { container: key, .. }
            | Action::Collect { container: key, .. }
            | Action::Stop(key)
            | Action::Kill(key) => scan::one_container(host, key, records, facts),
            Action::Prepare(record) => scan::one_instance(host, &record.id, records, facts),
            Action::Retire(id) => scan::one_instance(host, id, records, facts),
            Action::Attach { .. }
            | Action::Detach(_)
            | Action::Sweep(_)
            | Action::Resolve(_)
            | Action::Fetch { .. } => Ok(()),
        };
        if let Err(error) = looked {
            // Nothing is concluded from a failed look; the next look around tries again.
            tracing::warn!("could not look at what a step left: {error}");
        }
    }

    fn ended(&mut self, key: &ContainerKey) {
        self.watches.forget(key);
        if self.memory.facts.busy.contains(&Subject::Container(key.clone())) {
            // The action that is under way looks when it is done.
            return;
        }
        let Memory { records, facts, .. } = &mut self.memory;
        if !records.instances.contains_key(&key.pod.instance) {
            return;
        }
        if let Err(error) = scan::one_container(self.machine.host(), key, records, facts) {
            tracing::warn!("could not look at a container that ended: {error}");
        }
    }

    async fn look_around(&mut self) {
        let looked = match self.machine.network.found().await {
            Ok(found) => {
                self.memory.look_again(self.machine.host(), found).map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        if let Err(reason) = looked {
            tracing::warn!("could not look around: {reason}");
        }
    }

    /// Says whether all news are out. A queue that is full keeps them for the next step.
    fn tell(&mut self, news: Vec<InstanceObservation>) -> bool {
        let memory = &mut self.memory;
        let whole = !memory.has_told_whole && memory.wishes.knowledge() == Knowledge::All;
        if news.is_empty() && !whole && memory.untold.is_empty() {
            return true;
        }
        self.number += 1;
        let reach = if whole { Reach::Whole } else { Reach::Listed };
        let observation = Observation {
            engine: self.name.clone(),
            epoch: self.epoch,
            number: self.number,
            reach,
            instances: news.clone(),
            resolved: memory.untold.clone(),
        };
        match self.observations.try_send(observation) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => return false,
            // Nobody listens any more: the server is going down.
            Err(mpsc::error::TrySendError::Closed(_)) => return true,
        }
        memory.has_told_whole |= whole;
        memory.note_told(news);
        true
    }
}
