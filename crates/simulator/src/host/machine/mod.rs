//! One machine under the real supervision: kernel, files and network are simulated and keep their own truth (`ground`),
//! the engine and the supervisors of containers are real (`engine`, `supervisor_process`). Here is its time: what happens
//! when, what befalls it, and how it comes up again.

mod cables;
mod engine;
mod fate;
mod files;
mod ground;
mod groups;
mod happen;
mod images;
mod kernel;
mod locks;
mod order;
mod power;
mod processes;
mod programs;
mod questions;
mod strikes;
mod supervisor_process;
#[cfg(test)]
mod tests;
mod told;
mod truth;
mod wires;

use super::{Running, StaleEpoch, Surroundings};
use crate::agenda::{Agenda, Moment};
use crate::dice::Dice;
use crate::faults::Fault;
use engine::{Due, Engine, Setting};
use ensemble_model::id::{EdgeNodeId, EngineName, InstanceId};
use ensemble_model::observation::Observation;
use ensemble_model::time::WallTime;
use ensemble_model::wanted::{Epoch, Wanted};
use ensemble_supervision::faults::{self as filter, Filter, Switched};
use ensemble_supervision::layout::Layout;
use fate::{Drawn, Fate};
use ground::Ground;
use images::Images;
use ipnet::Ipv4Net;
use kernel::SimulatedKernel;
use processes::ProcessKey;
use programs::Crashing;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::rc::Rc;
use strikes::Strike;
use supervisor_process::{Beat, SupervisorProcess};
use told::Told;

/// When a simulated world begins for people: 2026-01-01.
const WALL_START_MS: i64 = 1_767_225_600_000;

/// Where its engine keeps everything.
const ROOT: &str = "/data";

enum Event {
    Strike(Strike),
    StrangerLeaves(ProcessKey),
    AddressLeft(Ipv4Addr),
    DiskFreed,
    /// The way to it is free again.
    Reachable,
    /// The machine is up, or tries once more to open its engine.
    Open,
    /// Of one engine process.
    Engine(ProcessKey, Due),
    /// Of one supervisor.
    Supervisor(ProcessKey, Beat),
    /// A program ends by itself.
    ProgramEnds(ProcessKey, i32),
}

/// How a machine goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Down {
    /// What was not synced is at the mercy of the disk.
    PowerCut,
    Clean,
}

pub(crate) struct Machine {
    node: EdgeNodeId,
    setting: Setting,
    kernel: SimulatedKernel,
    dice: Dice,
    fate: Box<dyn Fate>,
    agenda: Agenda<Event>,
    images: Images,
    crashing: Crashing,
    supervisors: BTreeMap<ProcessKey, SupervisorProcess>,
    /// How programs that ended by themselves did.
    codes: BTreeMap<ProcessKey, i32>,
    engine: Option<Engine>,
    /// Whoever drives it is there, and under which epoch.
    driven: Option<Epoch>,
    is_up: bool,
    epoch: Epoch,
    told: Told,
    /// What is between it and whoever drives it.
    filter: Filter,
    cut_off_until: Option<Moment>,
    reports: Vec<Observation>,
    orphans: u64,
    /// Instances of which something was asked to stop.
    pub(super) stopped: Vec<InstanceId>,
}

impl Machine {
    /// `pod_network` is this machine's own, so that an address says where a pod is.
    pub(crate) fn new(name: EngineName, node: EdgeNodeId, pod_network: Ipv4Net, seed: u64) -> Self {
        let stream = |concern: &str| Dice::stream(seed, &format!("{name}/{concern}"));
        let ground = Ground::new(stream("ground"));
        let mut dice = stream("machine");
        let mut agenda = Agenda::default();
        for strike in Strike::ALL {
            agenda.put(Moment(dice.wait_ms(strike.mean_ms())), Event::Strike(strike));
        }
        let setting =
            Setting { identity: format!("{ROOT}/{name}"), name, layout: Layout::new(ROOT), pod_network };
        Self {
            node,
            kernel: SimulatedKernel(Rc::new(RefCell::new(ground))),
            dice,
            fate: Box::new(Drawn),
            agenda,
            images: Images::default(),
            crashing: Crashing::default(),
            supervisors: BTreeMap::new(),
            codes: BTreeMap::new(),
            engine: None,
            driven: None,
            is_up: true,
            epoch: Epoch::default(),
            told: Told::default(),
            filter: Filter::new(setting.name.clone()),
            cut_off_until: None,
            reports: Vec::new(),
            orphans: 0,
            stopped: Vec::new(),
            setting,
        }
    }

    /// Takes over what is wanted.
    pub(crate) fn converge(
        &mut self,
        wanted: Wanted,
        around: &mut Surroundings<'_>,
    ) -> Result<(), StaleEpoch> {
        if wanted.epoch < self.epoch {
            return Err(StaleEpoch);
        }
        self.epoch = wanted.epoch;
        let passed = self.filter.converge(wanted);
        self.pass_on(passed, around.now);
        self.settle(around.now, around.faults);
        Ok(())
    }

    fn pass_on(&mut self, wanted: Wanted, now: Moment) {
        self.told.take(wanted.clone());
        if let Some(engine) = &mut self.engine {
            engine.take(wanted, now);
        }
    }

    /// A report did not get there: it is sent again.
    pub(crate) fn unsaid(&mut self, report: &Observation) {
        self.reports.push(report.clone());
    }

    /// Cuts the machine off from whoever drives it, until then; whatever runs on it runs on.
    pub(crate) fn cut_off(&mut self, nodes: &BTreeMap<EdgeNodeId, Moment>, around: &mut Surroundings<'_>) {
        self.cut_off_until = nodes.get(&self.node).copied().filter(|until| *until > around.now);
        if let Some(until) = self.cut_off_until {
            self.agenda.put(until, Event::Reachable);
        }
        self.switch(around.now);
        self.settle(around.now, around.faults);
    }

    fn switch(&mut self, now: Moment) {
        self.cut_off_until = self.cut_off_until.filter(|until| *until > now);
        let unreachable = self.cut_off_until.iter().map(|_| self.node.clone()).collect();
        self.filter.set(filter::Faults { unreachable, ..filter::Faults::default() });
        let Switched { wanted, observations } = self.filter.due();
        wanted.into_iter().for_each(|wanted| self.pass_on(wanted, now));
        self.reports.extend(observations);
    }

    /// Lets happen what is due by now; says what is to be reported.
    pub(crate) fn advance(&mut self, around: &mut Surroundings<'_>) -> Vec<Observation> {
        if around.faults.is_calm() {
            self.relieve(around.now);
        }
        loop {
            let engine_due = self.engine.as_ref().map(Engine::next_due).filter(|due| *due <= around.now);
            let event_due = self.agenda.next().filter(|due| *due <= around.now);
            match (event_due, engine_due) {
                (Some(at), due) if due.is_none_or(|due| at <= due) => {
                    let Some((_, event)) = self.agenda.take(at) else { break };
                    self.set_time(at);
                    self.happen(event, at, around.faults);
                    self.settle(at, around.faults);
                }
                (_, Some(due)) => {
                    self.set_time(due);
                    self.settle(due, around.faults);
                }
                (_, None) => break,
            }
        }
        self.set_time(around.now);
        std::mem::take(&mut self.reports)
    }

    /// When it next has something to do.
    pub(crate) fn next_due(&self) -> Option<Moment> {
        self.agenda.next().into_iter().chain(self.engine.as_ref().map(Engine::next_due)).min()
    }

    /// The engine's process dies, perhaps in the middle of a step; what runs goes on.
    pub(crate) fn kill_engine(&mut self, around: &mut Surroundings<'_>) {
        self.driven = None;
        self.told.forget();
        self.reports.clear();
        self.die(around.now, around.faults);
    }

    /// It is driven anew, under `epoch`.
    pub(crate) fn open_engine(&mut self, epoch: Epoch, around: &mut Surroundings<'_>) {
        if epoch < self.epoch {
            return;
        }
        self.die(around.now, around.faults);
        self.filter = Filter::new(self.setting.name.clone());
        self.switch(around.now);
        self.epoch = epoch;
        self.driven = Some(epoch);
        self.agenda.put(around.now, Event::Open);
    }

    /// The machine goes down and comes up again by itself.
    pub(crate) fn reboot(&mut self, around: &mut Surroundings<'_>) {
        self.set_time(around.now);
        let down = if self.dice.happens(600) { Down::PowerCut } else { Down::Clean };
        self.engine = None;
        self.supervisors.clear();
        self.codes.clear();
        {
            let mut ground = self.kernel.0.borrow_mut();
            match down {
                Down::PowerCut => {
                    let cut = ground.files.power_cut(&mut self.dice);
                    if cut.torn > 0 {
                        around.faults.count(Fault::RecordHalfWritten);
                    }
                }
                Down::Clean => ground.files.write_all_back(),
            }
            ground.reboot();
            ground.net.foreign_routes.clear();
            if around.faults.strikes(Fault::AddressTaken, 100, &mut self.dice) {
                ground.take_slice(self.setting.pod_network);
            }
        }
        self.is_up = false;
        self.agenda.put(around.now.plus_ms(self.dice.ms(2_000, 60_000)), Event::Open);
    }

    /// Every program that runs, whoever wants it.
    pub(crate) fn truth(&self) -> Vec<Running> {
        let ground = self.kernel.0.borrow();
        let mut pods = BTreeMap::new();
        for program in ground.running() {
            let identity = program.identity;
            let pod = (identity.instance.clone(), identity.workload.clone(), identity.index);
            let per_container: &mut BTreeMap<String, Vec<_>> = pods.entry(pod).or_default();
            per_container.entry(identity.container).or_default().push((identity.name, program.address));
        }
        let mut running = Vec::new();
        for ((instance, workload, index), containers) in pods {
            // A pod is as often there as the most frequent of its containers.
            let most = containers.into_values().max_by_key(Vec::len).unwrap_or_default();
            running.extend(most.into_iter().map(|(name, address)| Running {
                instance: instance.clone(),
                workload: workload.clone(),
                index,
                node: self.node.clone(),
                host: 0,
                name,
                address: address.map(|address| address.to_string()),
                is_up: true,
            }));
        }
        running
    }

    /// What is never right, at no moment.
    pub(crate) fn wrongs(&self) -> Vec<String> {
        self.kernel.0.borrow().wrongs()
    }

    /// What lies around and belongs to none of these instances, once everything has come to rest.
    pub(crate) fn leftovers(&self, wanted: &BTreeSet<InstanceId>) -> Vec<String> {
        self.kernel.0.borrow().leftovers(&self.setting.layout.instances(), wanted)
    }

    /// Whatever was done to it from outside is over.
    fn relieve(&mut self, now: Moment) {
        for (process, supervisor) in &mut self.supervisors {
            if supervisor.relieve() {
                self.agenda.put(now, Event::Supervisor(*process, Beat::Create));
            }
        }
        let mut ground = self.kernel.0.borrow_mut();
        ground.net.foreign_addresses.clear();
        ground.strangers_waiting = 0;
        ground.files.set_room(u64::MAX);
    }

    fn set_time(&mut self, now: Moment) {
        self.kernel.0.borrow_mut().set_time(now, WallTime(WALL_START_MS + now.0));
    }
}
