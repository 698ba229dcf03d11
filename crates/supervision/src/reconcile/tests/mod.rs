//! What the decision must keep, whatever happens: nothing lost, nothing doubled, no stranger signalled, any crash
//! repaired, and nothing left to do once all is as wanted.
//! `machine` is the model of disk and kernel that the actions are done to.

mod images;
mod machine;

use super::observe::{READY_MS, observe};
use super::state::{Action, Facts, Failure, Knowledge, Stray, Subject, Wishes};
use super::{SETTLED_MS, pause_ms, reconcile};
use crate::layout::{self, ContainerKey};
use crate::probing::{self, Readiness};
use crate::record::{End, Prospect};
use ensemble_model::id::VersionName;
use ensemble_model::instance::PodStatus;
use ensemble_model::observation::{PodObservation, Presence};
use ensemble_model::probe::{Probe, Question};
use ensemble_model::wanted::{Coverage, Epoch, Wanted};
use machine::{Machine, id, key};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;

#[derive(Clone, Debug)]
enum Event {
    Wish(Vec<usize>, bool),
    /// The nth action of the decision is done up to this many steps.
    Act(usize, usize),
    /// All of the decision is done.
    ActAll,
    Exit(usize),
    KillSupervisor(usize),
    RestartEngine,
    Reboot,
    Wait(u64),
    Litter,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => (prop::collection::vec(0_usize..4, 0..4), any::<bool>()).prop_map(|(ids, v2)| Event::Wish(ids, v2)),
        6 => (0_usize..8, 0_usize..4).prop_map(|(index, steps)| Event::Act(index, steps)),
        4 => Just(Event::ActAll),
        3 => (0_usize..16).prop_map(Event::Exit),
        2 => (0_usize..16).prop_map(Event::KillSupervisor),
        2 => Just(Event::RestartEngine),
        1 => Just(Event::Reboot),
        3 => (0_u64..100_000).prop_map(Event::Wait),
        1 => Just(Event::Litter),
    ]
}

impl Machine {
    fn happen(&mut self, event: Event) {
        let nth =
            |keys: &BTreeSet<ContainerKey>, index: usize| keys.iter().nth(index % keys.len().max(1)).cloned();
        match event {
            Event::Wish(ids, is_second) => self.wish(&ids, if is_second { "v2" } else { "v1" }),
            Event::Act(index, steps) => {
                let actions = self.decide();
                if !actions.is_empty() {
                    self.act(&actions[index % actions.len()], steps);
                }
            }
            Event::ActAll => {
                for action in self.decide() {
                    self.act(&action, usize::MAX);
                }
            }
            Event::Exit(index) => {
                if let Some(key) = nth(&self.programs, index) {
                    self.exit(&key, End::Exited { code: 1 });
                }
            }
            Event::KillSupervisor(index) => {
                if let Some(key) = nth(&self.facts.held, index) {
                    self.kill_supervisor(&key);
                }
            }
            Event::RestartEngine => self.restart_engine(),
            Event::Reboot => self.reboot(),
            Event::Wait(ms) => self.now_ms += ms,
            Event::Litter => {
                self.facts.strays.insert(Stray::Directory("half-made".to_owned()));
                self.facts.strays.insert(Stray::Group("unknown".to_owned()));
            }
        }
        // A supervisor whose engine was cut short before the program ran writes that it did not.
        let silent: Vec<ContainerKey> = self.facts.held.difference(&self.programs).cloned().collect();
        for key in silent {
            self.exit(&key, End::NotStarted { reason: "cut short".to_owned(), prospect: Prospect::Retry });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_it_ends_as_wanted(events in prop::collection::vec(event(), 0..40)) {
        let mut machine = Machine::new();
        machine.wish(&[0, 1], "v1");

        for event in events {
            machine.happen(event);
        }
        machine.settle();

        machine.assert_as_wanted();
    }

    #[test]
    fn nothing_is_touched_before_everything_wanted_is_known(events in prop::collection::vec(event(), 0..20)) {
        let mut machine = Machine::new();
        machine.wish(&[0, 1, 2], "v1");
        for event in events {
            machine.happen(event);
        }
        machine.settle();

        // A new engine that was told nothing yet.
        machine.wishes = Wishes::default();
        machine.restart_engine();

        prop_assert_eq!(machine.decide(), []);
    }
}

#[test]
fn a_crash_after_any_step_of_any_action_is_repaired() {
    for cut in 0..60 {
        for steps in 0..4 {
            let mut machine = Machine::new();
            machine.wish(&[0, 1], "v1");
            let mut done = 0;
            let cut_short = loop {
                let Some(action) = machine.decide().into_iter().next() else { break false };
                if done == cut {
                    machine.act(&action, steps);
                    break true;
                }
                machine.act(&action, usize::MAX);
                done += 1;
                if done == 10 {
                    machine.wish(&[1], "v1");
                }
            };
            machine.restart_engine();
            machine.happen(Event::Wait(0));
            machine.settle();
            machine.assert_as_wanted();
            if !cut_short {
                break;
            }
        }
    }
}

#[test]
fn a_network_that_is_half_gone_is_removed_before_its_instance() {
    let mut machine = Machine::new();
    machine.wish(&[0], "v1");
    machine.settle();
    machine.wish(&[], "v1");
    let detach = loop {
        let action = machine.decide().into_iter().next().expect("a network is to be detached");
        if matches!(action, Action::Detach(_)) {
            break action;
        }
        machine.act(&action, usize::MAX);
    };

    machine.act(&detach, 1);
    machine.restart_engine();
    machine.settle();

    machine.assert_as_wanted();
}

#[test]
fn what_lies_in_an_instances_place_is_gone_before_it_is_made_anew() {
    let check = |stray: Stray| {
        let mut machine = Machine::new();
        machine.wish(&[0], "v1");
        machine.facts.strays.insert(stray.clone());

        assert_eq!(machine.decide(), [Action::Sweep(stray)]);
        machine.settle();
        machine.assert_as_wanted();
    };
    check(Stray::Directory(layout::name(id(0).as_str())));
    check(Stray::Group(layout::instance_group(&id(0))));
    check(Stray::Network(key(0, "web", 0, "main").pod));
}

#[test]
fn an_engine_that_restarts_adopts_what_runs() {
    let mut machine = Machine::new();
    machine.wish(&[0, 1], "v1");
    machine.settle();
    let before = machine.programs.clone();

    machine.restart_engine();
    machine.wish(&[0, 1], "v1");

    assert_eq!(machine.decide(), []);
    assert_eq!(machine.programs, before);
    assert_eq!(machine.signals, 0);
}

#[test]
fn after_a_reboot_all_that_was_wanted_starts_again_at_once() {
    let mut machine = Machine::new();
    machine.wish(&[0], "v1");
    machine.settle();
    let before = machine.now_ms;

    machine.reboot();
    machine.settle();

    machine.assert_as_wanted();
    assert_eq!(machine.now_ms, before, "no pause: the reboot was not the containers' fault");
}

#[test]
fn restarts_pause_longer_each_time_and_anew_after_ten_minutes() {
    let mut machine = Machine::new();
    machine.wish(&[0], "v1");
    machine.settle();
    let crashing = key(0, "web", 0, "main");
    let mut pause_after = |up_ms: u64| {
        machine.now_ms += up_ms;
        machine.exit(&crashing, End::Exited { code: 1 });
        let ended = machine.now_ms;
        machine.settle();
        assert!(machine.programs.contains(&crashing));
        machine.now_ms - ended
    };

    let pauses: Vec<u64> = (0..8).map(|_| pause_after(5)).collect();
    let after_a_long_time = pause_after(SETTLED_MS);
    let then = pause_after(5);

    assert_eq!(pauses, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
    assert_eq!((after_a_long_time, then), (1_000, 2_000));
    assert_eq!(pause_ms(u32::MAX), 60_000);
}

#[test]
fn an_action_that_failed_waits_like_a_container() {
    let mut machine = Machine::new();
    machine.wish(&[0], "v1");
    let failure = Failure {
        streak: 3,
        at_boot_ms: machine.now_ms,
        reason: "disk full".to_owned(),
        prospect: Prospect::Retry,
    };
    machine.facts.failures.insert(Subject::Instance(id(0)), failure);
    machine.facts.images.insert(machine::pin());

    let now = reconcile(&machine.wishes, &machine.records, &machine.facts, machine.now());
    assert_eq!((now.actions.len(), now.wake_at_boot_ms), (0, Some(machine.now_ms + 4_000)));
    machine.now_ms += 4_000;
    assert_eq!(machine.decide().len(), 1);
}

#[test]
fn a_supervisor_that_does_not_obey_is_ended_by_force() {
    let mut machine = Machine::new();
    machine.wish(&[0], "v1");
    machine.settle();
    machine.wish(&[], "v1");
    let stuck = key(0, "db", 0, "a");
    machine.facts.asked_to_stop.insert(stuck.clone(), machine.now_ms);

    assert!(!machine.decide().iter().any(|action| action.subject() == Subject::Container(stuck.clone())));
    machine.now_ms += 30_000;
    assert!(machine.decide().contains(&Action::Kill(stuck)));
}

#[test]
fn another_deployment_under_the_same_id_replaces_the_old_one() {
    let mut machine = Machine::new();
    machine.wish(&[0], "v1");
    machine.settle();

    machine.wish(&[0], "v2");
    machine.settle();

    machine.assert_as_wanted();
    assert_eq!(machine.records.instances[&id(0)].cell.version, VersionName::new("v2"));
    assert!(machine.kept.contains(&id(0)), "the old one's logs are kept");
}

/// What is told of instance 0.
fn told(machine: &Machine) -> (Vec<PodObservation>, bool, Option<String>) {
    let told = observe(&machine.wishes, &machine.records, &machine.facts, machine.now(), &id(0)).unwrap();
    match told.observation.presence {
        Presence::Here { pods, ready, hopeless, .. } => (pods, ready, hopeless),
        Presence::Gone => panic!("it is here"),
    }
}

#[test]
fn an_instance_is_ready_when_all_of_it_ran_long_enough() {
    let mut machine = Machine::new();
    machine.wish(&[0], "v1");
    assert!(told(&machine).0.iter().all(|pod| pod.status == PodStatus::Pending));
    machine.settle();

    let (pods, ready, _) = told(&machine);
    assert_eq!(pods.iter().map(|pod| pod.status).collect::<Vec<_>>(), [PodStatus::Running; 3]);
    assert!(!ready, "running is told at once, ready later");
    machine.now_ms += READY_MS;
    assert!(told(&machine).1);

    machine.exit(&key(0, "db", 0, "b"), End::Exited { code: 3 });
    let (pods, ready, _) = told(&machine);
    let statuses: Vec<_> = pods.iter().map(|pod| (pod.status, pod.message.as_str(), pod.restarts)).collect();
    assert_eq!(
        statuses,
        [(PodStatus::Running, "", 0), (PodStatus::Running, "", 0), (PodStatus::Failed, "exited 3", 0)]
    );
    assert!(!ready);

    machine.settle();
    assert_eq!(told(&machine).0[2].restarts, 1);
}

#[test]
fn a_container_with_a_probe_is_ready_when_this_attempt_of_it_answered_well() {
    let mut machine = Machine::new();
    let mut cell = machine::cell(&[0], "v1");
    let probe = Probe {
        question: Question::Tcp { port: 80 },
        initial_delay_s: 0,
        period_s: 1,
        timeout_s: 1,
        success_threshold: 1,
        failure_threshold: 1,
    };
    Arc::make_mut(&mut cell.template).workloads[1].containers[1].readiness = Some(probe.clone());
    machine.wishes.take(Wanted {
        epoch: Epoch(1),
        sequence: 1,
        coverage: Coverage::Complete,
        cells: vec![cell],
    });
    machine.settle();
    machine.now_ms += READY_MS;
    let probed = key(0, "db", 0, "b");
    let check = |machine: &mut Machine, held: (u32, Readiness), expected: (bool, &str)| {
        machine.facts.readiness.insert(probed.clone(), held);
        let (pods, ready, _) = told(machine);
        assert_eq!(pods[2].status, PodStatus::Running);
        assert_eq!((ready, pods[2].message.as_str()), expected);
    };

    assert!(!told(&machine).1, "nobody has asked yet");
    check(&mut machine, (1, Readiness::Unready("busy".to_owned())), (false, "not ready: busy"));
    check(&mut machine, (1, Readiness::Ready), (true, ""));
    check(&mut machine, (2, Readiness::Ready), (false, ""));

    let asked = probing::probed(&machine.records, &machine.facts);
    let asked: Vec<_> = asked.into_iter().map(|one| (one.container, one.attempt, one.probe)).collect();
    assert_eq!(asked, [(probed.clone(), 1, probe)]);

    machine.facts.readiness.insert(probed.clone(), (1, Readiness::Ready));
    machine.exit(&probed, End::Exited { code: 3 });
    assert!(probing::probed(&machine.records, &machine.facts).is_empty(), "nobody asks what has ended");
    machine.settle();
    machine.now_ms += READY_MS;
    assert!(!told(&machine).1, "what the attempt before answered is not this one's");
}

#[test]
fn what_can_never_run_is_told_as_hopeless() {
    let mut machine = Machine::new();
    machine.wish(&[0], "v1");
    machine.settle();
    let reason = "the image has no executable `x`".to_owned();
    machine.exit(
        &key(0, "web", 1, "main"),
        End::NotStarted { reason: reason.clone(), prospect: Prospect::Hopeless },
    );

    assert_eq!(told(&machine).2, Some(reason));
}

#[test]
fn a_released_instance_is_gone_only_when_nothing_of_it_is_left() {
    let mut machine = Machine::new();
    machine.wish(&[0], "v1");
    machine.settle();
    machine.wish(&[], "v1");
    let presence = |machine: &Machine| {
        let told = observe(&machine.wishes, &machine.records, &machine.facts, machine.now(), &id(0));
        told.unwrap().observation.presence
    };

    while let Some(action) = machine.decide().into_iter().next() {
        assert_ne!(presence(&machine), Presence::Gone);
        machine.act(&action, usize::MAX);
    }

    assert_eq!(presence(&machine), Presence::Gone);
    let Facts { boot_id, images, .. } = machine.facts.clone();
    assert_eq!(machine.facts, Facts { boot_id, images, ..Facts::default() }, "only its image stays");
}

#[test]
fn a_wish_that_comes_late_undoes_nothing_newer() {
    let mut wishes = Wishes::default();
    let at = |sequence, coverage, instances: &[usize]| Wanted {
        epoch: Epoch(1),
        sequence,
        coverage,
        cells: vec![machine::cell(instances, "v1")],
    };
    wishes.take(at(5, Coverage::Listed, &[1]));

    let named_late = wishes.take(at(4, Coverage::Listed, &[0]));
    assert_eq!(wishes.knowledge(), Knowledge::Some);
    let named_by_all = wishes.take(at(3, Coverage::Complete, &[0]));

    assert_eq!((named_late.len(), named_by_all.len(), wishes.knowledge()), (0, 0, Knowledge::All));
    assert_eq!(wishes.running().map(|(id, _)| id.clone()).collect::<Vec<_>>(), [id(1)]);
}
