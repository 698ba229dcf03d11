//! Moves: another one first, then the old one goes, whoever asked for it. Neither is there for longer than the move.

use super::Seen;
use crate::invariant::Verdict;
use crate::reference::{floor, moves};
use crate::shadow::Shadow;
use ensemble_model::application::Strategy;
use ensemble_model::command::Change;
use ensemble_model::event::{Event, PlannedPlacement, ReleaseCause};
use ensemble_model::id::{AppId, EdgeNodeId, InstanceId, OperationId};
use ensemble_model::operation::OperationKind;
use std::collections::{BTreeMap, BTreeSet};

/// What moves goes elsewhere within the scope that placed it, as the version that it was; what is hosted, protected, out of
/// reach or placed by name does not move. A move makes nothing else.
pub(super) fn a_move_stays_in_its_scope(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (before, event) in seen.steps() {
        let Event::InstancesPlanned { placements, operation, version, app, .. } = event else { continue };
        let is_move = before.operations.get(operation).is_some_and(|found| found.kind == OperationKind::Move);
        for placement in placements {
            for planned in &placement.instances {
                let (old, found) = match (is_move, &planned.replaces) {
                    (false, None) => continue,
                    (true, Some(old)) => (old, before.instances.get(old)),
                    (_, old) => return Err(format!("{operation} makes {} for {old:?}", planned.id)),
                };
                looked += 1;
                let Some(found) = found.filter(|found| found.is_held() && found.app == *app) else {
                    return Err(format!("{operation} moves {old}, which is not held"));
                };
                if let Some(why) = moves::stays(found) {
                    return Err(format!("{operation} moves {old}, which is {why}"));
                }
                let node = before.fleet.node(placement.node.as_str());
                let is_in_scope = node.is_some_and(|node| moves::lies_in(before, &found.scope, node))
                    && found.scope.isp.as_ref().is_none_or(|isp| *isp == placement.isp);
                let is_as_it_was = placement.scope == found.scope && *version == found.version;
                if !is_in_scope || !is_as_it_was || placement.node == found.node {
                    return Err(format!("{operation} moves {old} from {found:?} to {placement:?}"));
                }
            }
        }
    }
    Ok(looked)
}

/// What makes room goes only once the other is there and ready, and what is protected by then stays.
pub(super) fn a_move_waits_for_the_other(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (before, event) in seen.steps() {
        let Event::InstancesReleasing { operation: id, instances, cause: ReleaseCause::Moved, .. } = event
        else {
            continue;
        };
        for released in instances {
            looked += 1;
            let operation = before.operations.get(id);
            let new = operation.and_then(|operation| operation.moves.get(&released.id));
            let new = new.and_then(|new| before.instances.get(new));
            if !new.is_some_and(|new| new.is_held() && new.is_ready()) {
                return Err(format!("{id} moves {} before another is ready", released.id));
            }
            if before.instances.get(&released.id).is_some_and(|old| old.protected) {
                return Err(format!("{id} moves {}, which is protected", released.id));
            }
        }
    }
    Ok(looked)
}

/// What may make room has to: as soon as the other is ready and the floor allows it.
pub(super) fn a_move_goes_on_as_soon_as_it_may(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (app, id) in seen.after.apps.iter().filter_map(|(app, found)| Some((app, found.running.as_ref()?))) {
        let Some(operation) = seen.after.operations.get(id) else { continue };
        for (old, new) in &operation.moves {
            looked += 1;
            if may_go(seen.after, app, old, new) {
                return Err(format!("{old} may make room for {new}, and {id} lets it stay"));
            }
        }
    }
    Ok(looked)
}

fn may_go(shadow: &Shadow, app: &AppId, old: &InstanceId, new: &InstanceId) -> bool {
    let is_there = shadow.instances.get(new).is_some_and(|new| new.is_held() && new.is_ready());
    let is_open = shadow.instances.get(old).is_some_and(|old| old.is_held() && !old.protected);
    is_there && is_open && floor::check(shadow, app, &BTreeSet::from([old])).is_ok()
}

/// When a move is over, of the old and the new one only one is held at the most.
pub(super) fn nothing_is_doubled_after_a_move(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for event in &seen.entry.events {
        let Event::OperationEnded { operation: id, .. } = event else { continue };
        let Some(operation) = seen.after.operations.get(id) else { continue };
        for (old, new) in &operation.moves {
            looked += 1;
            let is_held = |id| seen.after.instances.get(id).is_some_and(|found| found.is_held());
            if is_held(old) && is_held(new) {
                return Err(format!("{id} is over, and {old} is held beside {new}"));
            }
        }
    }
    Ok(looked)
}

/// A rebalance does what was planned, no more than was allowed, and each of its moves brings the application nearer to its
/// strategy: where it is dispersed, the sum of the squares of its instances on each node falls by two or more, where it is
/// concentrated it rises by as much.
pub(super) fn a_rebalance_does_what_it_was_planned_for(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (before, accepted) in seen.accepted() {
        let Some(request) = seen.requests.of(&accepted.id) else { continue };
        let Change::Rebalance(asked) = &request.command.change else { continue };
        let done = moved_by(seen, &accepted.id);
        looked += done.len() as u64;
        if done.is_empty() || done.len() > asked.max_moves as usize {
            return Err(format!("{} moves {}, {} are allowed", accepted.id, done.len(), asked.max_moves));
        }
        let foretold = request.foretold_moves.as_ref().filter(|_| !request.is_doubled);
        let plans = foretold.map(|foretold| foretold.as_ref().map(|answer| &answer.plan));
        for plan in request.move_plan.as_ref().map(Ok).into_iter().chain(plans) {
            let said = plan.map(|plan| {
                let moves = plan.moves.iter();
                let to = moves.map(|one| (one.instance.clone(), (one.to_node.clone(), one.to_isp.clone())));
                to.collect::<BTreeMap<_, _>>()
            });
            if said.as_ref() != Ok(&done) {
                return Err(format!("{} was planned as {said:?} and does {done:?}", accepted.id));
            }
        }
        let Some((app, found)) = before.apps.get_key_value(&asked.app) else { continue };
        let mut counts: BTreeMap<EdgeNodeId, i64> = BTreeMap::new();
        for (_, instance) in before.held_by(app) {
            *counts.entry(instance.node.clone()).or_default() += 1;
        }
        let square = |counts: &BTreeMap<_, i64>| counts.values().map(|count| count * count).sum::<i64>();
        let was = square(&counts);
        for (old, (node, _)) in &done {
            if let Some(old) = before.instances.get(old) {
                *counts.entry(old.node.clone()).or_default() -= 1;
            }
            *counts.entry(node.clone()).or_default() += 1;
        }
        let gained = match found.strategy {
            Strategy::Disperse => was - square(&counts),
            Strategy::Concentrate => square(&counts) - was,
        };
        if gained < 2 * done.len() as i64 {
            return Err(format!("{} moves {done:?} and gains {gained}", accepted.id));
        }
    }
    Ok(looked)
}

/// What moves where, by an operation that is accepted in this entry.
fn moved_by(
    seen: &Seen<'_>,
    operation: &OperationId,
) -> BTreeMap<InstanceId, (EdgeNodeId, ensemble_model::id::Isp)> {
    let mut moved = BTreeMap::new();
    for event in &seen.entry.events {
        let Event::InstancesPlanned { operation: by, placements, .. } = event else { continue };
        for PlannedPlacement { node, isp, instances, .. } in placements.iter().filter(|_| by == operation) {
            let olds = instances.iter().filter_map(|planned| planned.replaces.clone());
            moved.extend(olds.map(|old| (old, (node.clone(), isp.clone()))));
        }
    }
    moved
}

/// A drain moves what is on a node that is to be emptied, of an application that is idle and did not fail to move from there,
/// and changes nothing else.
pub(super) fn a_drain_moves_only_from_where_it_is(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (before, accepted) in seen.accepted() {
        let is_drain = accepted.kind == OperationKind::Move && accepted.action == "DrainEdgeNode";
        let Some(app) = accepted.subject.app().filter(|_| is_drain) else { continue };
        let moved = moved_by(seen, &accepted.id);
        let nodes: BTreeSet<&EdgeNodeId> =
            moved.keys().filter_map(|old| Some(&before.instances.get(old)?.node)).collect();
        looked += 1;
        let is_drained =
            |node: &&&EdgeNodeId| before.draining.get(**node).is_some_and(|failed| !failed.contains(app));
        if nodes.len() != 1 || nodes.iter().any(|node| !is_drained(&node)) {
            return Err(format!("{} drains {nodes:?}, where nothing of {app} is to move", accepted.id));
        }
    }
    Ok(looked)
}

/// One that moves alone goes to where an Add that asks for what placed it would go, were its node closed.
pub(super) fn a_move_goes_where_an_add_would(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (before, accepted) in seen.accepted() {
        let mut moved = moved_by(seen, &accepted.id).into_iter();
        let (Some((old, to)), None) = (moved.next(), moved.next()) else { continue };
        let Some(found) = before.instances.get(&old) else { continue };
        looked += 1;
        let said = moves::target(before, found);
        if said.as_ref() != Some(&to) {
            return Err(format!("{} moves {old} to {to:?}, an Add would go to {said:?}", accepted.id));
        }
    }
    Ok(looked)
}

#[cfg(test)]
mod tests {
    use super::super::tests::Shown;
    use super::*;
    use crate::invariant::house::*;
    use ensemble_model::command::RebalanceApplication;
    use ensemble_model::operation::OperationStatus;
    use ensemble_model::plan::{MovePlan, PlannedMove};

    const MOVE: &str = "OP-NEW";
    const NEW: &str = "i-new";

    fn moves(old: &str, node: &str, isp: &str) -> Event {
        planned_on(MOVE, (NEW, node, isp), On::PlaceOf(old))
    }

    fn begins() -> Event {
        accepted(MOVE, OperationKind::Move, &[])
    }

    /// What is held on the first node moves to the second.
    fn moving() -> Shadow {
        let mut house = house();
        house.fold(&next(&house.clone(), vec![begins(), moves(HELD, OTHER_NODE, "unicom")]));
        house
    }

    fn change(shadow: &Shadow, id: &str, change: impl FnOnce(&mut crate::shadow::Instance)) -> Shadow {
        let mut shadow = shadow.clone();
        change(shadow.instances.get_mut(&InstanceId::new(id)).expect("it is in the house"));
        shadow
    }

    #[test]
    fn only_what_may_moves_and_only_where_it_may() {
        let house = house();
        let node = EdgeNodeId::new(NODE);
        let right = || vec![begins(), moves(HELD, OTHER_NODE, "unicom")];
        assert_eq!(Shown::new(&house, right()).to(a_move_stays_in_its_scope), Ok(1));
        for before in [
            change(&house, HELD, |found| found.protected = true),
            change(&house, HELD, |found| found.host = Some(InstanceId::new("i-host"))),
            change(&house, HELD, |found| found.unknown = true),
            change(&house, HELD, |found| found.scope.region_code = NODE.to_owned()),
            // Not reached by what placed it.
            change(&house, HELD, |found| found.scope.region_code = LOST_NODE.to_owned()),
            change(&house, HELD, |found| found.scope.isp = Some(ensemble_model::id::Isp::new("cmcc"))),
            change(&house, HELD, |found| found.version = ensemble_model::id::VersionName::new("v2")),
        ] {
            assert!(Shown::new(&before, right()).to(a_move_stays_in_its_scope).is_err(), "{node}");
        }
        for wrong in [
            vec![begins(), moves(HELD, NODE, "cmcc")],
            vec![begins(), moves(LEAVING, OTHER_NODE, "unicom")],
            vec![begins(), moves(OF_ANOTHER, OTHER_NODE, "unicom")],
            vec![begins(), planned(MOVE, &[(OTHER_NODE, "unicom", &["i-more"])])],
            vec![accepted(MOVE, OperationKind::Add, &[]), moves(HELD, OTHER_NODE, "unicom")],
        ] {
            assert!(Shown::new(&house, wrong).to(a_move_stays_in_its_scope).is_err());
        }
    }

    #[test]
    fn nothing_goes_before_the_other_is_ready_or_once_it_is_protected() {
        let goes = || released(MOVE, ReleaseCause::Moved, &[(HELD, 0)]);
        let protected = change(&moving(), HELD, |found| found.protected = true);
        let both = || vec![observed(NEW, true), goes()];

        assert_eq!(Shown::new(&moving(), both()).to(a_move_waits_for_the_other), Ok(1));
        assert!(Shown::new(&moving(), vec![goes()]).to(a_move_waits_for_the_other).is_err());
        assert!(Shown::new(&protected, both()).to(a_move_waits_for_the_other).is_err());
    }

    #[test]
    fn what_may_make_room_does() {
        let ready = || vec![observed(NEW, true)];
        let mut kept = moving();
        kept.apps.get_mut(&AppId::new(APP)).expect("it is in the house").min_ready = 1;

        assert!(Shown::new(&moving(), ready()).to(a_move_goes_on_as_soon_as_it_may).is_err());
        // Beside it is one that is not ready.
        assert_eq!(Shown::new(&kept, ready()).to(a_move_goes_on_as_soon_as_it_may), Ok(1));
        let beside = vec![observed(NEW, true), observed(UNREADY, true)];
        assert!(Shown::new(&kept, beside).to(a_move_goes_on_as_soon_as_it_may).is_err());
        assert_eq!(Shown::new(&moving(), Vec::new()).to(a_move_goes_on_as_soon_as_it_may), Ok(1));
    }

    #[test]
    fn a_move_that_is_over_leaves_one_of_the_two() {
        let over = || ended(MOVE, OperationStatus::Failed);
        let without = vec![released(MOVE, ReleaseCause::Deadline, &[(NEW, 0)]), over()];

        assert!(Shown::new(&moving(), vec![over()]).to(nothing_is_doubled_after_a_move).is_err());
        assert_eq!(Shown::new(&moving(), without).to(nothing_is_doubled_after_a_move), Ok(1));
    }

    #[test]
    fn a_rebalance_keeps_to_its_plan_and_gains_something() {
        // Three on the first node, none on the second.
        let uneven = change(&house(), ELSEWHERE, |found| found.node = EdgeNodeId::new(NODE));
        let plan = |to: &str| MovePlan {
            id: ensemble_model::id::PlanId::new("p"),
            moves: vec![PlannedMove {
                instance: InstanceId::new(HELD),
                node: EdgeNodeId::new(NODE),
                isp: ensemble_model::id::Isp::new("cmcc"),
                to_node: EdgeNodeId::new(to),
                to_isp: ensemble_model::id::Isp::new("unicom"),
            }],
            kept: Vec::new(),
        };
        let asked = |max_moves, move_plan| {
            let app = AppId::new(APP);
            let asked =
                RebalanceApplication { app, max_moves, timeout_s: 60, if_revision: None, if_plan: None };
            crate::request::Request { move_plan, ..request(MOVE, Change::Rebalance(asked)) }
        };
        let verdict = |before: &Shadow, request| {
            let events = vec![begins(), moves(HELD, OTHER_NODE, "unicom")];
            Shown::new(before, events).asked(request).to(a_rebalance_does_what_it_was_planned_for)
        };

        assert_eq!(verdict(&uneven, asked(1, None)), Ok(1));
        assert_eq!(verdict(&uneven, asked(1, Some(plan(OTHER_NODE)))), Ok(1));
        assert!(verdict(&uneven, asked(1, Some(plan(LOST_NODE)))).is_err());
        assert!(verdict(&uneven, asked(0, None)).is_err());
        assert!(verdict(&house(), asked(1, None)).is_err(), "it gains nothing");
    }

    #[test]
    fn a_drain_is_about_a_node_that_drains() {
        let mut drained = house();
        let (node, app) = (EdgeNodeId::new(NODE), AppId::new(APP));
        drained.draining.insert(node.clone(), imbl::OrdSet::new());
        let mut failed = drained.clone();
        failed.draining.insert(node, imbl::OrdSet::unit(app));
        let verdict = |before: &Shadow| {
            let mut begins = begins();
            if let Event::OperationAccepted { operation } = &mut begins {
                operation.action = "DrainEdgeNode".to_owned();
            }
            let events = vec![begins, moves(HELD, OTHER_NODE, "unicom")];
            Shown::new(before, events).to(a_drain_moves_only_from_where_it_is)
        };

        assert_eq!(verdict(&drained), Ok(1));
        assert!(verdict(&failed).is_err());
        assert!(verdict(&house()).is_err());
    }

    #[test]
    fn what_moves_alone_goes_where_an_add_would() {
        let verdict = |before: &Shadow, to: &str, isp: &str| {
            let events = vec![begins(), moves(HELD, to, isp)];
            Shown::new(before, events).to(a_move_goes_where_an_add_would)
        };
        let house = house();
        let by_name = change(&house, HELD, |found| found.scope.region_code = NODE.to_owned());

        assert_eq!(verdict(&house, OTHER_NODE, "unicom"), Ok(1));
        assert!(verdict(&house, OTHER_NODE, "cmcc").is_err());
        assert!(verdict(&house, LOST_NODE, "unicom").is_err());
        assert!(verdict(&by_name, OTHER_NODE, "unicom").is_err());
    }
}
