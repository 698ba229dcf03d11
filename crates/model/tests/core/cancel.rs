//! Operations that are canceled or run out of time: kept, or taken back.

use super::house::*;
use ensemble_model::application::Phase;
use ensemble_model::command::{CancelOperation, Change, Direction};
use ensemble_model::id::{InstanceId, OperationId};
use ensemble_model::operation::{OnTimeout, OperationStatus};
use ensemble_model::refusal::Refusal;

fn cancel(operation: &OperationId, mode: OnTimeout) -> Change {
    Change::Cancel(CancelOperation { operation: operation.clone(), mode })
}

/// Two of four in Shanghai are ready, and the Add still runs.
fn half_done() -> (House, OperationId) {
    let mut house = House::with_ready(1);
    house.back();
    house.add(vec![item(SHANGHAI, None, 4)]).expect("there is room, and nothing is in the way");
    let operation = house.operation_of_app();
    let new: Vec<_> = house.held().into_iter().filter(|id| !house.instance(id).ready).collect();
    house.ready(&new[..2]);
    (house, operation)
}

fn status(house: &House, operation: &OperationId) -> (OperationStatus, String) {
    let permit = permit();
    let found = house.state().account(&permit).operation(operation).expect("it is remembered").clone();
    (found.status, found.outcome.clone().unwrap_or_default())
}

#[test]
fn a_canceled_add_keeps_what_is_ready() {
    let (mut house, operation) = half_done();

    house.change(cancel(&operation, OnTimeout::Keep)).expect("there is room, and nothing is in the way");

    assert_eq!((house.held().len(), house.releasing().len()), (3, 2));
    assert_eq!(house.phase(), Some(Phase::UpdateFailed));
    assert_eq!(
        status(&house, &operation),
        (OperationStatus::Canceled, "canceled, what was done is kept: 2 of 4 ready".to_owned())
    );
    // The application takes the next write while they go.
    house.add(vec![item(WUXI, None, 1)]).expect("there is room, and nothing is in the way");
}

#[test]
fn what_cannot_be_reached_when_an_add_is_canceled_is_told() {
    let mut house = House::with_ready(1);
    house
        .add(vec![item(SHANGHAI, None, 2), item(WUXI, None, 1)])
        .expect("there is room, and nothing is in the way");
    let operation = house.operation_of_app();
    house.unreachable(SHANGHAI);

    house.change(cancel(&operation, OnTimeout::Keep)).expect("there is room, and nothing is in the way");

    let (_, outcome) = status(&house, &operation);
    assert_eq!(
        outcome,
        "canceled, what was done is kept (2 on `cn-shanghai-cmcc` held: unreachable since 2026-01-01 00:00:00 UTC): \
         0 of 3 ready"
    );
    assert_eq!(house.held_on(SHANGHAI).len(), 3, "nobody can say that they do not run");
}

#[test]
fn an_undone_add_leaves_what_was_before() {
    let (mut house, operation) = half_done();

    house.change(cancel(&operation, OnTimeout::Undo)).expect("there is room, and nothing is in the way");
    assert_eq!((house.held().len(), house.releasing().len()), (1, 4));
    assert_eq!(house.phase(), Some(Phase::Updating), "until they are gone");
    assert!(matches!(house.add(vec![item(WUXI, None, 1)]), Err(Refusal::Busy { .. })));

    house.gone(&house.releasing());

    assert_eq!(house.phase(), Some(Phase::UpdateFailed));
    assert_eq!(house.status(), "UPDATE_FAILED/DEPLOY_CONTAINER/canceled and undone: 4 instances gone");
    assert_eq!(status(&house, &operation).0, OperationStatus::Canceled);
    assert_eq!(house.held().len(), 1);
    let permit = permit();
    let undone = house.state().account(&permit).operation(&operation).expect("it is remembered").clone();
    assert_eq!((undone.done(), undone.wanted()), (0, 4), "what is gone is not ready");
    assert!(undone.targets.iter().all(|target| !undone.is_done(target)));
    let steps: Vec<&str> = undone.steps.iter().map(|step| step.text.as_str()).collect();
    assert!(steps.iter().any(|text| text.ends_with("is gone (4 of 4)")), "{steps:?}");
}

#[test]
fn a_delete_says_how_far_what_it_ends_was_taken_back() {
    let (mut house, operation) = half_done();
    house.change(cancel(&operation, OnTimeout::Undo)).expect("there is room, and nothing is in the way");
    house.gone(&house.releasing()[..1]);

    house.delete().expect("it is accepted at any time");

    let (_, outcome) = status(&house, &operation);
    assert!(outcome.ends_with("with 1 of 4 taken back"), "{outcome}");
}

#[test]
fn an_undo_has_a_bound_of_its_own() {
    let (mut house, operation) = half_done();
    house.change(cancel(&operation, OnTimeout::Undo)).expect("there is room, and nothing is in the way");

    house.pass(299);
    assert_eq!(house.phase(), Some(Phase::Updating));
    house.pass(1);

    assert_eq!(house.phase(), Some(Phase::UpdateFailed));
    let (_, outcome) = status(&house, &operation);
    assert_eq!(outcome, "canceled and undone: 0 instances gone, 4 still to go");
    house.gone(&house.releasing());
    assert_eq!((house.held().len(), house.releasing().len()), (1, 0));
}

#[test]
fn a_deadline_can_undo_too() {
    let mut house = House::with_ready(1);
    house.back();
    let request = rescale(Direction::Add, vec![item(SHANGHAI, None, 2)]);
    let undo = ensemble_model::command::RescaleApplication { on_timeout: OnTimeout::Undo, ..request };
    house.rescale(undo).expect("there is room, and nothing is in the way");
    let operation = house.operation_of_app();
    let new: Vec<_> = house.held().into_iter().filter(|id| !house.instance(id).ready).collect();
    house.ready(&new[..1]);

    house.pass(300);
    assert_eq!(house.releasing(), new, "the ready one too");
    house.gone(&new);

    assert_eq!(
        status(&house, &operation),
        (OperationStatus::Failed, "timeout after 300 s and undone: 2 instances gone".to_owned())
    );
    assert_eq!(house.held().len(), 1);
}

#[test]
fn an_undone_del_keeps_only_those_that_nobody_was_told_to_stop() {
    let mut house = House::with_ready(2);
    house.add(vec![item(WUXI, None, 2)]).expect("there is room, and nothing is in the way");
    house.ready(&house.held());
    house.unreachable(SHANGHAI);
    house
        .del(vec![item(SHANGHAI, None, 2), item(WUXI, None, 1)])
        .expect("there is room, and nothing is in the way");
    let operation = house.operation_of_app();

    house.change(cancel(&operation, OnTimeout::Undo)).expect("there is room, and nothing is in the way");

    assert_eq!(house.held_on(SHANGHAI).len(), 2, "nobody there knew");
    assert_eq!(house.releasing().len(), 1);
    house.gone(&house.releasing());
    assert_eq!(
        status(&house, &operation),
        (OperationStatus::Canceled, "canceled and undone: 1 instance gone, 2 kept".to_owned())
    );
    // Nothing restarts where nothing was stopped.
    house.back();
    assert_eq!(house.held_on(SHANGHAI).len(), 2);
}

/// What the engine was last told of `instance`.
fn told(house: &House, instance: &InstanceId) -> Option<&'static str> {
    let cells = house.told.iter().rev().flat_map(|wanted| &wanted.cells);
    let mut words = cells.filter_map(|cell| {
        let runs = cell.run.iter().any(|wanted| wanted.id == *instance);
        let goes = cell.release.contains(instance);
        runs.then_some("run").or(goes.then_some("release"))
    });
    words.next()
}

#[test]
fn nobody_is_told_to_stop_what_cannot_be_reached_until_it_can() {
    let mut house = House::with_ready(2);
    let here = house.held();
    house.unreachable(SHANGHAI);
    house.del(vec![item(SHANGHAI, None, 2)]).expect("there is as much");
    // An engine that was told would stop it as soon as it can, before anybody knows that it may not.
    assert_eq!(here.iter().map(|id| told(&house, id)).collect::<Vec<_>>(), [Some("run"); 2]);
    let mut house = house.restarted();
    assert_eq!(told(&house, &here[0]), Some("run"));

    house.ready(&here);

    assert_eq!(here.iter().map(|id| told(&house, id)).collect::<Vec<_>>(), [Some("release"); 2]);
}

#[test]
fn what_was_told_to_stop_is_not_brought_back() {
    let mut house = House::with_ready(2);
    house.del(vec![item(SHANGHAI, None, 2)]).expect("there is room, and nothing is in the way");
    let operation = house.operation_of_app();
    house.unreachable(SHANGHAI);

    // Only what cannot be reached is left, so it is over before it can be canceled.
    assert!(matches!(house.change(cancel(&operation, OnTimeout::Undo)), Err(Refusal::NotCancelable { .. })));
    assert_eq!((house.held().len(), house.releasing().len()), (0, 2));
}

#[test]
fn a_delete_and_what_is_over_cannot_be_canceled() {
    let mut house = House::with_ready(1);
    let over = house.last_operation().id.clone();
    house.delete().expect("there is room, and nothing is in the way");
    let delete = house.operation_of_app();

    assert_eq!(
        house.refused(cancel(&over, OnTimeout::Keep)),
        format!("operation `{over}` is over: add success: 1 of 1 instance ready")
    );
    assert!(house.refused(cancel(&delete, OnTimeout::Undo)).contains("which cannot be canceled"));
    let unknown = OperationId::new("0");
    assert_eq!(
        house.change(cancel(&unknown, OnTimeout::Keep)),
        Err(Refusal::UnknownOperation { operation: unknown })
    );
}

#[test]
fn who_canceled_is_in_the_history() {
    let (mut house, operation) = half_done();

    house.change(cancel(&operation, OnTimeout::Keep)).expect("there is room, and nothing is in the way");

    let last = house.last_operation();
    assert_eq!(last.action, "CancelOperation");
    assert_eq!(last.outcome, Some(format!("canceled RescaleApplication `{operation}`: keep")));
    assert_eq!(last.caller.source, "127.0.0.1");
}
