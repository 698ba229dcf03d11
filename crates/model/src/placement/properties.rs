//! The properties of `README.md`, each over generated fleets, and the rules' slow references.

use super::fixture::{TINY, adding, app, instance, put, put_many, releasing, with_fleet};
use super::scope::{Chains, resolve};
use super::{Excluded, Exclusion, PlaceRequest, pick_victims, place, room_on};
use crate::application::Strategy as Spreading;
use crate::fleet::builtin::districts;
use crate::fleet::{EdgeNode, EngineKind, Fleet};
use crate::id::{AppId, DistrictCode, EdgeNodeId, EngineName, InstanceId, Isp, VersionName};
use crate::instance::{Allocation, Instance, PodStatus};
use crate::plan::{Plan, PlannedItem};
use crate::selector::{Level, SelectorItem};
use crate::spec::Resources;
use crate::state::{State, cell_of};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::sample::{select, subsequence};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const DISTRICTS: [&str; 5] = ["310100", "320200", "320500", "320000", ""];

fn node(number: usize, district: &str, isps: &[&str], capacity: Resources) -> EdgeNode {
    EdgeNode {
        id: EdgeNodeId::new(format!("n{number}")),
        name: String::new(),
        name_en: String::new(),
        district: (!district.is_empty()).then(|| DistrictCode::new(district)),
        isps: isps.iter().map(|isp| Isp::new(*isp)).collect(),
        capacity,
        engine: EngineName::new("here"),
        area: String::new(),
        province: String::new(),
        province_en: String::new(),
    }
}

fn fleet_of(nodes: Vec<EdgeNode>) -> Fleet {
    let engines = BTreeMap::from([(EngineName::new("here"), EngineKind::Simulated)]);
    Fleet { engines, nodes, districts: districts() }
}

fn any_node() -> impl Strategy<Value = (&'static str, Vec<&'static str>, Resources)> {
    let isps = prop_oneof![
        1 => Just(vec![""]),
        4 => subsequence(vec!["telecom", "unicom", "cmcc"], 1..=3),
    ];
    let capacity = (1..20_u32, 1..40_u64).prop_map(|(vcpu, gib)| Resources { vcpu, memory_mib: gib * 1024 });
    (select(DISTRICTS.to_vec()), isps, capacity)
}

/// A state of up to eight nodes: instances of `hello` in every condition, and of `video`. They may exceed what a
/// node holds, as they do after its capacity was lowered.
fn any_state() -> impl Strategy<Value = State> {
    let instances = vec((any::<proptest::sample::Index>(), any::<proptest::sample::Index>(), 0..9_u8), 0..30);
    (vec(any_node(), 1..8), instances).prop_map(|(nodes, instances)| {
        let nodes = nodes.into_iter().enumerate();
        let nodes: Vec<EdgeNode> =
            nodes.map(|(n, (place, isps, size))| node(n, place, &isps, size)).collect();
        let mut state = with_fleet(fleet_of(nodes.clone()));
        for (number, (node, isp, condition)) in instances.into_iter().enumerate() {
            let node = node.get(&nodes);
            let owner = if condition == 0 { app("video") } else { app("hello") };
            // Several of one age, so that ids decide too.
            let mut one = instance(&owner, number / 2, node.id.as_str(), isp.get(&node.isps).as_str());
            one.id = InstanceId::new(format!("i-{number}"));
            match condition {
                1 => one.pods[0].status = PodStatus::Failed,
                2 => one.ready = false,
                3 => one.version = VersionName::new("v0"),
                4 => one.unknown = true,
                5 => one.allocation = Allocation::Releasing,
                _ => {}
            }
            put(&mut state, one);
        }
        state
    })
}

/// An item that any fleet of [`any_state`] can read: a node that exists, or an area, or the country.
fn any_item(state: &State, most: u32) -> impl Strategy<Value = SelectorItem> + use<> {
    let nodes = state.fleet().nodes.iter().map(|node| node.id.as_str().to_owned());
    let areas = ["310100", "310000", "320200", "320000", "100103", "100000", ""].map(str::to_owned);
    let fleet = state.fleet().clone();
    let isp = prop_oneof![2 => Just(None), 1 => select(vec!["telecom", "unicom", "cmcc"]).prop_map(Some)];
    (select(nodes.chain(areas).collect::<Vec<_>>()), isp, 1..=most).prop_map(move |(region, isp, count)| {
        let mut item =
            SelectorItem { region_code: Some(region), isp: isp.map(Isp::new), count, instances: Vec::new() };
        // A carrier that is offered nowhere in reach is a fault of the selector, not what these tests are about.
        if place(&with_fleet((*fleet).clone()), &adding(None, &[item.clone()], &Excluded::new())).is_err() {
            item.isp = None;
        }
        item
    })
}

fn any_spreading() -> impl Strategy<Value = Spreading> {
    select(vec![Spreading::Disperse, Spreading::Concentrate])
}

fn state_and_items(items: usize, most: u32) -> impl Strategy<Value = (State, Vec<SelectorItem>)> {
    any_state().prop_flat_map(move |state| {
        let item = any_item(&state, most);
        (Just(state), vec(item, 1..=items))
    })
}

fn add(state: &State, strategy: Spreading, items: &[SelectorItem]) -> Plan {
    let (hello, excluded) = (app("hello"), Excluded::new());
    let request = PlaceRequest { strategy, ..adding(Some(&hello), items, &excluded) };
    place(state, &request).expect("the generated selectors are sound")
}

fn del(state: &State, items: &[SelectorItem]) -> Plan {
    let (hello, stable, excluded) = (app("hello"), VersionName::new("v1"), Excluded::new());
    pick_victims(state, &releasing(&hello, &stable, items, &excluded)).expect("the selectors are sound")
}

/// Does what an Add planned for one item.
fn execute(state: &mut State, item: &PlannedItem) {
    for placement in &item.placements {
        let first = 1_000 + state.instances.len();
        let count = placement.count as usize;
        put_many(state, &app("hello"), first, count, placement.node.as_str(), placement.isp.as_str());
    }
}

fn held(state: &State) -> impl Iterator<Item = &Instance> {
    let all = state.instances.values().map(AsRef::as_ref);
    all.filter(|instance: &&Instance| instance.is_held() && instance.app == app("hello"))
}

fn count_on(state: &State, node: &EdgeNodeId) -> usize {
    held(state).filter(|instance| instance.node == *node).count()
}

/// The nodes that `item` reaches and that offer its carrier.
fn reached<'a>(state: &'a State, item: &SelectorItem) -> Vec<&'a EdgeNode> {
    let fleet = state.fleet();
    let items = std::slice::from_ref(item);
    let scoped = resolve(fleet, Level::AreaIspCode, items, &Excluded::new()).expect("the selector is sound");
    let nodes = scoped[0].nodes(fleet, &Chains::of(fleet)).into_iter().map(|place| &fleet.nodes[place]);
    nodes.filter(|node| item.isp.as_ref().is_none_or(|isp| node.isps.contains(isp))).collect()
}

fn free(state: &State, node: &EdgeNode) -> Resources {
    node.capacity.minus(state.used(&node.id))
}

fn breadth(state: &State, item: &SelectorItem) -> (u8, bool) {
    let items = std::slice::from_ref(item);
    resolve(state.fleet(), Level::AreaIspCode, items, &Excluded::new()).expect("sound")[0].breadth()
}

/// §1.4, by looking at every node.
fn reference_choice(state: &State, spreading: Spreading, item: &SelectorItem) -> Option<(EdgeNodeId, Isp)> {
    let share = |node: &EdgeNode| {
        let free = free(state, node);
        let vcpu = (u128::from(free.vcpu), u128::from(node.capacity.vcpu));
        let memory = (u128::from(free.memory_mib), u128::from(node.capacity.memory_mib));
        if vcpu.0 * memory.1 < memory.0 * vcpu.1 { vcpu } else { memory }
    };
    let compare = |a: &&EdgeNode, b: &&EdgeNode| -> Ordering {
        let (one, other) = (share(a), share(b));
        let by_share = (one.0 * other.1).cmp(&(other.0 * one.1));
        let by_count = count_on(state, &a.id).cmp(&count_on(state, &b.id));
        match spreading {
            Spreading::Disperse => by_count.then(by_share.reverse()),
            Spreading::Concentrate => by_count.reverse().then(by_share),
        }
    };
    // `min_by` keeps the first of equals, and the nodes are in the fleet's order.
    let with_room = reached(state, item).into_iter().filter(|node| free(state, node).holds(TINY));
    let node = with_room.min_by(compare)?;
    let on = |isp: &Isp| held(state).filter(|one| one.node == node.id && one.isp == *isp).count();
    let isp = item.isp.clone().or_else(|| node.isps.iter().min_by_key(|isp| on(isp)).cloned())?;
    Some((node.id.clone(), isp))
}

/// §1.8, by looking at every instance.
fn reference_victim(state: &State, item: &SelectorItem) -> Option<InstanceId> {
    let nodes: BTreeSet<&EdgeNodeId> = reached(state, item).into_iter().map(|node| &node.id).collect();
    let in_scope =
        |one: &&Instance| nodes.contains(&one.node) && item.isp.as_ref().is_none_or(|isp| *isp == one.isp);
    let neighbours =
        |one: &Instance| held(state).filter(in_scope).filter(|other| other.node == one.node).count();
    let rank = |one: &&Instance| {
        let failed = one.pods.iter().any(|pod| pod.status == PodStatus::Failed);
        let other_version = one.version != VersionName::new("v1");
        let age = (one.created_at, one.id.clone());
        (!one.unknown, failed, !one.ready, other_version, neighbours(one), age)
    };
    held(state).filter(in_scope).max_by_key(rank).map(|one| one.id.clone())
}

fn take_away(state: &mut State, id: &InstanceId) {
    let instance = state.instances.remove(id).expect("it was there");
    state.cells.remove(&(cell_of(&instance), id.clone()));
    state.instances_by_node.remove(&(instance.node.clone(), id.clone()));
    let used = state.used(&instance.node).minus(instance.resources);
    state.used.insert(instance.node.clone(), used);
}

fn cells(item: &PlannedItem) -> BTreeMap<(EdgeNodeId, Isp), u32> {
    let cell = |placement: &crate::plan::Placement| (placement.node.clone(), placement.isp.clone());
    item.placements.iter().map(|placement| (cell(placement), placement.count)).collect()
}

fn victims(plan: &Plan) -> Vec<&InstanceId> {
    plan.items.iter().flat_map(|item| &item.placements).flat_map(|placement| &placement.instances).collect()
}

proptest! {
    #[test]
    fn capacity_is_never_exceeded((mut state, items) in state_and_items(4, 12), spreading in any_spreading()) {
        let plan = add(&state, spreading, &items);

        plan.items.iter().for_each(|item| execute(&mut state, item));

        let chosen: BTreeSet<&EdgeNodeId> =
            plan.items.iter().flat_map(|item| &item.placements).map(|placement| &placement.node).collect();
        for node in state.fleet().nodes.iter().filter(|node| chosen.contains(&node.id)) {
            prop_assert!(node.capacity.holds(state.used(&node.id)), "{}", node.id);
        }
    }

    #[test]
    fn same_in_same_out((state, items) in state_and_items(4, 12), spreading in any_spreading()) {
        prop_assert_eq!(add(&state, spreading, &items), add(&state, spreading, &items));
        prop_assert_eq!(del(&state, &items), del(&state, &items));
    }

    #[test]
    fn disperse_is_even((mut state, items) in state_and_items(1, 12)) {
        let plan = add(&state, Spreading::Disperse, &items);

        execute(&mut state, &plan.items[0]);

        for placement in &plan.items[0].placements {
            for other in reached(&state, &items[0]) {
                if free(&state, other).holds(TINY) {
                    prop_assert!(count_on(&state, &placement.node) <= count_on(&state, &other.id) + 1);
                }
            }
        }
    }

    #[test]
    fn concentrate_fills((mut state, items) in state_and_items(1, 12)) {
        let plan = add(&state, Spreading::Concentrate, &items);

        execute(&mut state, &plan.items[0]);

        let chosen: BTreeSet<&EdgeNodeId> =
            plan.items[0].placements.iter().map(|placement| &placement.node).collect();
        let with_room = reached(&state, &items[0])
            .into_iter()
            .filter(|node| chosen.contains(&node.id) && free(&state, node).holds(TINY));
        prop_assert!(with_room.count() <= 1);
    }

    #[test]
    fn the_chosen_one_is_the_one_the_rules_name(
        (state, items) in state_and_items(1, 12),
        spreading in any_spreading(),
    ) {
        let plan = add(&state, spreading, &items);

        let mut after = state;
        let mut expected: BTreeMap<(EdgeNodeId, Isp), u32> = BTreeMap::new();
        for _ in 0..items[0].count {
            let Some((node, isp)) = reference_choice(&after, spreading, &items[0]) else { break };
            let number = 1_000 + after.instances.len();
            put(&mut after, instance(&app("hello"), number, node.as_str(), isp.as_str()));
            *expected.entry((node, isp)).or_default() += 1;
        }
        let found: u32 = expected.values().sum();
        match &plan.items[0].shortage {
            None => prop_assert_eq!(cells(&plan.items[0]), expected),
            Some(shortage) => prop_assert_eq!(shortage.missing, items[0].count - found),
        }
    }

    #[test]
    fn nothing_that_is_there_moves((state, items) in state_and_items(1, 12), spreading in any_spreading()) {
        let plan = add(&state, spreading, &items);

        prop_assert!(victims(&plan).is_empty());
        for placement in &plan.items[0].placements {
            let there = held(&state).filter(|one| one.node == placement.node && one.isp == placement.isp);
            prop_assert_eq!(there.count(), placement.before as usize);
        }
    }

    #[test]
    fn narrowest_first((state, items) in state_and_items(5, 8), spreading in any_spreading()) {
        // Of each breadth one item, so that index never decides.
        let mut seen = BTreeSet::new();
        let items: Vec<SelectorItem> =
            items.into_iter().filter(|item| seen.insert(breadth(&state, item))).collect();
        let backwards: Vec<SelectorItem> = items.iter().rev().cloned().collect();

        let (one, other) = (add(&state, spreading, &items), add(&state, spreading, &backwards));

        for (item, same) in one.items.iter().zip(other.items.iter().rev()) {
            prop_assert_eq!(cells(item), cells(same));
            prop_assert_eq!(&item.shortage, &same.shortage);
        }
    }

    #[test]
    fn a_plan_is_its_execution((state, items) in state_and_items(4, 8), spreading in any_spreading()) {
        let plan = add(&state, spreading, &items);

        let mut order: Vec<usize> = (0..items.len()).collect();
        order.sort_by_key(|index| (breadth(&state, &items[*index]), *index));
        let mut after = state;
        for index in order {
            let alone = add(&after, spreading, std::slice::from_ref(&items[index]));
            prop_assert_eq!(cells(&plan.items[index]), cells(&alone.items[0]));
            execute(&mut after, &alone.items[0]);
        }
    }

    #[test]
    fn equal_items_stay_apart((state, items) in state_and_items(1, 3), spreading in any_spreading()) {
        let twice = [items[0].clone(), items[0].clone()];

        let plan = add(&state, spreading, &twice);

        let entries: Vec<(usize, u32)> = plan.items.iter().map(|item| (item.index, item.wanted)).collect();
        prop_assert_eq!(entries, [(0, items[0].count), (1, items[0].count)]);
        prop_assert!(plan.items[0].shortage.is_none() || plan.items[1].shortage.is_some());
    }

    #[test]
    fn whole_items_only((state, items) in state_and_items(4, 20), spreading in any_spreading()) {
        let plan = add(&state, spreading, &items);

        let mut order: Vec<&PlannedItem> = plan.items.iter().collect();
        order.sort_by_key(|item| (breadth(&state, &items[item.index]), item.index));
        let mut after = state;
        for item in order {
            let nodes = reached(&after, &items[item.index]);
            let room: u32 = nodes
                .into_iter()
                .map(|node| free(&after, node))
                .map(|free| (free.vcpu / TINY.vcpu).min((free.memory_mib / TINY.memory_mib) as u32))
                .sum();
            match &item.shortage {
                None => prop_assert_eq!(item.placed(), item.wanted),
                Some(shortage) => {
                    prop_assert_eq!(item.placed(), 0);
                    prop_assert_eq!(shortage.missing, item.wanted - room);
                }
            }
            execute(&mut after, item);
        }
    }

    #[test]
    fn alternatives_fit((state, items) in state_and_items(4, 12), spreading in any_spreading()) {
        let plan = add(&state, spreading, &items);

        let mut after = state;
        plan.items.iter().for_each(|item| execute(&mut after, item));
        for item in &plan.items {
            let alternatives = item.shortage.iter().flat_map(|shortage| &shortage.alternatives);
            for other in alternatives {
                let region_code = Some(other.region_code.clone());
                let instead = SelectorItem { region_code, isp: other.isp.clone(), count: item.wanted, instances: Vec::new() };
                prop_assert!(add(&after, spreading, std::slice::from_ref(&instead)).fits(), "{instead:?}");
                let more = SelectorItem { count: other.room + 1, ..instead.clone() };
                prop_assert!(!add(&after, spreading, &[more]).fits(), "{instead:?} has more room");
            }
            prop_assert!(item.shortage.iter().all(|shortage| shortage.alternatives.len() <= 8));
        }
    }

    #[test]
    fn a_del_takes_only_what_is_in_scope((state, items) in state_and_items(4, 6)) {
        let plan = del(&state, &items);

        let all = victims(&plan);
        prop_assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        for item in &plan.items {
            let asked = &items[item.index];
            let nodes: BTreeSet<&EdgeNodeId> =
                reached(&state, asked).into_iter().map(|node| &node.id).collect();
            let taken = item.placements.iter().flat_map(|placement| &placement.instances);
            for victim in taken.clone().map(|id| &state.instances[id]) {
                prop_assert!(victim.is_held() && victim.app == app("hello"));
                prop_assert!(nodes.contains(&victim.node));
                prop_assert!(asked.isp.as_ref().is_none_or(|isp| *isp == victim.isp));
            }
            let expected = if item.shortage.is_some() { 0 } else { asked.count as usize };
            prop_assert_eq!(taken.count(), expected);
        }
    }

    #[test]
    fn a_del_takes_the_broken_first((state, items) in state_and_items(1, 12)) {
        let plan = del(&state, &items);

        let mut after = state;
        let mut expected = Vec::new();
        for _ in 0..items[0].count {
            let Some(victim) = reference_victim(&after, &items[0]) else { break };
            take_away(&mut after, &victim);
            expected.push(victim);
        }
        match &plan.items[0].shortage {
            Some(shortage) => prop_assert_eq!(shortage.missing as usize, items[0].count as usize - expected.len()),
            None => {
                let taken: BTreeSet<&InstanceId> = victims(&plan).into_iter().collect();
                prop_assert_eq!(taken, expected.iter().collect::<BTreeSet<_>>());
            }
        }
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test measures; what it measures has no clock")]
fn a_thousand_instances_are_placed_over_a_thousand_nodes_at_once() {
    let capacity = Resources { vcpu: 24, memory_mib: 48 * 1024 };
    let nodes = (0..1_000).map(|number| node(number, DISTRICTS[number % 4], &["telecom", "cmcc"], capacity));
    let mut state = with_fleet(fleet_of(nodes.collect()));
    for number in 0..1_000 {
        let node = format!("n{}", number % 300);
        put(&mut state, instance(&app("hello"), number, &node, "cmcc"));
    }
    let everywhere = SelectorItem { region_code: None, isp: None, count: 1_000, instances: Vec::new() };
    let city = SelectorItem { region_code: Some("310100".into()), ..everywhere.clone() };

    // The best of several: the machine may be busy with other things.
    let best = (0..5)
        .map(|_| {
            let begun = Instant::now();
            assert!(add(&state, Spreading::Disperse, &[everywhere.clone(), city.clone()]).fits());
            begun.elapsed()
        })
        .min();

    let best = best.expect("it was measured");
    assert!(best < Duration::from_millis(100), "{best:?}");
}

#[test]
fn an_excluded_node_is_left_out_of_an_area_and_refused_by_name() {
    let capacity = Resources { vcpu: 4, memory_mib: 8192 };
    let nodes = (0..2).map(|number| node(number, "310100", &["cmcc"], capacity));
    let state = with_fleet(fleet_of(nodes.collect()));
    let excluded = Excluded::from([(
        EdgeNodeId::new("n0"),
        Exclusion::Unreachable { engine: EngineName::new("here"), since: None },
    )]);
    let hello: AppId = app("hello");
    let area =
        [SelectorItem { region_code: Some("310100".into()), isp: None, count: 2, instances: Vec::new() }];
    let named = [SelectorItem { region_code: Some("n0".into()), isp: None, count: 1, instances: Vec::new() }];

    let plan = place(&state, &adding(Some(&hello), &area, &excluded)).expect("an area only skips it");
    let fault = place(&state, &adding(Some(&hello), &named, &excluded)).expect_err("it is down");

    assert_eq!(plan.items[0].placements.len(), 1);
    assert_eq!(plan.items[0].placements[0].node.as_str(), "n1");
    assert_eq!(fault.kind, super::FaultKind::OutOfReach(EdgeNodeId::new("n0")));
    assert_eq!(fault.text, "edge node `n0` takes nothing now: its engine `here` cannot be reached");
}

proptest! {
    #[test]
    fn room_is_what_fits_and_one_more_does_not(state in any_state()) {
        for node in &state.fleet().nodes {
            let none = Excluded::new();
            let fits = |count: u32| {
                let region_code = Some(node.id.to_string());
                let items = [SelectorItem { region_code, isp: None, count, instances: Vec::new() }];
                let request = PlaceRequest { level: Level::RegionId, ..adding(None, &items, &none) };
                place(&state, &request).expect("the node is there").fits()
            };
            let room = room_on(&state, node, TINY);

            prop_assert!(room == 0 || fits(room), "{} of {}", room, node.id);
            prop_assert!(!fits(room + 1), "{} of {}", room, node.id);
        }
    }
}
