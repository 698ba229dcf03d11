//! One server process: the real control loop with what its shell keeps beside it. Takes inputs in the order of the real
//! shell (`server::control`): whatever has come goes into one batch, then a flush. Carrying outputs out is the
//! simulation's, which knows the rest of the world.

use crate::agenda::Moment;
use crate::disk::Kept;
use crate::request::RequestNumber;
use ensemble_model::command::Command;
use ensemble_model::fleet::Fleet;
use ensemble_model::id::EngineName;
use ensemble_model::log::Fault;
use ensemble_model::log::recovery::{recover, resume_log_time};
use ensemble_model::observation::{Observation, Reach};
use ensemble_model::refusal::Refusal;
use ensemble_model::state::State;
use ensemble_model::step::{ControlLoop, Input, Output, Settings};
use ensemble_model::time::{LogTime, Now, WallTime};
use ensemble_model::wanted::{Epoch, Wanted};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Inputs taken into one batch, as the real shell does.
const BATCH_AT_MOST: usize = 256;

/// Which of all processes that ever were.
pub(crate) type Incarnation = u64;

pub(crate) struct Server {
    pub(crate) core: ControlLoop,
    pub(crate) epoch: Epoch,
    started: Moment,
    log_at_start: LogTime,
    queue: VecDeque<Arrival>,
    /// Who waits for which ticket.
    pub(crate) waiting: BTreeMap<u64, RequestNumber>,
    next_ticket: u64,
    /// Sequence of the append under way.
    pub(crate) appending: Option<u64>,
    /// Stopped by a signal until then: everything that should happen to it waits.
    pub(crate) asleep_until: Option<Moment>,
    /// For each engine: what waits to be delivered, and whether a delivery is under way.
    pub(crate) couriers: Vec<Courier>,
    /// A turn is on the agenda.
    pub(crate) is_called: bool,
    /// Sequence of the last entry that it published.
    pub(crate) published: u64,
    pub(crate) planned_wake: Option<Moment>,
    /// Nothing is decided that is not durable.
    pub(crate) is_settled: bool,
    /// Engines that reported everything of theirs, and when the last did so for the first time.
    pub(crate) heard: BTreeSet<EngineName>,
    pub(crate) heard_last: Option<Moment>,
}

#[derive(Default)]
pub(crate) struct Courier {
    pub(crate) waiting: VecDeque<Wanted>,
    pub(crate) is_under_way: bool,
    pub(crate) failures: u32,
}

pub(crate) enum Arrival {
    Command(RequestNumber, Box<Command>),
    Fleet(Arc<Fleet>),
    Observation(Observation),
}

/// Why a process does not come up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartFault {
    #[error("the log is not what it should be: {0}")]
    Log(Fault),
    #[error("the log ends before its high-water mark")]
    Truncated,
    #[error("the fleet cannot be put in force: {0}")]
    Fleet(Refusal),
}

impl Server {
    /// Starts as the real server does: read, verify, hold against the mark, put the fleet in force.
    pub(crate) fn start(
        kept: &Kept<'_>,
        epoch: Epoch,
        fleet: &Arc<Fleet>,
        (now, wall): (Moment, WallTime),
        snapshot_every: u64,
        hosts: usize,
    ) -> Result<(Self, Vec<Output>), StartFault> {
        let recovered = recover(kept.snapshot, &kept.records).map_err(StartFault::Log)?;
        if recovered.state.sequence() < kept.mark {
            return Err(StartFault::Truncated);
        }
        let log_at_start = resume_log_time(recovered.state.last(), wall);
        let first = Now { log: log_at_start, wall };
        let settings = Settings { snapshot_every, ..Settings::new(epoch) };
        let mut core = ControlLoop::new(recovered, settings, first);
        let outputs = core.start(first, fleet).map_err(StartFault::Fleet)?;
        let server = Self {
            core,
            epoch,
            started: now,
            log_at_start,
            queue: VecDeque::new(),
            waiting: BTreeMap::new(),
            next_ticket: 0,
            appending: None,
            asleep_until: None,
            couriers: (0..hosts).map(|_| Courier::default()).collect(),
            is_called: false,
            published: 0,
            planned_wake: None,
            is_settled: false,
            heard: BTreeSet::new(),
            heard_last: None,
        };
        Ok((server, outputs))
    }

    pub(crate) fn state(&self) -> &Arc<State> {
        self.core.state()
    }

    /// The times as the real clock shell makes them.
    pub(crate) fn times(&self, now: Moment, wall: WallTime) -> Now {
        Now { log: LogTime(self.log_at_start.0 + now.since(self.started)), wall }
    }

    pub(crate) fn up_for_ms(&self, now: Moment) -> i64 {
        now.since(self.started)
    }

    /// When its next tick is due in true time.
    pub(crate) fn next_wake(&self) -> Option<Moment> {
        self.core.next_wake().map(|at| self.started.plus_ms(at.since(self.log_at_start)))
    }

    pub(crate) fn take(&mut self, arrival: Arrival) {
        self.queue.push_back(arrival);
    }

    pub(crate) fn has_arrivals(&self) -> bool {
        !self.queue.is_empty()
    }

    /// The next input of this batch, with the request that it is; at most so many, so that a flood cannot put an answer off for ever.
    pub(crate) fn next_input(&mut self, taken: usize, now: Moment) -> Option<(Input, Option<RequestNumber>)> {
        if taken >= BATCH_AT_MOST
            || (self.core.is_full() && matches!(self.queue.front(), Some(Arrival::Observation(_))))
        {
            return None;
        }
        let arrival = self.queue.pop_front()?;
        Some(match arrival {
            Arrival::Command(number, command) => {
                let ticket = self.ticket();
                self.waiting.insert(ticket, number);
                (Input::Command { ticket, command }, Some(number))
            }
            Arrival::Fleet(fleet) => (Input::Fleet { ticket: self.ticket(), fleet }, None),
            Arrival::Observation(observation) => {
                self.hear(&observation, now);
                (Input::Observed(observation), None)
            }
        })
    }

    /// Takes note of who has said how everything of theirs is.
    fn hear(&mut self, observation: &Observation, now: Moment) {
        let is_whole = match observation.reach {
            Reach::Whole | Reach::Unreachable(_) => observation.epoch == self.epoch,
            Reach::Listed => false,
        };
        if is_whole && self.heard.insert(observation.engine.clone()) {
            self.heard_last = Some(now);
        }
    }

    fn ticket(&mut self) -> u64 {
        self.next_ticket += 1;
        self.next_ticket
    }

    /// Everybody who will not be answered by it any more.
    pub(crate) fn orphaned(&mut self) -> Vec<RequestNumber> {
        let queued = self.queue.drain(..).filter_map(|arrival| match arrival {
            Arrival::Command(number, _) => Some(number),
            Arrival::Fleet(_) | Arrival::Observation(_) => None,
        });
        let queued: Vec<RequestNumber> = queued.collect();
        std::mem::take(&mut self.waiting).into_values().chain(queued).collect()
    }
}
