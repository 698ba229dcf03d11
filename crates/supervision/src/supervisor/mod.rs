//! The engine's loop as a value: takes wishes, learns what ended, decides with `reconcile`, says which actions begin and
//! what is told. Looks at the machine through the kernel seam; everything else that happens is for whoever drives it,
//! one input after the other. Holds no rule of its own about what should happen.

pub mod keep;
mod learn;
pub mod memory;
pub mod start;
pub mod steps;

use crate::host::Host;
use crate::kernel::{Groups, Kernel, ProcessIdentity};
use crate::layout::ContainerKey;
use crate::network::{self, FoundPod};
use crate::probing::{self, Probed, Readiness};
use crate::reconcile::state::{Action, Knowledge, Subject};
use crate::reconcile::{Decision, reconcile};
use crate::record::{self, InstanceRecord};
use crate::scan;
use ensemble_model::id::{Digest, EngineName};
use ensemble_model::observation::{InstanceObservation, Observation, Reach};
use ensemble_model::wanted::{Epoch, Wanted};
use memory::{Memory, earlier};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;
use steps::Error;

/// Everything is to be looked at again this often, as long as nothing is under way: somebody else may have touched it.
pub const LOOK_AROUND: Duration = Duration::from_secs(60);

/// When whoever takes observations is slow, or a supervisor is not yet told.
pub const SOON: Duration = Duration::from_millis(50);

/// Everything else may be under way so many times over: it waits for the disk and for the network's one thread, which
/// makes many changes in the time of one.
const STEPS_TO_A_START: usize = 8;

/// Images resolved or fetched at once. A slow registry must hold up neither starts nor stops, so these have a bound of
/// their own.
const FETCHES_AT_ONCE: usize = 16;

/// The longest sleep; shorter where something is due.
const IDLE: Duration = Duration::from_secs(3_600);

/// What the loop is told.
#[derive(Debug)]
pub enum Input {
    /// What should be, from the control loop. Under an older epoch than the last it says nothing.
    Wanted(Wanted),
    /// A supervisor that was to be watched has ended, or could not be watched.
    SupervisorEnded(ContainerKey),
    /// An image is not in the store and is being fetched.
    Pulling(Digest),
    /// An action that was begun has ended.
    Finished { action: Action, outcome: Result<Learnt, Error> },
    /// An action that was begun came to no end. Its subject stays busy for good rather than being tried for ever.
    Broke(Action),
    /// What this attempt of a container is held to be, by its probe.
    Probed { container: ContainerKey, attempt: u32, readiness: Readiness },
    /// What was asked for every [`LOOK_AROUND`] while [`Supervisor::is_at_rest`]: what there is of networks.
    LookedAround(Result<Vec<FoundPod>, network::Error>),
}

/// What an action learnt beside that it worked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Learnt {
    Nothing,
    Attached { address: IpAddr, exposed_at: Option<IpAddr> },
    Resolved(Digest),
}

/// What is to happen now, in this order.
#[derive(Debug)]
pub struct Round {
    pub begin: Vec<Begin>,
    /// Actions on images that nobody waits for any more; their end need not be told.
    pub cut: Vec<Subject>,
    /// Supervisors whose end is to be told.
    pub watch: Vec<(ContainerKey, ProcessIdentity)>,
    /// To be offered to whoever takes observations; if it is taken, [`Supervisor::told`] is to be called at once. If
    /// not, it is offered anew in the next round, which then should come within [`SOON`].
    pub tell: Option<Observation>,
    /// When the next round is due if nothing is told before.
    pub sleep: Duration,
}

/// An action that begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begin {
    pub action: Action,
    /// The instance's, where the action needs it.
    pub record: Option<InstanceRecord>,
}

/// One engine's loop.
#[derive(Debug)]
pub struct Supervisor {
    name: EngineName,
    epoch: Epoch,
    /// Of the last report.
    number: u64,
    /// Containers that may start at once: that is the kernel's work, and more of it at once is not quicker.
    at_once: usize,
    /// How many start.
    starts: usize,
    /// How many other actions are under way.
    steps: usize,
    /// What is under way for images: beside the bound on other actions, and cut short when nobody waits any more.
    fetches: BTreeSet<Subject>,
    watched: BTreeSet<ContainerKey>,
    memory: Memory,
}

impl Supervisor {
    /// `memory` has looked at the machine.
    pub fn new(name: EngineName, epoch: Epoch, at_once: usize, memory: Memory) -> Self {
        Self {
            name,
            epoch,
            number: 0,
            at_once,
            starts: 0,
            steps: 0,
            fetches: BTreeSet::new(),
            watched: BTreeSet::new(),
            memory,
        }
    }

    /// Nothing is under way but what concerns images: then a look around meets nothing half done.
    pub fn is_at_rest(&self) -> bool {
        self.starts == 0 && self.steps == 0
    }

    /// Containers whose supervisor holds its lock, as far as was looked.
    pub fn held(&self) -> &BTreeSet<ContainerKey> {
        &self.memory.facts.held
    }

    /// What is to be asked whether it is ready, until this says otherwise; to be looked at after each round. What was held
    /// of others is forgotten.
    pub fn probed(&mut self) -> Vec<Probed> {
        let Memory { records, facts, .. } = &mut self.memory;
        let probed = probing::probed(records, facts);
        if !facts.readiness.is_empty() {
            let held = &facts.held;
            facts.readiness.retain(|key, _| held.contains(key));
        }
        probed
    }

    /// Takes one input in. Several may be taken before the next round, so that a burst is decided on once.
    pub fn take<K: Kernel, G: Groups>(&mut self, host: Host<'_, K, G>, input: Input) {
        match input {
            Input::Wanted(wanted) => self.take_wanted(wanted),
            Input::SupervisorEnded(key) => self.ended(host, &key),
            Input::Pulling(pin) => self.pulling(pin),
            Input::Finished { action, outcome } => self.finished(host, &action, outcome),
            Input::Broke(action) => self.is_over(&action),
            Input::Probed { container, attempt, readiness } => {
                self.answered(container, attempt, readiness);
            }
            Input::LookedAround(found) => self.look_around(host, found),
        }
    }

    /// Decides, and says what is to happen.
    pub fn decide<K: Kernel, G: Groups>(&mut self, host: Host<'_, K, G>) -> Round {
        let now = host.kernel.clocks();
        let all_are_started = self.look_at_adopted(host);
        let Memory { wishes, records, facts, .. } = &self.memory;
        let Decision { actions, wake_at_boot_ms, images } = reconcile(wishes, records, facts, now);
        let begin = actions.into_iter().filter_map(|action| self.begin(action)).collect();
        let cut = self.forget_images_but(&images);
        let (watch, all_are_watched) = self.follow(host);
        let (news, wake_for_ready) = self.memory.news(now);
        let tell = self.observation(news);
        let due = earlier(wake_at_boot_ms, wake_for_ready);
        let sleep = due.map_or(IDLE, |due| Duration::from_millis(due.saturating_sub(now.boot_ms).max(1)));
        let sleep = if all_are_started && all_are_watched { sleep } else { sleep.min(SOON) };
        Round { begin, cut, watch, tell, sleep }
    }

    /// The observation of the last round was taken.
    pub fn told(&mut self, observation: Observation) {
        self.memory.note_told(observation);
    }

    /// A supervisor that an engine before us started, and that was adopted in the middle of it, tells nobody when its
    /// program runs: it is looked at until it does. Says whether there is none.
    fn look_at_adopted<K: Kernel, G: Groups>(&mut self, host: Host<'_, K, G>) -> bool {
        let Memory { records, facts, .. } = &mut self.memory;
        let is_starting = |key: &&ContainerKey| {
            let running = records.containers.get(*key).and_then(|records| records.running_attempt());
            running.is_none() && !facts.busy.contains(&Subject::Container((*key).clone()))
        };
        let starting: Vec<ContainerKey> = facts.held.iter().filter(is_starting).cloned().collect();
        for key in &starting {
            if let Err(error) = scan::one_container(host, key, records, facts) {
                tracing::warn!("could not look at a container that starts: {error}");
            }
        }
        starting.is_empty()
    }

    /// `None` when as much as may be is under way: the end of one of those wakes the loop.
    fn begin(&mut self, action: Action) -> Option<Begin> {
        let subject = action.subject();
        if subject.is_image() {
            if self.fetches.len() >= FETCHES_AT_ONCE {
                return None;
            }
            self.fetches.insert(subject.clone());
        } else {
            let (under_way, most) = match &action {
                Action::Start { .. } => (&mut self.starts, self.at_once),
                _ => (&mut self.steps, STEPS_TO_A_START * self.at_once),
            };
            if *under_way >= most {
                return None;
            }
            *under_way += 1;
        }
        self.memory.facts.busy.insert(subject);
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
        Some(Begin { action, record })
    }

    /// Its place is free.
    fn is_over(&mut self, action: &Action) {
        let subject = action.subject();
        if subject.is_image() {
            self.fetches.remove(&subject);
        } else if matches!(action, Action::Start { .. }) {
            self.starts -= 1;
        } else {
            self.steps -= 1;
        }
    }

    /// An image that nobody waits for is not fetched any further, and what went wrong with it is of no interest.
    fn forget_images_but(&mut self, waited_for: &BTreeSet<Subject>) -> Vec<Subject> {
        let facts = &mut self.memory.facts;
        let cut: Vec<Subject> = self.fetches.difference(waited_for).cloned().collect();
        for subject in &cut {
            self.fetches.remove(subject);
            facts.busy.remove(subject);
            if let Subject::Image(pin) = subject {
                facts.pulling.remove(pin);
            }
        }
        facts.failures.retain(|subject, _| !subject.is_image() || waited_for.contains(subject));
        facts.resolved.retain(|of, _| waited_for.contains(&Subject::Resolution(of.clone())));
        cut
    }

    /// Every supervisor that holds a lock and is not watched yet. Says whether all of them are now: one may hold the
    /// lock and not have written yet who it is.
    fn follow<K: Kernel, G: Groups>(
        &mut self,
        host: Host<'_, K, G>,
    ) -> (Vec<(ContainerKey, ProcessIdentity)>, bool) {
        let mut watch = Vec::new();
        let mut all = true;
        for key in self.memory.facts.held.difference(&self.watched) {
            match record::read::<ProcessIdentity>(host.kernel, &host.layout.container(key).lock()) {
                Ok(Some(identity)) => watch.push((key.clone(), identity)),
                Ok(None) | Err(_) => all = false,
            }
        }
        self.watched.extend(watch.iter().map(|(key, _)| key.clone()));
        (watch, all)
    }

    /// All news; `None` when there are none.
    fn observation(&mut self, news: Vec<InstanceObservation>) -> Option<Observation> {
        let memory = &self.memory;
        let whole = !memory.has_told_whole && memory.wishes.knowledge() == Knowledge::All;
        if news.is_empty() && !whole && memory.untold.is_empty() {
            return None;
        }
        self.number += 1;
        Some(Observation {
            engine: self.name.clone(),
            epoch: self.epoch,
            number: self.number,
            reach: if whole { Reach::Whole } else { Reach::Listed },
            instances: news,
            resolved: memory.untold.clone(),
        })
    }
}

#[cfg(test)]
mod tests;
