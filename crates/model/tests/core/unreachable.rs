//! Sites that cannot be reached: their instances are unknown, held, and left alone.

use super::house::*;
use ensemble_model::command::{Change, ChangeNode, NodeChange, Replacement};
use ensemble_model::id::EdgeNodeId;
use ensemble_model::operation::OperationStatus;
use ensemble_model::refusal::Refusal;

fn lose(node: &str, replacement: Replacement) -> Change {
    let change = NodeChange::Lose { replacement, timeout_s: 300 };
    Change::Node(ChangeNode { node: EdgeNodeId::new(node), change })
}

/// Two ready in Shanghai, placed by its district, and two in Wuxi.
fn two_sites() -> House {
    let mut house = House::new();
    house.create(Vec::new()).expect("there is room, and nothing is in the way");
    house
        .add(vec![item("310100", Some("cmcc"), 4), item(WUXI, None, 2)])
        .expect("there is room, and nothing is in the way");
    house.ready(&house.held());
    house
}

#[test]
fn an_unnamed_del_takes_what_can_be_reached_first() {
    let mut house = two_sites();
    house.unreachable(SHANGHAI);
    let unknown = house.held_on(SHANGHAI);

    house.del(vec![item("", None, 4)]).expect("there is room, and nothing is in the way");

    assert_eq!(house.held(), unknown);
}

#[test]
fn a_del_that_must_take_what_cannot_be_reached_ends_when_only_that_is_left() {
    let mut house = two_sites();
    house.unreachable(WUXI);
    house
        .del(vec![item(WUXI, None, 2), item(SHANGHAI, None, 1)])
        .expect("there is room, and nothing is in the way");
    let operation = house.operation_of_app();
    let reachable: Vec<_> = house.releasing().into_iter().filter(|id| !house.instance(id).unknown).collect();

    house.gone(&reachable);

    let permit = permit();
    let ended = house
        .state()
        .account(&permit)
        .operation(&operation)
        .expect("there is room, and nothing is in the way")
        .clone();
    assert_eq!(ended.status, OperationStatus::Failed);
    assert_eq!(
        ended.outcome.as_deref(),
        Some(
            "only what cannot be reached is left (2 on `cn-wuxi-telecom_unicom_cmcc-3` held: unreachable since \
             2026-01-01 00:00:00 UTC): 1 of 3 gone, 0 still stopping, 2 held"
        )
    );
    assert_eq!(house.releasing().len(), 2, "they stay what they are");
    // It is no longer busy with them.
    house.add(vec![item(SHANGHAI, None, 1)]).expect("there is room, and nothing is in the way");
}

#[test]
fn nothing_new_goes_where_nobody_answers() {
    let mut house = two_sites();
    house.unreachable(SHANGHAI);

    house.add(vec![item("310100", Some("cmcc"), 2)]).expect("there is room, and nothing is in the way");

    assert_eq!(house.held_on(SHANGHAI).len(), 2);
    house.ready(&house.held_on("cn-shanghai-cmcc-4"));
    assert!(matches!(house.add(vec![item(SHANGHAI, None, 1)]), Err(Refusal::EngineDown { .. })));
}

#[test]
fn what_is_lost_is_gone_at_once_and_replaced_where_that_is_asked() {
    let mut house = two_sites();
    house.unreachable(SHANGHAI);
    let lost = house.held_on(SHANGHAI);
    assert_eq!(lost.len(), 2);

    house.change(lose(SHANGHAI, Replacement::Wanted)).expect("there is room, and nothing is in the way");

    assert_eq!((house.held_on(SHANGHAI).len(), house.releasing().len()), (0, 0));
    assert_eq!(house.held_on("cn-shanghai-cmcc-4").len(), 4, "within the scope that placed them");
    assert_eq!(house.held().len(), 6);
    let operation = house.last_operation();
    assert_eq!((operation.action.as_str(), operation.wanted()), ("LoseEdgeNode", 2));
    house.ready(&house.held());
    assert_eq!(house.last_operation().status, OperationStatus::Succeeded);
}

#[test]
fn without_replacement_only_the_count_falls() {
    let mut house = two_sites();
    house.unreachable(SHANGHAI);

    house.change(lose(SHANGHAI, Replacement::None)).expect("there is room, and nothing is in the way");

    assert_eq!(house.held().len(), 4);
    assert_eq!(house.used_vcpu(SHANGHAI), 0);
    assert!(house.refused(lose(WUXI, Replacement::None)).contains("can be reached, so it is not lost"));
}

#[test]
fn a_lost_victim_is_gone_and_a_lost_newcomer_is_given_up() {
    let mut house = two_sites();
    house
        .add(vec![item(SHANGHAI, None, 1), item(WUXI, None, 1)])
        .expect("there is room, and nothing is in the way");
    let operation = house.operation_of_app();
    house.unreachable(SHANGHAI);

    house.change(lose(SHANGHAI, Replacement::None)).expect("there is room, and nothing is in the way");
    house.ready(&house.held());

    let permit = permit();
    let ended = house
        .state()
        .account(&permit)
        .operation(&operation)
        .expect("there is room, and nothing is in the way")
        .clone();
    assert_eq!(ended.status, OperationStatus::Failed);
    assert_eq!((ended.tally.done, ended.tally.given_up), (1, 1));
}

#[test]
fn an_application_that_is_being_deleted_goes_with_what_was_lost() {
    let mut house = House::with_ready(2);
    house.unreachable(SHANGHAI);
    house.delete().expect("there is room, and nothing is in the way");
    assert_eq!(house.phase().map(|phase| phase.as_str()), Some("DELETE_FAILED"));

    house.change(lose(SHANGHAI, Replacement::None)).expect("there is room, and nothing is in the way");

    assert_eq!(house.phase(), None);
}
