//! Seeds of a single machine: an owner who wants this and that, every fault there is, then quiet. Everything wanted runs
//! once then, nothing else is left; and at no moment anything ran twice.

mod nth_failure;

use super::truth::RunningProgram;
use super::*;
use crate::faults::{Choice, Faults};
use ensemble_model::application::Container;
use ensemble_model::id::{AppId, InstanceId, Isp, VersionName};
use ensemble_model::observation::Presence;
use ensemble_model::spec::Resources;
use ensemble_model::wanted::{CellKey, CellTemplate, Coverage, WantedCell, WantedInstance, WantedWorkload};
use std::collections::BTreeSet;
use std::sync::Arc;

/// How long a machine without faults may take to become what is wanted: the longest pause of a container that crashed,
/// twice, since an image may have to be waited for as long before.
const CALM_MS: i64 = 150_000;

const HOUR_MS: i64 = 3_600_000;

/// Whoever drives the machine: a control loop as small as can be.
struct Owner {
    machine: Machine,
    faults: Faults,
    dice: Dice,
    now: Moment,
    epoch: Epoch,
    sequence: u64,
    cells: BTreeMap<CellKey, Cell>,
    /// What was said of each instance last.
    said: BTreeMap<InstanceId, Presence>,
    next_instance: u64,
}

struct Cell {
    template: CellTemplate,
    run: BTreeSet<InstanceId>,
    release: BTreeSet<InstanceId>,
}

fn container(name: &str, image: &str) -> Container {
    Container {
        name: name.to_owned(),
        image: image.to_owned(),
        command: Vec::new(),
        args: Vec::new(),
        env: Vec::new(),
        working_dir: None,
        readiness: None,
        ports: Vec::new(),
    }
}

fn template(app: &str) -> CellTemplate {
    CellTemplate {
        app_name: app.to_owned(),
        limits: Resources { vcpu: 1, memory_mib: 64 },
        workloads: vec![
            WantedWorkload {
                name: "web".to_owned(),
                pod_count: 2,
                exposed: None,
                containers: vec![container("main", "registry/web:1")],
            },
            WantedWorkload {
                name: "db".to_owned(),
                pod_count: 1,
                exposed: None,
                containers: vec![container("a", "registry/db:1"), container("b", "registry/web:1")],
            },
        ],
        pins: BTreeMap::new(),
    }
}

impl Owner {
    fn new(seed: u64, choice: &Choice) -> Self {
        let node = EdgeNodeId::new("cn-shanghai-cmcc");
        let network = "10.80.0.0/16".parse().unwrap();
        let mut dice = Dice::stream(seed, "owner");
        let faults = Faults::draw(choice, &mut dice);
        let mut cells = BTreeMap::new();
        for (app, version) in [("shop", "v1"), ("shop", "v2"), ("game", "v1")] {
            let key = CellKey {
                app: AppId::new(app),
                version: VersionName::new(version),
                node: node.clone(),
                isp: Isp::new("cmcc"),
            };
            cells.insert(
                key,
                Cell { template: template(app), run: BTreeSet::new(), release: BTreeSet::new() },
            );
        }
        Self {
            machine: Machine::new(EngineName::new("local"), node, network, seed),
            faults,
            dice,
            now: Moment(0),
            epoch: Epoch(0),
            sequence: 0,
            cells,
            said: BTreeMap::new(),
            next_instance: 0,
        }
    }

    fn with<T>(&mut self, deed: impl FnOnce(&mut Machine, &mut Surroundings<'_>) -> T) -> T {
        deed(&mut self.machine, &mut Surroundings { now: self.now, faults: &mut self.faults })
    }

    fn tell(&mut self, coverage: Coverage) {
        self.sequence += 1;
        let cells = self.cells.iter().map(|(key, cell)| WantedCell {
            key: key.clone(),
            template: Arc::new(cell.template.clone()),
            run: cell
                .run
                .iter()
                .map(|id| WantedInstance { id: id.clone(), deployment: "abcdefgh".to_owned(), host: None })
                .collect(),
            release: cell.release.iter().cloned().collect(),
        });
        let wanted = Wanted { epoch: self.epoch, sequence: self.sequence, coverage, cells: cells.collect() };
        self.with(|machine, around| machine.converge(wanted, around)).unwrap();
    }

    /// A server starts.
    fn open(&mut self) {
        self.epoch.0 += 1;
        let epoch = self.epoch;
        self.with(|machine, around| machine.open_engine(epoch, around));
        self.tell(Coverage::Complete);
    }

    fn add(&mut self) {
        let keys: Vec<CellKey> = self.cells.keys().cloned().collect();
        let key = self.dice.pick(&keys).unwrap().clone();
        let id = InstanceId::new(format!("i-{}", self.next_instance));
        self.next_instance += 1;
        self.cells.get_mut(&key).unwrap().run.insert(id);
    }

    fn remove(&mut self) {
        let all: Vec<(CellKey, InstanceId)> = self
            .cells
            .iter()
            .flat_map(|(key, cell)| cell.run.iter().map(|id| (key.clone(), id.clone())))
            .collect();
        if let Some((key, id)) = self.dice.pick(&all).cloned() {
            let cell = self.cells.get_mut(&key).unwrap();
            cell.run.remove(&id);
            cell.release.insert(id);
        }
    }

    fn advance(&mut self, until: Moment) {
        loop {
            let next = self.machine.next_due().filter(|due| *due <= until).unwrap_or(until);
            self.now = next.max(self.now);
            let reports = self.with(|machine, around| machine.advance(around));
            self.check();
            let mut is_news = false;
            for report in reports {
                is_news |= self.heard(report);
            }
            if is_news {
                self.tell(Coverage::Listed);
            }
            if next >= until {
                return;
            }
        }
    }

    fn heard(&mut self, report: Observation) -> bool {
        let mut is_news = false;
        for resolved in report.resolved {
            for (key, cell) in &mut self.cells {
                if (&key.app, &key.version) == (&resolved.app, &resolved.version)
                    && !cell.template.pins.contains_key(&resolved.image)
                {
                    cell.template.pins.insert(resolved.image.clone(), resolved.digest.clone());
                    is_news = true;
                }
            }
        }
        for observation in report.instances {
            if observation.presence == Presence::Gone {
                for cell in self.cells.values_mut() {
                    is_news |= cell.release.remove(&observation.instance);
                }
            }
            self.said.insert(observation.instance, observation.presence);
        }
        is_news
    }

    fn check(&self) {
        let wrongs = self.machine.wrongs();
        assert!(wrongs.is_empty(), "at {} ms: {wrongs:?}", self.now.0);
    }

    fn wanted(&self) -> BTreeSet<InstanceId> {
        self.cells.values().flat_map(|cell| cell.run.iter().cloned()).collect()
    }

    /// Every container that should run, as text.
    fn wanted_programs(&self) -> BTreeSet<String> {
        let mut wanted = BTreeSet::new();
        for cell in self.cells.values() {
            for id in &cell.run {
                for workload in &cell.template.workloads {
                    for index in 0..workload.pod_count {
                        let containers = workload.containers.iter();
                        wanted.extend(
                            containers.map(|one| format!("{id}/{}/{index}/{}", workload.name, one.name)),
                        );
                    }
                }
            }
        }
        wanted
    }

    /// One thing that somebody does.
    fn act(&mut self) {
        match self.dice.below(100) {
            0..40 => {
                if self.wanted().len() < 6 {
                    self.add();
                } else {
                    self.remove();
                }
                self.tell(Coverage::Listed);
            }
            40..60 => {
                self.remove();
                self.tell(Coverage::Listed);
            }
            60..85 => {
                self.with(Machine::kill_engine);
                let down_ms = self.dice.ms(1, 20_000);
                self.advance(self.now.plus_ms(down_ms));
                self.open();
            }
            _ => {
                if self.faults.strikes(Fault::NodeRebooted, 250, &mut self.dice) {
                    self.with(Machine::reboot);
                }
            }
        }
    }

    fn run(&mut self, for_ms: i64) {
        self.open();
        let end = self.now.plus_ms(for_ms);
        while self.now < end {
            let pause = self.dice.ms(1, 60_000);
            self.advance(self.now.plus_ms(pause));
            self.act();
        }
    }

    /// From here on nothing happens any more.
    fn calm_down(&mut self) {
        self.faults.stop();
        self.advance(self.now.plus_ms(CALM_MS));
    }

    fn state(&self) -> Result<(), String> {
        let ground = self.machine.kernel.0.borrow();
        let running: Vec<RunningProgram> = ground.running();
        let names: Vec<String> = running.iter().map(|program| program.identity.to_string()).collect();
        let once: BTreeSet<String> = names.iter().cloned().collect();
        if once != self.wanted_programs() || names.len() != once.len() {
            let missing: Vec<_> = self.wanted_programs().difference(&once).cloned().collect();
            let surplus: Vec<_> = once.difference(&self.wanted_programs()).cloned().collect();
            return Err(format!("missing {missing:?}, surplus {surplus:?}"));
        }
        if let Some(mute) = running.iter().find(|program| !program.is_reachable) {
            return Err(format!("{} has no address or is not let talk", mute.identity));
        }
        for id in self.wanted() {
            if !matches!(self.said.get(&id), Some(Presence::Here { ready: true, .. })) {
                return Err(format!("{id} runs and is said to be {:?}", self.said.get(&id)));
            }
        }
        if let Some((_, cell)) = self.cells.iter().find(|(_, cell)| !cell.release.is_empty()) {
            return Err(format!("{:?} were never said to be gone", cell.release));
        }
        let left = self.machine.leftovers(&self.wanted());
        if left.is_empty() { Ok(()) } else { Err(format!("left over: {left:?}")) }
    }
}

fn seeds(choice: &Choice, seeds: std::ops::Range<u64>, for_ms: i64) -> BTreeMap<Fault, u64> {
    let mut came = BTreeMap::new();
    for seed in seeds {
        let mut owner = Owner::new(seed, choice);
        owner.run(for_ms);
        owner.calm_down();
        if let Err(wrong) = owner.state() {
            panic!("seed {seed}: {wrong}");
        }
        for (fault, count) in owner.faults.came() {
            *came.entry(*fault).or_insert(0) += count;
        }
    }
    came
}

#[test]
fn without_faults_everything_wanted_runs_and_nothing_else() {
    seeds(&"none".parse().unwrap(), 0..20, HOUR_MS);
}

#[test]
fn whatever_befalls_a_machine_it_becomes_what_is_wanted_once_that_stops() {
    let came = seeds(&Choice::Drawn, 0..100, HOUR_MS);
    eprintln!("{came:?}");
}

#[test]
fn with_every_fault_at_once_too() {
    let came = seeds(&"all".parse().unwrap(), 0..30, HOUR_MS);
    eprintln!("{came:?}");
}
