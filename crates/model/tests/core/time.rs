//! Deadlines over restarts, and engines that keep silent (`decisions.md` §2.3, §2.7, §2.8).

use crate::house::{BEGIN, House, SHANGHAI, app, item, permit, ready};
use ensemble_model::application::Phase;
use ensemble_model::id::EdgeNodeId;
use ensemble_model::instance::InstanceStatus;
use ensemble_model::log::recovery::resume_log_time;
use ensemble_model::observation::{InstanceObservation, Reach};
use ensemble_model::time::{LogTime, Now, WallTime};

#[test]
fn log_time_goes_on_by_the_wall_clock_where_that_is_plausible() {
    let last = Now { log: LogTime(5_000), wall: WallTime(BEGIN) };
    let month = 30 * 24 * 3_600_000;
    for (wall, expected) in [
        (BEGIN + 60_000, 65_000),
        (BEGIN, 5_000),
        (BEGIN - 1, 5_000),
        (BEGIN + month, 5_000 + month),
        (BEGIN + month + 1, 5_000),
        (i64::MIN, 5_000),
        (i64::MAX, 5_000),
    ] {
        assert_eq!(resume_log_time(last, WallTime(wall)), LogTime(expected), "at {wall}");
    }
}

#[test]
fn a_jump_of_the_wall_clock_neither_expires_nor_freezes_anything() {
    let mut house = House::new();
    house.create(vec![item(SHANGHAI, None, 1)]).unwrap();
    house.observe(Reach::Whole, Vec::new());
    house.pass(10);

    house.now.wall = WallTime(BEGIN + 365 * 24 * 3_600_000);
    house.pass(0);
    assert_eq!(house.phase(), Some(Phase::Creating));

    house.now.wall = WallTime(0);
    house.pass(1_790);
    assert_eq!(house.phase(), Some(Phase::CreateFailed));
}

#[test]
fn the_loop_wakes_at_the_next_deadline() {
    let mut house = House::new();
    house.create(vec![item(SHANGHAI, None, 1)]).unwrap();
    assert_eq!(house.control.next_wake(), Some(LogTime(10_000)), "when engines have to have reported");

    house.observe(Reach::Whole, Vec::new());
    house.pass(10);
    assert_eq!(house.control.next_wake(), Some(LogTime(1_800_000)));

    house.ready(&house.held());
    assert_eq!(house.control.next_wake(), None);
}

#[test]
fn a_deadline_waits_after_a_restart_until_the_engine_has_reported() {
    let mut house = House::new();
    house.create(Vec::new()).unwrap();
    house.add(vec![item(SHANGHAI, None, 2)]).unwrap();
    let mut house = house.restarted();

    house.jump(400);
    house.begin_anew();
    house.pass(5);
    assert_eq!(house.phase(), Some(Phase::Updating), "nobody has looked yet");

    house.ready(&house.held()[..1]);
    house.pass(0);
    assert_eq!(house.phase(), Some(Phase::Updating), "it said nothing about the other one");

    let seen = vec![InstanceObservation { instance: house.held()[0].clone(), presence: ready() }];
    house.observe(Reach::Whole, seen);
    house.pass(0);
    assert_eq!(house.phase(), Some(Phase::UpdateFailed));
    assert_eq!((house.held().len(), house.releasing().len()), (1, 1));
}

#[test]
fn what_a_silent_engine_carries_is_unknown_and_never_released_by_a_deadline() {
    let mut house = House::new();
    house.create(Vec::new()).unwrap();
    house.add(vec![item(SHANGHAI, None, 2)]).unwrap();
    let mut house = house.restarted();
    house.jump(400);
    house.begin_anew();

    house.pass(10);

    assert_eq!(house.phase(), Some(Phase::UpdateFailed));
    assert_eq!((house.held().len(), house.releasing().len()), (2, 0));
    let permit = permit();
    let instances = house.state().account(&permit).instances(&app());
    assert!(instances.iter().all(|instance| instance.status() == InstanceStatus::Unknown));
    assert!(!house.state().is_reachable(&EdgeNodeId::new(SHANGHAI)));
}

#[test]
fn an_instance_that_cannot_be_reached_at_the_deadline_is_held() {
    let mut house = House::new();
    house.create(Vec::new()).unwrap();
    house.add(vec![item(SHANGHAI, None, 2)]).unwrap();
    house.observe(Reach::Unreachable(vec![EdgeNodeId::new(SHANGHAI)]), Vec::new());

    house.pass(300);

    assert_eq!(house.phase(), Some(Phase::UpdateFailed));
    assert_eq!((house.held().len(), house.releasing().len()), (2, 0));
}

#[test]
fn an_operation_keeps_its_deadline_over_a_restart() {
    let mut house = House::new();
    house.create(Vec::new()).unwrap();
    house.add(vec![item(SHANGHAI, None, 1)]).unwrap();
    house.observe(Reach::Whole, Vec::new());
    house.pass(200);
    let mut house = house.restarted();
    house.observe(Reach::Whole, Vec::new());

    house.pass(99);
    assert_eq!(house.phase(), Some(Phase::Updating));
    house.pass(1);
    assert_eq!(house.phase(), Some(Phase::UpdateFailed));
}

#[test]
fn operations_are_history_for_seven_days_and_instances_for_one() {
    let mut house = House::with_ready(2);
    house.del(vec![item(SHANGHAI, None, 1)]).unwrap();
    let victim = house.releasing();
    house.gone(&victim);
    let permit = permit();
    assert!(house.state().account(&permit).gone(&victim[0]).is_some());

    house.pass(24 * 3_600 + 1);
    house.del(vec![item(SHANGHAI, None, 1)]).unwrap();
    let second = house.releasing();
    house.gone(&second);
    assert!(house.state().account(&permit).gone(&victim[0]).is_none());
    assert!(house.state().account(&permit).gone(&second[0]).is_some());
    assert_eq!(house.state().account(&permit).operations(Some(&app())).len(), 4);

    house.pass(6 * 24 * 3_600);
    house.add(vec![item(SHANGHAI, None, 1)]).unwrap();
    house.ready(&house.held());
    assert_eq!(house.state().account(&permit).operations(Some(&app())).len(), 2);
}
