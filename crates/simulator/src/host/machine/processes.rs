//! The processes of a simulated machine: a few pids that soon come round again, start times in coarse ticks, parents,
//! zombies, and the id of the boot. Says who a process is by a number that never comes round; nothing but this world
//! ever sees that number.

use super::files::Holder;
use std::collections::BTreeMap;

/// The first that is given out again and again; below are the kernel's own.
const FIRST_PID: i32 = 300;

/// So few that a pid comes round within the life of a machine.
const PIDS: i32 = 256;

/// What a tick of start times is worth: 100 of them in a second.
const TICK_MS: u64 = 10;

/// One process, for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ProcessKey(u64);

impl ProcessKey {
    pub(crate) fn holder(self) -> Holder {
        Holder(self.0)
    }
}

/// What a process is, which only the world knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The server with the engine in it.
    Engine,
    /// Of one container.
    Supervisor,
    /// A container's first process.
    Program,
    /// Whoever else is on the machine.
    Stranger,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Alive,
    /// Ended, and kept until its parent asks how.
    Zombie,
}

#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) start_ticks: u64,
    pub(crate) role: Role,
    pub(crate) state: State,
    /// `None` is process 1, which asks at once.
    parent: Option<ProcessKey>,
}

#[derive(Clone, Debug)]
pub(crate) struct Processes {
    all: BTreeMap<ProcessKey, Process>,
    by_pid: BTreeMap<i32, ProcessKey>,
    next_key: u64,
    next_pid: i32,
    boot: u64,
    /// What orphans get for a parent: the engine where it is process 1 of its container.
    adopter: Option<ProcessKey>,
}

impl Processes {
    pub(crate) fn new() -> Self {
        Self {
            all: BTreeMap::new(),
            by_pid: BTreeMap::new(),
            next_key: 1,
            next_pid: FIRST_PID,
            boot: 1,
            adopter: None,
        }
    }

    pub(crate) fn boot_id(&self) -> String {
        format!("b0071d00-0000-4000-8000-{:012}", self.boot)
    }

    /// Nothing is left, and the next boot begins.
    pub(crate) fn reboot(&mut self) {
        *self = Self { next_key: self.next_key, boot: self.boot + 1, ..Self::new() };
    }

    /// Orphans are this one's children from now on.
    pub(crate) fn set_adopter(&mut self, adopter: Option<ProcessKey>) {
        self.adopter = adopter;
    }

    /// Starts a process; `boot_ms` is the time since boot.
    pub(crate) fn spawn(&mut self, role: Role, parent: Option<ProcessKey>, boot_ms: u64) -> ProcessKey {
        let pid = self.free_pid();
        self.spawn_as(pid, role, parent, boot_ms)
    }

    /// Starts a stranger that gets just this pid, if that is free.
    pub(crate) fn spawn_stranger_as(&mut self, pid: i32, boot_ms: u64) -> Option<ProcessKey> {
        (!self.by_pid.contains_key(&pid)).then(|| self.spawn_as(pid, Role::Stranger, None, boot_ms))
    }

    fn spawn_as(&mut self, pid: i32, role: Role, parent: Option<ProcessKey>, boot_ms: u64) -> ProcessKey {
        let key = ProcessKey(self.next_key);
        self.next_key += 1;
        let process = Process { pid, start_ticks: boot_ms / TICK_MS, role, state: State::Alive, parent };
        self.all.insert(key, process);
        self.by_pid.insert(pid, key);
        key
    }

    /// The next one round that nobody has; more than there are when all are taken.
    fn free_pid(&mut self) -> i32 {
        let last = FIRST_PID + PIDS.max(2 * i32::try_from(self.all.len()).unwrap_or(0));
        loop {
            let pid = self.next_pid;
            self.next_pid = if pid >= last { FIRST_PID } else { pid + 1 };
            if !self.by_pid.contains_key(&pid) {
                return pid;
            }
        }
    }

    /// Whoever has this pid now, zombies too.
    pub(crate) fn with_pid(&self, pid: i32) -> Option<ProcessKey> {
        self.by_pid.get(&pid).copied()
    }

    pub(crate) fn get(&self, key: ProcessKey) -> Option<&Process> {
        self.all.get(&key)
    }

    pub(crate) fn is_alive(&self, key: ProcessKey) -> bool {
        self.get(key).is_some_and(|process| process.state == State::Alive)
    }

    /// A process ends: a zombie where somebody has to ask for it, and its children get another parent.
    /// Says which pid became free at once.
    pub(crate) fn end(&mut self, key: ProcessKey) -> Vec<i32> {
        let mut freed = Vec::new();
        let Some(process) = self.all.get_mut(&key).filter(|process| process.state == State::Alive) else {
            return freed;
        };
        process.state = State::Zombie;
        let parent = process.parent;
        if self.adopter == Some(key) {
            self.adopter = None;
        }
        let adopter = self.adopter;
        let mut orphans = Vec::new();
        for (child, process) in self.all.iter_mut().filter(|(_, process)| process.parent == Some(key)) {
            process.parent = adopter;
            if adopter.is_none() && process.state == State::Zombie {
                orphans.push(*child);
            }
        }
        if parent.is_none() {
            orphans.push(key);
        }
        for gone in orphans {
            freed.extend(self.remove(gone));
        }
        freed
    }

    /// The parent asks how its child ended. Says which pid is free now.
    pub(crate) fn reap(&mut self, parent: ProcessKey, child: ProcessKey) -> Option<i32> {
        let process = self.all.get(&child)?;
        let is_due = process.state == State::Zombie && process.parent == Some(parent);
        if is_due { self.remove(child) } else { None }
    }

    fn remove(&mut self, key: ProcessKey) -> Option<i32> {
        let process = self.all.remove(&key)?;
        self.by_pid.remove(&process.pid);
        Some(process.pid)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (ProcessKey, &Process)> {
        self.all.iter().map(|(key, process)| (*key, process))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_comes_round_again_and_is_another_process() {
        let mut processes = Processes::new();
        let first = processes.spawn(Role::Program, None, 1_000);
        let pid = processes.get(first).unwrap().pid;
        processes.end(first);

        let same = (0..PIDS + 1)
            .map(|number| {
                let key = processes.spawn(Role::Stranger, None, 2_000 + 10 * number as u64);
                let found = processes.get(key).unwrap().clone();
                processes.end(key);
                (key, found)
            })
            .find(|(_, process)| process.pid == pid)
            .expect("so few pids come round");

        assert_ne!(same.0, first);
        assert_ne!(same.1.start_ticks, 100);
    }

    #[test]
    fn a_child_is_a_zombie_until_its_parent_asks_and_keeps_its_pid() {
        let mut processes = Processes::new();
        let engine = processes.spawn(Role::Engine, None, 0);
        let child = processes.spawn(Role::Supervisor, Some(engine), 0);
        let pid = processes.get(child).unwrap().pid;

        let freed = processes.end(child);

        assert!(freed.is_empty());
        assert!(!processes.is_alive(child));
        assert_eq!(processes.with_pid(pid), Some(child));
        assert_eq!(processes.spawn_stranger_as(pid, 50), None);
        assert_eq!(processes.reap(engine, child), Some(pid));
        assert!(processes.spawn_stranger_as(pid, 50).is_some());
    }

    #[test]
    fn orphans_live_on_and_process_1_asks_for_those_that_ended() {
        let mut processes = Processes::new();
        let engine = processes.spawn(Role::Engine, None, 0);
        let alive = processes.spawn(Role::Supervisor, Some(engine), 0);
        let dead = processes.spawn(Role::Supervisor, Some(engine), 0);
        processes.end(dead);

        processes.end(engine);

        assert!(processes.is_alive(alive));
        assert!(processes.get(dead).is_none() && processes.get(engine).is_none());
    }

    #[test]
    fn an_engine_that_is_process_1_gets_the_orphans() {
        let mut processes = Processes::new();
        let engine = processes.spawn(Role::Engine, None, 0);
        processes.set_adopter(Some(engine));
        let supervisor = processes.spawn(Role::Supervisor, Some(engine), 0);
        let program = processes.spawn(Role::Program, Some(supervisor), 0);
        processes.end(supervisor);

        let freed = processes.end(program);

        assert!(freed.is_empty(), "a zombie of the engine's");
        assert!(processes.reap(engine, program).is_some());
    }

    #[test]
    fn a_reboot_ends_everything_and_changes_the_boot_id() {
        let mut processes = Processes::new();
        let before = processes.boot_id();
        let process = processes.spawn(Role::Program, None, 0);

        processes.reboot();

        assert_ne!(processes.boot_id(), before);
        assert!(!processes.is_alive(process));
        assert_ne!(processes.spawn(Role::Program, None, 0), process);
    }
}
