//! What goes between clients, servers and hosts, and when it arrives.

use super::{Event, Simulation};
use crate::clients::Act;
use crate::faults::Fault;
use crate::host::StaleEpoch;
use crate::invariant::Broken;
use crate::link::{Fate, Way};
use crate::request::{Outcome, Request, RequestNumber};
use crate::server::{Arrival, Incarnation};
use ensemble_model::command::Change;
use ensemble_model::id::{EngineName, InstanceId, OperationId};
use ensemble_model::observation::Observation;
use ensemble_model::selector::Level;
use ensemble_model::wanted::Wanted;
use std::sync::Arc;

/// Between two tries to reach an engine: doubles from the first to the last, as the real courier's does.
const FIRST_PAUSE_MS: i64 = 500;
const LONGEST_PAUSE_MS: i64 = 30_000;

impl Simulation {
    pub(super) fn act(&mut self, client: usize) {
        if self.faults.is_calm() {
            return;
        }
        let pause = self.clients[client].pause();
        let wall = self.wall();
        let Some((_, server)) = self.front() else {
            // Whoever finds nobody there comes again later.
            self.after(10 * pause, Event::Act { client });
            return;
        };
        let state = Arc::clone(server.state());
        self.after(pause, Event::Act { client });
        let act = self.clients[client].act(&state, wall, &mut self.faults);
        let Act { requests, second_thought, is_doubled } = act;
        if requests.is_empty() || !self.deed() {
            return;
        }
        for mut request in requests {
            request.is_doubled = is_doubled;
            self.trespass(&mut request);
            self.figures.requests += 1;
            let number = self.requests.add(request.clone());
            let takes = self.dice.ms(0, 5);
            self.after(takes, Event::Submit { number });
            if is_doubled {
                let number = self.requests.add(request);
                let takes = self.dice.ms(0, 2_000);
                self.after(takes, Event::Submit { number });
            }
        }
        if let Some(request) = second_thought {
            self.figures.requests += 1;
            let number = self.requests.add(request);
            let takes = self.dice.ms(5, 4_000);
            self.after(takes, Event::Submit { number });
        }
    }

    /// Now and then somebody asks for what is another's.
    fn trespass(&mut self, request: &mut Request) {
        if !self.dice.happens(20) {
            return;
        }
        let account = request.command.permit.account();
        let others: Vec<_> = self.shadow.apps.iter().filter(|(_, app)| app.account != *account).collect();
        let Some((other, _)) = self.dice.pick(&others) else { return };
        let theirs = self.shadow.instances.iter().filter(|(_, found)| found.account != *account);
        let theirs = theirs.map(|(id, found)| found.host.as_ref().unwrap_or(id).clone());
        let mut theirs: Vec<InstanceId> = theirs.collect();
        theirs.extend(
            self.shadow.owned.iter().filter(|(_, own)| own.account != *account).map(|(id, _)| id.clone()),
        );
        let of_another = self.shadow.operations.iter().filter(|(_, found)| found.account != *account);
        let of_another: Vec<OperationId> = of_another.map(|(id, _)| id.clone()).collect();
        match &mut request.command.change {
            Change::Rescale(rescale) if rescale.level == Level::InstanceId => {
                let named = rescale.selector.first_mut().and_then(|item| item.instances.first_mut());
                if let (Some(named), Some(theirs)) = (named, self.dice.pick(&theirs)) {
                    named.clone_from(theirs);
                }
                (rescale.if_plan, request.plan) = (None, None);
            }
            Change::Rescale(rescale) => {
                rescale.app = (*other).clone();
                (rescale.if_plan, request.plan) = (None, None);
            }
            Change::Delete(delete) => delete.app = (*other).clone(),
            Change::Modify(modify) => modify.app = (*other).clone(),
            Change::Upgrade(upgrade) => upgrade.app = (*other).clone(),
            Change::Rollback(rollback) => rollback.app = (*other).clone(),
            Change::DeleteVersion(delete) => delete.app = (*other).clone(),
            Change::Rebalance(rebalance) => {
                rebalance.app = (*other).clone();
                (rebalance.if_plan, request.move_plan) = (None, None);
            }
            Change::Cancel(asked) => {
                asked.operation = self.dice.pick(&of_another).unwrap_or(&asked.operation).clone();
            }
            Change::ReleaseInstance(asked) => {
                asked.instance = self.dice.pick(&theirs).unwrap_or(&asked.instance).clone();
            }
            Change::Protect(asked) => asked.instances.extend(self.dice.pick(&theirs).cloned()),
            Change::Create(_) | Change::RunInstances(_) | Change::Node(_) => {}
        }
    }

    pub(super) fn watch(&mut self, watcher: usize) -> Result<(), Broken> {
        let pause = self.observer.watchers.pause();
        self.after(pause, Event::Watch { watcher });
        self.observe_watcher(watcher)
    }

    /// A client that was not answered asks once more.
    pub(super) fn again(&mut self, number: RequestNumber) {
        let Some(request) = self.requests.get(number).cloned() else { return };
        if request.outcome != Outcome::Unknown {
            return;
        }
        let wall = self.wall();
        let again = self.clients[request.client].again(&request, wall);
        self.figures.requests += 1;
        let number = self.requests.add(again);
        self.after(1, Event::Submit { number });
    }

    pub(super) fn submit(&mut self, number: RequestNumber) {
        let Some(request) = self.requests.get(number) else { return };
        let command = Box::new(request.command.clone());
        let Some(incarnation) = self.front().map(|(incarnation, _)| incarnation) else { return };
        if let Some(server) = self.servers.get_mut(&incarnation) {
            server.take(Arrival::Command(number, command));
        }
        self.call(incarnation);
    }

    /// The control loop wants something of an engine.
    pub(super) fn want(&mut self, incarnation: Incarnation, engine: &EngineName, wanted: Wanted) {
        let Some(&host) = self.host_of.get(engine) else { return };
        let Some(server) = self.servers.get_mut(&incarnation) else { return };
        server.couriers[host].waiting.push_back(wanted);
        self.deliver(incarnation, host);
    }

    pub(super) fn deliver(&mut self, incarnation: Incarnation, host: usize) {
        let Some(server) = self.servers.get_mut(&incarnation) else { return };
        if let Some(until) = server.asleep_until.filter(|until| *until > self.now) {
            self.agenda.put(until, Event::Deliver { incarnation, host });
            return;
        }
        let courier = &mut server.couriers[host];
        if courier.is_under_way {
            return;
        }
        let Some(wanted) = courier.waiting.front().cloned() else { return };
        courier.is_under_way = true;
        let Fate { arrivals, fails } = self.link.send(host, Way::ToHost, self.now, &mut self.faults);
        // It is answered with the first copy: a second one may come when newer wishes have.
        let answered = arrivals.first().copied().unwrap_or(self.now);
        for at in arrivals {
            self.agenda.put(at, Event::Carry { host, wanted: Box::new(wanted.clone()) });
        }
        self.agenda.put(answered.plus_ms(1), Event::Carried { incarnation, host, fails });
    }

    pub(super) fn carry(&mut self, host: usize, wanted: Wanted) -> Result<(), Broken> {
        let epoch = wanted.epoch;
        let heard = self.with_host(host, |host, around| host.converge(wanted, around));
        self.observe_carried(host, epoch, &heard)?;
        if heard == Err(StaleEpoch) {
            self.trace.say(self.now, || format!("host {host} refuses epoch {}", epoch.0));
        }
        self.wake_host(host, self.now.plus_ms(1));
        Ok(())
    }

    pub(super) fn carried(&mut self, incarnation: Incarnation, host: usize, fails: bool) {
        let Some(server) = self.servers.get_mut(&incarnation) else { return };
        let courier = &mut server.couriers[host];
        courier.is_under_way = false;
        if fails {
            let pause = (FIRST_PAUSE_MS << courier.failures.min(6)).min(LONGEST_PAUSE_MS);
            courier.failures += 1;
            self.after(pause, Event::Deliver { incarnation, host });
        } else {
            courier.failures = 0;
            courier.waiting.pop_front();
            self.deliver(incarnation, host);
        }
    }

    pub(super) fn host(&mut self, host: usize) -> Result<(), Broken> {
        if self.host_wakes[host].is_some_and(|planned| planned > self.now) {
            // One that was planned earlier has come since.
            return Ok(());
        }
        self.host_wakes[host] = None;
        let reports = self.with_host(host, |host, around| host.advance(around));
        let driver = self.front().map(|(incarnation, _)| incarnation);
        for report in reports {
            self.figures.reports += 1;
            let Some(incarnation) = driver else { break };
            let Fate { arrivals, fails } = self.link.send(host, Way::ToServer, self.now, &mut self.faults);
            for at in arrivals {
                let observation = Box::new(report.clone());
                self.agenda.put(at, Event::Observe { incarnation, observation });
            }
            if fails {
                self.hosts[host].unsaid(&report);
                let pause = self.dice.ms(200, 2_000);
                self.wake_host(host, self.now.plus_ms(pause));
            }
        }
        self.observe_hosts(Some(host))
    }

    pub(super) fn observe(&mut self, incarnation: Incarnation, observation: Observation) {
        let Some(server) = self.servers.get_mut(&incarnation) else { return };
        if observation.epoch < server.epoch {
            self.faults.count(Fault::StaleReport);
        }
        server.take(Arrival::Observation(observation));
        self.call(incarnation);
    }
}
