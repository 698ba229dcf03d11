//! What happens on a machine, one event after the other: steps of its engine, beats of its supervisors, ends of programs,
//! faults; and who has to be told of it. `mod` is what the simulation asks of a machine.

use super::engine::{self, Engine, Stirred};
use super::fate::Deed;
use super::ground::{Mishap, News};
use super::processes::{ProcessKey, Role};
use super::strikes::{self, Strike};
use super::supervisor_process::{self, Beat, Outcome, SupervisorProcess};
use super::{Event, Machine};
use crate::agenda::Moment;
use crate::faults::Faults;

impl Machine {
    pub(super) fn happen(&mut self, event: Event, now: Moment, faults: &mut Faults) {
        match event {
            Event::Strike(strike) => self.strike(strike, now, faults),
            Event::StrangerLeaves(stranger) => self.kernel.0.borrow_mut().end(stranger),
            Event::AddressLeft(address) => {
                self.kernel.0.borrow_mut().net.foreign_addresses.remove(&address);
            }
            Event::DiskFreed => self.kernel.0.borrow_mut().files.set_room(u64::MAX),
            Event::Reachable => self.switch(now),
            Event::Open => self.open(now, faults),
            Event::Engine(process, due) => {
                let Some(engine) = self.engine.as_mut().filter(|engine| engine.process == process) else {
                    return;
                };
                let deed = engine.deed(&due);
                let mishap = self.fate.befalls(deed, &mut self.dice, faults);
                let mut scene =
                    engine::Scene { now, dice: &mut self.dice, faults, images: &mut self.images, mishap };
                let stirred = engine.hear(due, &mut scene);
                self.stirred(stirred, now);
            }
            Event::Supervisor(process, beat) => {
                let mishap = self.fate.befalls(Deed::Beat(beat), &mut self.dice, faults);
                let Some(supervisor) = self.supervisors.get_mut(&process) else { return };
                let mut scene = supervisor_process::Scene {
                    kernel: &self.kernel,
                    now,
                    dice: &mut self.dice,
                    faults,
                    crashing: &mut self.crashing,
                    mishap,
                };
                let outcome = supervisor.beat(beat, &mut scene);
                self.moved(process, outcome, now);
            }
            Event::ProgramEnds(program, code) => {
                if self.kernel.0.borrow().processes.is_alive(program) {
                    self.codes.insert(program, code);
                    self.kernel.0.borrow_mut().end(program);
                }
            }
        }
    }

    pub(super) fn moved(&mut self, process: ProcessKey, outcome: Outcome, now: Moment) {
        for (after_ms, beat) in outcome.next {
            self.agenda.put(now.plus_ms(after_ms), Event::Supervisor(process, beat));
        }
        if let Some((program, after_ms, code)) = outcome.program_ends {
            self.agenda.put(now.plus_ms(after_ms), Event::ProgramEnds(program, code));
        }
        if outcome.is_announced
            && let Some(engine) = &mut self.engine
        {
            let mut stirred = Stirred::default();
            engine.announced(process, &mut stirred);
            self.stirred(stirred, now);
        }
    }

    pub(super) fn stirred(&mut self, stirred: Stirred, now: Moment) {
        let Some(engine) = &self.engine else { return };
        for (after_ms, due) in stirred.due {
            self.agenda.put(now.plus_ms(after_ms), Event::Engine(engine.process, due));
        }
        for (process, directory) in stirred.spawned {
            self.supervisors.insert(process, SupervisorProcess::new(process, directory, now));
            // A process that has just been started takes its time, and sometimes all of it.
            let after_ms = if self.dice.happens(50) { self.dice.ms(100, 5_000) } else { self.dice.ms(1, 20) };
            self.agenda.put(now.plus_ms(after_ms), Event::Supervisor(process, Beat::Begin));
        }
        if let Some(report) = stirred.report.filter(|_| !stirred.died) {
            self.reports.extend(self.filter.observe(report));
        }
        if stirred.died {
            self.engine = None;
            self.agenda.put(now.plus_ms(self.dice.ms(100, 3_000)), Event::Open);
        }
    }

    /// Tells everybody what happened, until nothing more does in this moment.
    pub(super) fn settle(&mut self, now: Moment, faults: &mut Faults) {
        loop {
            let news = self.kernel.0.borrow_mut().take_news();
            if news.is_empty() {
                let Some(engine) = self.engine.as_mut().filter(|engine| engine.next_due() <= now) else {
                    break;
                };
                let mishap = self.fate.befalls(Deed::Decide, &mut self.dice, faults);
                let mut scene =
                    engine::Scene { now, dice: &mut self.dice, faults, images: &mut self.images, mishap };
                let stirred = engine.turn(&mut scene);
                self.stirred(stirred, now);
                continue;
            }
            for news in news {
                self.hear(news, now, faults);
            }
        }
    }

    pub(super) fn hear(&mut self, news: News, now: Moment, faults: &mut Faults) {
        match news {
            News::Ended(process) => {
                self.supervisors.remove(&process);
                let of = self.supervisors.values().find(|supervisor| supervisor.program() == Some(process));
                if let Some(supervisor) = of.map(|supervisor| supervisor.process) {
                    self.program_ended(supervisor, process, now, faults);
                }
                if let Some(engine) = &mut self.engine {
                    let mut stirred = Stirred::default();
                    engine.process_ended(process, &mut stirred);
                    self.stirred(stirred, now);
                }
            }
            News::Asked(process) => {
                if let Some(supervisor) = self.supervisors.get_mut(&process) {
                    self.stopped.extend(supervisor.instance().cloned());
                    let outcome = supervisor.asked();
                    self.moved(process, outcome, now);
                }
            }
            News::Stranger(stranger) => {
                let leaves = now.plus_ms(self.dice.ms(10_000, 600_000));
                self.agenda.put(leaves, Event::StrangerLeaves(stranger));
            }
        }
    }

    pub(super) fn program_ended(
        &mut self,
        process: ProcessKey,
        program: ProcessKey,
        now: Moment,
        faults: &mut Faults,
    ) {
        let code = self.codes.remove(&program);
        let mishap = self.fate.befalls(Deed::ProgramEnded, &mut self.dice, faults);
        let Some(supervisor) = self.supervisors.get_mut(&process) else { return };
        let mut scene = supervisor_process::Scene {
            kernel: &self.kernel,
            now,
            dice: &mut self.dice,
            faults,
            crashing: &mut self.crashing,
            mishap,
        };
        let outcome = supervisor.program_ended(code, &mut scene);
        self.moved(process, outcome, now);
    }

    pub(super) fn open(&mut self, now: Moment, faults: &mut Faults) {
        self.is_up = true;
        let Some(epoch) = self.driven.filter(|_| self.engine.is_none()) else { return };
        let process = {
            let mut ground = self.kernel.0.borrow_mut();
            let boot_ms = ground.boot_ms();
            let process = ground.processes.spawn(Role::Engine, None, boot_ms);
            if self.dice.happens(300) {
                // In a container of its own it is process 1 there.
                ground.processes.set_adopter(Some(process));
            }
            process
        };
        let mishap = self.fate.befalls(Deed::Open, &mut self.dice, faults);
        let opened = Engine::open(&self.kernel, process, &self.setting, epoch, now, mishap);
        match opened {
            Some(mut engine) => {
                self.told.again().into_iter().for_each(|wanted| engine.take(wanted, now));
                self.engine = Some(engine);
            }
            None => {
                self.kernel.0.borrow_mut().end(process);
                self.agenda.put(now.plus_ms(1_000), Event::Open);
            }
        }
    }

    /// The engine's process ends, perhaps in one of its steps.
    pub(super) fn die(&mut self, now: Moment, faults: &mut Faults) {
        self.set_time(now);
        let Some(mut engine) = self.engine.take() else { return };
        let pending = engine.pending();
        if let Some(id) = self.dice.pick(&pending).copied() {
            let mishap = Mishap { dies_in: Some(self.dice.below(16)), ..Mishap::default() };
            let mut scene =
                engine::Scene { now, dice: &mut self.dice, faults, images: &mut self.images, mishap };
            let stirred = engine.act(id, &mut scene);
            for (process, directory) in stirred.spawned {
                self.supervisors.insert(process, SupervisorProcess::new(process, directory, now));
                let after_ms = self.dice.ms(1, 5_000);
                self.agenda.put(now.plus_ms(after_ms), Event::Supervisor(process, Beat::Begin));
            }
        }
        self.kernel.0.borrow_mut().end(engine.process);
        self.settle(now, faults);
    }

    pub(super) fn strike(&mut self, strike: Strike, now: Moment, faults: &mut Faults) {
        let intensity = faults.intensity(strike.fault());
        let next = now.plus_ms(self.dice.wait_ms(strike.mean_ms()));
        self.agenda.put(next, Event::Strike(strike));
        if intensity == 0 || !self.is_up || !self.dice.happens(250 * intensity) {
            return;
        }
        let dice = &mut self.dice;
        let ground = &mut *self.kernel.0.borrow_mut();
        let struck = match strike {
            Strike::Shim => strikes::kill_shim(ground, dice),
            Strike::Pid => strikes::give_pid_to_stranger(ground, dice),
            Strike::Address => match strikes::take_address(ground, dice) {
                Some(address) => {
                    self.agenda.put(now.plus_ms(dice.ms(5_000, 600_000)), Event::AddressLeft(address));
                    true
                }
                None => false,
            },
            Strike::Orphan => {
                self.orphans += 1;
                let name = format!("i-orphan-{}-{}", self.setting.name, self.orphans);
                strikes::leave_orphan(ground, &self.setting.layout.instances(), &name, dice);
                true
            }
            Strike::Disk => {
                strikes::fill_disk(ground, dice);
                self.agenda.put(now.plus_ms(dice.ms(1_000, 300_000)), Event::DiskFreed);
                true
            }
            Strike::Image => {
                strikes::prune(&mut self.images, dice);
                true
            }
        };
        if struck {
            faults.count(strike.fault());
        }
    }
}
