//! The world as a value, and the shell around it.

use super::site::Site;
use super::world::World;
use super::{Clock, Fates, Simulated, SimulatedOptions};
use crate::{Engine, Error, LogQuery};
use ensemble_model::id::{AppId, EdgeNodeId, EngineName, InstanceId, Isp, VersionName};
use ensemble_model::instance::PodStatus;
use ensemble_model::observation::{Observation, Presence, Reach};
use ensemble_model::spec::Resources;
use ensemble_model::wanted::{
    CellKey, CellTemplate, Coverage, Epoch, Wanted, WantedCell, WantedInstance, WantedWorkload,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;

fn cell(node: &str, run: &[&str], release: &[&str]) -> WantedCell {
    let workload = WantedWorkload { name: "web".into(), pod_count: 2, exposed: None, containers: Vec::new() };
    WantedCell {
        key: CellKey {
            app: AppId::new("a"),
            version: VersionName::new("v1"),
            node: EdgeNodeId::new(node),
            isp: Isp::new("cmcc"),
        },
        template: Arc::new(CellTemplate {
            app_name: "hello".into(),
            limits: Resources { vcpu: 2, memory_mib: 4096 },
            workloads: vec![workload],
            pins: BTreeMap::new(),
        }),
        run: run
            .iter()
            .map(|id| WantedInstance { id: InstanceId::new(*id), deployment: "abcdefgh".into(), host: None })
            .collect(),
        release: release.iter().map(|id| InstanceId::new(*id)).collect(),
    }
}

fn wanted(coverage: Coverage, cells: Vec<WantedCell>) -> Wanted {
    Wanted { epoch: Epoch(7), sequence: 1, coverage, cells }
}

/// A world with a delay of 100 ms that was told at first that nothing is wanted.
fn world() -> World {
    let mut world = World::new(EngineName::new("here"), Fates::fair(100));
    world.converge(wanted(Coverage::Complete, Vec::new()), 0).expect("the first epoch is never stale");
    let whole = world.take_report(10).expect("the first report is due");
    assert_eq!((whole.reach, whole.instances.len()), (Reach::Whole, 0));
    world
}

/// `i-1 Starting`, `i-2 ready`, `i-3 gone`.
fn words(report: Option<Observation>) -> Vec<String> {
    let instances = report.map(|report| report.instances).unwrap_or_default();
    let word = |presence: &Presence| match presence {
        Presence::Gone => "gone".to_owned(),
        Presence::Here { ready: true, pods, .. } => {
            assert!(pods.iter().all(|pod| pod.status == PodStatus::Running));
            format!("ready with {}", pods.len())
        }
        Presence::Here { pods, .. } => pods.first().map_or("", |pod| pod.status.as_str()).to_owned(),
    };
    instances.iter().map(|one| format!("{} {}", one.instance, word(&one.presence))).collect()
}

#[test]
fn an_instance_starts_and_becomes_ready_after_the_delay() {
    let mut world = world();

    world.converge(wanted(Coverage::Listed, vec![cell("n", &["i-1"], &[])]), 5).expect("same epoch");

    assert_eq!(words(world.take_report(10)), ["i-1 Starting"]);
    assert_eq!(world.next_due_ms(), Some(105));
    world.advance(104);
    assert_eq!(world.take_report(10), None);
    world.advance(105);
    assert_eq!(words(world.take_report(10)), ["i-1 ready with 2"]);
    assert_eq!(world.next_due_ms(), None);
}

#[test]
fn converging_twice_changes_nothing() {
    let mut world = world();
    let same = wanted(Coverage::Listed, vec![cell("n", &["i-1"], &[])]);
    world.converge(same.clone(), 0).expect("same epoch");
    world.advance(100);
    world.take_report(10);

    world.converge(same, 200).expect("same epoch");

    assert_eq!((world.take_report(10), world.next_due_ms()), (None, None));
}

#[test]
fn what_is_released_is_confirmed_gone_also_when_it_was_never_there() {
    let mut world = world();
    world.converge(wanted(Coverage::Listed, vec![cell("n", &["i-1"], &[])]), 0).expect("same epoch");
    world.take_report(10);

    world.converge(wanted(Coverage::Listed, vec![cell("n", &[], &["i-1", "i-9"])]), 0).expect("same epoch");

    assert_eq!(words(world.take_report(10)), ["i-1 gone", "i-9 gone"]);
    world.advance(1_000);
    assert_eq!(world.take_report(10), None);
}

#[test]
fn an_instance_in_neither_list_of_its_cell_goes_and_other_cells_are_left_alone() {
    let mut world = world();
    let cells = vec![cell("n", &["i-1", "i-2"], &[]), cell("m", &["i-3"], &[])];
    world.converge(wanted(Coverage::Listed, cells), 0).expect("same epoch");
    world.advance(100);
    world.take_report(10);

    world.converge(wanted(Coverage::Listed, vec![cell("n", &["i-2"], &[])]), 200).expect("same epoch");

    assert_eq!(words(world.take_report(10)), ["i-1 gone"]);
}

#[test]
fn a_complete_list_takes_away_the_cells_that_it_leaves_out() {
    let mut world = world();
    let cells = vec![cell("n", &["i-1"], &[]), cell("m", &["i-3"], &[])];
    world.converge(wanted(Coverage::Listed, cells), 0).expect("same epoch");
    world.advance(100);
    world.take_report(10);

    world.converge(wanted(Coverage::Complete, vec![cell("n", &["i-1"], &[])]), 200).expect("same epoch");

    assert_eq!(words(world.take_report(10)), ["i-3 gone"]);
}

#[test]
fn what_is_wanted_at_first_is_adopted_as_running_and_reported_as_the_whole() {
    let mut world = World::new(EngineName::new("here"), Fates::fair(100));

    world
        .converge(wanted(Coverage::Complete, vec![cell("n", &["i-1"], &["i-2"])]), 0)
        .expect("the first epoch is never stale");

    let whole = world.take_report(10).expect("the first report is due");
    assert_eq!(whole.reach, Reach::Whole);
    assert_eq!(words(Some(whole)), ["i-1 ready with 2"]);
    assert_eq!(words(world.take_report(10)), ["i-2 gone"]);
}

#[test]
fn an_older_epoch_is_refused_and_changes_nothing() {
    let mut world = world();
    let stale = Wanted {
        epoch: Epoch(6),
        sequence: 9,
        coverage: Coverage::Listed,
        cells: vec![cell("n", &["i-1"], &[])],
    };

    let refused = world.converge(stale, 0);

    assert!(matches!(refused, Err(Error::StaleEpoch { offered: 6, current: 7 })));
    assert_eq!(world.take_report(10), None);
}

#[test]
fn what_is_wanted_late_undoes_nothing_newer() {
    let mut world = world();
    let at = |sequence, coverage, cells| Wanted { sequence, ..wanted(coverage, cells) };
    world.converge(at(5, Coverage::Listed, vec![cell("n", &["i-2"], &["i-1"])]), 0).expect("same");
    assert_eq!(words(world.take_report(10)), ["i-1 gone", "i-2 Starting"]);

    world.converge(at(4, Coverage::Listed, vec![cell("n", &["i-1"], &[])]), 0).expect("same");
    world.converge(at(3, Coverage::Complete, Vec::new()), 0).expect("same");

    assert_eq!(world.take_report(10), None);
}

#[test]
fn a_later_leader_is_told_everything_anew() {
    let mut world = world();
    world.converge(wanted(Coverage::Listed, vec![cell("n", &["i-1"], &[])]), 0).expect("same");
    let before = world.take_report(10).expect("something changed");

    let later = Wanted { epoch: Epoch(8), ..wanted(Coverage::Listed, Vec::new()) };
    world.converge(later, 0).expect("a later epoch");

    let whole = world.take_report(10).expect("the whole is due");
    assert_eq!((&whole.reach, whole.epoch), (&Reach::Whole, Epoch(8)));
    assert!(whole.number > before.number);
    assert_eq!(words(Some(whole)), ["i-1 Starting"]);
}

#[test]
fn a_report_names_no_more_than_it_is_asked_for_and_the_rest_follows() {
    let mut world = world();
    world.converge(wanted(Coverage::Listed, vec![cell("n", &["i-1", "i-2", "i-3"], &[])]), 0).expect("same");

    assert_eq!(words(world.take_report(2)).len(), 2);
    assert_eq!(words(world.take_report(2)).len(), 1);
    assert_eq!(world.take_report(2), None);
}

#[test]
fn a_hundred_thousand_instances_start_and_go_in_a_few_seconds() {
    let ids: Vec<String> = (0..100_000).map(|number| format!("i-{number:06}")).collect();
    let cells: Vec<(String, Vec<&str>)> = ids
        .chunks(100)
        .enumerate()
        .map(|(node, ids)| (format!("n-{node}"), ids.iter().map(String::as_str).collect()))
        .collect();
    let mut world = world();
    let begun = Instant::now();

    for (node, ids) in &cells {
        world.converge(wanted(Coverage::Listed, vec![cell(node, ids, &[])]), 0).expect("same epoch");
    }
    world.advance(100);
    let mut ready = 0;
    while let Some(report) = world.take_report(1_000) {
        ready += words(Some(report)).iter().filter(|word| word.ends_with("ready with 2")).count();
    }
    for (node, ids) in &cells {
        world.converge(wanted(Coverage::Listed, vec![cell(node, &[], ids)]), 200).expect("same epoch");
    }

    assert_eq!(ready, 100_000);
    assert!(!world.knows(&InstanceId::new("i-000000")));
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn the_shell_reports_on_its_channel_and_never_makes_converge_wait() {
    let (sender, mut receiver) = mpsc::channel(1);
    let engine = Simulated::start(EngineName::new("here"), SimulatedOptions::default(), sender);

    engine.converge(wanted(Coverage::Complete, Vec::new())).await.expect("the first epoch is never stale");
    // Nobody listens yet, and the channel holds one: none of these may wait for it.
    for number in 0..100 {
        let id = format!("i-{number:02}");
        let node = format!("n-{number}");
        engine.converge(wanted(Coverage::Listed, vec![cell(&node, &[&id], &[])])).await.expect("same epoch");
    }

    let whole = receiver.recv().await.expect("the engine runs");
    assert_eq!(whole.reach, Reach::Whole);
    let mut ready = whole.instances.len();
    while ready < 100 {
        ready += receiver.recv().await.expect("the engine runs").instances.len();
    }
    engine.shut_down().await;
    assert_eq!(receiver.recv().await, None);
}

#[tokio::test]
async fn an_instance_without_containers_has_no_lines_and_an_unknown_one_no_logs() {
    let (sender, _receiver) = mpsc::channel(8);
    let engine = Simulated::start(EngineName::new("here"), SimulatedOptions::default(), sender);
    engine
        .converge(wanted(Coverage::Complete, vec![cell("n", &["i-1"], &[])]))
        .await
        .expect("the first epoch is never stale");
    let query = |id: &str| LogQuery {
        instance: InstanceId::new(id),
        workload: "web".into(),
        index: 0,
        container: "web".into(),
        since: None,
        tail: 10,
    };

    assert_eq!(engine.logs(query("i-1")).await.expect("it is known"), Vec::new());
    assert!(matches!(engine.logs(query("i-2")).await, Err(Error::NoLogs { .. })));
    engine.shut_down().await;
}

#[test]
fn an_edge_node_that_is_cut_off_is_told_nothing_until_it_is_back_and_then_catches_up() {
    let fates = Fates::new(vec!["n:unreachable=1s".parse().expect("a fault")], 1, 0);
    let mut site = Site::new(EngineName::new("here"), fates, &[EdgeNodeId::new("n"), EdgeNodeId::new("m")]);
    site.converge(wanted(Coverage::Complete, Vec::new()), 0).expect("the first epoch is never stale");
    let cut_off = site.take_report().expect("the first report is due");
    assert_eq!(cut_off.reach, Reach::Unreachable(vec![EdgeNodeId::new("n")]));
    assert_eq!(site.take_report().map(|report| report.reach), Some(Reach::Listed));

    let cells = vec![cell("n", &["i-1"], &[]), cell("m", &["i-2"], &[])];
    site.converge(wanted(Coverage::Listed, cells), 10).expect("same epoch");

    assert_eq!(words(site.take_report()), ["i-2 ready with 2"]);
    assert!(!site.is_at_rest(10), "the last one may still be on its way");
    assert_eq!(site.take_report(), None);
    assert!(site.is_at_rest(10));
    assert_eq!(site.next_due_ms(), Some(1_000));
    site.advance(1_000);
    let whole = site.take_report().expect("everything can be reached again");
    assert_eq!(whole.reach, Reach::Whole);
    assert_eq!(words(site.take_report()), ["i-1 ready with 2"]);
    assert_eq!((site.take_report(), site.next_due_ms()), (None, None));
}

#[test]
fn an_image_that_cannot_be_pulled_is_told_as_hopeless() {
    let fates = Fates::new(vec!["n:pull=1".parse().expect("a fault")], 1, 0);
    let mut world = World::new(EngineName::new("here"), fates);
    world.converge(wanted(Coverage::Complete, Vec::new()), 0).expect("the first epoch is never stale");
    world.take_report(10);

    world.converge(wanted(Coverage::Listed, vec![cell("n", &["i-1"], &[])]), 0).expect("same epoch");

    let report = world.take_report(10).expect("something changed");
    let Presence::Here { pods, ready: false, hopeless: Some(reason), .. } = &report.instances[0].presence
    else {
        panic!("{report:?}");
    };
    assert!(reason.contains("cannot be pulled") && pods[0].message == *reason, "{report:?}");
    assert_eq!(pods[0].status, PodStatus::Failed);
}

#[tokio::test]
async fn a_clock_that_is_stepped_by_hand_stands_still_until_then() {
    let (step, clock) = Clock::stepped();
    let (sender, mut receiver) = mpsc::channel(8);
    let options = SimulatedOptions {
        faults: vec!["*:ready=1h".parse().expect("a fault")],
        clock,
        ..SimulatedOptions::default()
    };
    let engine = Simulated::start(EngineName::new("here"), options, sender);
    engine.converge(wanted(Coverage::Complete, Vec::new())).await.expect("the first epoch is never stale");
    assert_eq!(receiver.recv().await.map(|report| report.reach), Some(Reach::Whole));
    engine.converge(wanted(Coverage::Listed, vec![cell("n", &["i-1"], &[])])).await.expect("same epoch");
    assert_eq!(words(receiver.recv().await), ["i-1 Running"]);

    step.send_replace(3_599_999);
    let early = tokio::time::timeout(std::time::Duration::from_millis(50), receiver.recv()).await;
    assert!(early.is_err(), "{early:?}");
    assert!(engine.is_at_rest() && engine.next_due_ms() == Some(3_600_000));
    step.send_replace(3_600_000);

    assert_eq!(words(receiver.recv().await), ["i-1 ready with 2"]);
    engine.shut_down().await;
}
