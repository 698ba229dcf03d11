//! CancelOperation, and going back: what an operation did is kept, or taken back as far as nobody has acted on it
//! (`decisions.md` §9.4). A Delete cannot be canceled.

use super::draft::Draft;
use super::{accept_and_end, ending, tick};
use crate::command::{Accepted, CancelOperation, Command};
use crate::event::{Event, ReleaseCause, ReleasedInstance};
use crate::id::{InstanceId, OperationId};
use crate::operation::{OnTimeout, Operation, OperationKind, TargetState, Undoing};
use crate::refusal::Refusal;
use crate::state::State;

pub(super) fn on(
    draft: &mut Draft,
    command: &Command,
    cancel: &CancelOperation,
) -> Result<Accepted, Refusal> {
    let id = &cancel.operation;
    let found = draft.state.account(&command.permit).operation(id).cloned();
    let found = found.ok_or_else(|| Refusal::UnknownOperation { operation: id.clone() })?;
    check(&found)?;
    let outcome = format!("canceled {} `{id}`: {}", found.action, cancel.mode.as_str());
    let accepted = accept_and_end(draft, command, found.subject.clone(), &outcome, |_| {});
    match cancel.mode {
        OnTimeout::Keep => {
            tick::give_up_unready(draft, id, &ReleaseCause::Canceled);
            ending::keep(draft, id);
        }
        OnTimeout::Undo => undo(draft, &found, Undoing::Canceled),
    }
    Ok(accepted)
}

fn check(operation: &Operation) -> Result<(), Refusal> {
    let reason = if !operation.is_running() {
        format!("is over: {}", operation.outcome.as_deref().unwrap_or(operation.status.as_str()))
    } else if operation.kind == OperationKind::Delete {
        "deletes its application, which cannot be canceled; follow it with `DescribeOperation`".to_owned()
    } else if operation.undoing.is_some() {
        "is being undone already; follow it with `DescribeOperation`".to_owned()
    } else {
        return Ok(());
    };
    Err(Refusal::NotCancelable { operation: operation.id.clone(), reason })
}

/// Goes back to what was before `operation`, within as much time as it had.
pub(super) fn undo(draft: &mut Draft, operation: &Operation, cause: Undoing) {
    let (id, now) = (operation.id.clone(), draft.now);
    // What is moved already has no way back, and what is not stays where it is.
    if operation.kind == OperationKind::Move {
        tick::give_up_unready(draft, &id, &ReleaseCause::Canceled);
        ending::keep(draft, &id);
        return;
    }
    draft.emit(Event::OperationUndoing {
        operation: id.clone(),
        cause,
        deadline: now.log.plus_seconds(operation.timeout_s),
        deadline_at: now.wall.plus_ms(i64::from(operation.timeout_s) * 1_000),
    });
    let Some(app) = operation.subject.app().cloned() else { return };
    match operation.kind {
        OperationKind::Create | OperationKind::Add => {
            let instances = added(&draft.state, operation);
            if !instances.is_empty() {
                let (operation, cause) = (id.clone(), ReleaseCause::Undone);
                draft.emit(Event::InstancesReleasing { operation, app, cause, instances });
            }
        }
        OperationKind::Del => {
            let instances = untold(&draft.state, operation);
            if !instances.is_empty() {
                draft.emit(Event::InstancesRevived { operation: id.clone(), app, instances });
            }
        }
        // Those whose turn it is go with the settling.
        OperationKind::Delete | OperationKind::Move | OperationKind::Upgrade | OperationKind::Immediate => {}
    }
    ending::settle(draft, &id);
}

/// Whatever it added and is still held.
fn added(state: &State, operation: &Operation) -> Vec<ReleasedInstance> {
    let held = |id: &InstanceId| state.instances.get(id).is_some_and(|instance| instance.is_held());
    let targets = operation.targets.iter().filter(|target| held(&target.instance));
    targets.map(|target| ReleasedInstance { id: target.instance.clone(), item: target.item }).collect()
}

/// The victims that nobody was told to stop.
fn untold(state: &State, operation: &Operation) -> Vec<InstanceId> {
    let targets = operation.targets.iter().filter(|target| target.state == TargetState::OutOfReach);
    let ids = targets.map(|target| &target.instance);
    ids.filter(|id| state.instances.get(*id).is_some_and(|instance| instance.untold)).cloned().collect()
}

/// What the deadline of `operation` makes of it, as was chosen when it was asked for.
pub(super) fn time_out(draft: &mut Draft, id: &OperationId) {
    let Some(operation) = draft.state.operations.get(id).cloned() else { return };
    if operation.undoing.is_none() && operation.on_timeout == OnTimeout::Undo {
        undo(draft, &operation, Undoing::TimedOut);
        return;
    }
    if operation.undoing.is_none() {
        tick::give_up_unready(draft, id, &ReleaseCause::Deadline);
    }
    ending::expire(draft, id);
}
