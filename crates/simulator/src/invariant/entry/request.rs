//! Who asked, for what, and how often.

use super::Seen;
use crate::invariant::Verdict;
use crate::request::Outcome;
use ensemble_model::command::Change;
use ensemble_model::event::AcceptedOperation;
use ensemble_model::event::{Event, ReleaseCause};
use ensemble_model::id::AppId;
use ensemble_model::operation::{OperationKind, OperationStatus, Subject};
use std::collections::BTreeSet;

/// All that a write changes is in the entry that accepts it, so that it is there whole or not at all.
pub(super) fn a_write_is_whole_in_its_entry(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    let here: BTreeSet<_> = seen.accepted().map(|(_, operation)| &operation.id).collect();
    for event in &seen.entry.events {
        match event {
            Event::InstancesPlanned { operation, .. }
            | Event::RolloutPlanned { operation, .. }
            | Event::InstancesReleasing { operation, cause: ReleaseCause::Asked, .. }
                if !here.contains(operation) =>
            {
                return Err(format!("a part of {operation} comes after the rest: {event:?}"));
            }
            Event::ApplicationCreated { application } => {
                let is_of_it = |kind, subject: &Subject| {
                    kind == OperationKind::Create && subject.app() == Some(&application.app)
                };
                if !seen.accepted().any(|(_, accepted)| is_of_it(accepted.kind, &accepted.subject)) {
                    return Err(format!("{} is created by no operation", application.app));
                }
            }
            _ => {}
        }
    }
    for (before, operation) in seen.accepted() {
        looked += 1;
        if let (OperationKind::Delete, Some(app)) = (operation.kind, operation.subject.app()) {
            let is_left = |id: &&ensemble_model::id::InstanceId| {
                before.instances.get(*id).is_some_and(|instance| instance.app == *app)
                    && seen.after.instances.get(*id).is_some_and(|instance| instance.is_held())
            };
            if let Some(left) = before.instances.keys().find(is_left) {
                return Err(format!("{} deletes {app} and leaves {left}", operation.id));
            }
        }
    }
    Ok(looked)
}

/// The application, the seconds and the kind that a request asks for.
fn wish(change: &Change) -> (Option<&AppId>, u32, OperationKind) {
    match change {
        Change::Create(create) => (Some(&create.app), create.timeout_s, OperationKind::Create),
        Change::Rescale(rescale) => (Some(&rescale.app), rescale.timeout_s, kind_of(rescale.direction)),
        Change::Delete(delete) => (Some(&delete.app), delete.timeout_s, OperationKind::Delete),
        Change::Rebalance(rebalance) => (Some(&rebalance.app), rebalance.timeout_s, OperationKind::Move),
        Change::Upgrade(upgrade) => (Some(&upgrade.app), upgrade.timeout_s, OperationKind::Upgrade),
        Change::Rollback(rollback) => (Some(&rollback.app), rollback.timeout_s, OperationKind::Upgrade),
        Change::DeleteVersion(delete) => (Some(&delete.app), 0, OperationKind::Immediate),
        Change::Modify(modify) => (Some(&modify.app), 0, OperationKind::Immediate),
        Change::Cancel(_)
        | Change::RunInstances(_)
        | Change::ReleaseInstance(_)
        | Change::Protect(_)
        | Change::Node(_) => (None, 0, OperationKind::Immediate),
    }
}

/// What nobody asked for by itself follows from a drain that stands, or from a node that was declared lost just now.
fn follows_from_a_wish(
    seen: &Seen<'_>,
    before: &crate::shadow::Shadow,
    operation: &AcceptedOperation,
) -> Result<(), String> {
    let is_lost = || {
        seen.entry.events.iter().any(|event| {
            matches!(event, Event::OperationAccepted { operation } if operation.action == "LoseEdgeNode" && operation.kind == OperationKind::Immediate)
        })
    };
    let follows = match (operation.kind, operation.action.as_str()) {
        (OperationKind::Move, "DrainEdgeNode") => !before.draining.is_empty(),
        (OperationKind::Add, "LoseEdgeNode") => is_lost(),
        _ => false,
    };
    if follows { Ok(()) } else { Err(format!("nobody asked for {}", operation.id)) }
}

/// Every operation of the log is a request that somebody made, of that account, about that application, with that time.
pub(super) fn only_what_was_asked_is_accepted(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (before, operation) in seen.accepted() {
        looked += 1;
        let Some(request) = seen.requests.of(&operation.id) else {
            follows_from_a_wish(seen, before, operation)?;
            continue;
        };
        let command = &request.command;
        let (asked_app, timeout_s, kind) = wish(&command.change);
        let is_asked = operation.account == *command.permit.account()
            && (asked_app.is_none() || operation.subject.app() == asked_app)
            && operation.kind == kind
            && operation.client_token == command.request.client_token
            && operation.nonce == command.request.nonce;
        if !is_asked {
            return Err(format!("{} is not what {} asked", operation.id, command.permit.account()));
        }
        // Time outside of a window does not count.
        let schedule = match &command.change {
            Change::Upgrade(upgrade) => upgrade.auto.as_ref().map(|auto| &auto.schedule),
            _ => None,
        };
        let soonest = seen.entry.now.log.plus_seconds(timeout_s);
        let is_as_asked = match schedule {
            Some(schedule) => operation.deadline >= soonest || schedule.until.is_some(),
            None => operation.deadline == soonest,
        };
        if !is_as_asked {
            return Err(format!("{} asked for {timeout_s} s and has another deadline", operation.id));
        }
    }
    Ok(looked)
}

fn kind_of(direction: ensemble_model::command::Direction) -> OperationKind {
    match direction {
        ensemble_model::command::Direction::Add => OperationKind::Add,
        ensemble_model::command::Direction::Del => OperationKind::Del,
    }
}

/// What was refused never becomes an operation.
pub(super) fn a_refusal_leaves_no_event(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (_, operation) in seen.accepted() {
        // One that was sent twice may be refused the first time and accepted the second.
        let request = seen.requests.of(&operation.id).filter(|request| !request.is_doubled);
        if let Some(Outcome::Refused(refusal)) = request.map(|request| &request.outcome) {
            return Err(format!("{} was refused ({refusal}) and is in the log", operation.id));
        }
        looked += 1;
    }
    Ok(looked)
}

/// Within 24 hours a client token is accepted once, whatever died in between.
pub(super) fn one_execution_per_client_token(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (before, operation) in seen.accepted() {
        let Some(token) = &operation.client_token else { continue };
        let key = (operation.account.clone(), operation.action.clone(), token.token.clone());
        if let Some(first) = before.token(&key, seen.entry.now.wall) {
            return Err(format!("{} repeats the token of {}", operation.id, first.operation));
        }
        looked += 1;
    }
    Ok(looked)
}

/// A signed request is accepted once.
pub(super) fn one_execution_per_nonce(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (before, operation) in seen.accepted() {
        let Some(nonce) = &operation.nonce else { continue };
        if let Some(first) = before.nonces.get(&(nonce.key_id.clone(), nonce.nonce.clone())) {
            return Err(format!("{} was signed with the nonce of {first}", operation.id));
        }
        looked += 1;
    }
    Ok(looked)
}

/// A write that names a revision is accepted on that revision only.
pub(super) fn a_stale_write_is_refused(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    let events = &seen.entry.events;
    for (place, event) in events.iter().enumerate() {
        let Event::OperationAccepted { operation } = event else { continue };
        let Some(request) = seen.requests.of(&operation.id) else { continue };
        let Some(app) = operation.subject.app() else { continue };
        // A Delete first ends what is under way, which raises the revision that it was decided on.
        let last = place.checked_sub(1).and_then(|last| events.get(last));
        let has_ended =
            matches!(last, Some(Event::OperationEnded { status: OperationStatus::Superseded, .. }));
        let before = &seen.moments[place - usize::from(has_ended)];
        let named = match &request.command.change {
            Change::Create(_) => None,
            Change::Rescale(rescale) => rescale.if_revision,
            Change::Delete(delete) => delete.if_revision,
            Change::Modify(modify) => modify.if_revision,
            Change::Rebalance(rebalance) => rebalance.if_revision,
            Change::Upgrade(upgrade) => upgrade.if_revision,
            Change::Rollback(rollback) => rollback.if_revision,
            Change::DeleteVersion(delete) => delete.if_revision,
            Change::Cancel(_)
            | Change::RunInstances(_)
            | Change::ReleaseInstance(_)
            | Change::Protect(_)
            | Change::Node(_) => None,
        };
        let Some(named) = named else { continue };
        let found = before.apps.get(app).map(|app| app.revision);
        if found != Some(named) {
            return Err(format!("{} is for revision {named}, {app} is at {found:?}", operation.id));
        }
        looked += 1;
    }
    Ok(looked)
}

/// What is done in the name of an operation is done to its own account's application and instances.
pub(super) fn an_operation_stays_in_its_account(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (before, event) in seen.steps() {
        let (operation, app) = match event {
            // The operator's word is about a node, whoever's instances are on it.
            Event::InstancesReleasing { cause: ReleaseCause::NodeLost, .. } => continue,
            Event::InstancesPlanned { operation, app, .. }
            | Event::InstancesRedeployed { operation, app, .. }
            | Event::InstancesReleasing { operation, app, .. } => (operation, app),
            _ => continue,
        };
        looked += 1;
        let account = before.operations.get(operation).map(|operation| &operation.account);
        let owner = before.apps.get(app).map(|app| &app.account);
        if account.is_none() || account != owner {
            return Err(format!("{operation} of {account:?} changes {app} of {owner:?}"));
        }
        if let Event::InstancesReleasing { instances, .. } = event {
            let owner_of = |id| before.instances.get(id).map(|instance| &instance.account);
            if let Some(released) = instances.iter().find(|released| owner_of(&released.id) != account) {
                return Err(format!("{operation} of {account:?} releases {} of another", released.id));
            }
        }
    }
    Ok(looked)
}
