//! What is refused, and what comes first when several things stand against a call (`decisions.md` §3).

use crate::house::{ENGINE, House, SHANGHAI, WUXI, app, create, item, permit, rescale};
use ensemble_model::command::{Change, Direction};
use ensemble_model::decide::plan;
use ensemble_model::id::{AppId, EdgeNodeId, EngineName, PlanId, SpecName, VersionName};
use ensemble_model::observation::Reach;
use ensemble_model::refusal::Refusal;
use ensemble_model::time::WallTime;

/// The variant's name: enough to tell which rule came first.
fn name(refusal: &Refusal) -> String {
    let text = format!("{refusal:?}");
    text.split([' ', '(']).next().unwrap_or_default().to_owned()
}

#[test]
fn the_first_thing_that_stands_against_a_call_is_named() {
    let mut house = House::with_ready(1);
    house.add(vec![item(SHANGHAI, None, 1)]).unwrap();
    // Everything is wrong; each round mends what was named.
    let mut request = rescale(Direction::Add, vec![item("nowhere", None, 1), item(SHANGHAI, None, 50)]);
    request.app = AppId::new("other");
    request.if_revision = Some(99);
    request.to_version = Some(VersionName::new("v9"));
    request.if_plan = Some(PlanId::new("00000000"));
    let mut refused = Vec::new();

    refused.push(name(&house.rescale(request.clone()).unwrap_err()));
    request.app = app();
    refused.push(name(&house.rescale(request.clone()).unwrap_err()));
    house.ready(&house.held());
    refused.push(name(&house.rescale(request.clone()).unwrap_err()));
    request.if_revision = Some(house.revision());
    refused.push(name(&house.rescale(request.clone()).unwrap_err()));
    request.to_version = None;
    refused.push(name(&house.rescale(request.clone()).unwrap_err()));
    request.selector.remove(0);
    refused.push(name(&house.rescale(request.clone()).unwrap_err()));
    request.if_plan = Some(plan(house.state(), &permit(), &request).unwrap().plan.id);
    refused.push(name(&house.rescale(request.clone()).unwrap_err()));
    request.selector[0].count = 1;
    request.if_plan = None;
    house.rescale(request).unwrap();

    assert_eq!(
        refused,
        [
            "UnknownApplication",
            "Busy",
            "StaleRevision",
            "UnknownVersion",
            "Selector",
            "PlanChanged",
            "Shortage"
        ]
    );
}

#[test]
fn a_busy_application_names_the_operation_and_its_deadline() {
    let mut house = House::new();
    house.create(vec![item(SHANGHAI, None, 1)]).unwrap();
    let operation = house.operation_of_app();

    let refused = house.add(vec![item(SHANGHAI, None, 1)]).unwrap_err();

    let deadline_at = WallTime(house.now.wall.0 + 1_800_000);
    assert_eq!(
        refused,
        Refusal::Busy {
            app: app(),
            operation: operation.clone(),
            action: "CreateApplication".into(),
            deadline_at
        }
    );
    assert_eq!(
        refused.to_string(),
        format!(
            "application `{}` is busy: CreateApplication `{operation}` is under way and ends by 2026-01-01 00:30:00 \
             UTC; wait for it, or follow it with `DescribeOperation`",
            app()
        )
    );
}

#[test]
fn the_version_of_a_release_is_ignored() {
    let mut house = House::with_ready(1);
    let mut request = rescale(Direction::Del, vec![item(SHANGHAI, None, 1)]);
    request.to_version = Some(VersionName::new("v9"));

    house.rescale(request).unwrap();
}

#[test]
fn a_name_is_taken_per_cluster() {
    let mut house = House::new();
    house.create(Vec::new()).unwrap();
    let mut other = create("shop", Vec::new());
    other.app = AppId::new("other");

    let refused = house.call(house.command(Change::Create(Box::new(other.clone())))).unwrap_err();
    assert_eq!(name(&refused), "NameTaken");

    other.meta.cluster = "poc".into();
    house.call(house.command(Change::Create(Box::new(other)))).unwrap();
}

#[test]
fn a_creation_that_cannot_be_is_refused_whole() {
    let mut house = House::new();
    let mut unknown_spec = create("shop", Vec::new());
    unknown_spec.resources.instance_spec = SpecName::new("ens.sn1.vast");
    for (wish, expected) in [
        (create("shop", vec![item(SHANGHAI, None, 1), item("nowhere", None, 1)]), "Selector"),
        (create("shop", vec![item(SHANGHAI, None, 13)]), "Shortage"),
        (unknown_spec, "Template"),
    ] {
        let refused = house.call(house.command(Change::Create(Box::new(wish)))).unwrap_err();

        assert_eq!(name(&refused), expected, "{refused}");
    }
    assert_eq!(house.phase(), None);
    assert_eq!(house.records.len(), 1, "nothing but the fleet was written");
}

#[test]
fn a_node_that_cannot_be_reached_is_refused_by_name_and_skipped_in_an_area() {
    let mut house = House::new();
    house.create(Vec::new()).unwrap();
    house.observe(Reach::Unreachable(vec![EdgeNodeId::new(SHANGHAI)]), Vec::new());

    let refused = house.add(vec![item(WUXI, None, 1), item(SHANGHAI, None, 1)]).unwrap_err();
    assert_eq!(refused, Refusal::EngineDown { node: EdgeNodeId::new(SHANGHAI) });

    house.add(vec![item("310100", None, 2)]).unwrap();
    assert_eq!(house.held_on(SHANGHAI), []);
    assert_eq!(house.held().len(), 2);
    assert_eq!(house.state().engine_of(&EdgeNodeId::new(SHANGHAI)), Some(&EngineName::new(ENGINE)));
}

#[test]
fn a_plan_that_is_still_the_same_is_executed() {
    let mut house = House::with_ready(1);
    let mut request = rescale(Direction::Add, vec![item("310000", None, 3)]);
    request.if_plan = Some(plan(house.state(), &permit(), &request).unwrap().plan.id);

    house.rescale(request).unwrap();

    assert_eq!(house.held().len(), 4);
}
