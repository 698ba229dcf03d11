//! Instances by themselves, and applications that are hosted on them.

use super::house::*;
use ensemble_model::command::{
    Change, ChangeNode, Direction, NodeChange, Partial, ReleaseInstance, RescaleApplication,
};
use ensemble_model::decide;
use ensemble_model::id::{EdgeNodeId, InstanceId};
use ensemble_model::instance::Origin;
use ensemble_model::plan::Remedy;
use ensemble_model::refusal::Refusal;

fn release(instance: &InstanceId) -> Change {
    Change::ReleaseInstance(ReleaseInstance { instance: instance.clone() })
}

fn host(instances: &[InstanceId]) -> Change {
    Change::Rescale(by_name(Direction::Add, vec![named(instances)]))
}

fn take_back(instances: &[InstanceId]) -> Change {
    Change::Rescale(by_name(Direction::Del, vec![named(instances)]))
}

/// The instances of the account by themselves.
fn owned(house: &House) -> Vec<InstanceId> {
    let permit = permit();
    house.state().account(&permit).own_instances().map(|own| own.id.clone()).collect()
}

fn hosted_by(house: &House, id: &InstanceId) -> Option<String> {
    let permit = permit();
    let own = house.state().account(&permit).own_instance(id).cloned().expect("it exists");
    own.hosted_by.as_ref().map(ToString::to_string)
}

/// An application without instances, and `count` instances without an application.
fn house_with(count: u32) -> (House, Vec<InstanceId>) {
    let mut house = House::new();
    house.create(Vec::new()).expect("there is room, and nothing is in the way");
    house.change(run("ens.sn1.tiny", SHANGHAI, count)).expect("there is room, and nothing is in the way");
    let owned = owned(&house);
    (house, owned)
}

#[test]
fn instances_by_themselves_take_room_and_give_it_back() {
    let (mut house, ids) = house_with(2);
    assert_eq!((ids.len(), house.used_vcpu(SHANGHAI)), (2, 4));
    assert_eq!(house.last_operation().made.len(), 2);
    assert_eq!(house.last_operation().outcome.as_deref(), Some("2 instances of ens.sn1.tiny made"));

    house.change(release(&ids[0])).expect("there is room, and nothing is in the way");

    assert_eq!((owned(&house), house.used_vcpu(SHANGHAI)), (vec![ids[1].clone()], 2));
    assert!(matches!(house.change(release(&ids[0])), Err(Refusal::UnknownInstance { .. })));
}

#[test]
fn what_was_given_up_is_remembered_with_what_it_carried() {
    let (mut house, ids) = house_with(2);
    house.change(host(&ids[..1])).expect("there is room, and nothing is in the way");
    let ran = house.held();
    house.ready(&ran);
    house.change(take_back(&ids[..1])).expect("there is room, and nothing is in the way");
    house.gone(&ran);

    let given_up = house.change(release(&ids[0])).expect("there is room, and nothing is in the way");

    let mut house = house.restarted();
    let refused = house.refused(host(&ids[..1]));
    assert!(refused.contains(&format!("`{}` is gone since 2026-01-01", ids[0])), "{refused}");
    assert!(refused.ends_with("UTC: released"), "{refused}");
    let permit = permit();
    let gone = house.state().account(&permit).gone_own(&ids[0]).expect("it is remembered").clone();
    assert_eq!(gone.released_by, Some(given_up.operation));
    assert_eq!(gone.own.hostings.iter().map(|hosting| &hosting.instance).collect::<Vec<_>>(), [&ran[0]]);
    let stranger = permit_of("2000000000000002");
    assert!(house.state().account(&stranger).gone_own(&ids[0]).is_none());
}

#[test]
fn what_carries_nothing_is_counted_where_it_takes_room() {
    let (mut house, ids) = house_with(4);
    let node = EdgeNodeId::new(SHANGHAI);
    let short = |house: &House| {
        let asked = rescale(Direction::Add, vec![item(SHANGHAI, None, 12)]);
        let planned = decide::plan(house.state(), &permit(), &asked).expect("it can be read").plan;
        decide::shortage(house.state(), &permit(), &asked, &planned)
            .expect("it can be read")
            .expect("it is short")
    };
    assert_eq!(house.state().instance_count(&node), 4);
    assert!(
        short(&house).contains("8 free of 12, spec ens.sn1.tiny; used by: own instances 4"),
        "{}",
        short(&house)
    );

    house.change(host(&ids[..1])).expect("there is room, and nothing is in the way");
    house.ready(&house.held());

    let house = house.restarted();
    assert_eq!(house.state().instance_count(&node), 4, "what is hosted on is not counted twice");
    assert!(short(&house).contains("own instances 3"), "{}", short(&house));
    let permit = permit();
    assert_eq!(house.state().account(&permit).bare_instances_on(&node).count(), 3);
}

#[test]
fn they_are_kept_over_a_restart_and_in_a_snapshot() {
    let (mut house, ids) = house_with(2);
    house.change(host(&ids[..1])).expect("there is room, and nothing is in the way");

    let house = house.restarted();

    assert_eq!(owned(&house), ids);
    assert_eq!(hosted_by(&house, &ids[0]), Some(app().to_string()));
    assert_eq!(house.used_vcpu(SHANGHAI), 4);
}

#[test]
fn what_is_too_much_or_unknown_is_refused() {
    let mut house = House::new();

    assert!(matches!(house.change(run("ens.sn1.tiny", SHANGHAI, 13)), Err(Refusal::Shortage { .. })));
    let refused = house.refused(run("ens.sn1.tyni", SHANGHAI, 1));
    assert!(
        refused.starts_with("unknown instance type `ens.sn1.tyni`; did you mean `ens.sn1.tiny`?"),
        "{refused}"
    );
    assert_eq!(house.used_vcpu(SHANGHAI), 0);
}

#[test]
fn an_application_is_hosted_without_new_capacity_and_given_back() {
    let (mut house, ids) = house_with(2);

    house.change(host(&ids)).expect("there is room, and nothing is in the way");
    assert_eq!(house.used_vcpu(SHANGHAI), 4);
    let held = house.held();
    house.ready(&held);
    assert_eq!(house.phase().map(|phase| phase.as_str()), Some("RUNNING"));
    let shown: Vec<InstanceId> = held.iter().map(|id| house.instance(id).shown_id().clone()).collect();
    assert_eq!(shown.iter().collect::<std::collections::BTreeSet<_>>(), ids.iter().collect());
    assert!(held.iter().all(|id| house.instance(id).origin == Origin::Hosted));

    house.change(take_back(&ids[..1])).expect("there is room, and nothing is in the way");
    let leaving = house.releasing();
    assert_eq!(leaving.len(), 1);
    assert_eq!(hosted_by(&house, &ids[0]), Some(app().to_string()), "until the engine confirms");
    house.gone(&leaving);

    assert_eq!((owned(&house), house.used_vcpu(SHANGHAI)), (ids.clone(), 4));
    assert_eq!(hosted_by(&house, &ids[0]), None);
}

#[test]
fn one_that_was_given_back_can_be_hosted_again_and_an_old_report_says_nothing_of_it() {
    let (mut house, ids) = house_with(1);
    house.change(host(&ids)).expect("there is room, and nothing is in the way");
    let first = house.held();
    house.ready(&first);
    house.change(take_back(&ids)).expect("there is room, and nothing is in the way");
    house.gone(&first);

    house.change(host(&ids)).expect("there is room, and nothing is in the way");
    let second = house.held();
    house
        .change(Change::Cancel(ensemble_model::command::CancelOperation {
            operation: house.operation_of_app(),
            mode: ensemble_model::operation::OnTimeout::Keep,
        }))
        .expect("there is room, and nothing is in the way");
    assert_eq!(house.releasing(), second);

    // A late confirmation of the first one.
    house.gone(&first);

    assert_ne!(first, second);
    assert_eq!(hosted_by(&house, &ids[0]), Some(app().to_string()));
    house.gone(&second);
    assert_eq!(hosted_by(&house, &ids[0]), None);
}

#[test]
fn what_cannot_be_hosted_says_why() {
    let (mut house, ids) = house_with(2);
    house.change(run("ens.sn1.stiny", WUXI, 1)).expect("there is room, and nothing is in the way");
    let small = owned(&house)
        .into_iter()
        .find(|id| !ids.contains(id))
        .expect("there is room, and nothing is in the way");
    house.add(vec![item(WUXI, None, 1)]).expect("there is room, and nothing is in the way");
    let made = house.held()[0].clone();
    house.ready(&house.held());
    house.change(host(&ids[..1])).expect("there is room, and nothing is in the way");
    house.ready(&house.held());
    let made = house.instance(&made).shown_id().clone();

    for (names, expected) in [
        (
            vec![ids[1].clone(), small.clone()],
            format!(
                "`{small}` is of spec `ens.sn1.stiny`, 1 vCPU and 2048 MiB; the application needs 2 vCPU and 4096 MiB"
            ),
        ),
        (vec![ids[0].clone()], format!("`{}` is hosted by this application already", ids[0])),
        (
            vec![made.clone()],
            format!(
                "`{made}` was made for this application; only an instance that no application manages can be hosted"
            ),
        ),
    ] {
        assert_eq!(house.refused(host(&names)), format!("selector item 0: {expected}"));
    }
    let refused = house.refused(release(&ids[0]));
    assert!(refused.contains("is hosted by application"), "{refused}");
    let refused = house.refused(release(&made));
    assert!(refused.contains("was made for application"), "{refused}");
    let refused = house.refused(take_back(&ids[1..]));
    assert!(refused.contains("is managed by no application; `ReleaseInstance` gives it up"), "{refused}");
}

#[test]
fn nothing_is_hosted_where_a_node_drains_and_what_else_is_named_is_done_where_that_is_allowed() {
    let (mut house, ids) = house_with(2);
    house.change(run("ens.sn1.tiny", WUXI, 1)).expect("there is room, and nothing is in the way");
    let elsewhere: Vec<_> = owned(&house).into_iter().filter(|id| !ids.contains(id)).collect();
    let drain = ChangeNode { node: EdgeNodeId::new(SHANGHAI), change: NodeChange::Drain };
    house.change(Change::Node(drain)).expect("there is room, and nothing is in the way");
    let asked = by_name(Direction::Add, vec![named(&ids), named(&elsewhere)]);

    let answer = decide::plan(house.state(), &permit(), &asked).expect("the input is sound");
    let words = decide::shortage(house.state(), &permit(), &asked, &answer.plan);

    assert!(!answer.fits);
    let short = answer.plan.items[0].shortage.as_ref().expect("nothing comes there");
    let ends = Remedy::DrainEnds { nodes: vec![EdgeNodeId::new(SHANGHAI)], room: 2 };
    assert_eq!((short.missing, &short.remedies[..]), (2, &[ends][..]));
    let words = words.expect("the input is sound").expect("it is short");
    assert!(
        words.starts_with("2 instances cannot be hosted on: edge node cn-shanghai-cmcc takes"),
        "{words}"
    );
    assert!(matches!(house.rescale(asked.clone()), Err(Refusal::Shortage { .. })));
    let partial = RescaleApplication { partial: Partial::Allowed, ..asked };
    house.rescale(partial).expect("the other one is open");
    assert_eq!(house.held().len(), 1);
}

#[test]
fn another_accounts_instances_do_not_exist() {
    let (mut house, ids) = house_with(1);
    let stranger = permit_of("2000000000000002");
    let mut command = house.command(release(&ids[0]));
    command.permit = stranger.clone();

    let refused = house.call(command).expect_err("it is refused");

    assert_eq!(refused, Refusal::UnknownInstance { instance: ids[0].clone() });
    assert!(house.state().account(&stranger).own_instance(&ids[0]).is_none());
}

#[test]
fn an_unnamed_del_takes_hosted_ones_last() {
    let (mut house, ids) = house_with(1);
    house.change(host(&ids)).expect("there is room, and nothing is in the way");
    house.ready(&house.held());
    let hosted = house.held()[0].clone();
    house.add(vec![item(SHANGHAI, None, 1)]).expect("there is room, and nothing is in the way");
    house.ready(&house.held());

    house.del(vec![item(SHANGHAI, None, 1)]).expect("there is room, and nothing is in the way");

    assert_eq!(house.held(), [hosted]);
}

#[test]
fn deleting_the_application_gives_back_what_it_was_hosted_on() {
    let (mut house, ids) = house_with(1);
    house.change(host(&ids)).expect("there is room, and nothing is in the way");
    let hosted = house.held();
    house.ready(&hosted);

    house.delete().expect("there is room, and nothing is in the way");
    house.gone(&hosted);

    assert_eq!(house.phase(), None);
    assert_eq!((owned(&house), hosted_by(&house, &ids[0])), (ids, None));
}
