//! One process with the real engine loop in it, on a simulated machine: what the loop wants done takes simulated time,
//! each step over the simulated kernel and in one moment of it. The process may die in any call; what it did up to then
//! stays, and the next one begins with the real look at everything.

use super::cables::Cables;
use super::fate::Deed;
use super::ground::Mishap;
use super::images::Images;
use super::kernel::SimulatedKernel;
use super::order::Maker;
use super::processes::ProcessKey;
use super::questions::Questions;
use crate::agenda::Moment;
use crate::dice::Dice;
use crate::faults::Faults;
use ensemble_model::id::{AppId, EngineName};
use ensemble_model::observation::Observation;
use ensemble_model::port::Exposed;
use ensemble_model::wanted::{Epoch, Wanted};
use ensemble_supervision::directory::Directory;
use ensemble_supervision::host::Host;
use ensemble_supervision::kernel::{Kernel, open_process};
use ensemble_supervision::layout::{ContainerKey, Layout};
use ensemble_supervision::network::ledger::{Attach, Ledger};
use ensemble_supervision::network::names::Names;
use ensemble_supervision::network::{self, PodNetwork};
use ensemble_supervision::pod::PodKey;
use ensemble_supervision::probing::Readiness;
use ensemble_supervision::reconcile::state::{Action, Stray};
use ensemble_supervision::record::{InstanceRecord, Prospect};
use ensemble_supervision::supervisor::memory::Memory;
use ensemble_supervision::supervisor::start::Start;
use ensemble_supervision::supervisor::steps::Error;
use ensemble_supervision::supervisor::{Begin, Input, LOOK_AROUND, Learnt, Round, SOON, Supervisor};
use ipnet::Ipv4Net;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// As the real shell waits for a supervisor that says nothing.
const START_PATIENCE_MS: i64 = 90_000;

/// How many containers start at once, as on a machine with two cores.
const AT_ONCE: usize = 4;

/// What one engine is made with.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) name: EngineName,
    pub(crate) layout: Layout,
    /// The path of its data directory.
    pub(crate) identity: String,
    pub(crate) pod_network: Ipv4Net,
}

/// What the engine's process waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// The moment at which a step is done.
    Act(u64),
    /// The loop hears of it.
    Done(u64),
    /// That supervisor has said nothing for so long.
    Impatient(ProcessKey),
    /// A supervisor has ended.
    Watched(ContainerKey),
    /// This attempt of a container answers its probe.
    Answered { container: ContainerKey, attempt: u32, readiness: Readiness },
}

pub(crate) struct Engine {
    pub(crate) process: ProcessKey,
    kernel: SimulatedKernel,
    layout: Layout,
    core: Supervisor,
    ledger: Ledger<Cables>,
    under_way: BTreeMap<u64, UnderWay>,
    next: u64,
    watches: BTreeMap<ProcessKey, Option<ContainerKey>>,
    questions: Questions,
    wake: Moment,
    look_around: Moment,
}

/// One action between its beginning and its end.
struct UnderWay {
    action: Action,
    record: Option<InstanceRecord>,
    outcome: Option<Result<Learnt, Error>>,
    /// The supervisor that a start waits for.
    waits_for: Option<ProcessKey>,
}

/// What surrounds a step.
pub(crate) struct Scene<'a> {
    pub(crate) now: Moment,
    pub(crate) dice: &'a mut Dice,
    pub(crate) faults: &'a mut Faults,
    pub(crate) images: &'a mut Images,
    pub(crate) mishap: Mishap,
}

/// What the machine has to see to.
#[derive(Default)]
pub(crate) struct Stirred {
    pub(crate) due: Vec<(i64, Due)>,
    pub(crate) report: Option<Observation>,
    pub(crate) spawned: Vec<(ProcessKey, Directory)>,
    pub(crate) died: bool,
}

impl Engine {
    /// Takes the directory and looks at everything, as the real one does. Nothing when something is in the way.
    pub(crate) fn open(
        kernel: &SimulatedKernel,
        process: ProcessKey,
        setting: &Setting,
        epoch: Epoch,
        now: Moment,
        mishap: Mishap,
    ) -> Option<Self> {
        kernel.0.borrow_mut().begin(process, mishap);
        let opened = (|| -> Result<(Ledger<Cables>, Memory), String> {
            let said = |error: &dyn std::error::Error| error.to_string();
            let layout = &setting.layout;
            for directory in [layout.instances(), layout.network()] {
                kernel.make_directory(&directory).map_err(|error| said(&error))?;
            }
            kernel.take_lock(&layout.lock()).map_err(|error| said(&error))?.ok_or("in use")?;
            let names = Names::new(&setting.identity);
            let wires = Cables(kernel.clone());
            let mut ledger = Ledger::open(kernel, wires, names, &layout.network(), setting.pod_network)
                .map_err(|error| said(&error))?;
            let host = Host { kernel, groups: kernel, layout };
            let boot_id = kernel.boot_id().map_err(|error| said(&error))?;
            let found = ledger.found().map_err(|error| said(&error))?;
            let memory = Memory::look(host, boot_id, found).map_err(|error| said(&error))?;
            Ok((ledger, memory))
        })();
        let step = kernel.0.borrow_mut().finish();
        let (ledger, memory) = opened.ok().filter(|_| !step.died)?;
        Some(Self {
            process,
            kernel: kernel.clone(),
            layout: setting.layout.clone(),
            core: Supervisor::new(setting.name.clone(), epoch, AT_ONCE, memory),
            ledger,
            under_way: BTreeMap::new(),
            next: 0,
            watches: BTreeMap::new(),
            questions: Questions::default(),
            wake: now,
            look_around: now.plus_ms(ms(LOOK_AROUND)),
        })
    }

    pub(crate) fn take(&mut self, wanted: Wanted, now: Moment) {
        let kernel = self.kernel.clone();
        let host = Host { kernel: &kernel, groups: &kernel, layout: &self.layout };
        self.core.take(host, Input::Wanted(wanted));
        self.wake = now;
    }

    pub(crate) fn next_due(&self) -> Moment {
        self.wake.min(self.look_around)
    }

    /// Steps that were begun and not done yet.
    pub(crate) fn pending(&self) -> Vec<u64> {
        let is_pending = |one: &UnderWay| one.outcome.is_none() && !one.action.subject().is_image();
        self.under_way.iter().filter(|(_, one)| is_pending(one)).map(|(id, _)| *id).collect()
    }

    /// Lets the loop decide, and begins what it wants.
    pub(crate) fn turn(&mut self, scene: &mut Scene<'_>) -> Stirred {
        let kernel = self.kernel.clone();
        kernel.0.borrow_mut().begin(self.process, scene.mishap);
        let host = Host { kernel: &kernel, groups: &kernel, layout: &self.layout };
        if self.look_around <= scene.now {
            // Once nothing breaks any more, one look finds what strangers left; the rest must come right without any.
            self.look_around =
                if scene.faults.is_calm() { Moment(i64::MAX) } else { scene.now.plus_ms(ms(LOOK_AROUND)) };
            if self.core.is_at_rest() {
                let found = self.ledger.found();
                self.core.take(host, Input::LookedAround(found));
            }
        }
        let Round { begin, cut, watch, tell, sleep } = self.core.decide(host);
        self.wake = scene.now.plus_ms(ms(sleep));
        let mut stirred = Stirred::default();
        for (key, identity) in watch {
            match open_process(&kernel, &identity) {
                Ok(Some(process)) if kernel.0.borrow().processes.is_alive(process) => {
                    self.watches.insert(process, Some(key));
                }
                // Gone already, or the lock names one that is.
                Ok(_) | Err(_) => stirred.due.push((ms(SOON), Due::Watched(key))),
            }
        }
        if let Some(observation) = tell {
            // The queue of whoever takes them may be full.
            if scene.dice.happens(20) {
                self.wake = self.wake.min(scene.now.plus_ms(ms(SOON)));
            } else {
                self.core.told(observation.clone());
                stirred.report = Some(observation);
            }
        }
        self.questions.ask(self.core.probed(), scene, &mut stirred);
        self.under_way.retain(|_, one| !cut.contains(&one.action.subject()));
        for Begin { action, record } in begin {
            let id = self.next;
            self.next += 1;
            let (after_ms, outcome) = self.begin(&action, scene);
            let is_done = outcome.is_some();
            self.under_way.insert(id, UnderWay { action, record, outcome, waits_for: None });
            stirred.due.push((after_ms, if is_done { Due::Done(id) } else { Due::Act(id) }));
        }
        stirred.died = kernel.0.borrow_mut().finish().died;
        stirred
    }

    /// What is about images is asked of the registry at once, and comes later.
    fn begin(&mut self, action: &Action, scene: &mut Scene<'_>) -> (i64, Option<Result<Learnt, Error>>) {
        let Scene { now, dice, faults, images, .. } = scene;
        let failed = |image: &str| Error::Image {
            image: image.to_owned(),
            prospect: Prospect::Retry,
            source: "the simulated registry has no such image".into(),
        };
        match action {
            Action::Resolve(of) => {
                let asked = images.resolve(&of.image, *now, dice, faults);
                let outcome = asked.found.map(Learnt::Resolved).ok_or_else(|| failed(&of.image));
                (asked.after_ms, Some(outcome))
            }
            Action::Fetch { image, pin } => {
                let asked = images.fetch(image, pin, *now, dice, faults);
                if !images.has(pin) {
                    let kernel = self.kernel.clone();
                    let host = Host { kernel: &kernel, groups: &kernel, layout: &self.layout };
                    self.core.take(host, Input::Pulling(pin.clone()));
                    // It is shown at once.
                    self.wake = *now;
                }
                let outcome = asked.found.map(|_| Learnt::Nothing).ok_or_else(|| failed(image));
                (asked.after_ms, Some(outcome))
            }
            Action::Prepare(_)
            | Action::Attach { .. }
            | Action::Start { .. }
            | Action::Collect { .. }
            | Action::Stop(_)
            | Action::Kill(_)
            | Action::Detach(_)
            | Action::Retire(_)
            | Action::Sweep(_) => (dice.ms(0, 30), None),
        }
    }

    /// Does a step that was begun, in this moment.
    pub(crate) fn act(&mut self, id: u64, scene: &mut Scene<'_>) -> Stirred {
        let mut stirred = Stirred::default();
        let Some(one) = self.under_way.get(&id) else { return stirred };
        let (action, record) = (one.action.clone(), one.record.clone());
        self.kernel.0.borrow_mut().begin(self.process, scene.mishap);
        let maker = Maker { kernel: &self.kernel.clone(), images: scene.images, spawned: RefCell::default() };
        let mut outcome = self.step(&action, record.clone(), &maker);
        if scene.mishap.is_repeated {
            outcome = self.step(&action, record, &maker);
        }
        let spawned = maker.spawned.take();
        stirred.died = self.kernel.0.borrow_mut().finish().died;
        let Some(one) = self.under_way.get_mut(&id) else { return stirred };
        one.outcome = Some(outcome);
        // Children of ours, that somebody has to ask for.
        self.watches.extend(spawned.iter().map(|(process, _)| (*process, None)));
        match spawned.last() {
            Some((process, _)) => {
                one.waits_for = Some(*process);
                stirred.due.push((START_PATIENCE_MS, Due::Impatient(*process)));
            }
            None => stirred.due.push((scene.dice.ms(0, 20), Due::Done(id))),
        }
        stirred.spawned = spawned;
        stirred
    }

    fn step(
        &mut self,
        action: &Action,
        record: Option<InstanceRecord>,
        maker: &Maker<'_>,
    ) -> Result<Learnt, Error> {
        let kernel = self.kernel.clone();
        let layout = self.layout.clone();
        let host = Host { kernel: &kernel, groups: &kernel, layout: &layout };
        let done = match action {
            Action::Attach { pod, app, exposed } => {
                let pod = self.attach(pod, app, exposed.clone())?;
                let (address, exposed_at) = (IpAddr::V4(pod.address), pod.exposed_at.map(IpAddr::V4));
                return Ok(Learnt::Attached { address, exposed_at });
            }
            Action::Detach(pod) | Action::Sweep(Stray::Network(pod)) => {
                let detached = self.ledger.change(&kernel, &[], std::slice::from_ref(pod)).detached;
                detached.into_iter().collect::<Result<(), network::Error>>().map_err(Error::Network)
            }
            Action::Start { container, attempt } => {
                let record = record.ok_or(Error::Cut)?;
                let exposed = record.template.exposed(&container.pod.workload, container.pod.index);
                let pod = self.attach(&container.pod, &record.cell.app, exposed)?;
                let start = Start { record, container: container.clone(), attempt: *attempt, pod };
                start.run(host, maker).map(drop)
            }
            Action::Prepare(record) => host.prepare(record),
            Action::Collect { container, attempt, loss } => host.collect(container, *attempt, loss.clone()),
            Action::Stop(container) => host.stop(container),
            Action::Kill(container) => host.kill(container),
            Action::Retire(id) => host.retire(id),
            Action::Sweep(Stray::Directory(name)) => host.sweep_directory(name),
            Action::Sweep(Stray::Group(name)) => host.sweep_group(name),
            Action::Resolve(_) | Action::Fetch { .. } => Ok(()),
        };
        done.map(|()| Learnt::Nothing)
    }

    fn attach(&mut self, pod: &PodKey, app: &AppId, exposed: Option<Exposed>) -> Result<PodNetwork, Error> {
        let attach = Attach { pod: pod.clone(), app: app.clone(), exposed };
        let attached = self.ledger.change(&self.kernel, &[attach], &[]).attached.pop();
        Ok(attached.unwrap_or(Err(network::Error::Closed))?)
    }

    /// A start need not wait any longer for this supervisor.
    pub(crate) fn announced(&mut self, process: ProcessKey, stirred: &mut Stirred) {
        let waiting = self.under_way.iter_mut().find(|(_, one)| one.waits_for == Some(process));
        if let Some((id, one)) = waiting {
            one.waits_for = None;
            stirred.due.push((1, Due::Done(*id)));
        }
    }

    /// A process has ended, perhaps one that is watched.
    pub(crate) fn process_ended(&mut self, process: ProcessKey, stirred: &mut Stirred) {
        self.announced(process, stirred);
        if !self.kernel.0.borrow().processes.is_alive(process)
            && let Some(key) = self.watches.remove(&process)
        {
            self.kernel.0.borrow_mut().reap(self.process, process);
            stirred.due.extend(key.map(|key| (0, Due::Watched(key))));
        }
    }

    /// What the loop hears of.
    pub(crate) fn hear(&mut self, due: Due, scene: &mut Scene<'_>) -> Stirred {
        let mut stirred = Stirred::default();
        let kernel = self.kernel.clone();
        let host = Host { kernel: &kernel, groups: &kernel, layout: &self.layout };
        match due {
            Due::Act(id) => return self.act(id, scene),
            Due::Impatient(process) => {
                self.announced(process, &mut stirred);
                return stirred;
            }
            Due::Done(id) => {
                let Some(UnderWay { action, outcome: Some(outcome), .. }) = self.under_way.remove(&id) else {
                    return stirred;
                };
                if let (Action::Fetch { pin, .. }, Ok(_)) = (&action, &outcome) {
                    scene.images.put(pin.clone());
                }
                kernel.0.borrow_mut().begin(self.process, scene.mishap);
                self.core.take(host, Input::Finished { action, outcome });
            }
            Due::Answered { container, attempt, readiness } => {
                kernel.0.borrow_mut().begin(self.process, scene.mishap);
                self.core.take(host, Input::Probed { container, attempt, readiness });
            }
            Due::Watched(key) => {
                kernel.0.borrow_mut().begin(self.process, scene.mishap);
                self.core.take(host, Input::SupervisorEnded(key));
            }
        }
        stirred.died = kernel.0.borrow_mut().finish().died;
        self.wake = scene.now;
        stirred
    }

    /// What it is about to do.
    pub(crate) fn deed(&self, due: &Due) -> Deed<'_> {
        match due {
            Due::Act(id) => self.under_way.get(id).map_or(Deed::Hear, |one| Deed::Step(&one.action)),
            Due::Done(_) | Due::Impatient(_) | Due::Watched(_) | Due::Answered { .. } => Deed::Hear,
        }
    }
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
