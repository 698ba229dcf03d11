//! Where the simulation holds what happens against the invariants: what becomes durable, what is answered, published and
//! recovered, and what really runs. Changes nothing of the world.

use super::Simulation;
use crate::host::{Host, StaleEpoch};
use crate::invariant::answer::{self, Answered};
use crate::invariant::deadline::{self, Up};
use crate::invariant::entry::{self, Seen};
use crate::invariant::state::{self, Believed, Memory, Started};
use crate::invariant::watch::only_what_is_durable_is_published;
use crate::invariant::{Broken, Exercised, calm, world};
use crate::reference;
use crate::reference::optimum::{self, Regret};
use crate::request::{Outcome, RequestNumber};
use crate::server::{Incarnation, Server};
use crate::shadow::{Read, Shadow};
use crate::watchers::Watchers;
use ensemble_model::command::Change;
use ensemble_model::decide;
use ensemble_model::event::{Entry, Event};
use ensemble_model::id::InstanceId;
use ensemble_model::operation::OperationKind;
use ensemble_model::permit::Permit;
use ensemble_model::selector::Level;
use ensemble_model::state::State;
use ensemble_model::step::Input;
use ensemble_model::wanted::Epoch;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Every so many entries the live state is compared with the log from end to end.
const COMPARED_EVERY: u64 = 32;

/// What is kept to judge by.
pub(super) struct Observer {
    pub(super) exercised: Exercised,
    pub(super) regret: Regret,
    pub(super) watchers: Watchers,
    memory: Memory,
    permits: Vec<Permit>,
    /// Every entry that ever became durable.
    log: Vec<Arc<Entry>>,
    /// The newest state that was published.
    live: Option<Arc<State>>,
    /// The newest epoch under which each host was told something.
    epochs: BTreeMap<usize, Epoch>,
    /// Instances that any host has ever begun to stop.
    stopped: BTreeSet<InstanceId>,
}

impl Observer {
    pub(super) fn new(seed: u64, permits: Vec<Permit>) -> Self {
        Self {
            exercised: Exercised::default(),
            regret: Regret::default(),
            watchers: Watchers::new(seed),
            memory: Memory::default(),
            permits,
            log: Vec::new(),
            live: None,
            epochs: BTreeMap::new(),
            stopped: BTreeSet::new(),
        }
    }

    /// Hosts have begun to stop these, while the log said this.
    fn observe_stopped(&mut self, stopped: Vec<InstanceId>, shadow: &Shadow) -> Result<(), Broken> {
        world::check_stopped(&stopped, shadow, &mut self.exercised)?;
        self.stopped.extend(stopped);
        Ok(())
    }
}

impl Simulation {
    /// A record has become durable.
    pub(super) fn observe_entry(&mut self, before: &Shadow, read: &Read) -> Result<(), Broken> {
        let Read { entry, moments } = read;
        self.observer.log.push(Arc::new(entry.clone()));
        if entry.events.iter().any(|event| matches!(event, Event::InstancesRevived { .. })) {
            let stopped: Vec<_> = self.hosts.iter_mut().flat_map(Host::take_stopped).collect();
            self.observer.observe_stopped(stopped, before)?;
        }
        let says_gone = entry.events.iter().any(|event| matches!(event, Event::InstanceGone { .. }));
        let running: BTreeSet<_> = match says_gone {
            true => self.everything_that_runs().into_iter().map(|pod| pod.instance).collect(),
            false => BTreeSet::new(),
        };
        let (requests, stopped) = (&self.requests, &self.observer.stopped);
        let seen = Seen { before, entry, moments, after: &self.shadow, requests, running: &running, stopped };
        entry::check(&seen, &mut self.observer.exercised)?;
        self.regret_of(read);
        Ok(())
    }

    /// How good each accepted placement was, on small fleets.
    fn regret_of(&mut self, Read { entry, moments }: &Read) {
        for (before, event) in moments.iter().zip(&entry.events) {
            let Event::OperationAccepted { operation } = event else { continue };
            let Some(app) = operation.subject.app() else { continue };
            let request = self.requests.of(&operation.id);
            let (level, items) = match request.map(|request| &request.command.change) {
                Some(Change::Create(create)) => (create.level, &create.selector),
                Some(Change::Rescale(rescale)) if rescale.level != Level::InstanceId => {
                    (rescale.level, &rescale.selector)
                }
                Some(_) | None => continue,
            };
            let mut items = items.clone();
            let mut index = 0;
            items.retain(|_| {
                index += 1;
                operation.items.iter().any(|item| item.item + 1 == index)
            });
            let Some(found) = before
                .apps
                .get(app)
                .filter(|_| matches!(operation.kind, OperationKind::Create | OperationKind::Add))
            else {
                continue;
            };
            let mut placed = vec![0; before.fleet.nodes.len()];
            for ((_, node, _), (count, _)) in entry::done_by(entry, &self.shadow, before, &operation.id) {
                if let Some(place) = before.fleet.nodes.iter().position(|found| found.id == node) {
                    placed[place] += count;
                }
            }
            let terms = (found.strategy, found.resources);
            if let Some(regret) = optimum::regret(before, app, terms, (level, &items), &placed) {
                self.observer.regret.add(regret);
            }
        }
    }

    /// A process shows a state, and what made it.
    pub(super) fn observe_published(
        &mut self,
        incarnation: Incarnation,
        state: &Arc<State>,
        entry: &Arc<Entry>,
    ) -> Result<(), Broken> {
        let Some(server) = self.servers.get_mut(&incarnation) else { return Ok(()) };
        let last = std::mem::replace(&mut server.published, entry.sequence);
        let Observer { exercised, watchers, memory, permits, log, live, .. } = &mut self.observer;
        let durable = self.shadow.sequence;
        let verdict = only_what_is_durable_is_published(last, entry, durable);
        exercised.note("only_what_is_durable_is_published", verdict)?;
        watchers.publish(incarnation, entry, log, exercised)?;
        *live = Some(Arc::clone(state));
        if state.sequence() == durable {
            let believed = Believed { state, shadow: &self.shadow, permits, memory };
            match entry.sequence.is_multiple_of(COMPARED_EVERY) {
                true => state::check(&believed, exercised)?,
                false => state::check_published(&believed, exercised)?,
            }
            memory.note(state, permits, entry);
        }
        Ok(())
    }

    /// A process has read the log.
    pub(super) fn observe_start(&mut self, server: &Server) -> Result<(), Broken> {
        let Observer { exercised, memory, permits, log, live, .. } = &mut self.observer;
        let started = Started {
            state: server.state(),
            shadow: &self.shadow,
            live: live.as_deref(),
            last: log.last().map(Arc::as_ref),
            records: self.disk.whole(),
            requests: &self.requests,
        };
        state::check_started(&started, exercised)?;
        let believed = Believed { state: server.state(), shadow: &self.shadow, permits, memory };
        state::check(&believed, exercised)?;
        *live = Some(Arc::clone(server.state()));
        Ok(())
    }

    /// A host was told something.
    pub(super) fn observe_carried(
        &mut self,
        host: usize,
        epoch: Epoch,
        heard: &Result<(), StaleEpoch>,
    ) -> Result<(), Broken> {
        let newest = self.observer.epochs.entry(host).or_default();
        let verdict = world::an_older_epoch_moves_nothing(*newest, epoch, heard);
        if heard.is_ok() {
            *newest = epoch.max(*newest);
        }
        self.observer.exercised.note("an_older_epoch_moves_nothing", verdict)
    }

    /// Whether nothing waits to become durable, and nothing is due.
    pub(super) fn is_at_rest(&self, incarnation: Incarnation) -> bool {
        let Some(server) = self.servers.get(&incarnation) else { return false };
        server.is_settled && server.next_wake().is_none_or(|due| due > self.now)
    }

    /// Whether an input was made under another epoch than the process that takes it in.
    pub(super) fn is_foreign(&self, incarnation: Incarnation, input: &Input) -> bool {
        let epoch = self.servers.get(&incarnation).map(|server| server.epoch);
        matches!(input, Input::Observed(observation) if Some(observation.epoch) != epoch)
    }

    /// A process that was at rest took in nothing but reports of other epochs.
    pub(super) fn observe_foreign(&mut self, incarnation: Incarnation) -> Result<(), Broken> {
        let Some(server) = self.servers.get(&incarnation) else { return Ok(()) };
        let verdict = match server.appending {
            None => Ok(1),
            Some(sequence) => Err(format!("a report of another epoch makes entry {sequence}")),
        };
        self.observer.exercised.note("a_report_of_another_epoch_says_nothing", verdict)
    }

    /// Before a request is decided: what has to become of it, where that can be told, because nothing else is decided that
    /// is not durable yet.
    pub(super) fn foresee(&mut self, incarnation: Incarnation, number: RequestNumber) {
        let Some(server) = self.servers.get(&incarnation) else { return };
        let is_told = self.is_at_rest(incarnation)
            && self.disk.leads(server.epoch)
            && server.state().sequence() == self.shadow.sequence;
        let Some(request) = self.requests.get_mut(number).filter(|_| is_told) else { return };
        request.ruling = Some(reference::rule(&self.shadow, &request.command, request.plan.as_ref()));
        let permit = &request.command.permit;
        match &request.command.change {
            Change::Rescale(asked) => request.foretold = Some(decide::plan(server.state(), permit, asked)),
            Change::Rebalance(asked) => {
                request.foretold_moves = Some(decide::plan_rebalance(server.state(), permit, asked));
            }
            _ => {}
        }
    }

    pub(super) fn observe_answer(&mut self, number: RequestNumber, outcome: &Outcome) -> Result<(), Broken> {
        let Some(request) = self.requests.get(number) else { return Ok(()) };
        let answered = Answered { request, outcome, shadow: &self.shadow };
        answer::check(&answered, &mut self.observer.exercised)
    }

    pub(super) fn observe_deadlines(&mut self, incarnation: Incarnation) -> Result<(), Broken> {
        let Some(server) = self.servers.get(&incarnation) else { return Ok(()) };
        if server.appending.is_some() || !self.disk.leads(server.epoch) {
            return Ok(());
        }
        let nodes = self.shadow.instances.values().map(|found| &found.node);
        let carrying: BTreeSet<_> = nodes.chain(self.shadow.owned.values().map(|own| &own.node)).collect();
        let engines = carrying.into_iter().filter_map(|node| self.shadow.fleet.node(node.as_str()));
        let is_heard = engines.into_iter().all(|node| server.heard.contains(&node.engine));
        let up = Up {
            shadow: &self.shadow,
            log_now: server.times(self.now, self.wall()).log,
            up_for_ms: server.up_for_ms(self.now),
            heard_for_ms: server.heard_last.filter(|_| is_heard).map(|last| self.now.since(last)),
        };
        deadline::check(&up, &mut self.observer.exercised)
    }

    pub(super) fn observe_watcher(&mut self, watcher: usize) -> Result<(), Broken> {
        let front = self.front().map(|(incarnation, server)| (incarnation, server.state().sequence()));
        let Observer { exercised, watchers, log, .. } = &mut self.observer;
        watchers.turn(watcher, front, log, exercised)
    }

    /// Looks at one host, or at all of them together.
    pub(super) fn observe_hosts(&mut self, host: Option<usize>) -> Result<(), Broken> {
        let range = host.map_or(0..self.hosts.len(), |host| host..host + 1);
        let stopped: Vec<_> = self.hosts[range.clone()].iter_mut().flat_map(Host::take_stopped).collect();
        self.observer.observe_stopped(stopped, &self.shadow)?;
        let running = host.map_or_else(|| self.everything_that_runs(), |host| self.runs_on(host));
        let hosts = &self.hosts[range];
        hosts.iter().try_for_each(|host| world::check_host(host, &mut self.observer.exercised))?;
        world::check(&running, &self.shadow, &mut self.observer.exercised)
    }

    /// Some time after everything that breaks has stopped.
    pub(super) fn observe_calm(&mut self) -> Result<(), Broken> {
        self.observe_hosts(None)?;
        let held = self.shadow.held().map(|(id, _)| id.clone()).collect();
        self.hosts
            .iter()
            .try_for_each(|host| world::check_rest(host, &held, &mut self.observer.exercised))?;
        let running = self.everything_that_runs();
        let log_now = self.front().map(|(_, server)| server.times(self.now, self.clock.at(self.now)).log);
        let log_now = log_now.unwrap_or(self.shadow.last.log);
        let calm = calm::Calm { shadow: &self.shadow, running: &running, log_now };
        calm::check(&calm, &mut self.observer.exercised)
    }
}
