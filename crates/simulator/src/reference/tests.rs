//! The reference itself, on cases that are clear by hand.

use super::*;
use crate::invariant::house::*;
use ensemble_model::command::{CancelOperation, ProtectInstances, Protection, ReleaseInstance, Replacement};
use ensemble_model::event::Event;
use ensemble_model::id::OperationId;
use ensemble_model::operation::{OnTimeout, Subject};

fn item(code: &str, isp: Option<&str>, count: u32) -> SelectorItem {
    SelectorItem { region_code: Some(code.to_owned()), isp: isp.map(Isp::new), count, instances: Vec::new() }
}

/// Node, carrier and count of an Add, by item; nothing where it does not fit.
fn placed(shadow: &Shadow, strategy: Strategy, items: &[SelectorItem]) -> Vec<(usize, String, u32)> {
    let done = add(shadow, &AppId::new(APP), (strategy, SPEC), Level::AreaIspCode, items).unwrap();
    let tally = as_done(&done).into_iter();
    tally.map(|((index, node, isp), (count, _))| (index, format!("{node}/{isp}"), count)).collect()
}

fn at(index: usize, node: &str, isp: &str, count: u32) -> (usize, String, u32) {
    (index, format!("{node}/{isp}"), count)
}

#[test]
fn an_add_goes_where_fewest_or_most_are() {
    let house = house();
    // Shanghai: two held on one node, which has room for two more, and one on the other.
    let shanghai = |count| [item("310100", None, count)];

    assert_eq!(
        placed(&house, Strategy::Disperse, &shanghai(3)),
        [at(0, NODE, "cmcc", 1), at(0, OTHER_NODE, "unicom", 2)]
    );
    assert_eq!(
        placed(&house, Strategy::Concentrate, &shanghai(3)),
        [at(0, NODE, "cmcc", 2), at(0, OTHER_NODE, "unicom", 1)]
    );
    assert_eq!(placed(&house, Strategy::Disperse, &shanghai(8)), []);
}

#[test]
fn a_carrier_is_the_one_with_the_fewest_and_the_narrowest_item_goes_first() {
    let mut house = house();
    house.unreachable.remove(&EdgeNodeId::new(LOST_NODE));

    // One instance is on cmcc already.
    assert_eq!(
        placed(&house, Strategy::Disperse, &[item(LOST_NODE, None, 2)]),
        [at(0, LOST_NODE, "telecom", 1), at(0, LOST_NODE, "unicom", 1)]
    );
    // The node takes its two first, though they are written last; five are left for all of Shanghai.
    let items = [item("310100", None, 6), item(NODE, None, 2)];
    assert_eq!(placed(&house, Strategy::Disperse, &items), [at(1, NODE, "cmcc", 2)]);
    let items = [item("310100", None, 5), item(NODE, None, 2)];
    assert_eq!(
        placed(&house, Strategy::Disperse, &items),
        [at(0, OTHER_NODE, "unicom", 5), at(1, NODE, "cmcc", 2)]
    );
}

#[test]
fn a_del_takes_the_broken_first_and_what_nobody_sees_last() {
    let mut house = house();
    let app = AppId::new(APP);
    let taken = |house: &Shadow, count| -> Vec<String> {
        let done = del(house, &app, Level::AreaIspCode, &[item("All", None, count)]).unwrap();
        done[0].picks.iter().map(|pick| pick.victim.as_ref().unwrap().to_string()).collect()
    };

    assert_eq!(taken(&house, 4), [UNREADY, HELD, ELSEWHERE, LOST]);
    assert_eq!(taken(&house, 5), [""; 0]);
    let broken = house.instances.get_mut(&InstanceId::new(ELSEWHERE)).unwrap();
    broken.failed_pods.insert(("web".to_owned(), 0));
    assert_eq!(taken(&house, 4), [ELSEWHERE, UNREADY, HELD, LOST]);
    assert!(!taken(&house, 4).contains(&LEAVING.to_owned()));
}

#[test]
fn a_request_is_refused_for_the_first_reason_there_is() {
    let mut busy = house();
    busy.apps.get_mut(&AppId::new(APP)).unwrap().running = Some(OperationId::new("OP-RUNNING"));
    let mut deleted = house();
    deleted.apps.get_mut(&AppId::new(APP)).unwrap().is_deleted = true;
    let house = house();
    let ask = |code: &str, count| asked("OP", Direction::Add, &[(code, count)]);
    let mut trespass = ask("310100", 1);
    rescale_of(&mut trespass).app = AppId::new(APP_OF_ANOTHER);
    let mut stale = ask("nowhere", 1);
    rescale_of(&mut stale).if_revision = Some(1);
    for (shadow, request, why) in [
        (&house, trespass, Why::UnknownApplication),
        (&busy, ask("nowhere", 1), Why::Busy),
        (&deleted, ask("nowhere", 1), Why::BeingDeleted),
        (&house, stale, Why::Stale),
        (&house, ask("nowhere", 1), Why::Unreadable),
        (&house, ask(LOST_NODE, 1), Why::EngineDown),
        (&house, ask("310100", 9), Why::Short(BTreeMap::from([(0, 2)]))),
    ] {
        assert_eq!(rule(shadow, &request.command, None), Ruling::Refused(why));
    }
    assert!(matches!(rule(&house, &ask("310100", 7).command, None), Ruling::Done(_)));
}

#[test]
fn the_regret_of_the_best_is_none_and_of_the_worst_is_told() {
    let house = house();
    let regret = |strategy, placed: [u32; 3]| {
        let items = [item("310100", None, 2)];
        let (app, terms) = (AppId::new(APP), (strategy, SPEC));
        optimum::regret(&house, &app, terms, (Level::AreaIspCode, &items), &placed).unwrap()
    };

    // Two, one and one are held: the most even is three and two, or two and three.
    assert_eq!(regret(Strategy::Disperse, [0, 2, 0]), 0);
    assert_eq!(regret(Strategy::Disperse, [1, 1, 0]), 0);
    assert_eq!(regret(Strategy::Disperse, [2, 0, 0]), 2);
    assert_eq!(regret(Strategy::Concentrate, [2, 0, 0]), 0);
    let few = [item("310100", None, 9)];
    let terms = (Strategy::Disperse, SPEC);
    assert_eq!(optimum::regret(&house, &AppId::new(APP), terms, (Level::AreaIspCode, &few), &[0; 3]), None);
}

/// The account has a free instance by itself, and one that runs something of the application.
fn with_hosts() -> Shadow {
    let mut house = house();
    let instances = vec![own("i-free", OTHER_NODE, "unicom"), own("i-host", OTHER_NODE, "unicom")];
    let hosted = planned_on("OP-ADD", ("i-hosted", OTHER_NODE, "unicom"), On::Host("i-host"));
    let events = vec![
        at_once("OP-RUN", "RunInstances", Subject::Account),
        Event::OwnInstancesCreated { instances },
        accepted("OP-ADD", OperationKind::Add, &[]),
        hosted,
        observed("i-hosted", true),
        ended("OP-ADD", OperationStatus::Succeeded),
    ];
    house.fold(&next(&house.clone(), events));
    house
}

#[test]
fn what_is_hosted_goes_after_what_was_made_and_what_is_protected_not_at_all() {
    let mut house = with_hosts();
    let app = AppId::new(APP);
    let taken = |house: &Shadow, count| -> Vec<String> {
        let done = del(house, &app, Level::AreaIspCode, &[item("All", None, count)]).unwrap();
        done[0].picks.iter().map(|pick| pick.victim.as_ref().unwrap().to_string()).collect()
    };

    assert_eq!(taken(&house, 5), [UNREADY, ELSEWHERE, HELD, "i-hosted", LOST]);
    house.instances.get_mut(&InstanceId::new(HELD)).unwrap().protected = true;
    assert_eq!(taken(&house, 4), [UNREADY, ELSEWHERE, "i-hosted", LOST]);
    assert_eq!(taken(&house, 5), [""; 0]);
}

#[test]
fn what_has_to_stay_ready_is_passed_over_until_less_is_wanted() {
    let mut house = house();
    house.apps.get_mut(&AppId::new(APP)).unwrap().min_ready = 1;
    house.instances.get_mut(&InstanceId::new(UNREADY)).unwrap().protected = true;
    let taken = |house: &Shadow, count| {
        let done = del(house, &AppId::new(APP), Level::AreaIspCode, &[item(NODE, None, count)]).unwrap();
        done[0].picks.len()
    };

    // One that is ready stands beside one that is not, which stays.
    assert_eq!(taken(&house, 1), 0);
    house.instances.get_mut(&InstanceId::new(UNREADY)).unwrap().protected = false;
    assert_eq!(taken(&house, 2), 2);
}

#[test]
fn what_is_named_is_had_or_refused() {
    let house = with_hosts();
    let mut drained = house.clone();
    drained.draining.insert(EdgeNodeId::new(OTHER_NODE), imbl::OrdSet::new());
    let mut cut_off = house.clone();
    cut_off.unreachable.insert(EdgeNodeId::new(OTHER_NODE));
    let by_name = |direction, ids: &[&str], place: Option<&str>| {
        let mut request = asked("OP", direction, &[]);
        let asked = rescale_of(&mut request);
        let (count, region_code) = (ids.len() as u32, place.map(str::to_owned));
        let instances = ids.iter().map(|id| InstanceId::new(*id)).collect();
        asked.level = Level::InstanceId;
        asked.selector = vec![SelectorItem { region_code, isp: None, count, instances }];
        request
    };
    let (add, del) = (Direction::Add, Direction::Del);
    for (shadow, direction, ids, place, expected) in [
        (&house, del, &[HELD, "i-host"][..], None, None),
        (&house, del, &[HELD], Some("310100"), None),
        (&house, del, &[HELD], Some(OTHER_NODE), Some(Why::Unreadable)),
        (&house, del, &[HELD, HELD], None, Some(Why::Unreadable)),
        (&house, del, &[LEAVING], None, Some(Why::Unreadable)),
        (&house, del, &[OF_ANOTHER], None, Some(Why::Unreadable)),
        // Nobody knows it by this id.
        (&house, del, &["i-hosted"], None, Some(Why::Unreadable)),
        (&house, del, &["i-free"], None, Some(Why::Unreadable)),
        (&house, add, &["i-free"], None, None),
        (&house, add, &["i-host"], None, Some(Why::Unreadable)),
        (&house, add, &[HELD], None, Some(Why::Unreadable)),
        (&drained, add, &["i-free"], None, Some(Why::Short(BTreeMap::from([(0, 1)])))),
        (&cut_off, add, &["i-free"], None, Some(Why::EngineDown)),
    ] {
        let ruling = rule(shadow, &by_name(direction, ids, place).command, None);

        let expected = expected.map(Ruling::Refused);
        let is_right = expected.map_or(matches!(ruling, Ruling::Done(_)), |refused| ruling == refused);
        assert!(is_right, "{direction:?} {ids:?} {place:?}: {ruling:?}");
    }
}

#[test]
fn whatever_else_is_asked_is_done_or_refused() {
    let house = with_hosts();
    let mut busy = house.clone();
    let begun = accepted("OP-BEGUN", OperationKind::Add, &[]);
    busy.fold(&next(&house, vec![begun]));
    let release = |id: &str| Change::ReleaseInstance(ReleaseInstance { instance: InstanceId::new(id) });
    let protect = |id: &str| {
        let (instances, protection) = (vec![InstanceId::new(id)], Protection::On);
        Change::Protect(ProtectInstances { instances, protection })
    };
    let cancel =
        |id: &str| Change::Cancel(CancelOperation { operation: OperationId::new(id), mode: OnTimeout::Keep });
    let node = |id: &str, change| Change::Node(ChangeNode { node: EdgeNodeId::new(id), change });
    let lose = || NodeChange::Lose { replacement: Replacement::None, timeout_s: 60 };
    let rebalance = || {
        let (app, timeout_s) = (AppId::new(APP), 60);
        Change::Rebalance(RebalanceApplication {
            app,
            max_moves: 1,
            timeout_s,
            if_revision: None,
            if_plan: None,
        })
    };
    for (shadow, change, expected) in [
        (&house, release("i-free"), None),
        (&house, release("i-host"), Some(Why::InstanceInTheWay)),
        (&house, release(HELD), Some(Why::InstanceInTheWay)),
        (&house, release(OF_ANOTHER), Some(Why::UnknownInstance)),
        (&house, protect("i-host"), None),
        (&house, protect("i-free"), Some(Why::InstanceInTheWay)),
        (&house, protect(LEAVING), Some(Why::InstanceInTheWay)),
        (&house, protect(OF_ANOTHER), Some(Why::UnknownInstance)),
        (&busy, cancel("OP-BEGUN"), None),
        (&house, cancel(ENDED), Some(Why::NotCancelable)),
        (&house, cancel("OP-OTHER"), Some(Why::UnknownOperation)),
        (&house, node(NODE, NodeChange::Drain), None),
        (&house, node(NODE, NodeChange::Resume), Some(Why::NodeInTheWay)),
        (&house, node(LOST_NODE, lose()), None),
        (&house, node(NODE, lose()), Some(Why::NodeInTheWay)),
        (&house, node("nowhere", lose()), Some(Why::UnknownNode)),
        (&busy, rebalance(), Some(Why::Busy)),
        // Two, two and one: nothing would be more even.
        (&house, rebalance(), Some(Why::NothingToMove)),
    ] {
        let ruling = rule(shadow, &request("OP", change.clone()).command, None);

        let expected = expected.map(Ruling::Refused);
        let is_right = expected.map_or(matches!(ruling, Ruling::Done(_)), |refused| ruling == refused);
        assert!(is_right, "{change:?}: {ruling:?}");
    }
}
