//! Anything that can happen to a house, drawn at random; and that every rescale does what its plan says.

use crate::house::{House, SHANGHAI, WUXI, create, hopeless, item, named, permit, ready, rescale, starting};
use ensemble_model::application::Strategy as Spreading;
use ensemble_model::command::{
    CancelOperation, Change, ChangeNode, DeleteApplication, Direction, InstanceNames, ModifyApplication,
    NodeChange, Partial, ProtectInstances, Protection, RebalanceApplication, ReleaseInstance, Replacement,
    RescaleApplication, RunInstances,
};
use ensemble_model::decide;
use ensemble_model::event::Event;
use ensemble_model::id::{AppId, EdgeNodeId, InstanceId, Isp, PlanId, SpecName};
use ensemble_model::instance::Instance;
use ensemble_model::observation::{InstanceObservation, Presence, Reach};
use ensemble_model::operation::OnTimeout;
use ensemble_model::refusal::Refusal;
use ensemble_model::selector::Level;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

const NODES: [&str; 3] = [SHANGHAI, WUXI, "310100"];

#[derive(Clone, Debug)]
pub(crate) enum Act {
    Create(u8, u8, u32),
    Rescale(u8, Direction, Vec<(u8, u32)>, Partial),
    /// By name, those that a mask picks: of the application's (Del), of those by themselves (Add).
    Named(u8, Direction, u64),
    Delete(u8),
    /// How the instances that a mask picks are seen, and whether the report is of everything.
    Report(u64, u8, bool),
    Unreachable(u8),
    Protect(u64, Protection),
    MinReady(u8, u32),
    Cancel(u8, OnTimeout),
    Rebalance(u8, u32),
    Node(u8, NodeChange),
    Own(u8, u32),
    ReleaseOwn(u64),
    Pass(i64),
    Restart,
}

pub(crate) fn act() -> impl Strategy<Value = Act> {
    let direction = || prop_oneof![3 => Just(Direction::Add), 2 => Just(Direction::Del)];
    let partial = prop_oneof![Just(Partial::Refused), Just(Partial::Allowed)];
    let items = prop::collection::vec((0..3_u8, 1..8_u32), 1..4);
    let ending = prop_oneof![Just(OnTimeout::Keep), Just(OnTimeout::Undo)];
    let protection = prop_oneof![Just(Protection::On), Just(Protection::Off)];
    let lose = |replacement| NodeChange::Lose { replacement, timeout_s: 300 };
    let change = prop_oneof![
        Just(NodeChange::Drain),
        Just(NodeChange::Resume),
        Just(lose(Replacement::None)),
        Just(lose(Replacement::Wanted)),
    ];
    prop_oneof![
        2 => (0..3_u8, 0..3_u8, 0..4_u32).prop_map(|(app, node, count)| Act::Create(app, node, count)),
        5 => (0..3_u8, direction(), items, partial).prop_map(|(app, direction, items, partial)| Act::Rescale(app, direction, items, partial)),
        4 => (0..3_u8, direction(), any::<u64>()).prop_map(|(app, direction, mask)| Act::Named(app, direction, mask)),
        1 => (0..3_u8).prop_map(Act::Delete),
        10 => (any::<u64>(), 0..4_u8, any::<bool>()).prop_map(|(mask, kind, whole)| Act::Report(mask, kind, whole)),
        1 => (0..2_u8).prop_map(Act::Unreachable),
        1 => (any::<u64>(), protection).prop_map(|(mask, protection)| Act::Protect(mask, protection)),
        1 => (0..3_u8, 0..3_u32).prop_map(|(app, floor)| Act::MinReady(app, floor)),
        2 => (0..3_u8, ending).prop_map(|(app, mode)| Act::Cancel(app, mode)),
        1 => (0..3_u8, 1..4_u32).prop_map(|(app, moves)| Act::Rebalance(app, moves)),
        2 => (0..2_u8, change).prop_map(|(node, change)| Act::Node(node, change)),
        2 => (0..2_u8, 1..3_u32).prop_map(|(node, count)| Act::Own(node, count)),
        1 => any::<u64>().prop_map(Act::ReleaseOwn),
        2 => prop_oneof![Just(1), Just(10), Just(150), Just(300)].prop_map(Act::Pass),
        1 => Just(Act::Restart),
    ]
}

pub(crate) fn app(number: u8) -> AppId {
    AppId::new(format!("app-{number}"))
}

pub(crate) fn instances(house: &House) -> Vec<Arc<Instance>> {
    let permit = permit();
    let view = house.state().account(&permit);
    view.applications().flat_map(|application| view.instances(&application.id)).cloned().collect()
}

fn picked<T>(mask: u64, all: Vec<T>) -> Vec<T> {
    all.into_iter().enumerate().filter(|(at, _)| mask >> (at % 64) & 1 == 1).map(|(_, one)| one).collect()
}

fn shown(instances: Vec<Arc<Instance>>) -> Vec<InstanceId> {
    instances.iter().map(|instance| instance.shown_id().clone()).collect()
}

fn owned(house: &House) -> Vec<InstanceId> {
    let permit = permit();
    house.state().account(&permit).own_instances().map(|own| own.id.clone()).collect()
}

fn change_of(house: &House, act: &Act) -> Option<Change> {
    let node = |node: u8| EdgeNodeId::new(NODES[usize::from(node)]);
    Some(match act {
        Act::Create(number, node, count) => {
            let place = NODES[usize::from(*node)];
            let items = if *count == 0 { Vec::new() } else { vec![item(place, None, *count)] };
            let mut wish = create(&format!("shop-{number}"), items);
            wish.app = app(*number);
            Change::Create(Box::new(wish))
        }
        Act::Delete(number) => {
            Change::Delete(DeleteApplication { app: app(*number), timeout_s: 300, if_revision: None })
        }
        Act::Protect(mask, protection) => Change::Protect(ProtectInstances {
            instances: shown(picked(*mask, instances(house))),
            protection: *protection,
        }),
        Act::MinReady(number, min_ready) => {
            Change::Modify(ModifyApplication { app: app(*number), min_ready: *min_ready, if_revision: None })
        }
        Act::Cancel(number, mode) => {
            let permit = permit();
            let operation = house.state().account(&permit).application(&app(*number))?.operation.clone()?;
            Change::Cancel(CancelOperation { operation, mode: *mode })
        }
        Act::Rebalance(number, max_moves) => Change::Rebalance(RebalanceApplication {
            app: app(*number),
            max_moves: *max_moves,
            timeout_s: 300,
            if_revision: None,
            if_plan: None,
        }),
        Act::Node(number, change) => Change::Node(ChangeNode { node: node(*number), change: *change }),
        Act::Own(number, count) => Change::RunInstances(Box::new(RunInstances {
            spec: SpecName::new("ens.sn1.tiny"),
            level: Level::RegionId,
            item: item(NODES[usize::from(*number)], None, *count),
            strategy: Spreading::Disperse,
            names: InstanceNames::Same(String::new()),
            tags: Vec::new(),
            echoed: serde_json::Value::Null,
        })),
        Act::ReleaseOwn(mask) => {
            let instance = picked(*mask, owned(house)).into_iter().next()?;
            Change::ReleaseInstance(ReleaseInstance { instance })
        }
        Act::Rescale(..)
        | Act::Named(..)
        | Act::Report(..)
        | Act::Unreachable(_)
        | Act::Pass(_)
        | Act::Restart => {
            return None;
        }
    })
}

pub(crate) fn perform(mut house: House, act: Act) -> House {
    match act {
        Act::Rescale(number, direction, items, partial) => {
            let items = items.into_iter().map(|(node, count)| item(NODES[usize::from(node)], None, count));
            let mut request = rescale(direction, items.collect());
            (request.app, request.partial) = (app(number), partial);
            rescale_as_planned(&mut house, request);
        }
        Act::Named(number, direction, mask) => {
            let of_app = |instance: &Arc<Instance>| instance.app == app(number);
            let names = match direction {
                Direction::Add => picked(mask, owned(&house)),
                Direction::Del => shown(picked(mask, instances(&house).into_iter().filter(of_app).collect())),
            };
            let request = rescale(direction, vec![named(&names)]);
            rescale_as_planned(
                &mut house,
                RescaleApplication { app: app(number), level: Level::InstanceId, ..request },
            );
        }
        Act::Report(mask, kind, whole) => {
            let presence = [ready(), starting(), hopeless(), Presence::Gone][usize::from(kind)].clone();
            let seen = picked(mask, instances(&house)).into_iter().map(|instance| InstanceObservation {
                instance: instance.id.clone(),
                presence: presence.clone(),
            });
            let seen = seen.collect();
            house.observe(if whole { Reach::Whole } else { Reach::Listed }, seen);
        }
        Act::Unreachable(node) => house.unreachable(NODES[usize::from(node)]),
        Act::Pass(seconds) => house.pass(seconds),
        Act::Restart => house.begin_anew(),
        other => {
            if let Some(change) = change_of(&house, &other) {
                drop(house.change(change));
            }
        }
    }
    house
}

/// What one place gains or loses: how many, or which.
type Effect = BTreeMap<(usize, EdgeNodeId, Isp), (u32, Vec<InstanceId>)>;

/// A rescale with the id of the plan for it does what the plan says or is refused for what the plan said; with the id
/// of another plan it does nothing.
fn rescale_as_planned(house: &mut House, request: RescaleApplication) {
    let planned = decide::plan(house.state(), &permit(), &request);
    let Ok(planned) = planned else {
        let refused = house.rescale(request).expect_err("what cannot be planned cannot be done");
        // Being busy comes first, and is no fault of the input.
        let is_busy = matches!(refused, Refusal::Busy { .. } | Refusal::BeingDeleted { .. });
        assert!(is_busy || Err(&refused) == planned.as_ref(), "planned {planned:?}, refused {refused:?}");
        return;
    };
    let other = RescaleApplication { if_plan: Some(PlanId::new("another")), ..request.clone() };
    let changed = house.rescale(other);
    assert!(
        matches!(
            changed,
            Err(Refusal::PlanChanged { .. } | Refusal::Busy { .. } | Refusal::BeingDeleted { .. })
        ),
        "{changed:?}"
    );
    let exactly = RescaleApplication { if_plan: Some(planned.plan.id.clone()), ..request };
    let command = house.command(Change::Rescale(exactly));
    let state = house.state().clone();
    let decided = decide::decide(&state, &command, house.now);
    match (&planned.blocked, decided) {
        (None, Ok(decision)) => {
            let wanted: Effect = planned
                .plan
                .items
                .iter()
                .flat_map(|item| item.placements.iter().map(move |placement| (item.index, placement)))
                .map(|(index, placement)| {
                    let mut named = placement.instances.clone();
                    named.sort();
                    let cell = (index, placement.node.clone(), placement.isp.clone());
                    (cell, (placement.count, named))
                })
                .collect();
            assert_eq!(effect(&state, &decision.events), wanted);
        }
        (Some(blocked), Err(refusal)) => assert_eq!(refusal, *blocked),
        (blocked, decided) => panic!("planned {blocked:?}, decided {decided:?}"),
    }
    drop(house.call(command));
}

fn effect(state: &ensemble_model::state::State, events: &[Event]) -> Effect {
    let permit = permit();
    let view = state.account(&permit);
    let mut effect = Effect::new();
    for event in events {
        match event {
            Event::InstancesPlanned { placements, .. } => {
                for placement in placements {
                    let cell = (placement.item, placement.node.clone(), placement.isp.clone());
                    let (count, named) = effect.entry(cell).or_default();
                    *count += placement.instances.len() as u32;
                    named.extend(placement.instances.iter().filter_map(|planned| planned.host.clone()));
                }
            }
            Event::InstancesReleasing { instances, .. } => {
                for released in instances {
                    let victim = view.instance(&released.id).expect("a victim is there");
                    let cell = (released.item, victim.node.clone(), victim.isp.clone());
                    let (count, named) = effect.entry(cell).or_default();
                    *count += 1;
                    named.push(released.id.clone());
                }
            }
            _ => {}
        }
    }
    effect.values_mut().for_each(|(_, named)| named.sort());
    effect
}
