//! The loop over a machine in memory: what begins, what waits, what is told; and the order of writes of its steps.

use super::memory::Memory;
use super::steps::Error;
use super::{Begin, FETCHES_AT_ONCE, Input, Learnt, Round, STEPS_TO_A_START, Supervisor};
use crate::host::Host;
use crate::kernel::Kernel;
use crate::kernel::scratch::{BOOT, Scratch};
use crate::layout::{ContainerKey, Layout};
use crate::pod::PodKey;
use crate::reconcile::state::{Action, Loss, Subject};
use crate::record::{self, Attempt, Exit};
use crate::shim::Shim;
use ensemble_model::application::Container;
use ensemble_model::id::{AppId, Digest, EdgeNodeId, EngineName, InstanceId, Isp, VersionName};
use ensemble_model::observation::{Observation, Reach};
use ensemble_model::spec::Resources;
use ensemble_model::wanted::{
    CellKey, CellTemplate, Coverage, Epoch, Wanted, WantedCell, WantedInstance, WantedWorkload,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

const EPOCH: Epoch = Epoch(7);

/// A machine, and the loop of an engine on it.
struct Bench {
    scratch: Scratch,
    layout: Layout,
    supervisor: Supervisor,
}

impl Bench {
    fn new() -> Self {
        let (scratch, layout) = (Scratch::default(), Layout::new("/e"));
        scratch.make_directory(&layout.instances()).unwrap();
        let host = Host { kernel: &scratch, groups: &scratch, layout: &layout };
        let memory = Memory::look(host, BOOT.to_owned(), Vec::new()).unwrap();
        let supervisor = Supervisor::new(EngineName::new("here"), EPOCH, 1, memory);
        Self { scratch, layout, supervisor }
    }

    fn host(&self) -> Host<'_, Scratch, Scratch> {
        Host { kernel: &self.scratch, groups: &self.scratch, layout: &self.layout }
    }

    fn take(&mut self, input: Input) {
        let host = Host { kernel: &self.scratch, groups: &self.scratch, layout: &self.layout };
        self.supervisor.take(host, input);
    }

    fn decide(&mut self) -> Round {
        let host = Host { kernel: &self.scratch, groups: &self.scratch, layout: &self.layout };
        self.supervisor.decide(host)
    }

    fn finish(&mut self, action: Action, outcome: Result<Learnt, Error>) {
        self.take(Input::Finished { action, outcome });
    }
}

/// All of `ids` with an image each that is pinned under its own name.
fn wanted(epoch: Epoch, sequence: u64, ids: &[String]) -> Wanted {
    let cell = |id: &String| {
        let main = Container {
            name: "main".to_owned(),
            image: format!("oci:/{id}"),
            command: Vec::new(),
            args: Vec::new(),
            env: Vec::new(),
            working_dir: None,
            readiness: None,
            ports: Vec::new(),
        };
        WantedCell {
            key: CellKey {
                app: AppId::new("app"),
                version: VersionName::new(id),
                node: EdgeNodeId::new("n"),
                isp: Isp::new("cmcc"),
            },
            template: Arc::new(CellTemplate {
                app_name: "hello".to_owned(),
                limits: Resources { vcpu: 1, memory_mib: 64 },
                workloads: vec![WantedWorkload {
                    name: "web".to_owned(),
                    pod_count: 1,
                    exposed: None,
                    containers: vec![main],
                }],
                pins: BTreeMap::from([(format!("oci:/{id}"), Digest::new(id))]),
            }),
            run: vec![WantedInstance {
                id: InstanceId::new(id),
                deployment: "abcdefgh".to_owned(),
                host: None,
            }],
            release: Vec::new(),
        }
    };
    Wanted { epoch, sequence, coverage: Coverage::Complete, cells: ids.iter().map(cell).collect() }
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("i-{number}")).collect()
}

fn actions(begin: &[Begin], is_asked: fn(&Action) -> bool) -> Vec<Action> {
    begin.iter().map(|begin| begin.action.clone()).filter(is_asked).collect()
}

fn is_step(action: &Action) -> bool {
    !action.subject().is_image()
}

fn is_fetch(action: &Action) -> bool {
    action.subject().is_image()
}

#[test]
fn no_more_begins_than_may_be_under_way_and_whatever_ends_makes_room() {
    let mut bench = Bench::new();
    bench.take(Input::Wanted(wanted(EPOCH, 1, &names(40))));

    let first = bench.decide().begin;
    let steps = actions(&first, is_step);
    let fetches = actions(&first, is_fetch);
    let second = bench.decide().begin;
    bench.finish(steps[0].clone(), Err(Error::Cut));
    bench.take(Input::Broke(steps[1].clone()));
    bench.finish(fetches[0].clone(), Ok(Learnt::Nothing));
    let third = bench.decide().begin;

    assert_eq!((steps.len(), fetches.len()), (STEPS_TO_A_START, FETCHES_AT_ONCE));
    assert_eq!(second, []);
    let begun = actions(&third, is_step);
    assert_eq!((begun.len(), actions(&third, is_fetch).len()), (2, 1));
    assert!(!begun.contains(&steps[0]), "what failed has a pause");
    assert!(!begun.contains(&steps[1]), "what broke is not tried for ever");
}

#[test]
fn an_image_that_nobody_waits_for_is_cut_and_its_place_is_free() {
    let mut bench = Bench::new();
    bench.take(Input::Wanted(wanted(EPOCH, 1, &names(FETCHES_AT_ONCE))));
    assert_eq!(actions(&bench.decide().begin, is_fetch).len(), FETCHES_AT_ONCE);

    bench.take(Input::Wanted(wanted(EPOCH, 2, &["i-0".to_owned(), "i-new".to_owned()])));
    let refused = bench.decide();
    let next = bench.decide();

    assert_eq!(refused.cut.len(), FETCHES_AT_ONCE - 1);
    assert!(!refused.cut.contains(&Subject::Image(Digest::new("i-0"))));
    let fetched = actions(&refused.begin, is_fetch).into_iter().chain(actions(&next.begin, is_fetch));
    let pin = Digest::new("i-new");
    assert_eq!(fetched.collect::<Vec<_>>(), [Action::Fetch { image: "oci:/i-new".to_owned(), pin }]);
}

#[test]
fn an_observation_is_offered_until_it_is_taken_and_the_first_is_of_the_whole() {
    let mut bench = Bench::new();
    let nothing_known = bench.decide().tell;
    bench.take(Input::Wanted(wanted(EPOCH, 1, &names(1))));

    let offered = bench.decide().tell.unwrap();
    let again = bench.decide().tell.unwrap();
    bench.supervisor.told(again.clone());
    let after = bench.decide().tell;

    assert_eq!(nothing_known, None);
    assert_eq!((offered.reach.clone(), offered.instances.len()), (Reach::Whole, 1));
    assert!(offered.number < again.number);
    assert_eq!(Observation { number: offered.number, ..again }, offered);
    assert_eq!(after, None);
}

#[test]
fn an_older_leader_is_not_heard_and_a_newer_one_is_told_everything() {
    let mut bench = Bench::new();
    bench.take(Input::Wanted(wanted(EPOCH, 1, &names(1))));
    let told = bench.decide().tell.unwrap();
    bench.supervisor.told(told);

    bench.take(Input::Wanted(wanted(Epoch(6), 9, &[])));
    let after_older = bench.decide();
    bench.take(Input::Wanted(wanted(Epoch(8), 1, &names(1))));
    let after_newer = bench.decide().tell.unwrap();

    assert_eq!((after_older.tell, after_older.cut), (None, Vec::new()));
    assert_eq!(
        (after_newer.epoch, after_newer.reach, after_newer.instances.len()),
        (Epoch(8), Reach::Whole, 1)
    );
}

#[test]
fn a_supervisor_is_watched_once_it_has_written_who_it_is_and_again_after_it_was_told_to_have_ended() {
    let mut bench = Bench::new();
    bench.take(Input::Wanted(wanted(EPOCH, 1, &names(1))));
    let Action::Prepare(record) = actions(&bench.decide().begin, is_step)[0].clone() else { panic!() };
    bench.host().prepare(&record).unwrap();
    let key = ContainerKey { pod: PodKey::new(record.id.clone(), "web", 0), container: "main".to_owned() };
    let directory = bench.layout.container(&key);
    record::write_of_process(&bench.scratch, &directory.attempt(), &Attempt { number: 1, streak: 0 })
        .unwrap();
    // Held by a process that the machine does not forget: dropping it does not let go.
    drop(Shim::begin(&bench.scratch, &directory, 1).unwrap());

    let identity = bench.scratch.own_process().unwrap();
    bench.finish(Action::Prepare(record), Ok(Learnt::Nothing));
    bench.take(Input::SupervisorEnded(key.clone()));
    let first = bench.decide();
    let second = bench.decide();
    bench.take(Input::SupervisorEnded(key.clone()));
    let third = bench.decide();

    assert_eq!(first.watch, [(key.clone(), identity.clone())]);
    assert_eq!(second.watch, []);
    assert_eq!(third.watch, [(key, identity)]);
}

#[test]
fn the_record_of_an_instance_is_durable_before_its_group_is_made() {
    let mut bench = Bench::new();
    bench.take(Input::Wanted(wanted(EPOCH, 1, &names(1))));
    let Action::Prepare(record) = actions(&bench.decide().begin, is_step)[0].clone() else { panic!() };

    bench.host().prepare(&record).unwrap();

    assert_eq!(
        bench.scratch.forget_deeds(),
        [
            "write and sync /e/instances/i-0/instance.json.new",
            "rename /e/instances/i-0/instance.json.new to /e/instances/i-0/instance.json",
            "sync /e/instances/i-0",
            "make group i-0",
        ]
    );
    bench.host().prepare(&record).unwrap();
    assert_eq!(bench.scratch.deeds(), ["make group i-0"], "the same record is not written again");
}

#[test]
fn what_was_lost_is_written_down_under_the_lock_and_only_when_nobody_holds_it() {
    let bench = Bench::new();
    let key =
        ContainerKey { pod: PodKey::new(InstanceId::new("i-0"), "web", 0), container: "main".to_owned() };
    let directory = bench.layout.container(&key);
    let collect =
        || bench.host().collect(&key, Attempt { number: 3, streak: 0 }, Loss::NeverStarted).unwrap();
    let late = Shim::begin(&bench.scratch, &directory, 3).unwrap();
    bench.scratch.forget_deeds();

    collect();
    assert_eq!(bench.scratch.forget_deeds(), Vec::<String>::new(), "it is left alone");
    late.let_go();
    bench.scratch.forget_deeds();
    collect();

    let deeds = bench.scratch.deeds();
    let path = directory.path().display();
    assert_eq!(
        deeds,
        [
            format!("lock {path}/lock"),
            "remove group i-0/web.0.main".to_owned(),
            format!("write {path}/exit.json.new"),
            format!("rename {path}/exit.json.new to {path}/exit.json"),
            format!("remove all of {path}/work"),
            format!("unlock {path}/lock"),
        ]
    );
    let exit = record::read::<Exit>(&bench.scratch, &directory.exit()).unwrap().unwrap();
    assert_eq!((exit.attempt, exit.code()), (3, 255));
}

#[test]
fn a_retired_instance_keeps_its_logs_and_how_it_ended_and_nothing_else() {
    let mut bench = Bench::new();
    bench.take(Input::Wanted(wanted(EPOCH, 1, &names(1))));
    let Action::Prepare(record) = actions(&bench.decide().begin, is_step)[0].clone() else { panic!() };
    bench.host().prepare(&record).unwrap();
    let key = ContainerKey { pod: PodKey::new(record.id.clone(), "web", 0), container: "main".to_owned() };
    let directory = bench.layout.container(&key);
    for path in [directory.log(), directory.exit(), directory.order(), directory.lock(), directory.running()]
    {
        bench.scratch.write(&path, b"x", crate::kernel::Durability::Unsynced).unwrap();
    }

    bench.host().retire(&record.id).unwrap();

    let kept = super::keep::find(&bench.scratch, &bench.layout, &key).unwrap().unwrap();
    let names = bench.scratch.list(kept.path()).unwrap().into_iter().map(|entry| entry.name);
    assert_eq!(names.collect::<Vec<_>>(), ["exit.json", "log"]);
    assert_eq!(bench.scratch.list(Path::new("/e/instances")).unwrap(), []);
}
