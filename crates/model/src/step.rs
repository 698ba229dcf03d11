//! The control loop as a function: an input in, outputs out, no I/O. It decides on a speculative state, writes
//! what was decided in batches with one append in flight, and lets nothing leave before it is durable: no answer,
//! no published state, no word to an engine. A failed append ends everything; nothing is retried.
//! The shell around it (`server::control`) carries outputs out, in their order.

mod settings;

use crate::command::{Accepted, Command};
use crate::decide::{self, Attendance, Draft, Freshness, next_due};
use crate::event::Entry;
use crate::fleet::Fleet;
use crate::id::EngineName;
use crate::log::format::{self, Chain};
use crate::log::recovery::Recovered;
use crate::log::snapshot::Snapshot;
use crate::observation::Observation;
use crate::refusal::Refusal;
use crate::state::State;
use crate::time::{LogTime, Now};
use crate::wanted::{CellKey, Wanted};
use std::collections::BTreeSet;
use std::sync::Arc;

pub use settings::{Mode, Settings};

#[derive(Clone, Debug)]
pub enum Input {
    /// `ticket` comes back with the answer.
    Command {
        ticket: u64,
        command: Box<Command>,
    },
    /// Puts another fleet in force while everything runs; `ticket` comes back with the answer.
    Fleet {
        ticket: u64,
        fleet: Arc<Fleet>,
    },
    Observed(Observation),
    /// [`ControlLoop::next_wake`] has come.
    Tick,
    /// The queue is drained: append what is pending.
    Flush,
    /// What was restored is to be acted on: from here on the loop decides. Nothing new to a loop that does.
    Confirm,
    /// The append of `sequence` is durable.
    Appended {
        sequence: u64,
    },
    /// It is not, or nobody knows: the store was fenced, the disk failed.
    AppendFailed {
        reason: String,
    },
}

#[derive(Clone, Debug)]
pub enum Output {
    /// Make `record` durable; then say [`Input::Appended`]. Never two at a time.
    Append {
        sequence: u64,
        record: Vec<u8>,
    },
    Answer {
        ticket: u64,
        answer: Result<Accepted, Refusal>,
    },
    /// The fleet is in force and durable, or stays as it was.
    FleetAnswer {
        ticket: u64,
        answer: Result<(), Refusal>,
    },
    Converge {
        engine: EngineName,
        wanted: Wanted,
    },
    /// What readers see from now on, and what changed.
    Publish {
        state: Arc<State>,
        entry: Arc<Entry>,
    },
    /// Encode it away from the loop, and put it in the store.
    PutSnapshot {
        sequence: u64,
        snapshot: Box<Snapshot>,
    },
    /// Nothing is answered or appended any more; the process is to end.
    Halt {
        reason: String,
    },
}

#[derive(Debug)]
pub struct ControlLoop {
    settings: Settings,
    attendance: Attendance,
    freshness: Freshness,
    /// What is durable: nothing else is shown to anybody.
    durable: Arc<State>,
    /// Of the last record handed out.
    chain: Chain,
    /// Everything decided, on top of what is in flight.
    draft: Draft,
    /// Answers decided on the draft.
    answers: Vec<Answer>,
    in_flight: Option<InFlight>,
    since_snapshot: u64,
    /// Engines have still to be told everything.
    unannounced: bool,
    /// The draft holds another fleet.
    refits: bool,
    halted: bool,
}

/// An answer that waits for what it stands on to be durable.
#[derive(Debug)]
enum Answer {
    Command(u64, Result<Accepted, Refusal>),
    Fleet(u64, Result<(), Refusal>),
}

impl From<Answer> for Output {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Command(ticket, answer) => Self::Answer { ticket, answer },
            Answer::Fleet(ticket, answer) => Self::FleetAnswer { ticket, answer },
        }
    }
}

/// A batch whose append is under way.
#[derive(Debug)]
struct InFlight {
    entry: Arc<Entry>,
    /// The state after it.
    state: Arc<State>,
    chain: Chain,
    answers: Vec<Answer>,
    dirty: BTreeSet<CellKey>,
    /// Another fleet: engines are told everything anew.
    refits: bool,
}

impl ControlLoop {
    /// A loop that goes on from what was recovered. `now.log` continues the log's time
    /// ([`resume_log_time`](crate::log::recovery::resume_log_time)).
    pub fn new(recovered: Recovered, settings: Settings, now: Now) -> Self {
        let Recovered { state, chain, replayed } = recovered;
        Self {
            settings,
            attendance: Attendance::new(now.log),
            freshness: Freshness::default(),
            draft: Draft::on(&state, now),
            durable: Arc::new(state),
            chain,
            answers: Vec::new(),
            in_flight: None,
            since_snapshot: replayed,
            unannounced: true,
            refits: false,
            halted: false,
        }
    }

    /// Puts `fleet` in force, when it is another one than the log says, and tells each engine everything it should
    /// hold, as soon as that is durable. To be called once, before any input.
    ///
    /// # Errors
    /// [`Refusal::NodesInUse`] when the fleet lacks nodes that carry instances; the loop must not be used then.
    pub fn start(&mut self, now: Now, fleet: &Arc<Fleet>) -> Result<Vec<Output>, Refusal> {
        self.begin(now);
        decide::fleet::install(&mut self.draft, fleet)?;
        if self.settings.mode == Mode::Observing {
            decide::tick::lose_sight(&mut self.draft);
        }
        let mut outputs = Vec::new();
        if self.draft.events().is_empty() {
            self.converge(&BTreeSet::new(), &mut outputs);
        } else {
            self.flush(&mut outputs);
        }
        Ok(outputs)
    }

    /// What is durable.
    pub fn state(&self) -> &Arc<State> {
        &self.durable
    }

    /// The log time at which [`Input::Tick`] is due. None while an append is in flight with more to follow: that is
    /// looked at again when it is durable.
    pub fn next_wake(&self) -> Option<LogTime> {
        if self.halted || self.settings.mode == Mode::Observing {
            return None;
        }
        if self.in_flight.is_some() && !self.draft.events().is_empty() {
            return None;
        }
        next_due(&self.draft.state, &self.attendance)
    }

    /// Whether the shell should leave observations in their queue until something is durable.
    pub fn is_full(&self) -> bool {
        self.draft.events().len() >= self.settings.batch_events && self.in_flight.is_some()
    }

    pub fn is_halted(&self) -> bool {
        self.halted
    }

    /// Takes one input in; the outputs are to be carried out in their order.
    pub fn step(&mut self, now: Now, input: Input) -> Vec<Output> {
        let mut outputs = Vec::new();
        if self.halted {
            return outputs;
        }
        match input {
            Input::Command { ticket, command } => self.command(now, ticket, &command, &mut outputs),
            Input::Fleet { ticket, fleet } => {
                self.begin(now);
                let events_before = self.draft.events().len();
                let answer = decide::fleet::replace(&mut self.draft, &fleet);
                self.refits |= self.draft.events().len() > events_before;
                self.answer(Answer::Fleet(ticket, answer), &mut outputs);
            }
            // Made for a leader before this one, or for one that is about to fence it.
            Input::Observed(observation) if observation.epoch != self.settings.epoch => {}
            Input::Observed(observation) => self.observed(now, observation),
            Input::Tick => self.begin(now),
            Input::Flush => self.flush(&mut outputs),
            Input::Confirm => self.confirm(now, &mut outputs),
            Input::Appended { sequence } => self.appended(now, sequence, &mut outputs),
            Input::AppendFailed { reason } => self.halt(reason, &mut outputs),
        }
        if self.draft.events().len() >= self.settings.batch_events {
            self.flush(&mut outputs);
        }
        outputs
    }

    fn observed(&mut self, now: Now, observation: Observation) {
        // Before what is due: a deadline may have waited for just this report.
        self.set_time(now);
        self.attendance.report(&observation);
        let news = self.freshness.sift(&self.draft.state, observation);
        decide::observe::on(&mut self.draft, news);
    }

    fn command(&mut self, now: Now, ticket: u64, command: &Command, outputs: &mut Vec<Output>) {
        if self.settings.mode == Mode::Observing {
            outputs.push(Output::Answer { ticket, answer: Err(Refusal::RestoreUnconfirmed) });
            return;
        }
        let waiting = self.answers.len() + self.in_flight.as_ref().map_or(0, |batch| batch.answers.len());
        if waiting >= self.settings.waiting_answers {
            // Refused for what is waiting, not for what was decided: nothing has to be durable first.
            outputs.push(Output::Answer { ticket, answer: Err(Refusal::Overloaded) });
            return;
        }
        self.begin(now);
        let answer = decide::on(&mut self.draft, command);
        self.answer(Answer::Command(ticket, answer), outputs);
    }

    /// Keeps an answer until everything is durable that was decided before it.
    fn answer(&mut self, answer: Answer, outputs: &mut Vec<Output>) {
        match &mut self.in_flight {
            None if self.draft.events().is_empty() => outputs.push(answer.into()),
            Some(batch) if self.draft.events().is_empty() => batch.answers.push(answer),
            None | Some(_) => self.answers.push(answer),
        }
    }

    /// Ends observing: engines are told everything, and deadlines wait for their report as after a start.
    fn confirm(&mut self, now: Now, outputs: &mut Vec<Output>) {
        if std::mem::replace(&mut self.settings.mode, Mode::Deciding) == Mode::Deciding {
            return;
        }
        self.set_time(now);
        self.attendance = Attendance::new(self.draft.now.log);
        self.converge(&BTreeSet::new(), outputs);
    }

    /// Begins a batch, unless one is under way, and lets what is due happen first.
    fn begin(&mut self, now: Now) {
        if !self.draft.events().is_empty() {
            return;
        }
        self.set_time(now);
        if self.settings.mode == Mode::Observing {
            return;
        }
        let log = self.draft.now.log;
        if next_due(&self.draft.state, &self.attendance).is_some_and(|due| due <= log) {
            decide::tick::on(&mut self.draft, &self.attendance);
            self.attendance.close_after(log);
        }
    }

    /// A batch under way keeps its time: all its events happen at once.
    fn set_time(&mut self, now: Now) {
        if self.draft.events().is_empty() {
            let log = now.log.max(self.draft.now.log);
            self.draft.now = Now { log, wall: now.wall };
        }
    }

    fn flush(&mut self, outputs: &mut Vec<Output>) {
        if self.in_flight.is_some() || self.draft.events().is_empty() {
            return;
        }
        if self.settings.mode == Mode::Deciding {
            // Whatever was decided may have made room, or an application idle.
            decide::drain::pursue(&mut self.draft);
        }
        let (events, dirty) = self.draft.take();
        let sequence = self.draft.state.sequence() + 1;
        let entry = Arc::new(Entry { sequence, now: self.draft.now, epoch: self.settings.epoch, events });
        self.draft.state.seal(&entry);
        let (record, chain) = format::encode(&entry, &self.chain);
        self.chain = chain;
        let (state, answers) = (Arc::new(self.draft.state.clone()), std::mem::take(&mut self.answers));
        let refits = std::mem::take(&mut self.refits);
        self.in_flight = Some(InFlight { entry, state, chain, answers, dirty, refits });
        outputs.push(Output::Append { sequence, record });
    }

    fn appended(&mut self, now: Now, sequence: u64, outputs: &mut Vec<Output>) {
        let expected = self.in_flight.take_if(|batch| batch.entry.sequence == sequence);
        let Some(InFlight { entry, state, chain, answers, dirty, refits }) = expected else {
            self.halt(
                format!("sequence {sequence} is said to be appended, which was not under way"),
                outputs,
            );
            return;
        };
        self.durable = state;
        outputs.push(Output::Publish { state: self.durable.clone(), entry });
        outputs.extend(answers.into_iter().map(Output::from));
        self.unannounced |= refits;
        self.converge(&dirty, outputs);
        self.since_snapshot += 1;
        if self.since_snapshot >= self.settings.snapshot_every {
            self.since_snapshot = 0;
            let snapshot = Box::new(Snapshot { state: self.durable.clone(), chain });
            outputs.push(Output::PutSnapshot { sequence, snapshot });
        }
        self.begin(now);
        self.flush(outputs);
    }

    /// Tells engines what is durable: everything, the first time, then the cells that changed.
    fn converge(&mut self, dirty: &BTreeSet<CellKey>, outputs: &mut Vec<Output>) {
        if self.settings.mode == Mode::Observing {
            return;
        }
        let epoch = self.settings.epoch;
        if std::mem::take(&mut self.unannounced) {
            let engines: Vec<EngineName> = self.durable.fleet().engines.keys().cloned().collect();
            for engine in engines {
                let wanted = self.durable.wanted_for(&engine, epoch);
                outputs.push(Output::Converge { engine, wanted });
            }
            return;
        }
        for (engine, wanted) in self.durable.wanted_in(dirty, epoch) {
            outputs.push(Output::Converge { engine, wanted });
        }
    }

    fn halt(&mut self, reason: String, outputs: &mut Vec<Output>) {
        self.halted = true;
        outputs.push(Output::Halt { reason });
    }
}
