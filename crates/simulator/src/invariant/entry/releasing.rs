//! What is taken back, and why.

use super::{Seen, placing};
use crate::invariant::Verdict;
use crate::reference::{self, area::Area, floor};
use ensemble_model::command::{Change, Direction};
use ensemble_model::event::{Event, ReleaseCause};
use ensemble_model::id::InstanceId;
use ensemble_model::operation::{OperationKind, OperationStatus};
use ensemble_model::selector::{Level, SelectorItem};
use std::collections::BTreeSet;

/// A Del takes instances of its own application only, each where its item says, each once.
pub(super) fn a_del_touches_only_what_was_asked_for(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (before, event) in seen.steps() {
        let Event::InstancesReleasing { operation, app, instances, cause } = event else { continue };
        let found = before.operations.get(operation);
        let request = seen.requests.of(operation);
        let mut once = BTreeSet::new();
        for released in instances {
            looked += 1;
            let Some(instance) = before.instances.get(&released.id) else {
                return Err(format!("{operation} releases {}, which is not there", released.id));
            };
            let is_about = found.is_some_and(|found| found.app.as_ref() == Some(app));
            if instance.app != *app || !(is_about || *cause == ReleaseCause::NodeLost) {
                return Err(format!("{operation} of {app} releases {} of {}", released.id, instance.app));
            }
            if !once.insert(&released.id) {
                return Err(format!("{operation} releases {} twice", released.id));
            }
            let Some(Change::Rescale(asked)) = request.map(|request| &request.command.change) else {
                continue;
            };
            if *cause != ReleaseCause::Asked {
                continue;
            }
            let Some(item) = asked.selector.get(released.item) else {
                return Err(format!("{operation} releases {} for no item", released.id));
            };
            let is_named = item.instances.iter().any(|id| before.known_as(id) == &released.id);
            let is_theirs = is_named
                || lies_in(seen, asked.level, item, instance.node.as_str())
                    && item.isp.as_ref().is_none_or(|isp| *isp == instance.isp);
            if !is_theirs || !instance.is_held() {
                return Err(format!("{operation} releases {}, which {item:?} does not name", released.id));
            }
        }
    }
    Ok(looked)
}

fn lies_in(seen: &Seen<'_>, level: Level, item: &SelectorItem, node: &str) -> bool {
    let fleet = &seen.before.fleet;
    // A carrier that nobody offers any more may still be on an instance.
    let area = Area::read(fleet, level, &SelectorItem { isp: None, ..item.clone() });
    area.zip(fleet.node(node)).is_some_and(|(area, node)| area.reaches(fleet, node))
}

/// A Del takes what is broken first, then what is not ready, and so on as the rules say.
pub(super) fn a_del_takes_the_broken_first(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (before, operation) in seen.accepted() {
        let (Some(request), OperationKind::Del) = (seen.requests.of(&operation.id), operation.kind) else {
            continue;
        };
        let Change::Rescale(asked) = &request.command.change else { continue };
        let Some(app) = operation.subject.app() else { continue };
        let ruled = match asked.level {
            Level::InstanceId => reference::named(before, app, Direction::Del, &asked.selector),
            Level::AreaIspCode | Level::RegionId => reference::del(before, app, asked.level, &asked.selector),
        };
        let done = placing::done_by(seen.entry, seen.after, seen.before, &operation.id);
        looked += done.len() as u64;
        placing::compare(&operation.id, ruled, &operation.skipped, &done)?;
    }
    Ok(looked)
}

/// What nobody asked to release goes for a reason: an operation that adds it and still runs gives it up, at its deadline,
/// canceled, or because it can never run; it is taken back; another is ready in its place; or its node is lost.
pub(super) fn a_release_has_its_reason(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (before, event) in seen.steps() {
        let Event::InstancesReleasing { operation: id, instances, cause, .. } = event else { continue };
        let Some(operation) = before.operations.get(id).filter(|_| *cause != ReleaseCause::Asked) else {
            continue;
        };
        if operation.status != OperationStatus::Running {
            return Err(format!("{id} gives up instances, and it is over"));
        }
        if *cause == ReleaseCause::Deadline && seen.entry.now.log < operation.deadline {
            return Err(format!("{id} gives up instances before its time"));
        }
        for released in instances {
            looked += 1;
            let Some(found) = before.instances.get(&released.id) else {
                return Err(format!("{id} gives up {}, which is not there", released.id));
            };
            let is_target = found.is_held() && operation.targets.contains_key(&released.id);
            let comes = is_target && operation.comes(&released.id);
            let is_right = match cause {
                ReleaseCause::Asked => true,
                ReleaseCause::Deadline | ReleaseCause::Canceled if operation.kind == OperationKind::Move => {
                    comes
                }
                ReleaseCause::Deadline | ReleaseCause::Canceled => comes && !found.is_ready(),
                ReleaseCause::Hopeless { .. } => comes,
                ReleaseCause::Undone => is_target && operation.is_undoing,
                ReleaseCause::Moved => is_target && operation.moves.contains_key(&released.id),
                ReleaseCause::NodeLost => before.unreachable.contains(&found.node),
            };
            if !is_right {
                return Err(format!(
                    "{id} gives up {} ({cause:?}), which is not its to give up",
                    released.id
                ));
            }
        }
    }
    Ok(looked)
}

/// What is protected goes only where it is named, taken back, or everything goes.
pub(super) fn what_is_protected_is_taken_only_by_name(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (before, event) in seen.steps() {
        let Event::InstancesReleasing { operation, instances, cause: ReleaseCause::Asked, .. } = event else {
            continue;
        };
        let is_unnamed_del = matches!(
            seen.requests.of(operation).map(|request| &request.command.change),
            Some(Change::Rescale(rescale)) if rescale.level != Level::InstanceId
        );
        if !is_unnamed_del {
            continue;
        }
        looked += u64::from(before.instances.values().any(|found| found.protected));
        let is_protected = |id| before.instances.get(id).is_some_and(|found| found.protected);
        if let Some(taken) = instances.iter().find(|released| is_protected(&released.id)) {
            return Err(format!("{operation} takes {}, which is protected", taken.id));
        }
    }
    Ok(looked)
}

/// What is ready on a node and carrier after a Del or a move is the floor of the application, or no less for it.
pub(super) fn a_floor_is_kept(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (before, event) in seen.steps() {
        let Event::InstancesReleasing { operation, app, instances, cause } = event else { continue };
        let is_del = before.operations.get(operation).is_some_and(|found| found.kind == OperationKind::Del);
        if *cause == ReleaseCause::Moved || (*cause == ReleaseCause::Asked && is_del) {
            let going = instances.iter().map(|released| &released.id).collect();
            let kept = floor::check(before, app, &going);
            looked += kept.map_err(|broken| format!("{operation}: {broken}"))?;
        }
    }
    Ok(looked)
}

/// What cannot be reached is neither given up for being late nor taken for gone because it was not seen.
pub(super) fn an_unreachable_node_is_not_emptied(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (before, event) in seen.steps() {
        let node_of = |id| before.instances.get(id).map(|instance| &instance.node);
        let is_lost = |id| node_of(id).is_some_and(|node| before.unreachable.contains(node));
        match event {
            Event::InstanceGone { instance } => {
                looked += u64::from(!before.unreachable.is_empty());
                let is_wanted = before.instances.get(instance).is_none_or(|found| found.is_held());
                if is_wanted {
                    return Err(format!("{instance} is said to be gone, and nobody released it"));
                }
                // That something is gone may be said late, but it must be so.
                if is_lost(instance) && seen.running.contains(instance) && !is_declared(seen, instance) {
                    return Err(format!("{instance} is said to be gone from a node out of reach"));
                }
            }
            Event::InstancesReleasing {
                instances,
                cause: ReleaseCause::Deadline | ReleaseCause::Canceled,
                ..
            } => {
                looked += u64::from(!before.unreachable.is_empty());
                if let Some(lost) = instances.iter().find(|released| is_lost(&released.id)) {
                    return Err(format!("{} is given up on a node out of reach", lost.id));
                }
            }
            _ => {}
        }
    }
    Ok(looked)
}

/// Whether the operator said that it is gone, because its node is lost.
fn is_declared(seen: &Seen<'_>, instance: &InstanceId) -> bool {
    seen.entry.events.iter().any(|event| match event {
        Event::InstancesReleasing { instances, cause: ReleaseCause::NodeLost, .. } => {
            instances.iter().any(|released| released.id == *instance)
        }
        _ => false,
    })
}

/// What is said to be gone is gone: no host has anything of it, unless the operator said so of a node that is lost.
pub(super) fn what_is_gone_runs_nowhere(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for event in &seen.entry.events {
        let Event::InstanceGone { instance } = event else { continue };
        looked += 1;
        if seen.running.contains(instance) && !is_declared(seen, instance) {
            return Err(format!("{instance} is said to be gone and runs"));
        }
    }
    Ok(looked)
}

#[cfg(test)]
mod tests {
    use super::super::tests::Shown;
    use super::*;
    use crate::invariant::house::*;
    use crate::shadow::Shadow;
    use ensemble_model::id::AppId;

    const NEW: &str = "OP-NEW";

    fn dels(victims: &[(&str, usize)]) -> Vec<Event> {
        vec![accepted(NEW, OperationKind::Del, &[]), released(NEW, ReleaseCause::Asked, victims)]
    }

    fn with(change: impl FnOnce(&mut Shadow)) -> Shadow {
        let mut house = house();
        change(&mut house);
        house
    }

    fn named(ids: &[&str]) -> crate::request::Request {
        let mut request = asked(NEW, Direction::Del, &[]);
        let asked = rescale_of(&mut request);
        asked.level = Level::InstanceId;
        let (count, instances) = (ids.len() as u32, ids.iter().map(|id| InstanceId::new(*id)).collect());
        asked.selector = vec![SelectorItem { region_code: None, isp: None, count, instances }];
        request
    }

    #[test]
    fn exactly_the_named_go() {
        let rule = a_del_takes_the_broken_first;
        let both = || named(&[HELD, ELSEWHERE]);

        assert_eq!(Shown::new(&house(), dels(&[(HELD, 0), (ELSEWHERE, 0)])).asked(both()).to(rule), Ok(2));
        for victims in [&[(HELD, 0)][..], &[(HELD, 0), (UNREADY, 0)], &[(HELD, 0), (ELSEWHERE, 0), (LOST, 0)]]
        {
            assert!(Shown::new(&house(), dels(victims)).asked(both()).to(rule).is_err(), "{victims:?}");
        }
        let leaving = Shown::new(&house(), dels(&[(LEAVING, 0)])).asked(named(&[LEAVING]));
        assert!(leaving.to(rule).is_err());
    }

    #[test]
    fn what_is_protected_goes_by_name_only() {
        let rule = what_is_protected_is_taken_only_by_name;
        let protected = with(|house| {
            house.instances.get_mut(&InstanceId::new(HELD)).expect("it is there").protected = true;
        });
        let unnamed = asked(NEW, Direction::Del, &[(NODE, 1)]);

        assert!(Shown::new(&protected, dels(&[(HELD, 0)])).asked(unnamed.clone()).to(rule).is_err());
        assert_eq!(Shown::new(&protected, dels(&[(UNREADY, 0)])).asked(unnamed).to(rule), Ok(1));
        assert_eq!(Shown::new(&protected, dels(&[(HELD, 0)])).asked(named(&[HELD])).to(rule), Ok(0));
    }

    #[test]
    fn a_floor_that_is_broken_is_found() {
        // On the node are one that is ready and one that is not.
        let rule = a_floor_is_kept;
        let floor = with(|house| {
            house.apps.get_mut(&AppId::new(APP)).expect("it is there").min_ready = 1;
        });
        let moved =
            vec![accepted(NEW, OperationKind::Move, &[]), released(NEW, ReleaseCause::Moved, &[(HELD, 0)])];
        let deletes =
            vec![accepted(NEW, OperationKind::Delete, &[]), released(NEW, ReleaseCause::Asked, &[(HELD, 0)])];

        assert!(Shown::new(&floor, dels(&[(HELD, 0)])).to(rule).is_err());
        assert!(Shown::new(&floor, moved).to(rule).is_err());
        assert_eq!(Shown::new(&floor, dels(&[(HELD, 0), (UNREADY, 0)])).to(rule), Ok(1));
        assert_eq!(Shown::new(&floor, dels(&[(UNREADY, 0)])).to(rule), Ok(0));
        assert_eq!(Shown::new(&floor, deletes).to(rule), Ok(0));
    }
}
