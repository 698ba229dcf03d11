//! Order, and how things end.

use super::Seen;
use crate::invariant::Verdict;
use crate::shadow::Shadow;
use ensemble_model::event::Event;
use ensemble_model::id::InstanceId;
use ensemble_model::operation::{OperationKind, OperationStatus};

/// The times of an entry are never before those of the one before it.
pub(super) fn log_time_never_falls(seen: &Seen<'_>) -> Verdict {
    let (before, now) = (seen.before.last.log, seen.entry.now.log);
    if now < before { Err(format!("log time {} follows {}", now.0, before.0)) } else { Ok(1) }
}

/// Nothing of a leader that was followed by another becomes durable.
pub(super) fn an_older_epoch_writes_nothing(seen: &Seen<'_>) -> Verdict {
    let (before, now) = (seen.before.epoch, seen.entry.epoch);
    if now < before { Err(format!("epoch {} writes after epoch {}", now.0, before.0)) } else { Ok(1) }
}

/// Once an operation has ended, nothing is planned, released, revived or ended in its name, nor does it go back.
pub(super) fn an_ended_operation_never_changes(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (before, event) in seen.steps() {
        let operation = match event {
            Event::OperationEnded { operation, .. }
            | Event::InstancesPlanned { operation, .. }
            | Event::InstancesRevived { operation, .. }
            | Event::OperationUndoing { operation, .. }
            | Event::InstancesReleasing { operation, .. } => operation,
            _ => continue,
        };
        looked += 1;
        match before.operations.get(operation) {
            Some(found) if found.status == OperationStatus::Running => {}
            Some(_) => return Err(format!("{operation} has ended, and then {event:?}")),
            None => return Err(format!("{operation} was never accepted, and yet {event:?}")),
        }
    }
    Ok(looked)
}

/// An instance id is given once, ever.
pub(super) fn no_instance_is_planned_twice(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    let mut here = std::collections::BTreeSet::new();
    for event in &seen.entry.events {
        let Event::InstancesPlanned { placements, .. } = event else { continue };
        for planned in placements.iter().flat_map(|placement| &placement.instances) {
            looked += 1;
            if seen.before.ever.contains(&planned.id) || !here.insert(&planned.id) {
                return Err(format!("{} is planned a second time", planned.id));
            }
        }
    }
    Ok(looked)
}

/// A write is accepted only where nothing else is under way on its application; a Delete ends what is. What is done in
/// the accepting append is never under way.
pub(super) fn one_operation_at_a_time(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (before, operation) in seen.accepted() {
        let Some(app) = operation.subject.app().filter(|_| operation.kind != OperationKind::Immediate) else {
            continue;
        };
        let Some(found) = before.apps.get(app) else {
            return Err(format!("{} is about {app}, which is not there", operation.id));
        };
        looked += 1;
        if let Some(running) = &found.running {
            return Err(format!("{} is accepted while {running} is under way", operation.id));
        }
        if found.is_deleted && operation.kind != OperationKind::Delete {
            return Err(format!("{} is accepted on {app}, which is being deleted", operation.id));
        }
    }
    Ok(looked)
}

/// An operation that adds succeeds when everything it planned is ready at that moment, one that releases when it is gone.
pub(super) fn an_operation_succeeds_only_when_all_is_done(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (before, event) in seen.steps() {
        let Event::OperationEnded { operation: id, status: OperationStatus::Succeeded, .. } = event else {
            continue;
        };
        let Some(operation) = before.operations.get(id) else { continue };
        let is_done = |target: &InstanceId| match (operation.comes(target), before.instances.get(target)) {
            (true, found) => found.is_some_and(|instance| instance.is_held() && instance.is_ready()),
            (false, found) => found.is_none(),
        };
        if operation.is_undoing {
            return Err(format!("{id} goes back and succeeds"));
        }
        if let Some(target) = operation.targets.keys().find(|target| !is_done(target)) {
            return Err(format!("{id} succeeds without {target}"));
        }
        looked += 1;
    }
    Ok(looked)
}

/// An operation that has nothing left to wait for is ended by what brought that about.
pub(super) fn an_operation_that_waits_for_nothing_has_ended(seen: &Seen<'_>) -> Verdict {
    let after: &Shadow = seen.after;
    let running = after.apps.values().filter_map(|app| app.running.as_ref());
    let mut looked = 0;
    for id in running {
        let Some(operation) = after.operations.get(id) else { continue };
        if !after.waits(operation) {
            return Err(format!("{id} waits for nothing and goes on"));
        }
        looked += 1;
    }
    Ok(looked)
}

/// An application is there as long as anything of it is, what is being released included.
pub(super) fn an_application_goes_with_its_last_instance(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (before, event) in seen.steps() {
        let Event::ApplicationDeleted { app } = event else { continue };
        looked += 1;
        if let Some((id, _)) = before.instances.iter().find(|(_, instance)| instance.app == *app) {
            return Err(format!("{app} goes before {id}"));
        }
    }
    Ok(looked)
}

/// Only a Delete takes the place of what is under way, and is accepted in the same breath.
pub(super) fn what_is_superseded_gives_way_to_a_delete(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    let events = &seen.entry.events;
    for (place, event) in events.iter().enumerate() {
        let Event::OperationEnded { operation: id, status: OperationStatus::Superseded, .. } = event else {
            continue;
        };
        looked += 1;
        let app = seen.moments[place].operations.get(id).and_then(|found| found.app.as_ref());
        let gives_way = match events.get(place + 1) {
            Some(Event::OperationAccepted { operation }) => {
                operation.kind == OperationKind::Delete && app.is_some() && app == operation.subject.app()
            }
            Some(_) | None => false,
        };
        if !gives_way {
            return Err(format!("{id} is superseded, and nothing takes its place"));
        }
    }
    Ok(looked)
}
