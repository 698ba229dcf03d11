//! When and how operations end, and the sentences that say so (`decisions.md` §2.3, §2.5).

use super::draft::Draft;
use crate::application::Phase;
use crate::event::Event;
use crate::id::{AppId, OperationId};
use crate::operation::{Operation, OperationKind, OperationStatus, Subject, TargetState};
use std::collections::BTreeMap;

/// How many selector items one description lists.
const ITEMS_LISTED: usize = 20;

/// Ends `operation` if nothing of it is left to wait for. An operation that adds is done once every instance is
/// ready at the same moment, one that releases once every victim is confirmed gone.
pub(super) fn settle(draft: &mut Draft, operation: &OperationId) {
    let Some(operation) = draft.state.operations.get(operation).filter(|operation| operation.is_running())
    else {
        return;
    };
    if operation.tally.waiting > 0 {
        return;
    }
    let operation = operation.clone();
    if operation.tally.given_up > 0 {
        let texts = failure(&operation, "nothing is left to try");
        end(draft, &operation, OperationStatus::Failed, texts);
        return;
    }
    let (done, wanted) = (operation.done(), operation.wanted() as u32);
    let text = match operation.kind {
        OperationKind::Create | OperationKind::Add if wanted == 0 => "create application success".to_owned(),
        OperationKind::Create => format!("create application success: {done} of {} ready", instances(wanted)),
        OperationKind::Add => format!("add success: {done} of {} ready", instances(wanted)),
        OperationKind::Del => format!("release success: {done} of {} gone", instances(wanted)),
        OperationKind::Delete => format!("delete application success: {done} of {} gone", instances(wanted)),
    };
    end(draft, &operation, OperationStatus::Succeeded, (text.clone(), text));
    let Subject::Application(app) = &operation.subject;
    vanish(draft, app);
}

/// Ends `operation` because its time is up, with what is done by now.
pub(super) fn expire(draft: &mut Draft, operation: &OperationId) {
    let Some(operation) = draft.state.operations.get(operation).cloned() else { return };
    let cause = format!("timeout after {} s", operation.timeout_s);
    let texts = failure(&operation, &cause);
    end(draft, &operation, OperationStatus::Failed, texts);
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
    let (done, wanted) = (operation.done(), operation.wanted());
    if operation.kind.adds() {
        return format!("{done} of {wanted} ready");
    }
    format!("{done} of {wanted} gone, {} still stopping", operation.tally.waiting)
}

/// `item 0 (310100/cmcc): 2/2, item 1 (cn-shanghai-cmcc): 1/4`.
fn by_item(operation: &Operation) -> String {
    let mut done: BTreeMap<usize, u32> = BTreeMap::new();
    for target in operation.targets.iter().filter(|target| target.state == TargetState::Done) {
        *done.entry(target.item).or_default() += 1;
    }
    let items = operation.items.iter().take(ITEMS_LISTED).map(|item| {
        let region = item.region_code.as_deref().filter(|code| !code.is_empty()).unwrap_or("All");
        let isp = item.isp.as_ref().map(|isp| format!("/{isp}")).unwrap_or_default();
        let done = done.get(&item.item).copied().unwrap_or(0);
        format!("item {} ({region}{isp}): {done}/{}", item.item, item.wanted)
    });
    let mut text = items.collect::<Vec<_>>().join(", ");
    if operation.items.len() > ITEMS_LISTED {
        text.push_str(&format!(", and {} items more", operation.items.len() - ITEMS_LISTED));
    }
    text
}
