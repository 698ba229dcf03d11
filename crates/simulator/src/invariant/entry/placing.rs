//! Where instances go: room, reach, what was asked, what was planned, what the rules say.

use super::Seen;
use crate::invariant::Verdict;
use crate::reference::{self, Done, Tally};
use crate::shadow::Shadow;
use ensemble_model::command::{Change, Direction, Partial};
use ensemble_model::event::{Entry, Event, ReleaseCause};
use ensemble_model::id::{EdgeNodeId, OperationId};
use ensemble_model::operation::OperationKind;
use ensemble_model::selector::{Level, SelectorItem};
use ensemble_model::spec::Resources;
use std::collections::BTreeMap;

/// What is placed fits beside everything that is still there, what is being released included.
pub(super) fn nothing_is_placed_onto_a_full_node(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (before, event) in seen.steps() {
        let Event::InstancesPlanned { placements, resources, .. } = event else { continue };
        let mut coming: BTreeMap<&EdgeNodeId, u32> = BTreeMap::new();
        for placement in placements {
            // What is hosted takes no room of its own.
            let new = placement.instances.iter().filter(|planned| planned.host.is_none());
            *coming.entry(&placement.node).or_default() += new.count() as u32;
        }
        for (node, count) in coming.into_iter().filter(|(_, count)| *count > 0) {
            looked += 1;
            let Some(found) = before.fleet.node(node.as_str()) else {
                return Err(format!("{node} is not in the fleet"));
            };
            let used = before.used(node);
            let then = Resources {
                vcpu: used.vcpu + count * resources.vcpu,
                memory_mib: used.memory_mib + u64::from(count) * resources.memory_mib,
            };
            if then.vcpu > found.capacity.vcpu || then.memory_mib > found.capacity.memory_mib {
                return Err(format!("{node} has {:?} and is to carry {then:?}", found.capacity));
            }
        }
    }
    Ok(looked)
}

/// Nothing is placed where nobody can start it, or what is there is to go.
pub(super) fn nothing_is_placed_onto_an_unreachable_node(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (before, event) in seen.steps() {
        let Event::InstancesPlanned { placements, operation, .. } = event else { continue };
        if let Some(lost) = placements.iter().find(|placed| before.unreachable.contains(&placed.node)) {
            return Err(format!("{operation} goes onto {}, which is out of reach", lost.node));
        }
        if let Some(closed) = placements.iter().find(|placed| before.draining.contains_key(&placed.node)) {
            return Err(format!("{operation} goes onto {}, which is draining", closed.node));
        }
        // Only while something is closed does this say anything.
        looked += u64::from(!before.unreachable.is_empty() || !before.draining.is_empty());
    }
    Ok(looked)
}

/// Every item of a request is done whole or named as skipped, and skipped only where that was allowed.
pub(super) fn asked_is_placed_plus_refused(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (_, operation) in seen.accepted() {
        let Some(request) = seen.requests.of(&operation.id) else { continue };
        let (items, partial): (&[SelectorItem], Partial) = match &request.command.change {
            Change::Create(create) => (&create.selector, Partial::Refused),
            Change::Rescale(rescale) => (&rescale.selector, rescale.partial),
            _ => continue,
        };
        let mut done: BTreeMap<usize, u32> = BTreeMap::new();
        for ((index, ..), (count, _)) in done_by(seen.entry, seen.after, seen.before, &operation.id) {
            *done.entry(index).or_default() += count;
        }
        if partial == Partial::Refused && !operation.skipped.is_empty() {
            return Err(format!("{} skips items and may not", operation.id));
        }
        for (index, item) in items.iter().enumerate() {
            looked += 1;
            let got = done.remove(&index).unwrap_or_default();
            let planned = operation.items.iter().find(|planned| planned.item == index);
            let skipped = operation.skipped.iter().find(|skipped| skipped.item == index);
            let is_right = match (planned, skipped) {
                (Some(planned), None) => {
                    planned.wanted == item.count
                        && got == item.count
                        && planned.region_code == item.region_code
                        && planned.isp == item.isp
                }
                (None, Some(skipped)) => skipped.wanted == item.count && got == 0,
                (Some(_), Some(_)) | (None, None) => false,
            };
            if !is_right {
                return Err(format!(
                    "{}: item {index} asks for {}, got {got}, is planned as {planned:?} and skipped as {skipped:?}",
                    operation.id, item.count
                ));
            }
        }
        if let Some((index, count)) = done.pop_first() {
            return Err(format!("{}: nobody asked for item {index}, got {count}", operation.id));
        }
    }
    Ok(looked)
}

/// A request that names its plan does what that plan said, or nothing.
pub(super) fn what_was_planned_is_what_executes(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (_, operation) in seen.accepted() {
        let request = seen.requests.of(&operation.id);
        let Some(plan) = request.and_then(|request| request.plan.as_ref()) else { continue };
        looked += 1;
        let said = reference::as_planned(plan);
        let done = done_by(seen.entry, seen.after, seen.before, &operation.id);
        if said != done {
            return Err(format!("{} was planned as {said:?} and did {done:?}", operation.id));
        }
    }
    Ok(looked)
}

/// What `plan` says of a state is what the same request then does on it.
pub(super) fn what_was_foretold_is_what_executes(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (_, operation) in seen.accepted() {
        let request = seen.requests.of(&operation.id).filter(|request| !request.is_doubled);
        let Some(foretold) = request.and_then(|request| request.foretold.as_ref()) else { continue };
        looked += 1;
        let plan = match foretold {
            Ok(foretold) if foretold.fits => &foretold.plan,
            Ok(_) | Err(_) => {
                return Err(format!("{} was to be refused ({foretold:?}) and is accepted", operation.id));
            }
        };
        let (said, done) =
            (reference::as_planned(plan), done_by(seen.entry, seen.after, seen.before, &operation.id));
        if said != done {
            return Err(format!("{} was foretold as {said:?} and did {done:?}", operation.id));
        }
    }
    Ok(looked)
}

/// Each instance of an Add goes to the node and carrier that the rules name.
pub(super) fn it_goes_where_the_rules_say(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (before, operation) in seen.accepted() {
        let request = seen.requests.of(&operation.id);
        let (Some(request), OperationKind::Add | OperationKind::Create) = (request, operation.kind) else {
            continue;
        };
        let Some(app) = operation.subject.app() else { continue };
        let found = before.apps.get(app).ok_or_else(|| format!("{app} is not there"))?;
        let (level, items) = match &request.command.change {
            Change::Create(create) => (create.level, &create.selector),
            Change::Rescale(rescale) => (rescale.level, &rescale.selector),
            _ => continue,
        };
        let ruled = match level {
            Level::InstanceId => reference::named(before, app, Direction::Add, items),
            Level::AreaIspCode | Level::RegionId => {
                reference::add(before, app, (found.strategy, found.resources), level, items)
            }
        };
        let done = done_by(seen.entry, seen.after, seen.before, &operation.id);
        looked += done.len() as u64;
        compare(&operation.id, ruled, &operation.skipped, &done)?;
    }
    Ok(looked)
}

/// Compares what the rules say with what was done.
pub(super) fn compare(
    operation: &OperationId,
    ruled: Result<Vec<Done>, reference::Why>,
    skipped: &[ensemble_model::operation::SkippedItem],
    done: &Tally,
) -> Result<(), String> {
    let ruled = ruled.map_err(|why| format!("{operation} is to be refused ({why:?}) and is accepted"))?;
    let said = reference::as_done(&ruled);
    if said != *done {
        return Err(format!("{operation} is to do {said:?} and did {done:?}"));
    }
    let short: Vec<usize> = ruled.iter().filter(|item| item.missing > 0).map(|item| item.index).collect();
    let mut named: Vec<usize> = skipped.iter().map(|item| item.item).collect();
    let mut short = short;
    short.sort_unstable();
    named.sort_unstable();
    if short != named {
        return Err(format!("{operation} has to skip {short:?} and skips {named:?}"));
    }
    Ok(())
}

/// What an operation planned or released on request in this entry, in the words of the reference.
pub(crate) fn done_by(entry: &Entry, after: &Shadow, before: &Shadow, operation: &OperationId) -> Tally {
    let mut tally = Tally::new();
    for event in &entry.events {
        match event {
            Event::InstancesPlanned { operation: by, placements, .. } if by == operation => {
                for placement in placements {
                    let key = (placement.item, placement.node.clone(), placement.isp.clone());
                    let (count, hosts) = tally.entry(key).or_default();
                    *count += placement.instances.len() as u32;
                    hosts.extend(placement.instances.iter().filter_map(|planned| planned.host.clone()));
                }
            }
            Event::InstancesReleasing { operation: by, instances, cause: ReleaseCause::Asked, .. }
                if by == operation =>
            {
                for released in instances {
                    let found = before.instances.get(&released.id).or(after.instances.get(&released.id));
                    let Some(found) = found else { continue };
                    let key = (released.item, found.node.clone(), found.isp.clone());
                    let (count, victims) = tally.entry(key).or_default();
                    *count += 1;
                    victims.push(released.id.clone());
                }
            }
            _ => {}
        }
    }
    reference::sorted(tally)
}
