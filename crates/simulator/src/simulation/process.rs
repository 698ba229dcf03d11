//! The life of server processes: started, fenced, killed at the worst moments, started again. Carries out what the control
//! loop says, as the real shell does, and holds what becomes durable against the invariants.

use super::{Event, Simulation};
use crate::disk::Refused;
use crate::faults::Fault;
use crate::host::Host;
use crate::invariant::Broken;
use crate::request::Outcome;
use crate::server::{Incarnation, Server, StartFault};
use crate::story;
use ensemble_model::command::Accepted;
use ensemble_model::refusal::Refusal;
use ensemble_model::step::{Input, Output};
use ensemble_model::wanted::Epoch;
use std::sync::Arc;

impl Simulation {
    /// The process that clients talk to: the newest that is up.
    pub(super) fn front(&self) -> Option<(Incarnation, &Server)> {
        self.servers.last_key_value().map(|(incarnation, server)| (*incarnation, server))
    }

    pub(super) fn boot_after(&mut self, ms: i64) {
        if !self.is_booting {
            self.is_booting = true;
            self.after(ms, Event::Boot);
        }
    }

    pub(super) fn boot(&mut self) {
        let incarnation = self.next_incarnation;
        self.next_incarnation += 1;
        let epoch = self.disk.fence();
        let takes = self.dice.ms(20, 300);
        self.after(takes, Event::Open { incarnation, epoch });
    }

    pub(super) fn open(&mut self, incarnation: Incarnation, epoch: Epoch) -> Result<(), Broken> {
        self.is_booting = false;
        if self.armed.remove(&Fault::KilledInRecovery) {
            self.faults.count(Fault::KilledInRecovery);
            self.trace.say(self.now, || format!("process {incarnation} is killed while it reads the log"));
            self.boot_after(500);
            return Ok(());
        }
        let times = (self.now, self.wall());
        let kept = self.disk.kept();
        let started = Server::start(&kept, epoch, &self.fleet, times, self.snapshot_every, self.hosts.len());
        let (server, outputs) = match started {
            Ok(started) => started,
            Err(fault) => return self.not_started(incarnation, &fault),
        };
        if self.disk.is_damaged() {
            let detail = format!("process {incarnation} serves a log that was damaged");
            return Err(Broken { invariant: "damage_is_named_and_never_served", detail });
        }
        self.figures.starts += 1;
        self.trace.say(self.now, || {
            let (sequence, epoch) = (server.state().sequence(), epoch.0);
            format!("process {incarnation} starts at sequence {sequence} under epoch {epoch}")
        });
        self.observe_start(&server)?;
        self.servers.insert(incarnation, server);
        for host in 0..self.hosts.len() {
            self.with_host(host, |host, around| host.open_engine(epoch, around));
        }
        self.carry_out(incarnation, outputs)?;
        self.turn(incarnation)
    }

    fn not_started(&mut self, incarnation: Incarnation, fault: &StartFault) -> Result<(), Broken> {
        self.trace.say(self.now, || format!("process {incarnation} refuses to start: {fault}"));
        if !self.disk.is_damaged() {
            let detail = format!("process {incarnation} does not start on a sound log: {fault}");
            return Err(Broken { invariant: "a_sound_log_is_served", detail });
        }
        // Named, as it should be. Somebody puts the log right and starts it again.
        self.disk.repair();
        let takes = self.dice.ms(1_000, 60_000);
        self.boot_after(takes);
        Ok(())
    }

    /// Ends a process where it is. Whoever waits for it will not be answered.
    pub(super) fn kill(&mut self, incarnation: Incarnation, boots_after_ms: i64) {
        let Some(mut server) = self.servers.remove(&incarnation) else { return };
        self.trace.say(self.now, || format!("process {incarnation} ends"));
        for number in server.orphaned() {
            self.figures.unanswered += 1;
            if self.faults.strikes(Fault::RetryUnknown, 250, &mut self.dice) {
                let pause = self.dice.ms(100, 30_000);
                self.after(pause, Event::Again { number });
            }
        }
        if self.disk.leads(server.epoch) || self.servers.is_empty() {
            // Engines live in the process that leads, and whoever looks after it starts it again.
            for host in 0..self.hosts.len() {
                self.with_host(host, Host::kill_engine);
            }
            self.boot_after(boots_after_ms);
        }
    }

    /// Lets a process take in what has come.
    pub(super) fn turn(&mut self, incarnation: Incarnation) -> Result<(), Broken> {
        let Some(server) = self.servers.get_mut(&incarnation) else { return Ok(()) };
        if let Some(until) = server.asleep_until.filter(|until| *until > self.now) {
            self.agenda.put(until, Event::Turn { incarnation });
            return Ok(());
        }
        server.is_called = false;
        let (is_at_rest, mut is_foreign) = (self.is_at_rest(incarnation), true);
        let mut taken = 0;
        while let Some(server) = self.servers.get_mut(&incarnation) {
            let Some((input, request)) = server.next_input(taken, self.now) else { break };
            taken += 1;
            is_foreign &= self.is_foreign(incarnation, &input);
            if let Some(number) = request {
                self.foresee(incarnation, number);
            }
            self.input(incarnation, input)?;
        }
        self.input(incarnation, Input::Flush)?;
        if taken > 0 && is_at_rest && is_foreign {
            self.observe_foreign(incarnation)?;
        }
        let Some(server) = self.servers.get_mut(&incarnation) else { return Ok(()) };
        if server.has_arrivals() && !server.is_called {
            server.is_called = true;
            self.after(1, Event::Turn { incarnation });
        }
        self.expect_wake(incarnation);
        self.observe_deadlines(incarnation)
    }

    pub(super) fn call(&mut self, incarnation: Incarnation) {
        let Some(server) = self.servers.get_mut(&incarnation) else { return };
        if !server.is_called {
            server.is_called = true;
            let soon = self.dice.ms(0, 2);
            self.after(soon, Event::Turn { incarnation });
        }
    }

    fn expect_wake(&mut self, incarnation: Incarnation) {
        let Some(server) = self.servers.get_mut(&incarnation) else { return };
        let Some(due) = server.next_wake() else { return };
        let due = due.max(self.now.plus_ms(1));
        if server.planned_wake.is_none_or(|planned| planned <= self.now || due < planned) {
            server.planned_wake = Some(due);
            self.agenda.put(due, Event::Wake { incarnation });
        }
    }

    pub(super) fn wake(&mut self, incarnation: Incarnation) -> Result<(), Broken> {
        let Some(server) = self.servers.get_mut(&incarnation) else { return Ok(()) };
        if let Some(until) = server.asleep_until.filter(|until| *until > self.now) {
            self.agenda.put(until, Event::Wake { incarnation });
            return Ok(());
        }
        let is_due = server.next_wake().is_some_and(|due| due <= self.now);
        if is_due {
            self.input(incarnation, Input::Tick)?;
            return self.turn(incarnation);
        }
        self.expect_wake(incarnation);
        Ok(())
    }

    fn input(&mut self, incarnation: Incarnation, input: Input) -> Result<(), Broken> {
        let wall = self.wall();
        let Some(server) = self.servers.get_mut(&incarnation) else { return Ok(()) };
        let times = server.times(self.now, wall);
        let settles = matches!(input, Input::Flush | Input::Appended { .. });
        let outputs = server.core.step(times, input);
        self.carry_out(incarnation, outputs)?;
        if let Some(server) = self.servers.get_mut(&incarnation) {
            server.is_settled = settles && server.appending.is_none();
        }
        Ok(())
    }

    fn carry_out(&mut self, incarnation: Incarnation, outputs: Vec<Output>) -> Result<(), Broken> {
        for output in outputs {
            match output {
                Output::Append { sequence, record } => self.begin_append(incarnation, sequence, record)?,
                Output::Answer { ticket, answer } => self.answer(incarnation, ticket, answer)?,
                Output::FleetAnswer { answer, .. } => {
                    if let (Ok(()), Some(server)) = (answer, self.servers.get(&incarnation)) {
                        self.fleet = Arc::clone(server.state().fleet());
                    }
                }
                Output::Converge { engine, wanted } => self.want(incarnation, &engine, wanted),
                Output::Publish { state, entry } => {
                    self.observe_published(incarnation, &state, &entry)?;
                }
                Output::PutSnapshot { sequence, snapshot } => {
                    let takes = self.dice.ms(5, 300);
                    let bytes = snapshot.encode();
                    self.after(takes, Event::Snapshot { incarnation, sequence, bytes });
                }
                Output::Halt { reason } => {
                    self.trace.say(self.now, || format!("process {incarnation} halts: {reason}"));
                    let again = self.dice.ms(1_000, 20_000);
                    self.kill(incarnation, again);
                }
            }
        }
        Ok(())
    }

    fn begin_append(
        &mut self,
        incarnation: Incarnation,
        sequence: u64,
        record: Vec<u8>,
    ) -> Result<(), Broken> {
        let Some(server) = self.servers.get_mut(&incarnation) else { return Ok(()) };
        if let Some(other) = server.appending.replace(sequence) {
            let detail = format!("{sequence} is appended while {other} is under way");
            return Err(Broken { invariant: "one_append_at_a_time", detail });
        }
        if self.strikes_now(Fault::KilledBeforeAppend) {
            self.kill(incarnation, 800);
            return Ok(());
        }
        // Now and then somebody else uses the disk, and more comes meanwhile.
        let takes = if self.dice.happens(50) { self.dice.ms(20, 300) } else { self.dice.ms(1, 8) };
        self.after(takes, Event::Append { incarnation, sequence, record });
        Ok(())
    }

    pub(super) fn append(
        &mut self,
        incarnation: Incarnation,
        sequence: u64,
        record: &[u8],
    ) -> Result<(), Broken> {
        let Some(server) = self.servers.get_mut(&incarnation) else { return Ok(()) };
        if let Some(until) = server.asleep_until.filter(|until| *until > self.now) {
            let record = record.to_vec();
            self.agenda.put(until, Event::Append { incarnation, sequence, record });
            return Ok(());
        }
        let epoch = server.epoch;
        server.appending = None;
        if self.strikes_now(Fault::KilledInAppend) {
            if self.dice.happens(500) {
                // One that is refused did not get there.
                let _ = self.keep(epoch, sequence, record)?;
            }
            self.kill(incarnation, 800);
            return Ok(());
        }
        let kept = if self.strikes_now(Fault::FailedSync) {
            // Whether it got there nobody can say.
            if self.dice.happens(500) {
                // One that is refused did not get there.
                let _ = self.keep(epoch, sequence, record)?;
            }
            Err(Refused::Unsynced)
        } else {
            self.keep(epoch, sequence, record)?
        };
        match kept {
            Ok(()) if self.strikes_now(Fault::KilledAfterAppend) => self.kill(incarnation, 800),
            Ok(()) => {
                self.disk.raise_mark(sequence);
                self.input(incarnation, Input::Appended { sequence })?;
                self.turn(incarnation)?;
            }
            Err(refused) => {
                if refused == Refused::Full {
                    self.faults.count(Fault::DiskFull);
                }
                let reason = refused.sentence().to_owned();
                self.input(incarnation, Input::AppendFailed { reason })?;
            }
        }
        Ok(())
    }

    /// Puts a record into the store; what is there is read back by the shadow and judged.
    fn keep(&mut self, epoch: Epoch, sequence: u64, record: &[u8]) -> Result<Result<(), Refused>, Broken> {
        if let Err(refused) = self.disk.append(epoch, sequence, record) {
            return Ok(Err(refused));
        }
        self.figures.entries += 1;
        let before = self.shadow.clone();
        let read = self.shadow.read(record).map_err(|fault| Broken {
            invariant: "the_log_can_be_read",
            detail: format!("record {sequence}: {fault}"),
        })?;
        self.trace.say(self.now, || {
            let events: Vec<String> = read.entry.events.iter().map(story::tell).collect();
            format!("entry {sequence}: {}", events.join("; "))
        });
        self.figures.most_instances = self.figures.most_instances.max(self.shadow.instances.len() as u64);
        if read.entry.epoch != epoch {
            let detail = format!("epoch {} writes {sequence} as epoch {}", epoch.0, read.entry.epoch.0);
            return Err(Broken { invariant: "an_entry_names_its_leader", detail });
        }
        self.observe_entry(&before, &read)?;
        Ok(Ok(()))
    }

    pub(super) fn snapshot(&mut self, incarnation: Incarnation, sequence: u64, bytes: Vec<u8>) {
        let Some(epoch) = self.servers.get(&incarnation).map(|server| server.epoch) else { return };
        if self.strikes_now(Fault::KilledInSnapshot) {
            self.kill(incarnation, 800);
            return;
        }
        if self.disk.put_snapshot(epoch, sequence, bytes).is_ok() {
            self.figures.snapshots += 1;
            self.trace.say(self.now, || format!("snapshot at {sequence}"));
        }
    }

    fn answer(
        &mut self,
        incarnation: Incarnation,
        ticket: u64,
        answer: Result<Accepted, Refusal>,
    ) -> Result<(), Broken> {
        let Some(server) = self.servers.get_mut(&incarnation) else { return Ok(()) };
        let Some(number) = server.waiting.remove(&ticket) else {
            return Err(Broken {
                invariant: "a_request_is_answered_once",
                detail: format!("ticket {ticket} is answered, and nobody waits for it"),
            });
        };
        let outcome = match answer {
            Ok(accepted) => Outcome::Accepted(accepted),
            Err(refusal) => Outcome::Refused(refusal),
        };
        let Some(request) = self.requests.get(number) else { return Ok(()) };
        match &outcome {
            Outcome::Accepted(_) => self.figures.accepted += 1,
            Outcome::Refused(_) => self.figures.refused += 1,
            Outcome::Unknown => {}
        }
        let client = request.client;
        self.observe_answer(number, &outcome)?;
        self.requests.answered(number, outcome);
        if let Some(request) = self.requests.get(number) {
            self.clients[client].hear(request);
        }
        Ok(())
    }

    /// Whether an armed fault finds its moment here.
    fn strikes_now(&mut self, fault: Fault) -> bool {
        let strikes = self.armed.remove(&fault);
        if strikes {
            self.faults.count(fault);
            self.trace.say(self.now, || format!("struck: {fault}"));
        }
        strikes
    }
}
