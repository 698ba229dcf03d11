//! Reports that come late, twice and out of turn (`decide/freshness.rs`): whatever was said later counts.

use crate::house::{ENGINE, House, SHANGHAI, WUXI, item, permit, ready, starting};
use ensemble_model::id::{EdgeNodeId, EngineName, InstanceId};
use ensemble_model::instance::{Instance, PodStatus};
use ensemble_model::observation::{InstanceObservation, Observation, PodObservation, Presence, Reach};
use ensemble_model::step::Input;
use ensemble_model::wanted::Epoch;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Numbers of reports that the house itself makes are far below.
const FIRST: u64 = 100;

/// Two ready instances in Shanghai and one in Wuxi, in this order.
fn house() -> (House, Vec<InstanceId>) {
    let mut house = House::new();
    house.create(Vec::new()).expect("the name is free");
    house.add(vec![item(SHANGHAI, None, 2), item(WUXI, Some("telecom"), 1)]).expect("there is room");
    house.ready(&house.held());
    let held = [house.held_on(SHANGHAI), house.held_on(WUXI)].concat();
    assert_eq!(held.len(), 3);
    (house, held)
}

#[derive(Clone, Debug)]
struct Report {
    number: u64,
    reach: Reach,
    instances: Vec<(usize, Presence)>,
}

fn report(number: u64, reach: Reach, instances: &[(usize, Presence)]) -> Report {
    Report { number: FIRST + number, reach, instances: instances.to_vec() }
}

fn cut_off(node: &str) -> Reach {
    Reach::Unreachable(vec![EdgeNodeId::new(node)])
}

fn hear(house: &mut House, held: &[InstanceId], epoch: Epoch, report: &Report) {
    let Report { number, reach, instances } = report.clone();
    let seen =
        |(at, presence): (usize, Presence)| InstanceObservation { instance: held[at].clone(), presence };
    let instances = house.deployed(instances.into_iter().map(seen).collect());
    house.step(Input::Observed(Observation {
        engine: EngineName::new(ENGINE),
        epoch,
        number,
        reach,
        instances,
        resolved: Vec::new(),
    }));
}

/// `Running Pending gone; cut off: cn-wuxi`.
fn told(house: &House, held: &[InstanceId]) -> String {
    let word = |id: &InstanceId| {
        let permit = permit();
        let found = house.state().account(&permit).instance(id);
        found.map_or("gone".to_owned(), |instance| format!("{:?}", instance.status()))
    };
    let words: Vec<String> = held.iter().map(word).collect();
    let lost: Vec<&str> = house.state().unreachable().map(EdgeNodeId::as_str).collect();
    format!("{}; cut off: {}", words.join(" "), lost.join(" ")).trim_end().to_owned()
}

#[test]
fn what_is_older_than_what_was_heard_changes_nothing() {
    use Presence::Gone;
    use Reach::{Listed, Whole};
    let all = [(0, ready()), (1, ready()), (2, ready())];
    let cases = [
        (
            "an older list after a newer one, instance by instance",
            vec![report(2, Listed, &[(0, ready())]), report(1, Listed, &[(0, starting()), (1, starting())])],
            "Running Pending Running; cut off:",
        ),
        (
            "twice, with something newer between",
            vec![
                report(1, Listed, &[(0, starting())]),
                report(2, Listed, &[(0, ready())]),
                report(1, Listed, &[(0, starting())]),
            ],
            "Running Running Running; cut off:",
        ),
        (
            "an older list after a newer whole, also about what that does not name",
            vec![report(2, Whole, &all[..2]), report(1, Listed, &[(0, starting()), (2, ready())])],
            "Running Running Pending; cut off:",
        ),
        (
            "an older whole that does not name what was heard of later",
            vec![report(2, Listed, &[(0, ready())]), report(1, Whole, &[(1, ready())])],
            "Running Running Pending; cut off:",
        ),
        (
            "an older whole after a newer one",
            vec![report(2, Whole, &all), report(1, Whole, &[])],
            "Running Running Running; cut off:",
        ),
        (
            "an older list brings no node back",
            vec![report(2, cut_off(WUXI), &[]), report(1, Listed, &[(0, starting()), (2, ready())])],
            "Pending Running Unknown; cut off: cn-wuxi-telecom_unicom_cmcc-3",
        ),
        (
            "nor does an older whole",
            vec![report(2, cut_off(WUXI), &[]), report(1, Whole, &all)],
            "Running Running Unknown; cut off: cn-wuxi-telecom_unicom_cmcc-3",
        ),
        (
            "a node is not cut off by what is older than its return",
            vec![report(2, Listed, &[(2, ready())]), report(1, cut_off(WUXI), &[])],
            "Running Running Running; cut off:",
        ),
        (
            "nor by what is older than a whole",
            vec![report(2, Whole, &all), report(1, cut_off(SHANGHAI), &[])],
            "Running Running Running; cut off:",
        ),
        (
            "a held one that was not there before its node was cut off",
            vec![report(2, cut_off(WUXI), &[]), report(1, Listed, &[(2, Gone)])],
            "Running Running Unknown; cut off: cn-wuxi-telecom_unicom_cmcc-3",
        ),
    ];
    for (name, reports, expected) in cases {
        let (mut house, held) = house();
        for report in &reports {
            hear(&mut house, &held, Epoch(1), report);
        }
        assert_eq!(told(&house, &held), expected, "{name}");
    }
}

#[test]
fn what_was_confirmed_gone_before_its_node_was_cut_off_is_gone() {
    let (mut house, held) = house();
    house.del(vec![item(WUXI, Some("telecom"), 1)]).unwrap();

    hear(&mut house, &held, Epoch(1), &report(2, cut_off(WUXI), &[]));
    hear(&mut house, &held, Epoch(1), &report(1, Reach::Listed, &[(2, Presence::Gone)]));

    assert_eq!(told(&house, &held), "Running Running gone; cut off: cn-wuxi-telecom_unicom_cmcc-3");
}

#[test]
fn a_released_instance_that_is_there_is_not_gone_by_an_older_report() {
    let (mut house, held) = house();
    hear(&mut house, &held, Epoch(1), &report(2, Reach::Listed, &[(2, ready())]));
    house.del(vec![item(WUXI, Some("telecom"), 1)]).unwrap();
    let before = told(&house, &held);

    hear(&mut house, &held, Epoch(1), &report(1, Reach::Listed, &[(2, Presence::Gone)]));
    hear(&mut house, &held, Epoch(1), &report(0, Reach::Whole, &[(0, ready()), (1, ready())]));

    assert_eq!(told(&house, &held), before);
    assert_eq!(house.releasing(), held[2..]);
}

#[test]
fn a_report_under_another_epoch_says_nothing_and_its_engine_is_still_missed() {
    for epoch in [Epoch(0), Epoch(2)] {
        let (mut house, held) = house();
        house.begin_anew();
        let records = house.records.len();

        hear(&mut house, &held, epoch, &report(9, Reach::Whole, &[]));
        assert_eq!(house.records.len(), records, "{epoch:?}");
        house.pass(11);

        assert_eq!(
            told(&house, &held),
            "Unknown Unknown Unknown; cut off: cn-shanghai-cmcc cn-wuxi-telecom_unicom_cmcc-3",
            "{epoch:?}: nobody reported within the grace"
        );
    }
}

#[test]
fn a_leader_that_begins_anew_has_heard_nothing() {
    let (mut house, held) = house();
    hear(&mut house, &held, Epoch(1), &report(9, Reach::Whole, &[(0, ready()), (1, ready()), (2, ready())]));
    house.begin_anew();

    hear(&mut house, &held, Epoch(1), &report(1, Reach::Listed, &[(0, starting())]));

    assert_eq!(told(&house, &held), "Pending Running Running; cut off:");
}

/// What one report says: kind of reach, the instances named and how they are.
type Said = (u8, [Option<u8>; 3]);

/// `restarts` tells reports apart.
fn presence(kind: u8, number: u32) -> Presence {
    let (status, ready) = match kind {
        0 => return Presence::Gone,
        1 => (PodStatus::Starting, false),
        _ => (PodStatus::Running, true),
    };
    let pod = PodObservation {
        workload: "web".into(),
        index: 0,
        status,
        address: None,
        exposed_at: None,
        restarts: number,
        message: String::new(),
    };
    Presence::Here { deployment: String::new(), pods: vec![pod], ready, hopeless: None }
}

fn reports(said: &[Said]) -> Vec<Report> {
    let reach = |kind| match kind {
        0 => Reach::Whole,
        1 => cut_off(SHANGHAI),
        2 => cut_off(WUXI),
        _ => Reach::Listed,
    };
    let named = |kinds: &[Option<u8>; 3], number: u32| {
        let named = kinds.iter().enumerate();
        named.filter_map(|(at, kind)| kind.map(|kind| (at, presence(kind, number)))).collect::<Vec<_>>()
    };
    let numbered = said.iter().zip(1_u32..);
    numbered
        .map(|((kind, kinds), number)| report(number.into(), reach(*kind), &named(kinds, number)))
        .collect()
}

/// The last word about an instance, if it is newer than the last cut of its node.
fn last_word(reports: &[Report], at: usize, node: &str) -> Option<Presence> {
    let mut last = None;
    for Report { reach, instances, .. } in reports {
        if *reach == cut_off(node) {
            last = None;
            continue;
        }
        let named = instances.iter().find(|(named, _)| *named == at).map(|(_, presence)| presence.clone());
        let unnamed = (*reach == Reach::Whole).then_some(Presence::Gone);
        last = named.or(unnamed).or(last);
    }
    last
}

fn instance(house: &House, id: &InstanceId) -> Instance {
    let permit = permit();
    let found = house.state().account(&permit).instance(id);
    Instance::clone(found.expect("what is held is never removed by a report"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn in_whatever_order_reports_come_the_same_is_believed(
        said in prop::collection::vec((0..6_u8, prop::array::uniform3(prop::option::of(0..3_u8))), 1..10),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let reports = reports(&said);
        let (mut in_turn, held) = house();
        reports.iter().for_each(|report| hear(&mut in_turn, &held, Epoch(1), report));

        let (mut shuffled, also_held) = house();
        for index in &order {
            hear(&mut shuffled, &held, Epoch(1), index.get(&reports));
        }
        reports.iter().rev().for_each(|report| hear(&mut shuffled, &held, Epoch(1), report));

        prop_assert_eq!(&held, &also_held);
        let lost = |house: &House| house.state().unreachable().cloned().collect::<BTreeSet<_>>();
        prop_assert_eq!(lost(&in_turn), lost(&shuffled));
        for (at, id) in held.iter().enumerate() {
            let (one, other) = (instance(&in_turn, id), instance(&shuffled, id));
            match last_word(&reports, at, one.node.as_str()) {
                Some(Presence::Here { .. }) => {
                    prop_assert_eq!((one.ready, one.unknown, &one.pods), (other.ready, other.unknown, &other.pods));
                }
                // A pod that is not there keeps its count of restarts and its last message.
                Some(Presence::Gone) => {
                    prop_assert_eq!((one.ready, one.unknown, one.status()), (other.ready, other.unknown, other.status()));
                }
                None if !in_turn.state().is_reachable(&one.node) => prop_assert!(one.unknown && other.unknown),
                None => {}
            }
        }
    }
}
