//! What engines' reports change (`observation.rs`; `decisions.md` §1.9, §2.7).

use crate::house::{House, SHANGHAI, WUXI, app, item, permit, ready, starting};
use ensemble_model::application::Phase;
use ensemble_model::id::{EdgeNodeId, EngineName, InstanceId};
use ensemble_model::instance::{InstanceStatus, PodStatus};
use ensemble_model::observation::{InstanceObservation, Observation, Presence, Reach};
use ensemble_model::step::Input;
use ensemble_model::wanted::{Coverage, Epoch};

fn statuses(house: &House) -> Vec<InstanceStatus> {
    let permit = permit();
    house.state().account(&permit).instances(&app()).iter().map(|instance| instance.status()).collect()
}

fn all(house: &House, seen: impl Fn() -> Presence) -> Vec<InstanceObservation> {
    let held = house.held().into_iter();
    held.map(|instance| InstanceObservation { instance, presence: seen() }).collect()
}

#[test]
fn a_report_without_news_is_not_written() {
    let mut house = House::with_ready(2);
    let records = house.records.len();

    house.ready(&house.held());
    house.observe(Reach::Whole, all(&house, ready));

    assert_eq!(house.records.len(), records);
}

#[test]
fn an_instance_that_a_whole_report_does_not_name_is_not_there() {
    let mut house = House::with_ready(2);
    let named = house.held()[..1].to_vec();

    let seen = vec![InstanceObservation { instance: named[0].clone(), presence: ready() }];
    house.observe(Reach::Whole, seen);

    assert_eq!(statuses(&house), [InstanceStatus::Running, InstanceStatus::Pending]);
    assert_eq!(house.held().len(), 2, "it is held: its engine starts it again");
}

#[test]
fn a_held_instance_is_never_removed_by_a_report() {
    let mut house = House::with_ready(1);

    house.gone(&house.held());

    assert_eq!(statuses(&house), [InstanceStatus::Pending]);
    assert_eq!(house.used_vcpu(SHANGHAI), 2);
}

#[test]
fn a_released_instance_is_gone_only_when_a_report_names_it() {
    let mut house = House::with_ready(2);
    house.del(vec![item(SHANGHAI, None, 1)]).unwrap();
    let released = house.releasing();

    house.observe(Reach::Whole, all(&house, ready));
    assert_eq!(house.releasing(), released);

    house.gone(&released);
    assert_eq!(house.releasing(), []);
    assert_eq!(house.phase(), Some(Phase::Running));
}

#[test]
fn what_cannot_be_reached_is_unknown_until_it_is_reported_again() {
    let mut house = House::with_ready(2);

    house.observe(Reach::Unreachable(vec![EdgeNodeId::new(SHANGHAI)]), Vec::new());
    assert_eq!(statuses(&house), [InstanceStatus::Unknown, InstanceStatus::Unknown]);
    assert!(!house.state().is_reachable(&EdgeNodeId::new(SHANGHAI)));

    house.observe(Reach::Whole, all(&house, ready));
    assert_eq!(statuses(&house), [InstanceStatus::Running, InstanceStatus::Running]);
    assert!(house.state().is_reachable(&EdgeNodeId::new(SHANGHAI)));
}

#[test]
fn an_add_does_not_succeed_with_an_instance_that_cannot_be_reached() {
    let mut house = House::new();
    house.create(Vec::new()).unwrap();
    house.add(vec![item(SHANGHAI, None, 1), item(WUXI, None, 1)]).unwrap();
    house.ready(&house.held_on(SHANGHAI));
    house.observe(Reach::Unreachable(vec![EdgeNodeId::new(SHANGHAI)]), Vec::new());

    assert_eq!(house.phase(), Some(Phase::Updating));

    house.ready(&house.held_on(WUXI));

    assert_eq!(
        house.status(),
        "UPDATE_FAILED/DEPLOY_CONTAINER/only what cannot be reached is left (1 on `cn-shanghai-cmcc` held: unreachable \
         since 2026-01-01 00:00:00 UTC): 1 of 2 ready; item 0 (cn-shanghai-cmcc): 0/1, item 1 \
         (cn-wuxi-telecom_unicom_cmcc-3): 1/1"
    );
    assert_eq!((house.held().len(), house.releasing().len()), (2, 0));
}

#[test]
fn what_is_back_in_reach_before_the_rest_is_done_counts_again() {
    let mut house = House::new();
    house.create(Vec::new()).unwrap();
    house.add(vec![item(SHANGHAI, None, 1), item(WUXI, None, 1)]).unwrap();
    house.ready(&house.held_on(SHANGHAI));
    house.observe(Reach::Unreachable(vec![EdgeNodeId::new(SHANGHAI)]), Vec::new());

    house.ready(&house.held_on(SHANGHAI));
    house.ready(&house.held_on(WUXI));

    assert_eq!(house.phase(), Some(Phase::Running));
}

#[test]
fn an_engine_speaks_only_about_its_own_instances() {
    let mut house = House::with_ready(1);
    let records = house.records.len();
    let seen = [house.held()[0].clone(), InstanceId::new("i-of-nobody")];
    let instances = seen.map(|instance| InstanceObservation { instance, presence: starting() }).to_vec();

    let engine = EngineName::new("another");
    house.step(Input::Observed(Observation {
        engine,
        epoch: Epoch(1),
        number: 1,
        reach: Reach::Whole,
        instances,
        resolved: vec![],
    }));
    house.report(&[InstanceId::new("i-of-nobody")], starting);

    assert_eq!(house.records.len(), records);
}

#[test]
fn engines_are_told_each_cell_that_changed_and_everything_at_a_start() {
    let mut house = House::new();
    house.create(Vec::new()).unwrap();
    assert_eq!(house.told.len(), 1, "at the start");

    house.add(vec![item(WUXI, Some("telecom"), 2), item(SHANGHAI, None, 1)]).unwrap();
    let told = house.told.last().unwrap();
    assert_eq!(told.coverage, Coverage::Listed);
    let runs: Vec<_> = told.cells.iter().map(|cell| (cell.key.node.as_str(), cell.run.len())).collect();
    assert_eq!(runs, [(SHANGHAI, 1), (WUXI, 2)]);
    assert_eq!(told.cells[0].template.workloads[0].name, "web");

    house.ready(&house.held());
    house.del(vec![item(SHANGHAI, None, 1)]).unwrap();
    let victims = house.releasing();
    assert_eq!(house.told.last().unwrap().cells[0].release, victims);
    house.gone(&victims);
    let emptied = &house.told.last().unwrap().cells;
    assert_eq!((emptied.len(), emptied[0].run.len(), emptied[0].release.len()), (1, 0, 0));

    let restarted = house.restarted();
    let told = &restarted.told[0];
    assert_eq!((told.coverage, told.cells.len(), told.cells[0].run.len()), (Coverage::Complete, 1, 2));
}

#[test]
fn a_long_message_is_cut() {
    let mut house = House::with_ready(1);
    let mut seen = starting();
    let Presence::Here { pods, .. } = &mut seen else { unreachable!("it is here") };
    pods[0].message = "ü".repeat(5_000);
    pods[0].status = PodStatus::Failed;

    house.report(&house.held(), || seen.clone());

    let permit = permit();
    let instances = house.state().account(&permit).instances(&app());
    assert_eq!(instances[0].pods[0].message.len(), 1_024);
}
