//! DeleteApplication (`decisions.md` §2.1, §2.3).

use crate::house::{BEGIN, House, SHANGHAI, app, item, permit, permit_of};
use ensemble_model::application::Phase;
use ensemble_model::command::{Change, ModifyApplication};
use ensemble_model::operation::OperationStatus;
use ensemble_model::refusal::Refusal;
use ensemble_model::time::WallTime;

#[test]
fn an_application_vanishes_with_its_last_instance_and_its_history_stays() {
    let mut house = House::with_ready(2);
    let accepted = house.delete().unwrap();
    assert_eq!(house.status(), "DELETE_RUNNING/RELEASE_CONTAINER/delete application with 2 instances");
    let victims = house.releasing();

    house.gone(&victims[..1]);
    assert_eq!(house.phase(), Some(Phase::Deleting));
    house.gone(&victims[1..]);

    assert_eq!(house.phase(), None);
    let permit = permit();
    let view = house.state().account(&permit);
    let operation = view.operation(&accepted.operation).unwrap();
    assert_eq!((operation.status, operation.done()), (OperationStatus::Succeeded, 2));
    assert_eq!(view.operations(Some(&app())).len(), 3);
    assert_eq!(view.gone(&victims[0]).unwrap().at, WallTime(BEGIN));
    assert!(matches!(house.delete().unwrap_err(), Refusal::UnknownApplication { .. }));
}

#[test]
fn an_application_without_instances_vanishes_in_the_accepting_append() {
    let mut house = House::new();
    house.create(Vec::new()).unwrap();

    house.delete().unwrap();

    assert_eq!(house.phase(), None);
    house.create(Vec::new()).expect("the name is free again");
}

#[test]
fn a_delete_supersedes_what_runs_and_takes_everything_that_is_there() {
    let mut house = House::with_ready(3);
    house.del(vec![item(SHANGHAI, None, 1)]).unwrap();
    let releasing = house.releasing();
    let running = house.operation_of_app();

    let first = house.delete().unwrap();

    let permit = permit();
    let superseded = house.state().account(&permit).operation(&running).unwrap().clone();
    assert_eq!(superseded.status, OperationStatus::Superseded);
    assert_eq!(house.releasing().len(), 3, "also the one that was being released: {releasing:?}");

    let second = house.delete().unwrap();
    let view = house.state().account(&permit);
    assert_eq!(view.operation(&first.operation).unwrap().status, OperationStatus::Superseded);
    assert_eq!(view.operation(&second.operation).unwrap().wanted(), 3);
    house.gone(&house.releasing());
    assert_eq!(house.phase(), None);
}

#[test]
fn a_delete_that_fails_goes_on_releasing_and_only_another_delete_is_accepted() {
    let mut house = House::with_ready(2);
    house.delete().unwrap();
    let victims = house.releasing();
    house.gone(&victims[..1]);

    house.pass(300);

    assert_eq!(house.phase(), Some(Phase::DeleteFailed));
    assert_eq!(
        house.status(),
        "DELETE_FAILED/RELEASE_CONTAINER/timeout after 300 s: 1 of 2 gone, 1 still stopping"
    );
    let refused = house.add(vec![item(SHANGHAI, None, 1)]).unwrap_err();
    assert!(matches!(refused, Refusal::BeingDeleted { .. }), "{refused}");
    let modify = ModifyApplication { app: app(), min_ready: 1, if_revision: None };
    let refused = house.change(Change::Modify(modify)).unwrap_err();
    assert!(matches!(refused, Refusal::BeingDeleted { .. }), "{refused}");
    house.gone(&victims[1..]);
    assert_eq!(house.phase(), None);
}

#[test]
fn another_accounts_application_looks_like_none() {
    let mut house = House::with_ready(1);
    let mut command = house.delete_command();
    command.permit = permit_of("2000000000000002");

    let foreign = house.call(command).unwrap_err();

    assert_eq!(foreign, Refusal::UnknownApplication { app: app() });
    assert_eq!(house.held().len(), 1);
}
