//! Releasing exactly the instances that are named, and what keeps others from being taken.

use super::house::*;
use ensemble_model::command::{Change, Direction, ModifyApplication, ProtectInstances, Protection};
use ensemble_model::decide;
use ensemble_model::id::InstanceId;
use ensemble_model::operation::OperationStatus;
use ensemble_model::refusal::Refusal;

fn protect(instances: &[InstanceId], protection: Protection) -> Change {
    Change::Protect(ProtectInstances { instances: instances.to_vec(), protection })
}

fn min_ready(min_ready: u32) -> Change {
    Change::Modify(ModifyApplication { app: app(), min_ready, if_revision: None })
}

fn del_named(instances: &[InstanceId]) -> Change {
    Change::Rescale(by_name(Direction::Del, vec![named(instances)]))
}

#[test]
fn exactly_the_named_instances_go_and_are_not_replaced() {
    let mut house = House::with_ready(5);
    let held = house.held();
    let victims = [held[1].clone(), held[3].clone()];

    house.change(del_named(&victims)).expect("there is room, and nothing is in the way");

    assert_eq!(house.releasing(), victims);
    assert_eq!(house.held().len(), 3);
    house.gone(&victims);
    assert_eq!(house.last_operation().status, OperationStatus::Succeeded);
    assert_eq!(house.held().len(), 3);
}

#[test]
fn a_selector_with_one_wrong_name_is_refused_whole_and_says_which_and_why() {
    let mut house = House::with_ready(3);
    let held = house.held();
    house.change(del_named(&held[..1])).expect("there is room, and nothing is in the way");
    house.gone(&held[..1]);
    let good = held[1].clone();
    let unknown = InstanceId::new("i-0000000000000000000000000");
    for (names, expected) in [
        (vec![good.clone(), good.clone()], format!("selector item 0: `{good}` is named twice")),
        (
            vec![good.clone(), unknown.clone()],
            format!("selector item 0: there is no instance `{unknown}` in this account"),
        ),
        (
            vec![good, held[0].clone()],
            format!(
                "selector item 0: `{}` is gone since 2026-01-01 00:00:00 UTC: released on request",
                held[0]
            ),
        ),
    ] {
        assert_eq!(house.refused(del_named(&names)), expected);
    }
    assert_eq!(house.held().len(), 2);
}

#[test]
fn what_stands_beside_the_names_has_to_be_true() {
    let mut house = House::with_ready(2);
    let id = house.held()[0].clone();
    let one = std::slice::from_ref(&id);
    let with = |region: Option<&str>, isp: Option<&str>, count: u32| {
        let mut item = named(one);
        item.region_code = region.map(str::to_owned);
        item.isp = isp.map(ensemble_model::id::Isp::new);
        item.count = count;
        Change::Rescale(by_name(Direction::Del, vec![item]))
    };
    for (change, expected) in [
        (
            with(Some(WUXI), None, 1),
            format!("`{id}` is on edge node `{SHANGHAI}`, not in edge node `{WUXI}`"),
        ),
        (
            with(Some("320000"), None, 1),
            format!("`{id}` is on edge node `{SHANGHAI}`, not in district `320000` (Jiangsu)"),
        ),
        (with(None, Some("telecom"), 1), format!("`{id}` is on carrier `cmcc`, not on `telecom`")),
        (with(None, None, 2), "count is 2, and 1 instances are named".to_owned()),
    ] {
        assert_eq!(house.refused(change), format!("selector item 0: {expected}"));
    }
    house.change(with(Some("310000"), Some("cmcc"), 1)).expect("there is room, and nothing is in the way");
    assert_eq!(house.releasing(), [id]);
}

#[test]
fn names_at_another_level_are_no_selector() {
    let mut house = House::with_ready(2);
    let names = named(&house.held()[..1]);

    let refused = house.rescale(rescale(Direction::Del, vec![names])).expect_err("it is refused");

    assert_eq!(refused.to_string(), "selector item 0: names instances, which takes RescaleLevel=InstanceId");
}

#[test]
fn what_is_protected_is_taken_only_when_it_is_named() {
    let mut house = House::with_ready(2);
    let held = house.held();
    house.change(protect(&held, Protection::On)).expect("there is room, and nothing is in the way");

    let refused = house.del(vec![item(SHANGHAI, None, 1)]).expect_err("it is refused");
    let Refusal::TooMany { plan } = &refused else { panic!("{refused}") };
    assert_eq!(plan.items[0].shortage.as_ref().map(|shortage| shortage.missing), Some(1));

    house.change(protect(&held[..1], Protection::Off)).expect("there is room, and nothing is in the way");
    house.del(vec![item(SHANGHAI, None, 1)]).expect("there is room, and nothing is in the way");
    assert_eq!(house.releasing(), held[..1]);
    house.gone(&held[..1]);

    house.change(del_named(&held[1..])).expect("there is room, and nothing is in the way");
    assert_eq!(house.releasing(), held[1..]);
}

#[test]
fn protecting_what_is_not_there_or_on_its_way_out_is_refused() {
    let mut house = House::with_ready(2);
    let held = house.held();
    house.change(del_named(&held[..1])).expect("there is room, and nothing is in the way");
    let unknown = InstanceId::new("i-0");

    assert_eq!(
        house.refused(protect(&held[..1], Protection::On)),
        format!("instance `{}` is being released already", held[0])
    );
    assert!(matches!(
        house.change(protect(&[held[1].clone(), unknown], Protection::On)),
        Err(Refusal::UnknownInstance { .. })
    ));
    assert!(!house.instance(&held[1]).protected, "refused whole");
}

#[test]
fn a_floor_lets_only_so_many_ready_ones_go() {
    let mut house = House::with_ready(3);
    house.change(min_ready(2)).expect("there is room, and nothing is in the way");
    let held = house.held();
    house.report(&held[..1], starting);

    // Two are ready, two must stay so: the one that is not goes.
    house.del(vec![item(SHANGHAI, None, 1)]).expect("there is room, and nothing is in the way");
    assert_eq!(house.releasing(), held[..1]);
    house.gone(&held[..1]);

    // Of two one may go: then one is wanted, and one is ready.
    house.del(vec![item(SHANGHAI, None, 1)]).expect("there is room, and nothing is in the way");
    assert_eq!(house.releasing().len(), 1);
}

#[test]
fn naming_an_instance_does_not_lower_the_floor() {
    let mut house = House::with_ready(3);
    house.change(min_ready(2)).expect("there is room, and nothing is in the way");
    let held = house.held();
    house.report(&held[..1], starting);

    let refused = house.refused(del_named(&held[1..2]));
    assert!(
        refused.contains("minReady keeps 2 ready on `cn-shanghai-cmcc` (cmcc), and 1 would be left"),
        "{refused}"
    );

    house.change(del_named(&held[..1])).expect("there is room, and nothing is in the way");
    assert_eq!(house.releasing(), held[..1]);
}

#[test]
fn what_is_unknown_goes_where_the_floor_keeps_the_rest() {
    let mut house = House::new();
    house.create(Vec::new()).expect("there is room, and nothing is in the way");
    house.add(vec![item(SHANGHAI, None, 3)]).expect("there is room, and nothing is in the way");
    let held = house.held();
    house.ready(&held);
    house.change(min_ready(3)).expect("there is room, and nothing is in the way");

    // All three are ready: whichever goes, two are wanted then, and two are ready.
    house.del(vec![item(SHANGHAI, None, 3)]).expect("there is room, and nothing is in the way");
    assert_eq!(house.releasing().len(), 3);
}

#[test]
fn a_floor_is_told_and_kept() {
    let mut house = House::with_ready(1);
    let before = house.revision();

    house.change(min_ready(2)).expect("there is room, and nothing is in the way");

    assert_eq!(house.revision(), before + 1);
    assert_eq!(house.last_operation().outcome.as_deref(), Some("minReady is 2, was 0"));
    let house = house.restarted();
    let state = house.state();
    let permit = permit();
    assert_eq!(state.account(&permit).application(&app()).map(|found| found.resources.min_ready), Some(2));
}

#[test]
fn what_is_elsewhere_counts_only_what_a_del_would_find_there() {
    let mut house = House::with_ready(1);
    house.add(vec![item(WUXI, Some("cmcc"), 3)]).expect("there is room, and nothing is in the way");
    house.ready(&house.held());
    let elsewhere = |house: &House| -> u32 {
        let asked = rescale(Direction::Del, vec![item(SHANGHAI, None, 2)]);
        let plan = decide::plan(house.state(), &permit(), &asked).expect("the input is sound").plan;
        let short = plan.items[0].shortage.as_ref().expect("there is one");
        short.alternatives.iter().map(|other| other.room).sum()
    };
    assert_eq!(elsewhere(&house), 3);

    let there = house.held_on(WUXI);
    house.change(protect(&there[..2], Protection::On)).expect("they are held");
    assert_eq!(elsewhere(&house), 1, "two are protected");
    house.report(&there[..2], starting);
    house.change(min_ready(1)).expect("nothing is in the way");
    assert_eq!(elsewhere(&house), 0, "one stays ready beside the protected");
    house.change(protect(&there, Protection::Off)).expect("they are held");
    assert_eq!(elsewhere(&house), 3);
}

#[test]
fn an_item_finds_what_the_one_before_it_leaves() {
    let house = House::with_ready(3);
    let held = house.held();
    let two = by_name(Direction::Del, vec![named(&held[..1]), named(&held[1..])]);

    let plan = decide::plan(house.state(), &permit(), &two).expect("the input is sound").plan;

    let counts = |item: usize| (plan.items[item].placements[0].before, plan.items[item].placements[0].count);
    assert_eq!((counts(0), counts(1)), ((3, 1), (2, 2)));
}

#[test]
fn who_is_named_twice_to_be_protected_is_protected_once() {
    let mut house = House::with_ready(2);
    let one = house.held()[0].clone();

    house.change(protect(&[one.clone(), one], Protection::On)).expect("it is held");

    let outcome = house.last_operation().outcome.clone();
    assert_eq!(outcome.as_deref(), Some("1 instance protected: taken only when named"));
}
