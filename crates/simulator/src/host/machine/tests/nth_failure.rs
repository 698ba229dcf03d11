//! The n-th call of every step fails, or is the last of its process, for every n until the step passes; its process dies
//! when all is done; and every step is done twice. Afterwards everything wanted runs once, and once nothing is wanted there is a clean slate: nothing on the
//! machine that nobody owns, by the machine's own truth.

use super::super::fate::{Deed, Drawn, Fate};
use super::super::ground::{Ground, Mishap};
use super::super::processes::{ProcessKey, Role, State};
use super::*;
use ensemble_supervision::network::record::RecordFile;
use ensemble_supervision::reconcile::state::{Action, Stray};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// In some of them the engine is process 1 of its machine, in others it is not.
const SEEDS: std::ops::Range<u64> = 0..4;

/// How long it may take until nothing is left of what is released, on a machine that nobody disturbs: shorter than from
/// one look around to the next, which would find what was forgotten.
const RELEASED_MS: i64 = 30_000;

/// No step makes more calls; a story that gets there does not end by itself.
const CALLS_AT_MOST: u64 = 200;

/// What is done to a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mischief {
    /// Its n-th call answers an error and has done nothing.
    Fails(u64),
    /// Its process dies in the n-th call, which was done in part or not at all.
    Dies(u64),
    /// Its process dies when all of it is done, and before anybody is told.
    DiesAfter,
    /// It is done twice in a row, each time.
    Twice,
}

/// Does mischief to the steps of one kind, until it has come to pass.
struct Trap {
    kernel: SimulatedKernel,
    is_meant: fn(Deed<'_>) -> bool,
    mischief: Mischief,
    met: Rc<Cell<usize>>,
}

impl Fate for Trap {
    fn befalls(&mut self, deed: Deed<'_>, _: &mut Dice, _: &mut Faults) -> Mishap {
        let mut mishap = Mishap::default();
        if (self.is_meant)(deed) && self.kernel.0.borrow().struck == 0 {
            self.met.set(self.met.get() + 1);
            match self.mischief {
                Mischief::Fails(nth) => mishap.fails_in = Some(nth),
                Mischief::Dies(nth) => mishap.dies_in = Some(nth),
                Mischief::DiesAfter => mishap.dies_after = true,
                Mischief::Twice => mishap.is_repeated = true,
            }
        }
        mishap
    }
}

/// How one kind of step comes about.
struct Story {
    step: &'static str,
    is_meant: fn(Deed<'_>) -> bool,
    /// Before the trap is set.
    before: fn(&mut Owner),
    then: fn(&mut Owner),
}

/// Two instances of two applications run.
fn two_run(owner: &mut Owner) {
    for (at, id) in [(0, "i-a"), (2, "i-b")] {
        owner.cells.values_mut().nth(at).unwrap().run.insert(InstanceId::new(id));
    }
    owner.open();
    owner.advance(owner.now.plus_ms(CALM_MS));
    owner.state().unwrap();
}

fn nothing(_: &mut Owner) {}

fn release_one(owner: &mut Owner) {
    let cell = owner.cells.values_mut().next().unwrap();
    cell.release.append(&mut cell.run);
    owner.tell(Coverage::Listed);
}

fn release_all(owner: &mut Owner) {
    for cell in owner.cells.values_mut() {
        cell.release.append(&mut cell.run);
    }
    owner.tell(Coverage::Listed);
}

/// Something happens on the machine by itself.
fn happens(owner: &mut Owner, deed: impl FnOnce(&mut Machine)) {
    owner.with(|machine, around| {
        deed(machine);
        machine.settle(around.now, around.faults);
    });
}

fn some_process(machine: &Machine, role: Role) -> ProcessKey {
    let ground = machine.kernel.0.borrow();
    let mut alive = ground.processes.iter().filter(|(_, one)| (one.role, one.state) == (role, State::Alive));
    alive.next().unwrap().0
}

fn some_end(owner: &mut Owner, role: Role) {
    happens(owner, |machine| {
        let ended = some_process(machine, role);
        machine.kernel.0.borrow_mut().end(ended);
    });
}

fn a_program_ends(owner: &mut Owner) {
    some_end(owner, Role::Program);
}

fn a_supervisor_is_killed(owner: &mut Owner) {
    some_end(owner, Role::Supervisor);
}

/// Supervisors that do nothing any more cannot be asked to stop.
fn all_supervisors_hang(owner: &mut Owner) {
    two_run(owner);
    owner.machine.supervisors.clear();
}

/// An instance whose record is lost is three strays: a directory, a group and networks.
fn a_record_is_lost(owner: &mut Owner) {
    two_run(owner);
    owner.with(Machine::kill_engine);
    let record = Path::new("/data/instances/i-a/instance.json");
    owner.machine.kernel.0.borrow_mut().files.remove_file(record).unwrap();
}

fn the_engine_was_killed(owner: &mut Owner) {
    two_run(owner);
    owner.with(Machine::kill_engine);
}

/// What the engine does because its loop wants it.
const STEPS: [Story; 11] = [
    Story {
        step: "prepare",
        is_meant: |deed| matches!(deed, Deed::Step(Action::Prepare(_))),
        before: nothing,
        then: two_run,
    },
    Story {
        step: "attach",
        is_meant: |deed| matches!(deed, Deed::Step(Action::Attach { .. })),
        before: nothing,
        then: two_run,
    },
    Story {
        step: "start",
        is_meant: |deed| matches!(deed, Deed::Step(Action::Start { .. })),
        before: nothing,
        then: two_run,
    },
    Story {
        step: "start again",
        is_meant: |deed| matches!(deed, Deed::Step(Action::Start { .. })),
        before: two_run,
        then: a_program_ends,
    },
    Story {
        step: "collect",
        is_meant: |deed| matches!(deed, Deed::Step(Action::Collect { .. })),
        before: two_run,
        then: a_supervisor_is_killed,
    },
    Story {
        step: "stop",
        is_meant: |deed| matches!(deed, Deed::Step(Action::Stop(_))),
        before: two_run,
        then: release_one,
    },
    Story {
        step: "kill",
        is_meant: |deed| matches!(deed, Deed::Step(Action::Kill(_))),
        before: all_supervisors_hang,
        then: release_all,
    },
    Story {
        step: "detach",
        is_meant: |deed| matches!(deed, Deed::Step(Action::Detach(_))),
        before: two_run,
        then: release_one,
    },
    Story {
        step: "retire",
        is_meant: |deed| matches!(deed, Deed::Step(Action::Retire(_))),
        before: two_run,
        then: release_one,
    },
    Story {
        step: "sweep a directory or a group",
        is_meant: |deed| matches!(deed, Deed::Step(Action::Sweep(Stray::Directory(_) | Stray::Group(_)))),
        before: a_record_is_lost,
        then: Owner::open,
    },
    Story {
        step: "sweep a network",
        is_meant: |deed| matches!(deed, Deed::Step(Action::Sweep(Stray::Network(_)))),
        before: a_record_is_lost,
        then: Owner::open,
    },
];

/// What engine and supervisors do of themselves.
const ROUTINES: [Story; 10] = [
    Story { step: "hear", is_meant: |deed| matches!(deed, Deed::Hear), before: nothing, then: two_run },
    Story { step: "open", is_meant: |deed| matches!(deed, Deed::Open), before: nothing, then: two_run },
    Story {
        step: "open over what runs",
        is_meant: |deed| matches!(deed, Deed::Open),
        before: the_engine_was_killed,
        then: Owner::open,
    },
    Story { step: "decide", is_meant: |deed| matches!(deed, Deed::Decide), before: nothing, then: two_run },
    Story {
        step: "look around",
        is_meant: |deed| matches!(deed, Deed::Decide),
        before: two_run,
        then: nothing,
    },
    Story {
        step: "supervisor begins",
        is_meant: |deed| matches!(deed, Deed::Beat(Beat::Begin)),
        before: nothing,
        then: two_run,
    },
    Story {
        step: "supervisor makes its container",
        is_meant: |deed| matches!(deed, Deed::Beat(Beat::Create)),
        before: nothing,
        then: two_run,
    },
    Story {
        step: "supervisor's program ends",
        is_meant: |deed| matches!(deed, Deed::ProgramEnded),
        before: two_run,
        then: a_program_ends,
    },
    Story {
        step: "supervisor writes how it ended",
        is_meant: |deed| matches!(deed, Deed::Beat(Beat::Write)),
        before: two_run,
        then: a_program_ends,
    },
    Story {
        step: "supervisor cleans up and lets go",
        is_meant: |deed| matches!(deed, Deed::Beat(Beat::CleanUp)),
        before: two_run,
        then: a_program_ends,
    },
];

/// Tells one story with one mischief. Says whether that came to pass.
fn tell(story: &Story, mischief: Mischief, seed: u64) -> Result<bool, String> {
    let mut owner = Owner::new(seed, &"none".parse().unwrap());
    (story.before)(&mut owner);
    let met = Rc::new(Cell::new(0));
    let kernel = owner.machine.kernel.clone();
    let trap = Trap { kernel: kernel.clone(), is_meant: story.is_meant, mischief, met: Rc::clone(&met) };
    owner.machine.fate = Box::new(trap);
    (story.then)(&mut owner);
    owner.advance(owner.now.plus_ms(CALM_MS));
    owner.machine.fate = Box::new(Drawn);
    let has_struck = kernel.0.borrow().struck > 0;
    if met.get() == 0 {
        return Err("the step never came about".to_owned());
    }
    owner.calm_down();
    owner.state()?;
    everything_is_somebodys(&owner)?;

    release_all(&mut owner);
    owner.advance(owner.now.plus_ms(RELEASED_MS));

    owner.state()?;
    everything_is_somebodys(&owner)?;
    slate_is_clean(&kernel.0.borrow())?;
    Ok(has_struck)
}

/// Addresses, interfaces, namespaces, rules and reservations are those of the pods that run, and no record is half.
fn everything_is_somebodys(owner: &Owner) -> Result<(), String> {
    let pods: BTreeSet<String> = owner
        .wanted_programs()
        .iter()
        .map(|program| program.rsplit_once('/').unwrap().0.to_owned())
        .collect();
    let kernel = owner.machine.kernel.clone();
    let record = RecordFile::new(&owner.machine.setting.layout.network()).load(&kernel);
    let reserved = record.map_err(|error| error.to_string())?.map_or(0, |record| record.pods.len());
    let ground = kernel.0.borrow();
    let addresses: BTreeSet<_> = ground.net.addresses().collect();
    let counts = [
        ("reservations", reserved),
        ("interfaces", ground.net.links().count()),
        ("namespaces", ground.net.namespaces().count()),
        ("rules", ground.net.ruled().count()),
    ];
    for (what, count) in counts {
        if count != pods.len() {
            return Err(format!("{count} {what} of {} pods", pods.len()));
        }
    }
    if let Some(address) = ground.net.ruled().find(|address| !addresses.contains(address)) {
        return Err(format!("the rules let {address} talk, which nobody has"));
    }
    let halves: Vec<String> =
        files_below(&ground, "/data").into_iter().filter(|path| path.ends_with(".new")).collect();
    if halves.is_empty() { Ok(()) } else { Err(format!("half written: {halves:?}")) }
}

/// Nothing is wanted: only the engine itself is there, and what it keeps of what was.
fn slate_is_clean(ground: &Ground) -> Result<(), String> {
    const KEPT: [&str; 6] = ["instance.json", "resolv.conf", "hosts", "hostname", "exit.json", "log"];
    let alive = ground.processes.iter().filter(|(_, process)| process.state == State::Alive);
    let others: Vec<Role> =
        alive.map(|(_, process)| process.role).filter(|role| *role != Role::Engine).collect();
    if !others.is_empty() {
        return Err(format!("processes: {others:?}"));
    }
    if ground.groups.instances().next().is_some() {
        return Err("a group".to_owned());
    }
    let locks = ground.files.holders().count();
    if locks != 1 {
        return Err(format!("{locks} locks are held, the engine's is one"));
    }
    let is_ours = |path: &&String| {
        let name = path.rsplit('/').next().unwrap_or_default();
        ["/data/lock", "/data/network/network.json"].contains(&path.as_str())
            || path.starts_with("/data/released/") && KEPT.contains(&name)
    };
    let files = files_below(ground, "/data");
    let left: Vec<&String> = files.iter().filter(|path| !is_ours(path)).collect();
    if left.is_empty() { Ok(()) } else { Err(format!("files: {left:?}")) }
}

/// Files, and directories in which nothing is but that are somebody's by their place.
fn files_below(ground: &Ground, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (name, is_directory) in ground.files.list(Path::new(path)).unwrap() {
        let below = format!("{path}/{name}");
        if is_directory {
            found.extend(files_below(ground, &below));
        } else {
            found.push(below);
        }
    }
    found
}

/// Every story with every mischief of one kind; what went wrong, by story, call and seed.
fn tell_all(mischief: fn(u64) -> Mischief) -> Vec<String> {
    let mut wrong = Vec::new();
    let stories = STEPS.iter().chain(&ROUTINES);
    for (story, seed) in stories.flat_map(|story| SEEDS.map(move |seed| (story, seed))) {
        let passes =
            (0..CALLS_AT_MOST).find(|nth| check(story, mischief(*nth), seed, &mut wrong) == Some(false));
        println!("{}, seed {seed}: passes with {:?}", story.step, passes.map(mischief));
        match passes {
            None => wrong.push(format!("{}: never passes", story.step)),
            Some(0) => wrong.push(format!("{}: makes no call", story.step)),
            Some(_) => {}
        }
    }
    wrong
}

/// Says whether the mischief came to pass, where the story ended well.
fn check(story: &Story, mischief: Mischief, seed: u64, wrong: &mut Vec<String>) -> Option<bool> {
    let told = catch_unwind(AssertUnwindSafe(|| tell(story, mischief, seed)));
    match told.unwrap_or_else(|_| Err("what may never be, see above".to_owned())) {
        Ok(has_struck) => Some(has_struck),
        Err(reason) => {
            wrong.push(format!("{}, {mischief:?}, seed {seed}: {reason}", story.step));
            None
        }
    }
}

#[test]
fn whichever_call_of_a_step_fails_the_machine_comes_right_and_nothing_is_left() {
    assert_eq!(tell_all(Mischief::Fails), [""; 0]);
}

#[test]
fn whichever_call_of_a_step_is_the_last_of_its_process_the_machine_comes_right_and_nothing_is_left() {
    assert_eq!(tell_all(Mischief::Dies), [""; 0]);
}

#[test]
fn after_whichever_step_its_process_dies_the_machine_comes_right_and_nothing_is_left() {
    let mut wrong = Vec::new();
    for (story, seed) in STEPS.iter().chain(&ROUTINES).flat_map(|story| SEEDS.map(move |seed| (story, seed)))
    {
        let struck = check(story, Mischief::DiesAfter, seed, &mut wrong);
        assert_ne!(struck, Some(false), "{}", story.step);
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn every_step_may_be_done_twice() {
    let mut wrong = Vec::new();
    for (story, seed) in STEPS.iter().flat_map(|story| SEEDS.map(move |seed| (story, seed))) {
        check(story, Mischief::Twice, seed, &mut wrong);
    }
    assert_eq!(wrong, [""; 0]);
}
