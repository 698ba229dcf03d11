//! Drains and rebalancing: another instance is ready before one goes.

use super::house::*;
use ensemble_model::application::Phase;
use ensemble_model::command::{
    CancelOperation, Change, ChangeNode, Direction, ModifyApplication, NodeChange, Partial, ProtectInstances,
    Protection, RebalanceApplication, RescaleApplication,
};
use ensemble_model::decide;
use ensemble_model::id::{EdgeNodeId, InstanceId};
use ensemble_model::operation::{OnTimeout, Operation, OperationKind, OperationStatus};
use ensemble_model::plan::Remedy;
use ensemble_model::refusal::Refusal;

const OTHER: &str = "cn-shanghai-cmcc-4";

fn node(change: NodeChange) -> Change {
    Change::Node(ChangeNode { node: EdgeNodeId::new(SHANGHAI), change })
}

fn rebalance(max_moves: u32) -> RebalanceApplication {
    RebalanceApplication { app: app(), max_moves, timeout_s: 900, if_revision: None, if_plan: None }
}

/// `count` ready instances of cmcc in Shanghai, which has two such nodes.
fn house_with(count: u32) -> House {
    let mut house = House::new();
    house.create(Vec::new()).expect("there is room, and nothing is in the way");
    house.add(vec![item("310100", Some("cmcc"), count)]).expect("there is room, and nothing is in the way");
    house.ready(&house.held());
    house
}

fn unready(house: &House) -> Vec<InstanceId> {
    house.held().into_iter().filter(|id| !house.instance(id).ready).collect()
}

fn reasons(house: &House) -> Vec<String> {
    let staying = decide::staying(house.state(), &EdgeNodeId::new(SHANGHAI));
    staying.into_iter().flat_map(|stays| stays.plan.kept).map(|(_, _, why)| why).collect()
}

#[test]
fn a_drained_node_is_emptied_one_ready_for_one_gone() {
    let mut house = house_with(4);
    let old = house.held_on(SHANGHAI);
    assert_eq!(old.len(), 2);

    house.change(node(NodeChange::Drain)).expect("there is room, and nothing is in the way");

    let new = unready(&house);
    assert_eq!((new.len(), house.held_on(OTHER).len()), (2, 4));
    assert!(house.releasing().is_empty(), "nothing goes before another is ready");
    assert_eq!(house.phase(), Some(Phase::Running), "moving leaves the phase alone");

    house.ready(&new[..1]);
    assert_eq!(house.releasing().len(), 1);
    house.ready(&new[1..]);
    house.gone(&house.releasing());

    assert_eq!((house.held_on(SHANGHAI).len(), house.held_on(OTHER).len()), (0, 4));
    let moved = house.last_operation();
    assert_eq!((moved.kind, moved.status), (OperationKind::Move, OperationStatus::Succeeded));
    assert_eq!(moved.outcome.as_deref(), Some("move success: 2 of 2 instances moved"));
    assert_eq!((moved.wanted(), moved.done()), (2, 2));
}

/// The first in the fleet's order has the least room, and the plan would not choose it.
#[test]
fn what_moves_goes_where_an_add_would() {
    const FULLEST: &str = "cn-hangzhou-1";
    let mut house = House::new();
    house.create(Vec::new()).expect("there is room, and nothing is in the way");
    house.change(run("ens.sn1.tiny", FULLEST, 8)).expect("there is room, and nothing is in the way");
    let one = || vec![item("330100", None, 1)];
    house.add(one()).expect("there is room, and nothing is in the way");
    let old = house.held();
    house.ready(&old);
    let from = house.instance(&old[0]).node.clone();
    let planned = decide::plan(house.state(), &permit(), &rescale(Direction::Add, one()))
        .expect("there is room, and nothing is in the way");
    let would = planned.plan.items[0].placements[0].node.clone();

    house
        .change(Change::Node(ChangeNode { node: from, change: NodeChange::Drain }))
        .expect("there is room, and nothing is in the way");

    let new = house.instance(&unready(&house)[0]).node.clone();
    assert_eq!(new, would);
    assert_ne!(new.as_str(), FULLEST);
}

#[test]
fn nothing_new_comes_to_a_drained_node_until_it_is_resumed() {
    let mut house = House::new();
    house.create(Vec::new()).expect("there is room, and nothing is in the way");
    house.change(node(NodeChange::Drain)).expect("there is room, and nothing is in the way");

    house.add(vec![item("310100", Some("cmcc"), 2)]).expect("there is room, and nothing is in the way");
    assert_eq!(house.held_on(OTHER).len(), 2);
    house.ready(&house.held());
    let by_name = rescale(Direction::Add, vec![item(SHANGHAI, None, 1), item(OTHER, None, 1)]);
    let answer = decide::plan(house.state(), &permit(), &by_name).expect("the input is sound");
    assert!(!answer.fits && matches!(answer.blocked, Some(Refusal::Shortage { .. })), "{answer:?}");
    let short = answer.plan.items[0].shortage.as_ref().expect("nothing comes there");
    let ends = Remedy::DrainEnds { nodes: vec![EdgeNodeId::new(SHANGHAI)], room: 12 };
    assert!(short.missing == 1 && short.remedies.contains(&ends), "{short:?}");
    let words = decide::shortage(house.state(), &permit(), &by_name, &answer.plan);
    let words = words.expect("the input is sound").expect("it is short");
    assert!(words.contains("it takes nothing now: draining since 2026-01-01 00:00:00 UTC"), "{words}");
    assert!(matches!(house.rescale(by_name.clone()), Err(Refusal::Shortage { .. })));
    house.rescale(RescaleApplication { partial: Partial::Allowed, ..by_name }).expect("the other one fits");
    assert_eq!(house.last_operation().skipped.len(), 1);
    house.ready(&house.held());

    house.change(node(NodeChange::Resume)).expect("there is room, and nothing is in the way");
    house.add(vec![item(SHANGHAI, None, 1)]).expect("there is room, and nothing is in the way");
    assert!(house.refused(node(NodeChange::Resume)).contains("is not draining"));
}

#[test]
fn what_a_drain_cannot_move_is_listed_with_why() {
    let mut house = house_with(2);
    house.add(vec![item(SHANGHAI, None, 1)]).expect("there is room, and nothing is in the way");
    house.ready(&house.held());
    let here = house.held_on(SHANGHAI);
    let by_area = here
        .iter()
        .find(|id| house.instance(id).scope.region_code == "310100")
        .expect("there is room, and nothing is in the way")
        .clone();
    house
        .change(Change::Protect(ProtectInstances { instances: vec![by_area], protection: Protection::On }))
        .expect("there is room, and nothing is in the way");

    house.change(node(NodeChange::Drain)).expect("there is room, and nothing is in the way");

    let mut reasons = reasons(&house);
    reasons.sort();
    assert_eq!(reasons, ["placed on this edge node by name", "protected"]);
    assert_eq!(house.held_on(SHANGHAI).len(), 2);
}

#[test]
fn a_drain_waits_for_a_busy_application() {
    let mut house = house_with(2);
    house.add(vec![item(WUXI, None, 1)]).expect("there is room, and nothing is in the way");

    house.change(node(NodeChange::Drain)).expect("there is room, and nothing is in the way");
    assert_eq!(house.held_on(OTHER).len(), 1);

    // The end of the operation makes it idle, and the move begins in the same append.
    house.ready(&house.held_on(WUXI));
    assert_eq!(house.held_on(OTHER).len(), 2);
    assert_eq!(house.phase(), Some(Phase::Running));
    assert!(matches!(house.add(vec![item(WUXI, None, 1)]), Err(Refusal::Busy { .. })));
}

#[test]
fn a_move_that_fails_is_not_tried_again_by_itself() {
    let mut house = house_with(2);
    house.change(node(NodeChange::Drain)).expect("there is room, and nothing is in the way");
    let old = house.held_on(SHANGHAI);
    house.report(&unready(&house), hopeless);
    assert_eq!(house.last_operation().status, OperationStatus::Failed);

    assert_eq!(house.held_on(SHANGHAI), old, "nothing is lost for it");
    let staying = decide::staying(house.state(), &EdgeNodeId::new(SHANGHAI));
    assert!(staying[0].why.as_ref().is_some_and(|why| why.contains("the last move failed")), "{staying:?}");
    house.gone(&house.releasing());
    assert!(unready(&house).is_empty());

    house.change(node(NodeChange::Drain)).expect("there is room, and nothing is in the way");
    assert_eq!(unready(&house).len(), 1);
}

#[test]
fn a_canceled_move_leaves_everything_that_is_not_moved() {
    let mut house = house_with(4);
    let before = house.held();
    house.change(node(NodeChange::Drain)).expect("there is room, and nothing is in the way");
    let operation = house.operation_of_app();

    house
        .change(Change::Cancel(CancelOperation { operation, mode: OnTimeout::Undo }))
        .expect("there is room, and nothing is in the way");

    assert_eq!(house.held(), before);
    assert_eq!(house.releasing().len(), 2, "the new ones go");
}

#[test]
fn a_rebalance_moves_as_few_as_help_and_at_most_as_many_as_asked() {
    let mut house = house_with(2);
    house.change(node(NodeChange::Drain)).expect("there is room, and nothing is in the way");
    house.ready(&house.held());
    house.gone(&house.releasing());
    house.change(node(NodeChange::Resume)).expect("there is room, and nothing is in the way");
    house.add(vec![item("310100", Some("cmcc"), 2)]).expect("there is room, and nothing is in the way");
    house.ready(&house.held());
    assert_eq!((house.held_on(SHANGHAI).len(), house.held_on(OTHER).len()), (2, 2));
    let refused = house.refused(Change::Rebalance(rebalance(4)));
    assert!(refused.contains("as balanced as it can be"), "{refused}");

    // Four where two of each would be.
    let mut house = house_with(4);
    house.change(node(NodeChange::Drain)).expect("there is room, and nothing is in the way");
    house.ready(&house.held());
    house.gone(&house.releasing());
    house.change(node(NodeChange::Resume)).expect("there is room, and nothing is in the way");
    assert_eq!(house.held_on(OTHER).len(), 4);

    let planned = decide::plan_rebalance(house.state(), &permit(), &rebalance(1))
        .expect("there is room, and nothing is in the way");
    assert_eq!((planned.plan.moves.len(), planned.blocked.clone()), (1, None));
    let wrong =
        RebalanceApplication { if_plan: Some(ensemble_model::id::PlanId::new("00000000")), ..rebalance(1) };
    assert!(matches!(house.change(Change::Rebalance(wrong)), Err(Refusal::MovesChanged { .. })));
    let exactly = RebalanceApplication { if_plan: Some(planned.plan.id), ..rebalance(1) };
    house.change(Change::Rebalance(exactly)).expect("there is room, and nothing is in the way");
    house.ready(&house.held());
    house.gone(&house.releasing());
    assert_eq!((house.held_on(SHANGHAI).len(), house.held_on(OTHER).len()), (1, 3));

    house.change(Change::Rebalance(rebalance(4))).expect("there is room, and nothing is in the way");
    house.ready(&house.held());
    house.gone(&house.releasing());
    assert_eq!((house.held_on(SHANGHAI).len(), house.held_on(OTHER).len()), (2, 2), "one more is enough");
}

#[test]
fn a_move_waits_for_the_floor_of_the_node_it_leaves() {
    let mut house = house_with(4);
    house
        .change(Change::Modify(ModifyApplication { app: app(), min_ready: 1, if_revision: None }))
        .expect("there is room, and nothing is in the way");
    let here = house.held_on(SHANGHAI);
    house.change(node(NodeChange::Drain)).expect("there is room, and nothing is in the way");
    let new = unready(&house);
    house.report(&here[..1], starting);

    // One of the two here is ready: it must stay while the other is wanted, and that one makes way first.
    house.ready(&new[..1]);
    house.ready(&new[1..]);
    assert_eq!(house.releasing(), here);
    house.gone(&here);
    assert_eq!(house.held_on(SHANGHAI).len(), 0);
}

#[test]
fn a_successor_that_cannot_be_reached_is_given_up_and_the_old_one_stays() {
    let mut house = house_with(2);
    house.change(node(NodeChange::Drain)).expect("there is room, and nothing is in the way");
    let old = house.held_on(SHANGHAI);

    house.unreachable(OTHER);

    assert_eq!(house.held_on(SHANGHAI), old);
    assert_eq!(house.last_operation().status, OperationStatus::Failed);
    assert_eq!(house.releasing().len(), 1, "or it would be there twice once it is back");
}

#[test]
fn a_silent_engine_after_a_start_ends_a_move_as_a_cut_does() {
    let mut house = house_with(2);
    house.change(node(NodeChange::Drain)).expect("there is room, and nothing is in the way");
    let old = house.held_on(SHANGHAI);
    let mut house = house.restarted();

    house.pass(10);

    assert_eq!(house.last_operation().status, OperationStatus::Failed);
    assert_eq!((house.held_on(SHANGHAI), house.releasing().len()), (old, 1));
}

#[test]
fn what_is_protected_while_it_moves_stays() {
    let mut house = house_with(2);
    house.change(node(NodeChange::Drain)).expect("there is room, and nothing is in the way");
    let (old, new) = (house.held_on(SHANGHAI), unready(&house));

    let protect = ProtectInstances { instances: old.clone(), protection: Protection::On };
    house.change(Change::Protect(protect)).expect("it is held");

    assert_eq!((house.held_on(SHANGHAI), house.releasing()), (old, new));
    assert_eq!(moved(&house).status, OperationStatus::Failed, "there is nothing left to wait for");
}

/// The newest move.
fn moved(house: &House) -> Operation {
    let permit = permit();
    let operations = house.state().account(&permit).operations(None);
    let moved = operations.into_iter().find(|found| found.kind == OperationKind::Move);
    Operation::clone(moved.expect("something moved"))
}

/// Of two on the node only one is to move, it alone is ready, and one has to be; the one in its place is ready.
fn house_that_waits_for_the_floor() -> (House, InstanceId, InstanceId) {
    let mut house = house_with(4);
    let here = house.held_on(SHANGHAI);
    let protect = ProtectInstances { instances: here[1..].to_vec(), protection: Protection::On };
    house.change(Change::Protect(protect)).expect("it is held");
    let keep = ModifyApplication { app: app(), min_ready: 1, if_revision: None };
    house.change(Change::Modify(keep)).expect("nothing is in the way");
    house.report(&here[1..], starting);
    house.change(node(NodeChange::Drain)).expect("there is room, and nothing is in the way");
    house.ready(&house.held_on(OTHER));
    assert!(house.releasing().is_empty(), "one has to stay ready here");
    (house, here[0].clone(), here[1].clone())
}

#[test]
fn a_move_goes_on_when_an_instance_beside_it_becomes_ready() {
    let (mut house, moves, stays) = house_that_waits_for_the_floor();

    house.ready(&[stays]);

    assert_eq!(house.releasing(), [moves]);
}

#[test]
fn a_move_goes_on_when_the_floor_is_lowered() {
    let (mut house, moves, _) = house_that_waits_for_the_floor();

    let keep = ModifyApplication { app: app(), min_ready: 0, if_revision: None };
    house.change(Change::Modify(keep)).expect("nothing is in the way");

    assert_eq!(house.releasing(), [moves]);
}

#[test]
fn a_drain_goes_on_when_its_call_is_forgotten() {
    const WEEK_S: i64 = 7 * 24 * 3_600;
    let mut house = house_with(2);
    house.change(node(NodeChange::Drain)).expect("there is room, and nothing is in the way");
    let call = house.state().account(&permit()).operations(None)[1].id.clone();
    house.unreachable(OTHER);
    assert_eq!(house.held_on(SHANGHAI).len(), 1, "what was to come cannot be reached");
    house.jump(WEEK_S + 1);
    house.back();

    // Whatever is written of the application takes away that its move failed; its end lets an older one be forgotten.
    let keep = ModifyApplication { app: app(), min_ready: 0, if_revision: None };
    house.change(Change::Modify(keep)).expect("nothing is in the way");

    assert!(house.state().account(&permit()).operation(&call).is_none(), "it is forgotten");
    assert_eq!(moved(&house).status, OperationStatus::Running, "it moves after all");
}

#[test]
fn what_is_not_ready_goes_first_and_lets_the_others_go() {
    let mut house = house_with(6);
    let keep = ModifyApplication { app: app(), min_ready: 2, if_revision: None };
    house.change(Change::Modify(keep)).expect("nothing is in the way");
    let here = house.held_on(SHANGHAI);
    house.report(&here[1..], starting);
    house.change(node(NodeChange::Drain)).expect("there is room, and nothing is in the way");

    // One of three is ready: it may go with the two others only.
    house.ready(&unready(&house).into_iter().filter(|id| !here.contains(id)).collect::<Vec<_>>());

    assert_eq!(house.releasing(), here);
}
