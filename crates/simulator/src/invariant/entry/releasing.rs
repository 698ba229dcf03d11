//! What is taken back, and why.

use super::{Seen, placing};
use crate::invariant::Verdict;
use crate::reference::{self, area::Area};
use ensemble_model::command::Change;
use ensemble_model::event::{Event, ReleaseCause};
use ensemble_model::operation::{OperationKind, OperationStatus, Subject};
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
            if instance.app != *app || found.is_none_or(|found| found.app != *app) {
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
            let is_theirs = lies_in(seen, asked.level, item, instance.node.as_str())
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
        let Subject::Application(app) = &operation.subject;
        let ruled = reference::del(before, app, asked.level, &asked.selector);
        let done = placing::done_by(seen.entry, seen.after, seen.before, &operation.id);
        looked += done.len() as u64;
        placing::compare(&operation.id, ruled, &operation.skipped, &done)?;
    }
    Ok(looked)
}

/// What nobody asked to release is given up by an operation that adds it and still runs: at its deadline and not ready, or
/// because it can never run.
pub(super) fn a_release_has_its_reason(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (before, event) in seen.steps() {
        let Event::InstancesReleasing { operation: id, instances, cause, .. } = event else { continue };
        let is_late = match cause {
            ReleaseCause::Asked => continue,
            ReleaseCause::Deadline => true,
            ReleaseCause::Hopeless { .. } => false,
        };
        let Some(operation) = before.operations.get(id) else { continue };
        let adds = matches!(operation.kind, OperationKind::Add | OperationKind::Create);
        if !adds || operation.status != OperationStatus::Running {
            return Err(format!("{id} gives up instances, and it adds none now"));
        }
        if is_late && seen.entry.now.log < operation.deadline {
            return Err(format!("{id} gives up instances before its time"));
        }
        for released in instances {
            looked += 1;
            let found = before.instances.get(&released.id);
            if !operation.targets.contains_key(&released.id) || found.is_none_or(|found| !found.is_held()) {
                return Err(format!("{id} gives up {}, which is not its to give up", released.id));
            }
            if is_late && found.is_some_and(crate::shadow::Instance::is_ready) {
                return Err(format!("{id} gives up {}, which is ready", released.id));
            }
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
                if is_lost(instance) && seen.running.contains(instance) {
                    return Err(format!("{instance} is said to be gone from a node out of reach"));
                }
            }
            Event::InstancesReleasing { instances, cause: ReleaseCause::Deadline, .. } => {
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

/// What is said to be gone is gone: no host has anything of it.
pub(super) fn what_is_gone_runs_nowhere(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for event in &seen.entry.events {
        let Event::InstanceGone { instance } = event else { continue };
        looked += 1;
        if seen.running.contains(instance) {
            return Err(format!("{instance} is said to be gone and runs"));
        }
    }
    Ok(looked)
}
