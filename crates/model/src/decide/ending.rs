//! When and how operations end, and the sentences that say so (`decisions.md` §2.3, §2.5, §9.3, §9.4).

use super::draft::Draft;
use super::{moving, rolling};
use crate::application::Phase;
use crate::event::Event;
use crate::id::{AppId, EdgeNodeId, OperationId};
use crate::operation::{Operation, OperationKind, OperationStatus, TargetState, Undoing};
use crate::refusal::{listed, utc};
use crate::state::State;
use std::collections::BTreeMap;

/// How many selector items one description lists.
const ITEMS_LISTED: usize = 20;

/// Ends `operation` if nothing of it is left to wait for. An operation that adds is done once every instance is
/// ready at the same moment, one that releases once every victim is confirmed gone. What cannot be reached is not waited
/// for: then it has failed.
pub(super) fn settle(draft: &mut Draft, operation: &OperationId) {
    moving::advance(draft, operation);
    moving::give_up_stranded(draft, operation);
    rolling::advance(draft, operation);
    let Some(operation) = draft.state.operations.get(operation).filter(|operation| operation.is_running())
    else {
        return;
    };
    if operation.tally.waiting > 0 {
        return;
    }
    let operation = operation.clone();
    if let Some(cause) = operation.undoing {
        undone(draft, &operation, cause);
    } else if operation.tally.out_of_reach > 0 {
        let cause =
            format!("only what cannot be reached is left ({})", out_of_reach(&draft.state, &operation));
        let texts = failure(&operation, &cause);
        end(draft, &operation, OperationStatus::Failed, texts);
    } else if operation.tally.given_up > 0 {
        let texts = failure(&operation, "nothing is left to try");
        end(draft, &operation, OperationStatus::Failed, texts);
    } else {
        rolling::settle_stable_version(draft, &operation);
        let text = success(&operation);
        end(draft, &operation, OperationStatus::Succeeded, (text.clone(), text));
    }
    if let Some(app) = operation.subject.app() {
        vanish(draft, app);
    }
}

/// The same of whatever is under way on `app`: what a move waits for need not be among its own instances.
pub(super) fn settle_running(draft: &mut Draft, app: &AppId) {
    let running = draft.state.applications.get(app).and_then(|application| application.operation.clone());
    if let Some(running) = running {
        settle(draft, &running);
    }
}

fn success(operation: &Operation) -> String {
    let (done, wanted) = (operation.done(), operation.wanted() as u32);
    let of_wanted = format!("{done} of {}", instances(wanted));
    match operation.kind {
        OperationKind::Create | OperationKind::Add if wanted == 0 => "create application success".to_owned(),
        OperationKind::Create => format!("create application success: {of_wanted} ready"),
        OperationKind::Add => format!("add success: {of_wanted} ready"),
        OperationKind::Del => format!("release success: {of_wanted} gone"),
        OperationKind::Delete => format!("delete application success: {of_wanted} gone"),
        // The documentation's own words (ens-api.md §1.2).
        OperationKind::Upgrade => {
            let to = operation.rollout.as_ref().map(|rollout| rollout.to.to_string()).unwrap_or_default();
            format!("update to version:{to} success: {of_wanted}")
        }
        OperationKind::Move => format!("move success: {of_wanted} moved"),
        OperationKind::Immediate => "done".to_owned(),
    }
}

/// Ends `operation` because its time is up, with what is done by now.
pub(super) fn expire(draft: &mut Draft, operation: &OperationId) {
    let Some(operation) = draft.state.operations.get(operation).cloned() else { return };
    match operation.undoing {
        Some(cause) => undone(draft, &operation, cause),
        None => {
            let cause =
                with_held(&draft.state, &operation, format!("timeout after {} s", operation.timeout_s));
            let texts = failure(&operation, &cause);
            end(draft, &operation, OperationStatus::Failed, texts);
        }
    }
}

/// Ends `operation` because somebody canceled it, with what is done by now.
pub(super) fn keep(draft: &mut Draft, operation: &OperationId) {
    let Some(operation) = draft.state.operations.get(operation).cloned() else { return };
    let cause = with_held(&draft.state, &operation, "canceled, what was done is kept".to_owned());
    let texts = failure(&operation, &cause);
    end(draft, &operation, OperationStatus::Canceled, texts);
}

/// Ends a rollout that stopped by itself.
pub(super) fn stopped(draft: &mut Draft, operation: &Operation, cause: &str) {
    let texts = failure(operation, cause);
    end(draft, operation, OperationStatus::Failed, texts);
}

/// Ends an operation that went back to what was before, as far as that was possible.
fn undone(draft: &mut Draft, operation: &Operation, cause: Undoing) {
    let (status, why) = match cause {
        Undoing::Canceled => (OperationStatus::Canceled, "canceled".to_owned()),
        Undoing::TimedOut => (OperationStatus::Failed, format!("timeout after {} s", operation.timeout_s)),
        Undoing::Broken => {
            (OperationStatus::Failed, "stopped, the new version does not become ready".to_owned())
        }
    };
    let went = if operation.kind == OperationKind::Upgrade { "back" } else { "gone" };
    let mut text = format!("{why} and undone: {} {went}", instances(operation.settled() as u32));
    let left = operation.tally.waiting + operation.tally.out_of_reach;
    if left > 0 {
        text.push_str(&format!(", {left} still to go"));
    }
    if matches!(operation.kind, OperationKind::Del | OperationKind::Upgrade) {
        text.push_str(&format!(", {} kept", operation.tally.given_up));
    }
    end(draft, operation, status, (text.clone(), text));
}

/// Ends `operation` in favour of `successor`.
pub(super) fn supersede(draft: &mut Draft, operation: &OperationId, successor: &OperationId) {
    let Some(operation) = draft.state.operations.get(operation).cloned() else { return };
    let outcome = format!("superseded by DeleteApplication `{successor}` with {}", progress(&operation));
    end(draft, &operation, OperationStatus::Superseded, (outcome.clone(), outcome));
}

/// An application that is being deleted goes with its last instance, also after DELETE_FAILED.
pub(super) fn vanish(draft: &mut Draft, app: &AppId) {
    let Some(application) = draft.state.applications.get(app) else { return };
    let deleting = matches!(application.phase, Phase::Deleting | Phase::DeleteFailed);
    if deleting && application.operation.is_none() && draft.state.instances_of(app).next().is_none() {
        draft.emit(Event::ApplicationDeleted { app: app.clone() });
    }
}

/// `1 instance`, `6 instances`.
pub(super) fn instances(count: u32) -> String {
    if count == 1 { "1 instance".into() } else { format!("{count} instances") }
}

fn end(
    draft: &mut Draft,
    operation: &Operation,
    status: OperationStatus,
    (outcome, description): (String, String),
) {
    draft.emit(Event::OperationEnded { operation: operation.id.clone(), status, outcome, description });
}

/// Outcome and description of an operation that did not do all it was asked to.
fn failure(operation: &Operation, cause: &str) -> (String, String) {
    let outcome = format!("{cause}: {}", progress(operation));
    let items = by_item(operation);
    let description = if items.is_empty() { outcome.clone() } else { format!("{outcome}; {items}") };
    (outcome, description)
}

fn progress(operation: &Operation) -> String {
    let (done, wanted) = (operation.settled(), operation.wanted());
    match operation.kind {
        _ if operation.is_taken_back() => format!("{done} of {wanted} taken back"),
        OperationKind::Create | OperationKind::Add => format!("{done} of {wanted} ready"),
        OperationKind::Move => format!("{done} of {wanted} moved"),
        OperationKind::Upgrade => format!("{done} of {wanted} run the new version"),
        OperationKind::Del | OperationKind::Delete | OperationKind::Immediate => {
            let mut text = format!("{done} of {wanted} gone, {} still stopping", operation.tally.waiting);
            if operation.tally.out_of_reach > 0 {
                text.push_str(&format!(", {} held", operation.tally.out_of_reach));
            }
            text
        }
    }
}

/// `cause`, and what of the operation cannot be reached, which stays.
fn with_held(state: &State, operation: &Operation, cause: String) -> String {
    match operation.tally.out_of_reach {
        0 => cause,
        _ => format!("{cause} ({})", out_of_reach(state, operation)),
    }
}

/// ``2 on `cn-wuxi-…` held: unreachable since 2026-11-25 12:00:05 UTC``.
fn out_of_reach(state: &State, operation: &Operation) -> String {
    let mut nodes: BTreeMap<&EdgeNodeId, u32> = BTreeMap::new();
    for target in operation.targets.iter().filter(|target| target.state == TargetState::OutOfReach) {
        *nodes.entry(&target.node).or_default() += 1;
    }
    listed(nodes.into_iter().map(|(node, count)| {
        let since = state.unreachable_since(node).map(|since| format!(" since {}", utc(since)));
        format!("{count} on `{node}` held: unreachable{}", since.unwrap_or_default())
    }))
}

/// `item 0 (310100/cmcc): 2/2, item 1 (cn-shanghai-cmcc): 1/4`.
fn by_item(operation: &Operation) -> String {
    let mut done: BTreeMap<usize, u32> = BTreeMap::new();
    for target in operation.targets.iter().filter(|target| target.state == TargetState::Done) {
        *done.entry(target.item).or_default() += 1;
    }
    let items = operation.items.iter().take(ITEMS_LISTED).map(|item| {
        let isp = item.isp.as_ref().map(|isp| format!("/{isp}")).unwrap_or_default();
        let place = match item.region_code.as_deref().filter(|code| !code.is_empty()) {
            None if item.by_name => "by name",
            code => code.unwrap_or("All"),
        };
        let done = done.get(&item.item).copied().unwrap_or(0);
        format!("item {} ({place}{isp}): {done}/{}", item.item, item.wanted)
    });
    let mut text = items.collect::<Vec<_>>().join(", ");
    if operation.items.len() > ITEMS_LISTED {
        text.push_str(&format!(", and {} items more", operation.items.len() - ITEMS_LISTED));
    }
    text
}
