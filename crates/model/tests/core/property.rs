//! What holds after any sequence of commands, reports and passing time, over several applications and restarts.

use crate::house::{ENGINE, House, SHANGHAI, WUXI, create, hopeless, item, permit, ready, rescale, starting};
use ensemble_model::command::{Change, DeleteApplication, Direction, Partial};
use ensemble_model::id::{AppId, EdgeNodeId, InstanceId, OperationId};
use ensemble_model::instance::Instance;
use ensemble_model::log::recovery::recover;
use ensemble_model::observation::{InstanceObservation, Presence, Reach};
use ensemble_model::operation::{Subject, TargetState};
use ensemble_model::spec::Resources;
use ensemble_model::wanted::Epoch;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const NODES: [&str; 3] = [SHANGHAI, WUXI, "310100"];

#[derive(Clone, Debug)]
enum Act {
    Create(u8, u8, u32),
    Rescale(u8, Direction, Vec<(u8, u32)>, Partial),
    Delete(u8),
    /// How the instances that a mask picks are seen, and whether the report is of everything.
    Report(u64, u8, bool),
    Unreachable(u8),
    Pass(i64),
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    let direction = prop_oneof![3 => Just(Direction::Add), 2 => Just(Direction::Del)];
    let partial = prop_oneof![Just(Partial::Refused), Just(Partial::Allowed)];
    let items = prop::collection::vec((0..3_u8, 1..8_u32), 1..4);
    prop_oneof![
        2 => (0..3_u8, 0..3_u8, 0..4_u32).prop_map(|(app, node, count)| Act::Create(app, node, count)),
        5 => (0..3_u8, direction, items, partial).prop_map(|(app, direction, items, partial)| Act::Rescale(app, direction, items, partial)),
        1 => (0..3_u8).prop_map(Act::Delete),
        8 => (any::<u64>(), 0..4_u8, any::<bool>()).prop_map(|(mask, kind, whole)| Act::Report(mask, kind, whole)),
        1 => (0..2_u8).prop_map(Act::Unreachable),
        2 => prop_oneof![Just(1), Just(10), Just(150), Just(300)].prop_map(Act::Pass),
        1 => Just(Act::Restart),
    ]
}

fn app(number: u8) -> AppId {
    AppId::new(format!("app-{number}"))
}

fn instances(house: &House) -> Vec<Arc<Instance>> {
    let permit = permit();
    let view = house.state().account(&permit);
    view.applications().flat_map(|application| view.instances(&application.id)).cloned().collect()
}

fn perform(mut house: House, act: Act) -> House {
    match act {
        Act::Create(number, node, count) => {
            let items =
                if count == 0 { Vec::new() } else { vec![item(NODES[usize::from(node)], None, count)] };
            let mut wish = create(&format!("shop-{number}"), items);
            wish.app = app(number);
            let command = house.command(Change::Create(Box::new(wish)));
            drop(house.call(command));
        }
        Act::Rescale(number, direction, items, partial) => {
            let items = items.into_iter().map(|(node, count)| item(NODES[usize::from(node)], None, count));
            let mut request = rescale(direction, items.collect());
            (request.app, request.partial) = (app(number), partial);
            drop(house.rescale(request));
        }
        Act::Delete(number) => {
            let delete = DeleteApplication { app: app(number), timeout_s: 300, if_revision: None };
            let command = house.command(Change::Delete(delete));
            drop(house.call(command));
        }
        Act::Report(mask, kind, whole) => {
            let presence = [ready(), starting(), hopeless(), Presence::Gone][usize::from(kind)].clone();
            let picked =
                instances(&house).into_iter().enumerate().filter(|(at, _)| mask >> (at % 64) & 1 == 1);
            let seen = picked.map(|(_, instance)| InstanceObservation {
                instance: instance.id.clone(),
                presence: presence.clone(),
            });
            let seen = seen.collect();
            house.observe(if whole { Reach::Whole } else { Reach::Listed }, seen);
        }
        Act::Unreachable(node) => {
            house.observe(Reach::Unreachable(vec![EdgeNodeId::new(NODES[usize::from(node)])]), Vec::new());
        }
        Act::Pass(seconds) => house.pass(seconds),
        Act::Restart => house.begin_anew(),
    }
    house
}

fn check_invariants(house: &House) {
    let state = house.state();
    let permit = permit();
    let view = state.account(&permit);
    let all = instances(house);

    let mut used: BTreeMap<EdgeNodeId, Resources> = BTreeMap::new();
    for instance in &all {
        let on_node = used.entry(instance.node.clone()).or_default();
        *on_node = on_node.plus(instance.resources);
    }
    for node in &state.fleet().nodes {
        let expected = used.get(&node.id).copied().unwrap_or_default();
        assert_eq!(state.used(&node.id), expected, "{}", node.id);
        assert!(node.capacity.holds(expected), "{} carries more than it can", node.id);
    }

    let deployments: BTreeSet<&str> = all.iter().map(|instance| instance.deployment.as_str()).collect();
    assert_eq!(deployments.len(), all.len());

    let mut running: BTreeMap<AppId, OperationId> = BTreeMap::new();
    for operation in view.operations(None) {
        let count = |state| operation.targets.iter().filter(|target| target.state == state).count() as u32;
        assert_eq!(operation.tally.waiting, count(TargetState::Waiting));
        assert_eq!(operation.tally.done, count(TargetState::Done));
        assert_eq!(operation.tally.given_up, count(TargetState::GivenUp));
        assert_eq!(operation.is_running(), operation.outcome.is_none());
        if operation.is_running() {
            let Subject::Application(app) = &operation.subject;
            assert!(
                running.insert(app.clone(), operation.id.clone()).is_none(),
                "two operations run on {app}"
            );
            assert!(operation.tally.waiting > 0, "nothing is left to wait for, and it still runs");
        }
    }
    for application in view.applications() {
        assert_eq!(application.operation.as_ref(), running.get(&application.id));
    }

    let wanted = state.wanted_for(&ensemble_model::id::EngineName::new(ENGINE), Epoch(1));
    let ids = |pick: fn(&Instance) -> bool| -> BTreeSet<InstanceId> {
        all.iter().filter(|instance| pick(instance)).map(|instance| instance.id.clone()).collect()
    };
    let run = wanted.cells.iter().flat_map(|cell| &cell.run).map(|instance| instance.id.clone());
    assert_eq!(run.collect::<BTreeSet<_>>(), ids(Instance::is_held));
    let release = wanted.cells.iter().flat_map(|cell| cell.release.clone());
    assert_eq!(release.collect::<BTreeSet<_>>(), ids(|instance| !instance.is_held()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn invariants_hold_after_every_step_and_the_log_says_all(acts in prop::collection::vec(act(), 1..40)) {
        let mut house = House::new();
        for act in acts {
            house = perform(house, act);
            check_invariants(&house);
        }

        let whole = recover(None, &house.records).expect("the log is sound");
        prop_assert_eq!(&whole.state, house.state());
        if let Some(snapshot) = house.snapshots.last() {
            let tail = recover(Some(snapshot), &house.records).expect("snapshot and log are sound");
            prop_assert_eq!(&tail.state, &whole.state);
            prop_assert_eq!(tail.chain, whole.chain);
        }
    }
}
