//! The reference itself, on cases that are clear by hand.

use super::*;
use crate::invariant::house::{
    APP, APP_OF_ANOTHER, ELSEWHERE, HELD, LEAVING, LOST, LOST_NODE, NODE, OTHER_NODE, SPEC, UNREADY, asked,
    house, rescale_of,
};
use ensemble_model::id::OperationId;

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
