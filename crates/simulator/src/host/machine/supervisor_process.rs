//! One supervisor process: the order of its writes is the real one (`ensemble_supervision::shim`), what lies between them
//! takes simulated time, and it may die in any of its calls. Its container does not die with it.
//! Says what comes next and when; the machine keeps the time.

use super::ground::{Identity, Mishap};
use super::kernel::SimulatedKernel;
use super::order::{Order, Spec};
use super::processes::{ProcessKey, Role};
use super::programs::{Crashing, Creation, Plan, WhenAsked};
use crate::agenda::Moment;
use crate::dice::Dice;
use crate::faults::Faults;
use ensemble_model::id::InstanceId;
use ensemble_supervision::directory::Directory;
use ensemble_supervision::kernel::Groups;
use ensemble_supervision::record::{self, End, KillCause, Prospect};
use ensemble_supervision::shim::{Enclosure, Ended, Error, LOCK_PATIENCE, LastWord, Shim, Tried};
use std::io;
use std::rc::Rc;

/// From the fork to a program that runs, as the real supervisor waits for it.
const CREATION_PATIENCE_MS: i64 = 60_000;

/// How often it asks again for a lock that is held.
const LOCK_PAUSE_MS: i64 = 100;

/// What a process does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beat {
    /// Take the lock.
    Begin,
    /// The program is made, or is not.
    Create,
    /// It was asked to stop so long ago that the kill follows.
    Kill,
    /// The program has ended: write how.
    Write,
    /// Clean up and let the lock go.
    CleanUp,
}

/// What came of a beat.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// What it does next, and in how many milliseconds.
    pub(crate) next: Vec<(i64, Beat)>,
    /// A program was made, which ends by itself after so long, with that code.
    pub(crate) program_ends: Option<(ProcessKey, i64, i32)>,
    /// Whoever waits for the start need not wait any longer.
    pub(crate) is_announced: bool,
    /// The process ends.
    pub(crate) is_over: bool,
}

pub(crate) struct SupervisorProcess {
    pub(crate) process: ProcessKey,
    directory: Directory,
    begun: Moment,
    stage: Stage,
    /// It was asked to stop.
    is_asked: bool,
}

enum Stage {
    /// Asks for the lock.
    Asking,
    Making {
        shim: Shim<Rc<SimulatedKernel>>,
        order: Order,
        plan: Plan,
    },
    Running {
        shim: Shim<Rc<SimulatedKernel>>,
        order: Order,
        plan: Plan,
        program: ProcessKey,
        started_boot_ms: u64,
    },
    /// Has something to write, then to clean up.
    Ending {
        shim: Shim<Rc<SimulatedKernel>>,
        order: Order,
        word: LastWord,
    },
    Over,
}

/// What surrounds a step.
pub(crate) struct Scene<'a> {
    pub(crate) kernel: &'a SimulatedKernel,
    pub(crate) now: Moment,
    pub(crate) dice: &'a mut Dice,
    pub(crate) faults: &'a mut Faults,
    pub(crate) crashing: &'a mut Crashing,
    pub(crate) mishap: Mishap,
}

impl SupervisorProcess {
    pub(crate) fn new(process: ProcessKey, directory: Directory, now: Moment) -> Self {
        Self { process, directory, begun: now, stage: Stage::Asking, is_asked: false }
    }

    /// What hangs goes on. Says whether anything hung.
    pub(crate) fn relieve(&mut self) -> bool {
        match &mut self.stage {
            Stage::Making { plan, .. } if matches!(plan.creation, Creation::Hangs { .. }) => {
                plan.creation = Creation::Works { after_ms: 0 };
                true
            }
            Stage::Asking
            | Stage::Making { .. }
            | Stage::Running { .. }
            | Stage::Ending { .. }
            | Stage::Over => false,
        }
    }

    /// The program that it waits for.
    pub(crate) fn program(&self) -> Option<ProcessKey> {
        match &self.stage {
            Stage::Running { program, .. } => Some(*program),
            Stage::Asking | Stage::Making { .. } | Stage::Ending { .. } | Stage::Over => None,
        }
    }

    /// The instance of the container that it has or makes.
    pub(crate) fn instance(&self) -> Option<&InstanceId> {
        match &self.stage {
            Stage::Making { order, .. } | Stage::Running { order, .. } => Some(&order.identity.instance),
            Stage::Asking | Stage::Ending { .. } | Stage::Over => None,
        }
    }

    /// Does what is due. Beats that come too late for its stage do nothing.
    pub(crate) fn beat(&mut self, beat: Beat, scene: &mut Scene<'_>) -> Outcome {
        let kernel = scene.kernel.clone();
        kernel.0.borrow_mut().begin(self.process, scene.mishap);
        let mut outcome = match beat {
            Beat::Begin => self.ask(scene),
            Beat::Create => self.create(scene),
            Beat::Kill => self.kill(scene),
            Beat::Write => self.write(scene),
            Beat::CleanUp => self.clean_up(scene),
        };
        if outcome.is_over {
            kernel.0.borrow_mut().leave();
        }
        if kernel.0.borrow_mut().finish().died {
            // Its program lives on, and is still going to do what it was going to.
            outcome = Outcome { program_ends: outcome.program_ends, ..Outcome::default() };
        }
        outcome
    }

    fn ask(&mut self, scene: &mut Scene<'_>) -> Outcome {
        let over = Outcome { is_over: true, ..Outcome::default() };
        let Ok(Some(order)) = record::read::<Order>(scene.kernel, &self.directory.order()) else {
            return over;
        };
        let shim = match Shim::begin(Rc::new(scene.kernel.clone()), &self.directory, order.attempt) {
            Ok(shim) => shim,
            Err(Error::Locked) if scene.now.since(self.begun) < LOCK_PATIENCE.as_millis() as i64 => {
                return Outcome { next: vec![(LOCK_PAUSE_MS, Beat::Begin)], ..Outcome::default() };
            }
            Err(Error::Locked | Error::GivenUp | Error::Step { .. } | Error::Record(_)) => return over,
        };
        let plan = scene.crashing.draw(&order.identity, scene.now, scene.dice, scene.faults);
        let after_ms = match plan.creation {
            Creation::Works { after_ms } | Creation::Fails { after_ms } => after_ms,
            Creation::Hangs { after_ms } => after_ms.min(CREATION_PATIENCE_MS),
        };
        self.stage = Stage::Making { shim, order, plan };
        Outcome { next: vec![(after_ms, Beat::Create)], ..Outcome::default() }
    }

    fn create(&mut self, scene: &mut Scene<'_>) -> Outcome {
        let (shim, order, plan) = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Making { shim, order, plan } => (shim, order, plan),
            // What hung was made before it was given up.
            other => {
                self.stage = other;
                return Outcome::default();
            }
        };
        let made = match plan.creation {
            Creation::Works { .. } => self.make(&shim, &order, scene),
            Creation::Fails { .. } => Err("the simulated runtime failed".to_owned()),
            Creation::Hangs { .. } => Err("the simulated runtime took too long".to_owned()),
        };
        let (program, identity, started_boot_ms) = match made {
            Ok(made) => made,
            Err(reason) => {
                // What was half made must not run on beside the next attempt.
                let _ = scene.kernel.kill_container(&order.instance_group, &order.container_group);
                let end = End::NotStarted { reason, prospect: Prospect::Retry };
                let word = shim.last_word(Ended { end, up_ms: 0 });
                self.stage = Stage::Ending { shim, order, word };
                return Outcome { next: vec![(1, Beat::Write)], ..Outcome::default() };
            }
        };
        scene.kernel.0.borrow_mut().begins(&self.directory, order.attempt);
        scene.kernel.0.borrow_mut().run(program, identity);
        let program_ends = plan.ends.map(|ending| (program, ending.after_ms, ending.code));
        self.stage = Stage::Running { shim, order, plan, program, started_boot_ms };
        let mut outcome = Outcome { program_ends, is_announced: true, ..Outcome::default() };
        if self.is_asked {
            self.stop(&mut outcome);
        }
        outcome
    }

    /// Makes the first process of the container and writes that down, before the program may start.
    fn make(
        &self,
        shim: &Shim<Rc<SimulatedKernel>>,
        order: &Order,
        scene: &Scene<'_>,
    ) -> Result<(ProcessKey, Identity, u64), String> {
        let said = |error: io::Error| error.to_string();
        let spec =
            record::read::<Spec>(scene.kernel, &self.directory.spec()).map_err(|error| error.to_string())?;
        let identity = spec.ok_or("there is no spec")?.identity;
        let (program, pid) = {
            let mut ground = scene.kernel.0.borrow_mut();
            // As a call of its own: whoever dies here has made nothing.
            ground.pass_whole().map_err(said)?;
            let boot_ms = ground.boot_ms();
            let program = ground.processes.spawn(Role::Program, Some(self.process), boot_ms);
            let entered = ground.groups.enter(&order.instance_group, &order.container_group, program);
            if entered.is_err() || !ground.net.enter(program, &order.network_namespace) {
                ground.end(program);
                return Err("its group or its namespace is gone".to_owned());
            }
            (program, ground.processes.get(program).map_or(0, |process| process.pid))
        };
        let running = shim.made(pid).map_err(|error| error.to_string())?;
        scene.kernel.0.borrow_mut().pass_whole().map_err(said)?;
        Ok((program, identity, running.started_boot_ms))
    }

    /// Somebody asks it to stop its container. Asked again it changes nothing.
    pub(crate) fn asked(&mut self) -> Outcome {
        let mut outcome = Outcome::default();
        if !std::mem::replace(&mut self.is_asked, true) {
            self.stop(&mut outcome);
        }
        outcome
    }

    fn stop(&self, outcome: &mut Outcome) {
        let Stage::Running { order, plan, program, .. } = &self.stage else { return };
        outcome.next.push((order.grace_ms, Beat::Kill));
        match plan.when_asked {
            WhenAsked::Ends(ending) | WhenAsked::EndsBefore(ending) => {
                outcome.program_ends = Some((*program, ending.after_ms, ending.code));
            }
            WhenAsked::Ignores => {}
        }
    }

    fn kill(&mut self, scene: &Scene<'_>) -> Outcome {
        if let Stage::Running { order, .. } = &self.stage {
            // One that survives is in an uninterruptible wait and is tried again.
            let _ = scene.kernel.kill_container(&order.instance_group, &order.container_group);
            return Outcome { next: vec![(1_000, Beat::Kill)], ..Outcome::default() };
        }
        Outcome::default()
    }

    /// The program has ended: by itself with a code, or of a signal.
    pub(crate) fn program_ended(&mut self, code: Option<i32>, scene: &mut Scene<'_>) -> Outcome {
        let (shim, order, program, started_boot_ms) = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Running { shim, order, program, started_boot_ms, .. } => {
                (shim, order, program, started_boot_ms)
            }
            other => {
                self.stage = other;
                return Outcome::default();
            }
        };
        let up_ms = {
            let mut ground = scene.kernel.0.borrow_mut();
            ground.begin(self.process, scene.mishap);
            ground.reap(self.process, program);
            ground.boot_ms().saturating_sub(started_boot_ms)
        };
        // The first process is gone; this is for what entered from outside.
        let _ = scene.kernel.kill_container(&order.instance_group, &order.container_group);
        let end =
            code.map_or(End::Killed { signal: 9, cause: KillCause::Signal }, |code| End::Exited { code });
        let word = shim.last_word(Ended { end, up_ms });
        self.stage = Stage::Ending { shim, order, word };
        if scene.kernel.0.borrow_mut().finish().died {
            return Outcome::default();
        }
        Outcome { next: vec![(scene.dice.ms(0, 20), Beat::Write)], ..Outcome::default() }
    }

    fn write(&mut self, scene: &mut Scene<'_>) -> Outcome {
        let Stage::Ending { shim, order, word } = &mut self.stage else { return Outcome::default() };
        let tried = shim.write(word, &order.enclosure(scene.kernel));
        let next = match tried {
            Tried::Again(pause) => (pause.as_millis() as i64, Beat::Write),
            Tried::Written | Tried::GivenUp => (scene.dice.ms(0, 20), Beat::CleanUp),
        };
        Outcome { next: vec![next], is_announced: next.1 == Beat::CleanUp, ..Outcome::default() }
    }

    fn clean_up(&mut self, scene: &Scene<'_>) -> Outcome {
        let (shim, order) = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Ending { shim, order, .. } => (shim, order),
            other => {
                self.stage = other;
                return Outcome::default();
            }
        };
        shim.clean_up(&order.enclosure(scene.kernel));
        shim.let_go();
        Outcome { is_over: true, ..Outcome::default() }
    }
}

impl Order {
    fn enclosure<'a>(&'a self, kernel: &'a SimulatedKernel) -> Surroundings<'a> {
        Surroundings { kernel, order: self }
    }
}

struct Surroundings<'a> {
    kernel: &'a SimulatedKernel,
    order: &'a Order,
}

impl Enclosure for Surroundings<'_> {
    fn remove_group(&self) -> io::Result<()> {
        self.kernel.0.borrow_mut().cleans_up(&self.order.container_group);
        self.kernel.remove_container(&self.order.instance_group, &self.order.container_group)
    }

    fn unmount_root(&self) -> io::Result<()> {
        // In the supervisor's own mount namespace, which ends with it.
        Ok(())
    }
}
