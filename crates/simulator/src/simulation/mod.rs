//! The simulated world as a whole, and the loop that lets one event after the other happen. `process` is the life of server
//! processes, `traffic` what goes between clients, servers and hosts, `strikes` what breaks. Everything that is drawn comes
//! from streams of the seed; nothing here reads a clock, a disk or an environment.

mod observer;
mod process;
mod strikes;
mod traffic;

use crate::agenda::{Agenda, Moment};
use crate::clients::Client;
use crate::clock::WallClock;
use crate::dice::Dice;
use crate::disk::Disk;
use crate::faults::{Fault, Faults};
use crate::host::{Host, Surroundings};
use crate::invariant::Broken;
use crate::link::Link;
use crate::options::{Options, Without};
use crate::report::{Figures, Report, Violation};
use crate::request::{RequestNumber, Requests};
use crate::scenario::Scenario;
use crate::server::{Incarnation, Server};
use crate::shadow::Shadow;
use crate::trace::Trace;
use crate::watchers::WATCHERS;
use ensemble_model::fleet::Fleet;
use ensemble_model::id::{EdgeNodeId, EngineName};
use ensemble_model::observation::Observation;
use ensemble_model::time::WallTime;
use ensemble_model::wanted::Wanted;
use observer::Observer;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// So many events are more than any run has; one that gets there goes round in circles.
const STEPS_AT_MOST: u64 = 20_000_000;

pub(crate) enum Event {
    /// A server process starts: it shuts out the one before and begins to read.
    Boot,
    /// It has read everything.
    Open {
        incarnation: Incarnation,
        epoch: ensemble_model::wanted::Epoch,
    },
    Turn {
        incarnation: Incarnation,
    },
    Wake {
        incarnation: Incarnation,
    },
    Append {
        incarnation: Incarnation,
        sequence: u64,
        record: Vec<u8>,
    },
    Snapshot {
        incarnation: Incarnation,
        sequence: u64,
        bytes: Vec<u8>,
    },
    /// A command reaches a server.
    Submit {
        number: RequestNumber,
    },
    Observe {
        incarnation: Incarnation,
        observation: Box<Observation>,
    },
    /// A wish reaches a host.
    Carry {
        host: usize,
        wanted: Box<Wanted>,
    },
    Carried {
        incarnation: Incarnation,
        host: usize,
        fails: bool,
    },
    Deliver {
        incarnation: Incarnation,
        host: usize,
    },
    Host {
        host: usize,
    },
    Act {
        client: usize,
    },
    /// A watcher comes or goes.
    Watch {
        watcher: usize,
    },
    Again {
        number: RequestNumber,
    },
    Strike {
        fault: Fault,
    },
    /// Whatever a strike changed for a while is as before.
    Relent {
        fault: Fault,
    },
    Calm,
    Judge,
}

pub(crate) struct Simulation {
    now: Moment,
    step: u64,
    deeds: u64,
    without: Without,
    agenda: Agenda<Event>,
    clock: WallClock,
    faults: Faults,
    /// For what befalls processes and disks, apart from what anybody decides.
    dice: Dice,
    disk: Disk,
    shadow: Shadow,
    observer: Observer,
    fleet: Arc<Fleet>,
    /// The fleet as the operator wants it when nothing is wrong.
    whole_fleet: Arc<Fleet>,
    hosts: Vec<Host>,
    host_of: BTreeMap<EngineName, usize>,
    host_wakes: Vec<Option<Moment>>,
    cut_off: BTreeMap<EdgeNodeId, Moment>,
    link: Link,
    servers: BTreeMap<Incarnation, Server>,
    next_incarnation: Incarnation,
    is_booting: bool,
    clients: Vec<Client>,
    requests: Requests,
    /// Faults that wait for their moment.
    armed: BTreeSet<Fault>,
    figures: Figures,
    trace: Trace,
    snapshot_every: u64,
    ends_at: Moment,
    calm_ms: i64,
}

/// Runs one seed from beginning to end, or to the first violation.
pub fn run(options: &Options) -> Report {
    let mut simulation = Simulation::new(options);
    let violation = simulation.until_end().err();
    let Simulation { step, deeds, now, figures, faults, trace, observer, .. } = simulation;
    Report {
        seed: options.seed,
        steps: step,
        deeds,
        simulated_ms: now.0,
        figures,
        faults: faults.came().clone(),
        exercised: observer.exercised,
        regret: observer.regret,
        violation,
        trace: trace.into_lines(),
    }
}

impl Simulation {
    fn new(options: &Options) -> Self {
        let Scenario { fleet, hosts, host_of, clients, snapshot_every } = Scenario::draw(options);
        let mut dice = Dice::stream(options.seed, "faults");
        let faults = Faults::draw(&options.faults, &mut dice);
        let ends_at = Moment(i64::from(options.minutes) * 60_000);
        let mut simulation = Self {
            now: Moment::default(),
            step: 0,
            deeds: 0,
            without: options.without.clone(),
            agenda: Agenda::default(),
            clock: WallClock::default(),
            faults,
            dice,
            disk: Disk::default(),
            shadow: Shadow::default(),
            observer: Observer::new(options.seed, clients.iter().map(Client::permit).collect()),
            whole_fleet: Arc::clone(&fleet),
            fleet,
            host_wakes: vec![None; hosts.len()],
            link: Link::new(hosts.len(), options.seed),
            hosts,
            host_of,
            cut_off: BTreeMap::new(),
            servers: BTreeMap::new(),
            next_incarnation: 1,
            is_booting: false,
            clients,
            requests: Requests::default(),
            armed: BTreeSet::new(),
            figures: Figures::default(),
            trace: Trace::new(options.tracing),
            snapshot_every,
            ends_at,
            calm_ms: i64::from(options.calm_s) * 1_000,
        };
        simulation.begin();
        simulation
    }

    fn begin(&mut self) {
        self.boot_after(0);
        for client in 0..self.clients.len() {
            let pause = self.clients[client].pause();
            self.after(pause, Event::Act { client });
        }
        for watcher in 0..WATCHERS {
            let pause = self.observer.watchers.pause();
            self.after(pause, Event::Watch { watcher });
        }
        self.schedule_strikes();
        self.agenda.put(self.ends_at, Event::Calm);
    }

    fn until_end(&mut self) -> Result<(), Violation> {
        while self.step < STEPS_AT_MOST {
            let Some((at, event)) = self.agenda.take(Moment(i64::MAX)) else { return Ok(()) };
            self.now = at;
            self.step += 1;
            let is_last = matches!(event, Event::Judge);
            let happened = self.happen(event).and_then(|()| self.look_around());
            happened.map_err(|Broken { invariant, detail }| {
                self.trace.say(at, || format!("VIOLATION {invariant}: {detail}"));
                Violation { invariant, detail, at, step: self.step }
            })?;
            if is_last {
                return Ok(());
            }
        }
        let detail = format!("more than {STEPS_AT_MOST} events");
        Err(Violation { invariant: "the_world_comes_to_rest", detail, at: self.now, step: self.step })
    }

    fn happen(&mut self, event: Event) -> Result<(), Broken> {
        match event {
            Event::Boot => self.boot(),
            Event::Open { incarnation, epoch } => self.open(incarnation, epoch)?,
            Event::Turn { incarnation } => self.turn(incarnation)?,
            Event::Wake { incarnation } => self.wake(incarnation)?,
            Event::Append { incarnation, sequence, record } => self.append(incarnation, sequence, &record)?,
            Event::Snapshot { incarnation, sequence, bytes } => self.snapshot(incarnation, sequence, bytes),
            Event::Submit { number } => self.submit(number),
            Event::Observe { incarnation, observation } => self.observe(incarnation, *observation),
            Event::Carry { host, wanted } => self.carry(host, *wanted)?,
            Event::Carried { incarnation, host, fails } => self.carried(incarnation, host, fails),
            Event::Deliver { incarnation, host } => self.deliver(incarnation, host),
            Event::Host { host } => self.host(host)?,
            Event::Act { client } => self.act(client),
            Event::Watch { watcher } => self.watch(watcher)?,
            Event::Again { number } => self.again(number),
            Event::Strike { fault } => self.strike(fault),
            Event::Relent { fault } => self.relent(fault),
            Event::Calm => self.calm(),
            Event::Judge => self.observe_calm()?,
        }
        Ok(())
    }

    /// Now and then all hosts are looked at together.
    fn look_around(&mut self) -> Result<(), Broken> {
        if self.step.is_multiple_of(64) {
            self.observe_hosts(None)?;
        }
        Ok(())
    }

    fn everything_that_runs(&self) -> Vec<crate::host::Running> {
        (0..self.hosts.len()).flat_map(|host| self.runs_on(host)).collect()
    }

    fn runs_on(&self, host: usize) -> Vec<crate::host::Running> {
        let mut truth = self.hosts[host].truth();
        truth.iter_mut().for_each(|running| running.host = host);
        truth
    }

    fn after(&mut self, ms: i64, event: Event) {
        self.agenda.put(self.now.plus_ms(ms), event);
    }

    /// Counts a deed, and says whether it is to happen.
    fn deed(&mut self) -> bool {
        self.deeds += 1;
        !self.without.0.contains(&self.deeds)
    }

    fn wall(&self) -> WallTime {
        self.clock.at(self.now)
    }

    /// Lets a host do something, and looks when it next has to.
    fn with_host<T>(&mut self, host: usize, act: impl FnOnce(&mut Host, &mut Surroundings<'_>) -> T) -> T {
        let mut around = Surroundings { now: self.now, faults: &mut self.faults };
        let done = act(&mut self.hosts[host], &mut around);
        if let Some(due) = self.hosts[host].next_due() {
            self.wake_host(host, due.max(self.now.plus_ms(1)));
        }
        done
    }

    fn wake_host(&mut self, host: usize, at: Moment) {
        if self.host_wakes[host].is_none_or(|planned| at < planned) {
            self.host_wakes[host] = Some(at);
            self.agenda.put(at, Event::Host { host });
        }
    }
}
