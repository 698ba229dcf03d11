//! Nodes that an operator declares lost, and what comes in the place of what was on them.

use super::Seen;
use crate::invariant::Verdict;
use crate::reference::moves;
use ensemble_model::command::{Change, NodeChange, Replacement};
use ensemble_model::event::{Event, ReleaseCause};
use ensemble_model::id::{AppId, VersionName};
use ensemble_model::instance::Scope;
use ensemble_model::operation::OperationKind;
use std::collections::BTreeMap;

/// Only what cannot be reached is lost, because somebody said so, and as a whole: whatever was on the node is released and
/// gone in the same breath.
pub(super) fn a_lost_node_is_empty(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (before, event) in seen.steps() {
        let Event::InstancesReleasing { operation, instances, cause: ReleaseCause::NodeLost, .. } = event
        else {
            continue;
        };
        let request = seen.requests.of(operation).map(|request| &request.command.change);
        let Some(Change::Node(asked)) = request else {
            return Err(format!("{operation} loses a node, and nobody said so"));
        };
        if !matches!(asked.change, NodeChange::Lose { .. }) || !before.unreachable.contains(&asked.node) {
            return Err(format!("{operation} loses {}, which can be reached", asked.node));
        }
        for released in instances {
            looked += 1;
            let is_there = before.instances.get(&released.id).is_some_and(|found| found.node == asked.node);
            if !is_there || seen.after.instances.contains_key(&released.id) {
                return Err(format!("{operation} loses {} with {}", asked.node, released.id));
            }
        }
        // What is there now came afterwards, once the node was back.
        let left = seen
            .after
            .instances
            .iter()
            .find(|(id, found)| found.node == asked.node && before.instances.contains_key(*id));
        if let Some((left, _)) = left {
            return Err(format!("{operation} loses {} and leaves {left}", asked.node));
        }
    }
    Ok(looked)
}

/// Instead of what was lost comes no more than was held there and made for its application, of the same version, within the
/// scope that placed it, elsewhere; and only where that was asked for.
pub(super) fn what_replaces_stays_in_its_scope(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    let mut lost: BTreeMap<(&AppId, &VersionName, &Scope), usize> = BTreeMap::new();
    for (before, event) in seen.steps() {
        match event {
            Event::InstancesReleasing { operation, instances, cause: ReleaseCause::NodeLost, .. }
                if wants_others(seen, operation) =>
            {
                for found in instances.iter().filter_map(|released| before.instances.get(&released.id)) {
                    let is_by_name = found.scope.region_code == found.node.as_str();
                    if found.is_held() && found.host.is_none() && !is_by_name {
                        *lost.entry((&found.app, &found.version, &found.scope)).or_default() += 1;
                    }
                }
            }
            Event::InstancesPlanned { operation, app, version, placements, .. } => {
                let is_instead = before
                    .operations
                    .get(operation)
                    .is_some_and(|found| found.kind == OperationKind::Add && found.action == "LoseEdgeNode");
                for placement in placements.iter().filter(|_| is_instead) {
                    looked += 1;
                    let node = before.fleet.node(placement.node.as_str());
                    let is_there = node.is_some_and(|node| moves::lies_in(before, &placement.scope, node));
                    let left = lost.entry((app, version, &placement.scope)).or_default();
                    match left.checked_sub(placement.instances.len()) {
                        Some(rest) if is_there => *left = rest,
                        Some(_) | None => {
                            return Err(format!("{operation} makes {placement:?} instead of nothing"));
                        }
                    }
                }
            }
            _ => {}
        }
    }
    Ok(looked)
}

fn wants_others(seen: &Seen<'_>, operation: &ensemble_model::id::OperationId) -> bool {
    let request = seen.requests.of(operation).map(|request| &request.command.change);
    let Some(Change::Node(asked)) = request else { return false };
    matches!(asked.change, NodeChange::Lose { replacement: Replacement::Wanted, .. })
}

#[cfg(test)]
mod tests {
    use super::super::tests::Shown;
    use super::*;
    use crate::invariant::house::*;
    use ensemble_model::command::ChangeNode;
    use ensemble_model::id::{EdgeNodeId, InstanceId};
    use ensemble_model::operation::Subject;

    const LOSE: &str = "OP-LOSE";
    const INSTEAD: &str = "OP-INSTEAD";

    fn loses(node: &str, replacement: Replacement) -> crate::request::Request {
        let change = NodeChange::Lose { replacement, timeout_s: 60 };
        request(LOSE, Change::Node(ChangeNode { node: EdgeNodeId::new(node), change }))
    }

    fn lost(node: &str, id: &str) -> Vec<Event> {
        vec![
            at_once(LOSE, "LoseEdgeNode", Subject::Node(EdgeNodeId::new(node))),
            released(LOSE, ReleaseCause::NodeLost, &[(id, 0)]),
        ]
    }

    #[test]
    fn a_node_is_lost_as_a_whole_and_only_out_of_reach() {
        let rule = a_lost_node_is_empty;
        let whole = |node: &str, id: &str| {
            let mut events = lost(node, id);
            events.push(gone(id));
            events
        };
        let verdict =
            |events, node: &str| Shown::new(&house(), events).asked(loses(node, Replacement::None)).to(rule);

        assert_eq!(verdict(whole(LOST_NODE, LOST), LOST_NODE), Ok(1));
        assert!(verdict(lost(LOST_NODE, LOST), LOST_NODE).is_err(), "it is not gone");
        assert!(verdict(whole(LOST_NODE, HELD), LOST_NODE).is_err(), "it is elsewhere");
        assert!(verdict(whole(OTHER_NODE, ELSEWHERE), OTHER_NODE).is_err(), "it can be reached");
        assert!(Shown::new(&house(), whole(LOST_NODE, LOST)).to(rule).is_err(), "nobody said so");
        let mut two = house();
        two.instances.get_mut(&InstanceId::new(ELSEWHERE)).unwrap().node = EdgeNodeId::new(LOST_NODE);
        let left = Shown::new(&two, whole(LOST_NODE, LOST)).asked(loses(LOST_NODE, Replacement::None));
        assert!(left.to(rule).is_err(), "one is left");
    }

    #[test]
    fn what_comes_instead_is_as_many_where_it_may_be() {
        let rule = what_replaces_stays_in_its_scope;
        let instead = |node: &str, ids: &[&str]| {
            let mut events = lost(LOST_NODE, LOST);
            events.push(gone(LOST));
            let mut accepted = accepted(INSTEAD, OperationKind::Add, &[]);
            if let Event::OperationAccepted { operation } = &mut accepted {
                operation.action = "LoseEdgeNode".to_owned();
            }
            events.extend([accepted, planned(INSTEAD, &[(node, "unicom", ids)])]);
            events
        };
        let wanted = || loses(LOST_NODE, Replacement::Wanted);
        let by_name = |code: &str| {
            let mut house = house();
            let scope = &mut house.instances.get_mut(&InstanceId::new(LOST)).unwrap().scope;
            scope.region_code = code.to_owned();
            house
        };

        let one = instead(OTHER_NODE, &["i-1"]);
        assert_eq!(Shown::new(&house(), one.clone()).asked(wanted()).to(rule), Ok(1));
        let two = instead(OTHER_NODE, &["i-1", "i-2"]);
        assert!(Shown::new(&house(), two).asked(wanted()).to(rule).is_err());
        let unasked = loses(LOST_NODE, Replacement::None);
        assert!(Shown::new(&house(), one.clone()).asked(unasked).to(rule).is_err());
        // Placed by name, or within another area than what comes instead says.
        assert!(Shown::new(&by_name(LOST_NODE), one.clone()).asked(wanted()).to(rule).is_err());
        assert!(Shown::new(&by_name("320200"), one).asked(wanted()).to(rule).is_err());
    }
}
