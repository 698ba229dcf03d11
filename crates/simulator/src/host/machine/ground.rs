//! Everything that exists on one simulated machine: files, processes, groups, network, clocks; and whose calls these
//! are that change it. A call may fail, and may be the last of its process. Decides nothing and starts nothing by itself.
//! `kernel` and `cables` put it behind the seams of the real supervision, `truth` looks at it.

use super::files::Files;
use super::groups::Groups;
use super::processes::{ProcessKey, Processes, Role};
use super::wires::Net;
use crate::agenda::Moment;
use crate::dice::Dice;
use ensemble_model::id::InstanceId;
use ensemble_model::time::WallTime;
use ensemble_supervision::directory::Directory;
use ensemble_supervision::kernel::{Clocks, Signal};
use ensemble_supervision::record::Exit;
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

/// A machine does not come up in no time.
const BOOT_MS: u64 = 1_000;

/// What a program is, by what it was told at its start and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) instance: InstanceId,
    pub(crate) workload: String,
    pub(crate) index: u32,
    pub(crate) container: String,
    /// The pod's name, as the container is told.
    pub(crate) name: String,
}

/// What the call under way has to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    /// It is done.
    Whole,
    /// It is done in part, and its caller is dead.
    Part,
}

/// What befalls the calls of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mishap {
    /// The caller dies in this one, counted from 0.
    pub(crate) dies_in: Option<u64>,
    /// This one fails.
    pub(crate) fails_in: Option<u64>,
    /// The caller dies when it has made all of them.
    pub(crate) dies_after: bool,
    /// What may be done twice is done twice.
    pub(crate) is_repeated: bool,
}

/// What happened that somebody has to be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// A process has ended.
    Ended(ProcessKey),
    /// A process was asked to end.
    Asked(ProcessKey),
    /// A stranger came.
    Stranger(ProcessKey),
}

#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) files: Files,
    pub(crate) processes: Processes,
    pub(crate) groups: Groups,
    pub(crate) net: Net,
    /// Who every program that lives is.
    pub(crate) programs: BTreeMap<ProcessKey, Identity>,
    /// Supervisors that nobody drives, by their programs.
    pub(crate) bound: BTreeMap<ProcessKey, ProcessKey>,
    pub(crate) dice: Dice,
    now: Moment,
    booted: Moment,
    wall: WallTime,
    caller: Option<ProcessKey>,
    mishap: Mishap,
    calls: u64,
    /// The caller died in the step under way.
    is_dead: bool,
    /// Calls that failed or were the last of their process because it was to be so.
    pub(crate) struck: u64,
    news: Vec<News>,
    /// Strangers that wait for a pid of ours to become free.
    pub(crate) strangers_waiting: u64,
    /// Strangers that got a signal from us: never right.
    pub(crate) strangers_signalled: u64,
    /// Programs that were started while an equal one lived: never right.
    pub(crate) doubled: Vec<Identity>,
    /// What else was done that is never right.
    pub(crate) misdeeds: Vec<String>,
    /// Processes that have tried to write down how an attempt ended.
    spoken: BTreeSet<ProcessKey>,
}

impl Ground {
    pub(crate) fn new(dice: Dice) -> Self {
        Self {
            files: Files::default(),
            processes: Processes::new(),
            groups: Groups::default(),
            net: Net::default(),
            programs: BTreeMap::new(),
            bound: BTreeMap::new(),
            dice,
            now: Moment::default(),
            booted: Moment::default(),
            wall: WallTime::default(),
            caller: None,
            mishap: Mishap::default(),
            calls: 0,
            is_dead: false,
            struck: 0,
            news: Vec::new(),
            strangers_waiting: 0,
            strangers_signalled: 0,
            doubled: Vec::new(),
            misdeeds: Vec::new(),
            spoken: BTreeSet::new(),
        }
    }

    pub(crate) fn set_time(&mut self, now: Moment, wall: WallTime) {
        (self.now, self.wall) = (now, wall);
    }

    pub(crate) fn boot_ms(&self) -> u64 {
        self.now.since(self.booted).unsigned_abs() + BOOT_MS
    }

    pub(crate) fn clocks(&self) -> Clocks {
        Clocks { wall: self.wall, boot_ms: self.boot_ms() }
    }

    /// From here on calls are this process's.
    pub(crate) fn begin(&mut self, caller: ProcessKey, mishap: Mishap) {
        (self.caller, self.mishap, self.calls, self.is_dead) = (Some(caller), mishap, 0, false);
    }

    /// The step is over. Says how many calls it made, and whether its process died in it; then that is dead now.
    pub(crate) fn finish(&mut self) -> Step {
        if self.mishap.dies_after {
            self.is_dead = true;
            self.struck += 1;
        }
        let step = Step { calls: self.calls, died: self.is_dead };
        if let Some(caller) = self.caller.take().filter(|_| step.died) {
            self.end(caller);
        }
        self.is_dead = false;
        step
    }

    pub(super) fn caller(&self) -> io::Result<ProcessKey> {
        self.caller.ok_or_else(|| io::Error::other("nobody calls"))
    }

    /// To be asked by every call that changes or reads anything.
    pub(super) fn pass(&mut self) -> io::Result<Passage> {
        if self.is_dead {
            return Err(dead());
        }
        let call = self.calls;
        self.calls += 1;
        if self.mishap.dies_in == Some(call) {
            self.is_dead = true;
            self.struck += 1;
            return if self.dice.happens(500) { Ok(Passage::Part) } else { Err(dead()) };
        }
        if self.mishap.fails_in == Some(call) {
            self.struck += 1;
            return Err(io::Error::other("the simulated kernel refuses"));
        }
        Ok(Passage::Whole)
    }

    /// As [`pass`](Self::pass), for what is done whole or not at all.
    pub(super) fn pass_whole(&mut self) -> io::Result<()> {
        match self.pass()? {
            Passage::Whole => Ok(()),
            Passage::Part => Err(dead()),
        }
    }

    /// The caller ends by itself when the step is over.
    pub(super) fn leave(&mut self) {
        self.is_dead = true;
    }

    /// A process ends, however: its locks are free, it is in no group and no namespace.
    pub(crate) fn end(&mut self, key: ProcessKey) {
        if !self.processes.is_alive(key) {
            return;
        }
        let freed = self.processes.end(key);
        self.spoken.remove(&key);
        self.files.release_locks_of(key.holder());
        self.groups.leave(key);
        self.net.leave(key);
        self.programs.remove(&key);
        self.news.push(News::Ended(key));
        for pid in freed {
            self.freed(pid);
        }
        if let Some(supervisor) = self.bound.remove(&key) {
            self.end(supervisor);
        }
    }

    /// A parent asks how its child ended.
    pub(crate) fn reap(&mut self, parent: ProcessKey, child: ProcessKey) {
        if let Some(pid) = self.processes.reap(parent, child) {
            self.freed(pid);
        }
    }

    /// Where a stranger waits for it, a free pid is his at once.
    fn freed(&mut self, pid: i32) {
        if self.strangers_waiting > 0
            && let Some(stranger) = self.processes.spawn_stranger_as(pid, self.boot_ms())
        {
            self.strangers_waiting -= 1;
            self.news.push(News::Stranger(stranger));
        }
    }

    /// Somebody of ours sends a signal.
    pub(super) fn signal(&mut self, key: ProcessKey, signal: Signal) {
        if !self.processes.is_alive(key) {
            return;
        }
        if self.processes.get(key).is_some_and(|process| process.role == Role::Stranger) {
            self.strangers_signalled += 1;
        }
        match signal {
            Signal::Terminate => self.news.push(News::Asked(key)),
            Signal::Kill => self.end(key),
        }
    }

    /// A program begins.
    pub(crate) fn run(&mut self, key: ProcessKey, identity: Identity) {
        if self.programs.values().any(|other| *other == identity) {
            self.doubled.push(identity.clone());
        }
        self.programs.insert(key, identity);
    }

    /// Somebody is about to write something: perhaps how an attempt ended.
    pub(super) fn writes(&mut self, path: &Path) {
        let is_word = |directory: &Path| path == Directory::new(directory).exit().with_extension("json.new");
        if !self.is_dead && path.parent().is_some_and(is_word) {
            self.spoken.extend(self.caller);
        }
    }

    /// Something is written whole under its name. How an attempt ended is said by whoever holds the lock of its directory.
    pub(super) fn has_written(&mut self, path: &Path) {
        let Some(directory) = path.parent().map(Directory::new).filter(|of| path == of.exit()) else {
            return;
        };
        let caller = self.caller.map(ProcessKey::holder);
        // Where the lock itself was swept away, nobody can tell.
        let is_there = self.files.read(&directory.lock()).is_ok();
        if is_there && self.files.lock_holder(&directory.lock()).is_ok_and(|holder| holder != caller) {
            self.misdeeds.push(format!("{} was written by one without its lock", path.display()));
        }
    }

    /// A supervisor is about to clean up: what is left of its container is the last that tells how it ended.
    pub(super) fn cleans_up(&mut self, container: &str) {
        if !self.is_dead && self.caller.is_some_and(|caller| !self.spoken.contains(&caller)) {
            self.misdeeds.push(format!("{container} was cleaned up before it was written how it ended"));
        }
    }

    /// A program is about to begin: not in an attempt that has ended.
    pub(super) fn begins(&mut self, directory: &Directory, attempt: u32) {
        let exit = self.files.read(&directory.exit()).ok();
        let exit = exit.and_then(|exit| serde_json::from_slice::<Exit>(exit).ok());
        if exit.is_some_and(|exit| exit.attempt == attempt) {
            let directory = directory.path().display();
            self.misdeeds.push(format!("attempt {attempt} of {directory} began after its end"));
        }
    }

    pub(crate) fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// Somebody else routes the part of the pod network that is ours.
    pub(crate) fn take_slice(&mut self, pod_network: Ipv4Net) {
        // Whichever part that is: the first sixteenth of it stands for all.
        if let Ok(mut parts) = pod_network.subnets(20) {
            self.net.foreign_routes.extend(parts.nth(self.dice.below(16) as usize));
        }
    }

    /// Everything that lived is gone; files are as they are.
    pub(crate) fn reboot(&mut self) {
        self.processes.reboot();
        self.groups.reboot();
        self.net.reboot();
        self.programs.clear();
        self.bound.clear();
        self.news.clear();
        self.strangers_waiting = 0;
        self.booted = self.now;
        (self.caller, self.is_dead) = (None, false);
    }
}

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) calls: u64,
    pub(crate) died: bool,
}

/// What a dead process is answered: nothing that it does with that matters.
pub(super) fn dead() -> io::Error {
    io::Error::other("the simulated process is dead")
}
