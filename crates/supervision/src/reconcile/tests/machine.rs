//! The model machine: disk and kernel as values, and every action done to them step by step, so that it can be cut
//! short between any two. It complains when a container would run twice or a stranger would be signalled.

use super::super::reconcile;
use super::super::state::{Action, Facts, Loss, Records, Stray, Wishes, containers};
use crate::kernel::{Clocks, ProcessIdentity};
use crate::layout::ContainerKey;
use crate::pod::PodKey;
use crate::record::{Attempt, End, Exit, KillCause, Running};
use ensemble_model::application::Container;
use ensemble_model::id::{AppId, Digest, EdgeNodeId, InstanceId, Isp, VersionName};
use ensemble_model::spec::Resources;
use ensemble_model::time::WallTime;
use ensemble_model::wanted::{
    CellKey, CellTemplate, Coverage, Epoch, Wanted, WantedCell, WantedInstance, WantedWorkload,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Decisions until a machine that nobody disturbs must be at rest.
const ROUNDS: usize = 400;

/// Everything that exists on the model machine, disk and kernel.
#[derive(Clone, Debug, Default)]
pub(super) struct Machine {
    pub(super) wishes: Wishes,
    pub(super) records: Records,
    pub(super) facts: Facts,
    pub(super) now_ms: u64,
    pub(super) boot: u32,
    /// Programs that run, by container: at most one each, or the model complains.
    pub(super) programs: BTreeSet<ContainerKey>,
    pub(super) kept: BTreeSet<InstanceId>,
    pub(super) signals: u32,
}

impl Machine {
    pub(super) fn new() -> Self {
        let mut machine = Self { now_ms: 1_000_000, ..Self::default() };
        machine.reboot();
        machine
    }

    pub(super) fn now(&self) -> Clocks {
        Clocks { wall: WallTime(self.now_ms as i64), boot_ms: self.now_ms }
    }

    pub(super) fn reboot(&mut self) {
        self.boot += 1;
        self.facts.boot_id = format!("boot-{}", self.boot);
        self.programs.clear();
        self.facts.held.clear();
        self.facts.groups.clear();
        // What the disk remembers of them outlives the kernel's part.
        self.facts.remnants.extend(std::mem::take(&mut self.facts.networks).into_keys());
        self.restart_engine();
    }

    /// What the engine only had in memory is forgotten; what stands on disk or in the kernel is found.
    pub(super) fn restart_engine(&mut self) {
        self.facts.busy.clear();
        self.facts.failures.clear();
        self.facts.asked_to_stop.clear();
        self.facts.images.clear();
        self.facts.strays.retain(|stray| matches!(stray, Stray::Directory(_)));
        let networks: Vec<PodKey> = self.facts.networks.keys().chain(&self.facts.remnants).cloned().collect();
        let known = |pod: &PodKey| self.records.instances.contains_key(&pod.instance);
        let strays: Vec<PodKey> = networks.into_iter().filter(|pod| !known(pod)).collect();
        for pod in strays {
            self.facts.networks.remove(&pod);
            self.facts.remnants.remove(&pod);
            self.facts.strays.insert(Stray::Network(pod));
        }
    }

    pub(super) fn wish(&mut self, instances: &[usize], version: &str) {
        let mut cells = vec![cell(instances, version)];
        // The other version's cell is named too, empty, as a complete wish must.
        cells.push(cell(&[], if version == "v1" { "v2" } else { "v1" }));
        self.wishes.take(Wanted { epoch: Epoch(1), sequence: 1, coverage: Coverage::Complete, cells });
    }

    pub(super) fn decide(&self) -> Vec<Action> {
        reconcile(&self.wishes, &self.records, &self.facts, self.now()).actions
    }

    /// Does an action up to its `steps`-th step; `usize::MAX` does all of it.
    pub(super) fn act(&mut self, action: &Action, steps: usize) {
        let done = |step: usize| step < steps;
        match action {
            Action::Prepare(record) => {
                if done(0) {
                    self.records.instances.insert(record.id.clone(), record.clone());
                }
                if done(1) {
                    self.facts.groups.insert(record.id.clone());
                }
            }
            Action::Attach { pod, .. } => {
                if done(0) && !self.facts.networks.contains_key(pod) {
                    self.facts.remnants.insert(pod.clone());
                }
                if done(1) {
                    self.facts.remnants.remove(pod);
                    self.facts.networks.insert(pod.clone(), "10.80.0.2".parse().unwrap());
                }
            }
            Action::Detach(pod) => {
                if done(0) && self.facts.networks.remove(pod).is_some() {
                    self.facts.remnants.insert(pod.clone());
                }
                if done(1) {
                    self.facts.remnants.remove(pod);
                }
            }
            Action::Sweep(stray) if done(0) => {
                self.facts.strays.remove(stray);
            }
            Action::Sweep(_) => {}
            Action::Start { container, attempt } => self.start(container, *attempt, steps),
            Action::Collect { container, attempt, loss } => self.collect(container, *attempt, loss, steps),
            Action::Stop(container) => self.stop(container, steps),
            Action::Kill(container) => {
                self.signal(container);
                self.programs.remove(container);
                self.kill_supervisor(container);
            }
            Action::Retire(id) => self.retire(id, steps),
            Action::Fetch { pin, .. } => {
                if done(0) {
                    self.facts.images.insert(pin.clone());
                }
            }
            Action::Resolve(of) => {
                if done(0) {
                    self.facts.resolved.insert(of.clone(), pin());
                }
            }
        }
    }

    pub(super) fn start(&mut self, key: &ContainerKey, attempt: Attempt, steps: usize) {
        assert!(self.facts.networks.contains_key(&key.pod), "{key} started without a network");
        assert!(self.facts.groups.contains(&key.pod.instance), "{key} started without limits");
        assert!(!self.facts.held.contains(key), "{key} has a supervisor already");
        assert!(self.facts.images.contains(&pin()), "{key} started without its image");
        // The group is emptied first.
        self.programs.remove(key);
        if steps > 0 {
            self.records.containers.entry(key.clone()).or_default().attempt = Some(attempt);
        }
        if steps > 1 {
            self.facts.held.insert(key.clone());
        }
        if steps > 2 {
            self.run(key, attempt);
        }
    }

    pub(super) fn collect(&mut self, key: &ContainerKey, attempt: Attempt, loss: &Loss, steps: usize) {
        assert!(!self.facts.held.contains(key), "{key} is supervised, not lost");
        self.programs.remove(key);
        if steps > 0 {
            self.write_exit(key, attempt.number, End::Lost { reason: loss.reason().to_owned() });
            if let Loss::MachineRestarted { boot_id } = loss {
                let exit = self.records.containers.get_mut(key).unwrap().exit.as_mut().unwrap();
                exit.boot_id = boot_id.clone();
            }
        }
    }

    pub(super) fn stop(&mut self, key: &ContainerKey, steps: usize) {
        self.signal(key);
        if steps > 0 {
            self.facts.asked_to_stop.insert(key.clone(), self.now_ms);
            self.exit(key, End::Killed { signal: 15, cause: KillCause::Signal });
        }
    }

    pub(super) fn signal(&mut self, key: &ContainerKey) {
        assert!(self.facts.held.contains(key), "no supervisor of {key} to be signalled");
        self.signals += 1;
    }

    pub(super) fn retire(&mut self, id: &InstanceId, steps: usize) {
        let lives = |key: &&ContainerKey| key.pod.instance == *id;
        assert_eq!(self.programs.iter().find(lives), None, "a program of {id} still runs");
        if steps > 0 {
            self.facts.groups.remove(id);
        }
        if steps > 1 {
            self.records.instances.remove(id);
            self.records.containers.retain(|key, _| key.pod.instance != *id);
            self.kept.insert(id.clone());
        }
    }

    pub(super) fn run(&mut self, key: &ContainerKey, attempt: Attempt) {
        assert!(self.programs.insert(key.clone()), "{key} runs twice");
        let process =
            ProcessIdentity { pid: 7, start_ticks: self.now_ms, boot_id: self.facts.boot_id.clone() };
        let running = Running {
            attempt: attempt.number,
            process,
            started_at: WallTime(self.now_ms as i64),
            started_boot_ms: self.now_ms,
        };
        self.records.containers.entry(key.clone()).or_default().running = Some(running);
    }

    /// The program ends, its supervisor writes how and goes.
    pub(super) fn exit(&mut self, key: &ContainerKey, end: End) {
        if self.facts.held.contains(key) {
            let attempt = self.records.containers[key].attempt.unwrap().number;
            self.write_exit(key, attempt, end);
            self.programs.remove(key);
            self.facts.held.remove(key);
            self.facts.asked_to_stop.remove(key);
        }
    }

    pub(super) fn write_exit(&mut self, key: &ContainerKey, attempt: u32, end: End) {
        let records = self.records.containers.entry(key.clone()).or_default();
        let started = records.running.as_ref().filter(|running| running.attempt == attempt);
        let up_ms = started.map_or(0, |running| self.now_ms.saturating_sub(running.started_boot_ms));
        records.exit = Some(Exit {
            attempt,
            end,
            at: WallTime(self.now_ms as i64),
            boot_id: self.facts.boot_id.clone(),
            at_boot_ms: self.now_ms,
            up_ms,
        });
    }

    /// The supervisor is killed; its program runs on.
    pub(super) fn kill_supervisor(&mut self, key: &ContainerKey) {
        self.facts.held.remove(key);
        self.facts.asked_to_stop.remove(key);
    }

    /// Lets the engine work undisturbed until it has nothing to do, time passing where it waits.
    pub(super) fn settle(&mut self) {
        for _ in 0..ROUNDS {
            let decision = reconcile(&self.wishes, &self.records, &self.facts, self.now());
            if decision.actions.is_empty() {
                match decision.wake_at_boot_ms {
                    Some(wake) => self.now_ms = self.now_ms.max(wake),
                    None => return,
                }
            }
            for action in decision.actions {
                self.act(&action, usize::MAX);
            }
        }
        panic!("the engine never comes to rest");
    }

    pub(super) fn assert_as_wanted(&self) {
        let mut wanted = BTreeSet::new();
        for (id, target) in self.wishes.running() {
            wanted.extend(containers(id, &target.template));
        }
        assert_eq!(self.programs, wanted, "programs");
        assert_eq!(self.facts.held, wanted, "supervisors");
        let instances: BTreeSet<InstanceId> = self.wishes.running().map(|(id, _)| id.clone()).collect();
        assert_eq!(self.facts.groups, instances, "groups");
        assert_eq!(self.records.instances.keys().cloned().collect::<BTreeSet<_>>(), instances, "records");
        let networks: BTreeSet<&InstanceId> = self.facts.networks.keys().map(|pod| &pod.instance).collect();
        assert_eq!(networks, instances.iter().collect(), "networks");
        assert!(self.facts.remnants.is_empty() && self.facts.strays.is_empty());
        assert_eq!(self.decide(), [], "converging twice changes nothing");
    }
}

pub(super) fn template() -> CellTemplate {
    let container = |name: &str| Container {
        name: name.to_owned(),
        image: "oci:/image".to_owned(),
        command: Vec::new(),
        args: Vec::new(),
        env: Vec::new(),
        working_dir: None,
        readiness: None,
        ports: Vec::new(),
    };
    CellTemplate {
        app_name: "shop".to_owned(),
        limits: Resources { vcpu: 1, memory_mib: 64 },
        workloads: vec![
            WantedWorkload {
                name: "web".to_owned(),
                pod_count: 2,
                exposed: None,
                containers: vec![container("main")],
            },
            WantedWorkload {
                name: "db".to_owned(),
                pod_count: 1,
                exposed: None,
                containers: vec![container("a"), container("b")],
            },
        ],
        pins: BTreeMap::from([("oci:/image".to_owned(), pin())]),
    }
}

pub(super) fn pin() -> Digest {
    Digest::new("sha256:image")
}

pub(super) fn id(number: usize) -> InstanceId {
    InstanceId::new(format!("i-{number}"))
}

pub(super) fn cell(instances: &[usize], version: &str) -> WantedCell {
    let run =
        |number: &usize| WantedInstance { id: id(*number), deployment: "abcdefgh".to_owned(), host: None };
    WantedCell {
        key: CellKey {
            app: AppId::new("app"),
            version: VersionName::new(version),
            node: EdgeNodeId::new("cn-shanghai-cmcc"),
            isp: Isp::new("cmcc"),
        },
        template: Arc::new(template()),
        run: instances.iter().map(run).collect(),
        release: Vec::new(),
    }
}

pub(super) fn key(instance: usize, workload: &str, index: u32, container: &str) -> ContainerKey {
    ContainerKey { pod: PodKey::new(id(instance), workload, index), container: container.to_owned() }
}
