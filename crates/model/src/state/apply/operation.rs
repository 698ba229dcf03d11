//! How operations begin, turn back and end, and what that makes of their application. Total, like all of `apply`.

use super::raise_revision;
use crate::application::{Application, Phase, StatusDescription};
use crate::event::AcceptedOperation;
use crate::id::OperationId;
use crate::operation::{
    Operation, OperationKind, OperationStatus, STEPS_AT_MOST, Step, Tally, TargetState, Undoing,
};
use crate::state::{State, TokenAnswer};
use crate::time::{LogTime, Now, WallTime};
use imbl::Vector;
use std::sync::Arc;

impl State {
    pub(super) fn accept(&mut self, now: Now, accepted: &AcceptedOperation) {
        let app = accepted.subject.app();
        if let Some(app) = app {
            self.change(app, now, |application| {
                raise_revision(application);
                begin(application, now, accepted);
            });
            self.forget_failed_moves(accepted);
        }
        let revision =
            app.and_then(|app| self.applications.get(app)).map_or(0, |application| application.revision);
        let number = self.next_number;
        self.next_number = self.next_number.saturating_add(1);
        self.operations_by_account.insert((accepted.account.clone(), number), accepted.id.clone());
        if let Some(app) = app {
            self.operations_by_app.insert((app.clone(), number), accepted.id.clone());
        }
        self.deadlines.insert((accepted.deadline, accepted.id.clone()));
        self.operations.insert(accepted.id.clone(), Arc::new(operation(now, accepted, number, revision)));
        if let Some(token) = &accepted.client_token {
            let (fingerprint, at) = (token.fingerprint.clone(), now.wall);
            let (operation, app) = (accepted.id.clone(), app.cloned());
            let answer = TokenAnswer { fingerprint, at, operation, app, revision };
            self.remember_token(&accepted.account, &accepted.action, token, answer);
        }
        if let Some(nonce) = &accepted.nonce {
            self.remember_nonce(nonce, now.wall);
        }
    }

    /// Whatever is written of an application may have taken away why it could not be moved.
    fn forget_failed_moves(&mut self, accepted: &AcceptedOperation) {
        let Some(app) = accepted.subject.app().filter(|_| accepted.kind != OperationKind::Move) else {
            return;
        };
        let nodes: Vec<_> = self
            .draining
            .iter()
            .filter(|(_, draining)| draining.failed.contains(app))
            .map(|(node, _)| node.clone())
            .collect();
        for node in nodes {
            if let Some(draining) = self.draining.get_mut(&node) {
                draining.failed.remove(app);
            }
        }
    }

    /// From here on its targets are to go, or to stay; which of them is said by the events that follow.
    pub(super) fn undo(
        &mut self,
        now: Now,
        id: &OperationId,
        cause: Undoing,
        (deadline, deadline_at): (LogTime, WallTime),
    ) {
        let Some(found) = self.operations.get_mut(id).filter(|found| found.is_running()) else { return };
        let operation = Arc::make_mut(found);
        self.deadlines.remove(&(operation.deadline, id.clone()));
        operation.undoing = Some(cause);
        (operation.deadline, operation.deadline_at) = (deadline, deadline_at);
        self.deadlines.insert((deadline, id.clone()));
        let text = match cause {
            Undoing::Canceled => "canceled: goes back to what was before",
            Undoing::TimedOut => "timed out: goes back to what was before",
            Undoing::Broken => "stopped: goes back to what was before",
        };
        push_step(operation, now, text.to_owned());
        let app = operation.subject.app().cloned();
        if let Some(app) = app {
            self.change(&app, now, |application| application.status.description = text.to_owned());
        }
        self.turn_back(id);
    }

    pub(super) fn end(
        &mut self,
        now: Now,
        id: &OperationId,
        status: OperationStatus,
        outcome: &str,
        description: &str,
    ) {
        let Some(operation) = self.operations.get_mut(id).filter(|operation| operation.is_running()) else {
            return;
        };
        let operation = Arc::make_mut(operation);
        operation.status = status;
        operation.ended_at = Some(now.wall);
        operation.outcome = Some(outcome.to_owned());
        for target in operation.targets.iter_mut() {
            if matches!(target.state, TargetState::Waiting | TargetState::OutOfReach) {
                target.state = TargetState::GivenUp;
            }
        }
        let left = std::mem::take(&mut operation.tally.waiting);
        operation.tally.given_up += left + std::mem::take(&mut operation.tally.out_of_reach);
        push_step(operation, now, outcome.to_owned());
        let operation = operation.clone();
        for target in &operation.targets {
            if self.targets.get(&target.instance).is_some_and(|(owner, _)| owner == id) {
                self.targets.remove(&target.instance);
            }
        }
        self.deadlines.remove(&(operation.deadline, id.clone()));
        if let Some(schedule) = operation.rollout.as_ref().and_then(|rollout| rollout.schedule.as_ref()) {
            self.checks.remove(&(schedule.next_check, id.clone()));
        }
        self.remember_failed_move(&operation);
        if let Some(app) = operation.subject.app() {
            self.change(app, now, |application| close(application, &operation, description));
        }
        self.remember_ended(&operation.account, id, now.wall, now.wall);
    }

    /// A drain does not try again what has just failed.
    fn remember_failed_move(&mut self, operation: &Operation) {
        let failed = matches!(operation.status, OperationStatus::Failed | OperationStatus::Canceled)
            && operation.kind == OperationKind::Move;
        let Some(app) = operation.subject.app().filter(|_| failed) else { return };
        for target in operation.targets.iter().filter(|target| target.replaced_by.is_some()) {
            if let Some(draining) = self.draining.get_mut(&target.node) {
                draining.failed.insert(app.clone());
            }
        }
    }
}

fn operation(now: Now, accepted: &AcceptedOperation, number: u64, revision: u64) -> Operation {
    Operation {
        id: accepted.id.clone(),
        number,
        account: accepted.account.clone(),
        subject: accepted.subject.clone(),
        kind: accepted.kind,
        action: accepted.action.clone(),
        caller: accepted.caller.clone(),
        parameters: accepted.parameters.clone(),
        revision,
        accepted_at: now.wall,
        timeout_s: accepted.timeout_s,
        on_timeout: accepted.on_timeout,
        undoing: None,
        deadline: accepted.deadline,
        deadline_at: accepted.deadline_at,
        ended_at: None,
        status: OperationStatus::Running,
        rollout: None,
        items: accepted.items.clone(),
        targets: Vector::new(),
        tally: Tally::default(),
        made: Vector::new(),
        skipped: accepted.skipped.clone(),
        steps: Vector::unit(Step { at: now.wall, text: format!("accepted: {}", accepted.description) }),
        outcome: None,
    }
}

/// What an accepted operation makes of its application. Moving leaves the phase alone (`decisions.md` §9.5).
fn begin(application: &mut Application, now: Now, accepted: &AcceptedOperation) {
    let kind = accepted.kind;
    let (phase, step) = match kind {
        OperationKind::Create => (Phase::Creating, "DEPLOY_CONTAINER"),
        OperationKind::Add | OperationKind::Upgrade => (Phase::Updating, "DEPLOY_CONTAINER"),
        OperationKind::Del => (Phase::Updating, "RELEASE_CONTAINER"),
        OperationKind::Delete => (Phase::Deleting, "RELEASE_CONTAINER"),
        OperationKind::Move => {
            application.operation = Some(accepted.id.clone());
            return;
        }
        OperationKind::Immediate => return,
    };
    application.operation = Some(accepted.id.clone());
    application.phase = phase;
    application.status = StatusDescription {
        status: format!("{}_RUNNING", prefix(kind)),
        step: step.into(),
        description: accepted.description.clone(),
        started_at: now.wall,
    };
}

/// What the end of `operation` makes of its application.
fn close(application: &mut Application, operation: &Operation, description: &str) {
    if application.operation.as_ref() == Some(&operation.id) {
        application.operation = None;
    }
    if operation.kind != OperationKind::Immediate {
        raise_revision(application);
    }
    let (phase, end) = match (operation.status, operation.kind) {
        (OperationStatus::Running | OperationStatus::Superseded, _)
        | (_, OperationKind::Move | OperationKind::Immediate) => return,
        (OperationStatus::Succeeded, OperationKind::Delete) => (Phase::Deleting, "SUCCESS"),
        (
            OperationStatus::Succeeded,
            OperationKind::Create | OperationKind::Add | OperationKind::Del | OperationKind::Upgrade,
        ) => (Phase::Running, "SUCCESS"),
        (OperationStatus::Failed | OperationStatus::Canceled, OperationKind::Create) => {
            (Phase::CreateFailed, "FAILED")
        }
        (
            OperationStatus::Failed | OperationStatus::Canceled,
            OperationKind::Add | OperationKind::Del | OperationKind::Upgrade,
        ) => (Phase::UpdateFailed, "FAILED"),
        (OperationStatus::Failed | OperationStatus::Canceled, OperationKind::Delete) => {
            (Phase::DeleteFailed, "FAILED")
        }
    };
    application.phase = phase;
    application.status.status = format!("{}_{end}", prefix(operation.kind));
    application.status.description = description.to_owned();
    if operation.status == OperationStatus::Succeeded {
        application.status.step = "DONE".into();
    }
}

/// Steps that stay, beside the first, when there are too many.
const STEPS_KEPT: usize = STEPS_AT_MOST / 2;

pub(super) fn push_step(operation: &mut Operation, now: Now, text: String) {
    operation.steps.push_back(Step { at: now.wall, text });
    // The first one says what was asked, so it stays; the oldest after it go, many at once, since each time the rest moves.
    if operation.steps.len() > STEPS_AT_MOST {
        let mut kept = operation.steps.split_off(operation.steps.len() - STEPS_KEPT);
        kept.push_front(operation.steps[0].clone());
        operation.steps = kept;
    }
}

/// `AppStatus.StatusDescrip.status` is this with `_RUNNING`, `_SUCCESS` or `_FAILED` (ens-api.md §1.2).
fn prefix(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::Create => "CREATE",
        OperationKind::Add
        | OperationKind::Del
        | OperationKind::Move
        | OperationKind::Upgrade
        | OperationKind::Immediate => "UPDATE",
        OperationKind::Delete => "DELETE",
    }
}
