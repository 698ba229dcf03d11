//! What happens to an application, from acceptance to the end (`decisions.md` §2.2 to §2.5, §2.9, §2.10).

use crate::house::{House, SHANGHAI, WUXI, app, crashed, hopeless, item, permit, rescale, starting};
use ensemble_model::application::Phase;
use ensemble_model::command::{Direction, Partial};
use ensemble_model::decide::plan;
use ensemble_model::operation::{OperationStatus, STEPS_AT_MOST};
use ensemble_model::refusal::Refusal;

#[test]
fn an_application_without_instances_is_running_in_the_accepting_append() {
    let mut house = House::new();

    let accepted = house.create(Vec::new()).unwrap();

    assert_eq!(house.phase(), Some(Phase::Running));
    assert_eq!(house.status(), "CREATE_SUCCESS/DONE/create application success");
    assert_eq!(accepted.revision, 1);
    assert_eq!(house.records.len(), 2, "the fleet, then the application");
}

#[test]
fn an_application_created_with_instances_runs_once_they_are_ready() {
    let mut house = House::new();
    house.create(vec![item(SHANGHAI, None, 2)]).unwrap();
    assert_eq!(house.phase(), Some(Phase::Creating));
    assert_eq!(
        house.status(),
        "CREATE_RUNNING/DEPLOY_CONTAINER/create application with 2 instances of version v1"
    );

    house.ready(&house.held());

    assert_eq!(house.status(), "CREATE_SUCCESS/DONE/create application success: 2 of 2 instances ready");
}

#[test]
fn the_documented_example_places_six_instances_and_runs_once_they_are_ready() {
    let mut house = House::new();
    house.create(Vec::new()).unwrap();

    house.add(vec![item(WUXI, Some("telecom"), 2), item(SHANGHAI, None, 4)]).unwrap();

    assert_eq!(house.status(), "UPDATE_RUNNING/DEPLOY_CONTAINER/add 6 instances of version v1");
    let held = house.held();
    assert_eq!(held.len(), 6);
    assert_eq!((house.used_vcpu(SHANGHAI), house.used_vcpu(WUXI)), (8, 4));

    house.ready(&held[..5]);
    assert_eq!(house.phase(), Some(Phase::Updating));

    house.ready(&held[5..]);
    assert_eq!(house.phase(), Some(Phase::Running));
    assert_eq!(house.status(), "UPDATE_SUCCESS/DONE/add success: 6 of 6 instances ready");
}

#[test]
fn an_add_ends_only_when_every_instance_is_ready_at_the_same_moment() {
    let mut house = House::new();
    house.create(Vec::new()).unwrap();
    house.add(vec![item(SHANGHAI, None, 2)]).unwrap();
    let held = house.held();

    house.ready(&held[..1]);
    house.report(&held[..1], starting);
    house.ready(&held[1..]);
    assert_eq!(house.phase(), Some(Phase::Updating), "the first one is not ready any more");

    house.ready(&held[..1]);
    assert_eq!(house.phase(), Some(Phase::Running));
}

#[test]
fn a_release_ends_when_every_victim_is_confirmed_gone_and_keeps_its_room_until_then() {
    let mut house = House::with_ready(4);

    house.del(vec![item(SHANGHAI, None, 3)]).unwrap();

    assert_eq!(house.status(), "UPDATE_RUNNING/RELEASE_CONTAINER/release 3 instances");
    let victims = house.releasing();
    assert_eq!((house.held().len(), victims.len()), (1, 3));
    assert_eq!(house.used_vcpu(SHANGHAI), 8);

    house.gone(&victims);
    assert_eq!(house.status(), "UPDATE_SUCCESS/DONE/release success: 3 of 3 instances gone");
    assert_eq!(house.used_vcpu(SHANGHAI), 2);
}

#[test]
fn at_the_deadline_what_is_ready_stays_and_the_rest_is_released() {
    let mut house = House::new();
    house.create(Vec::new()).unwrap();
    house.add(vec![item(WUXI, Some("telecom"), 2), item(SHANGHAI, None, 4)]).unwrap();
    let on_wuxi = house.held_on(WUXI);
    house.ready(&on_wuxi);
    house.ready(&house.held_on(SHANGHAI)[..1]);

    house.pass(299);
    assert_eq!(house.phase(), Some(Phase::Updating));
    house.pass(1);

    assert_eq!(house.phase(), Some(Phase::UpdateFailed));
    assert_eq!(
        house.status(),
        format!(
            "UPDATE_FAILED/DEPLOY_CONTAINER/timeout after 300 s: 3 of 6 ready; item 0 ({WUXI}/telecom): 2/2, item 1 \
             ({SHANGHAI}): 1/4"
        )
    );
    assert_eq!((house.held().len(), house.releasing().len()), (3, 3));
    house.add(vec![item(SHANGHAI, None, 3)]).unwrap();
}

#[test]
fn a_release_goes_on_after_its_deadline_and_the_application_takes_the_next_write() {
    let mut house = House::with_ready(3);
    house.del(vec![item(SHANGHAI, None, 2)]).unwrap();
    let victims = house.releasing();
    house.gone(&victims[..1]);

    house.pass(300);

    assert_eq!(
        house.status(),
        format!(
            "UPDATE_FAILED/RELEASE_CONTAINER/timeout after 300 s: 1 of 2 gone, 1 still stopping; item 0 ({SHANGHAI}): \
             1/2"
        )
    );
    assert_eq!(house.releasing(), victims[1..]);
    house.add(vec![item(SHANGHAI, None, 1)]).unwrap();
    house.gone(&victims[1..]);
    assert_eq!(house.releasing(), []);
    assert_eq!(house.phase(), Some(Phase::Updating), "the add still runs");
}

#[test]
fn a_hopeless_instance_fails_at_once_and_the_operation_when_nothing_is_left_to_try() {
    let mut house = House::new();
    house.create(Vec::new()).unwrap();
    house.add(vec![item(SHANGHAI, None, 2)]).unwrap();
    let held = house.held();

    house.report(&held[..1], hopeless);
    assert_eq!(house.phase(), Some(Phase::Updating), "the other one may still come");
    assert_eq!(house.releasing(), held[..1]);

    house.ready(&held[1..]);
    assert_eq!(
        house.status(),
        format!(
            "UPDATE_FAILED/DEPLOY_CONTAINER/nothing is left to try: 1 of 2 ready; item 0 ({SHANGHAI}): 1/2"
        )
    );
    house.gone(&held[..1]);
    let (permit, state) = (permit(), house.state());
    let gone = state.account(&permit).gone(&held[0]).unwrap();
    assert_eq!(gone.instance.cause.as_deref(), Some("no executable `/nothing` in the image"));
}

#[test]
fn an_instance_that_turns_hopeless_outside_of_an_operation_is_held() {
    let mut house = House::with_ready(1);

    house.report(&house.held(), hopeless);

    assert_eq!(house.held().len(), 1);
    assert_eq!(house.phase(), Some(Phase::Running));
}

#[test]
fn items_that_do_not_fit_are_skipped_only_where_that_is_allowed() {
    let mut house = House::new();
    house.create(Vec::new()).unwrap();
    let mut request = rescale(Direction::Add, vec![item(SHANGHAI, None, 13), item(WUXI, None, 2)]);

    let refused = house.rescale(request.clone()).unwrap_err();
    assert!(matches!(refused, Refusal::Shortage { .. }), "{refused}");
    assert_eq!(house.held(), []);

    request.partial = Partial::Allowed;
    let accepted = house.rescale(request.clone()).unwrap();
    assert_eq!(house.held().len(), 2);
    let permit = permit();
    let operation = house.state().account(&permit).operation(&accepted.operation).unwrap().clone();
    assert_eq!(operation.wanted(), 2);
    assert_eq!((operation.skipped[0].item, operation.skipped[0].reason.as_str()), (0, "room for 12 of 13"));

    house.ready(&house.held());
    request.selector.pop();
    assert!(matches!(house.rescale(request).unwrap_err(), Refusal::Shortage { .. }), "nothing would be left");
}

#[test]
fn a_release_of_more_than_there_is_refuses_the_whole_call() {
    let mut house = House::with_ready(2);

    let refused = house.del(vec![item(SHANGHAI, None, 3)]).unwrap_err();

    assert!(matches!(refused, Refusal::TooMany { .. }), "{refused}");
    assert_eq!(house.held().len(), 2);
}

#[test]
fn the_revision_rises_with_writes_ends_and_losses_and_not_with_observations() {
    let mut house = House::new();
    let created = house.create(Vec::new()).unwrap().revision;
    let accepted = house.add(vec![item(SHANGHAI, None, 2)]).unwrap().revision;
    assert!(accepted > created);
    let held = house.held();

    house.report(&held, starting);
    assert_eq!(house.revision(), accepted);

    house.report(&held[..1], hopeless);
    let failed = house.revision();
    assert!(failed > accepted);

    house.ready(&held[1..]);
    let ended = house.revision();
    assert!(ended > failed);

    house.gone(&held[..1]);
    assert_eq!(house.revision(), ended);
}

#[test]
fn a_plan_is_what_is_executed_on_the_same_state() {
    let mut house = House::with_ready(3);
    for (direction, count) in [(Direction::Add, 5), (Direction::Del, 2)] {
        let request = rescale(direction, vec![item("310100", None, count)]);
        let planned = plan(house.state(), &permit(), &request).unwrap();
        assert!(planned.fits);

        let accepted = house.rescale(request).unwrap();

        let permit = permit();
        let operation = house.state().account(&permit).operation(&accepted.operation).unwrap().clone();
        let done: Vec<_> =
            operation.targets.iter().map(|target| (target.node.clone(), target.isp.clone())).collect();
        let placements = planned.plan.items.iter().flat_map(|item| &item.placements);
        let expected: Vec<_> = placements
            .flat_map(|p| (0..p.count).map(|_| (p.node.clone(), p.isp.clone())).collect::<Vec<_>>())
            .collect();
        assert_eq!(done, expected);
        assert_eq!(house.held().len() as u32, planned.after);
        house.ready(&house.held());
        house.gone(&house.releasing());
    }
}

#[test]
fn a_plan_says_what_stands_against_it_and_changes_nothing() {
    let mut house = House::with_ready(1);
    house.add(vec![item(SHANGHAI, None, 1)]).unwrap();

    let busy =
        plan(house.state(), &permit(), &rescale(Direction::Add, vec![item(SHANGHAI, None, 1)])).unwrap();

    assert!(!busy.fits);
    assert!(matches!(busy.blocked, Some(Refusal::Busy { .. })));
    assert_eq!((busy.before, busy.after, busy.plan.placed()), (2, 2, 1));
}

#[test]
fn what_is_given_up_at_the_deadline_leaves_its_last_word() {
    let mut house = House::new();
    house.create(Vec::new()).unwrap();
    let accepted = house.add(vec![item(SHANGHAI, None, 1)]).unwrap();
    let held = house.held();
    house.report(&held, crashed);

    house.pass(300);

    let permit = permit();
    let operation = house.state().account(&permit).operation(&accepted.operation).unwrap();
    let given_up =
        format!("`{}` on `{SHANGHAI}` is given up: not ready when the time was up (exited 3)", held[0]);
    assert!(operation.steps.iter().any(|step| step.text == given_up), "{:?}", operation.steps);
}

#[test]
fn an_operation_remembers_its_first_step_and_the_latest() {
    let mut house = House::new();
    house.create(Vec::new()).unwrap();
    let accepted = house.add(vec![item(SHANGHAI, None, 2)]).unwrap();
    let held = house.held();

    for _ in 0..STEPS_AT_MOST {
        house.ready(&held[..1]);
        house.report(&held[..1], starting);
    }
    house.ready(&held);

    let permit = permit();
    let operation = house.state().account(&permit).operation(&accepted.operation).unwrap();
    assert_eq!(operation.status, OperationStatus::Succeeded);
    assert!(
        (STEPS_AT_MOST / 2..=STEPS_AT_MOST).contains(&operation.steps.len()),
        "{}",
        operation.steps.len()
    );
    assert_eq!(operation.steps.front().unwrap().text, "accepted: add 2 instances of version v1");
    assert_eq!(operation.steps.back().unwrap().text, "add success: 2 of 2 instances ready");
    assert_eq!(operation.outcome.as_deref(), Some("add success: 2 of 2 instances ready"));
    let operations = house.state().account(&permit).operations(Some(&app()));
    assert_eq!(operations.iter().map(|o| o.number).collect::<Vec<_>>(), [1, 0], "newest first");
}
