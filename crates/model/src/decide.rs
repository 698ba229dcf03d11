//! What follows from a command, an observation or the time that has passed: events, or a refusal. Pure: no clock,
//! no randomness, no I/O. One file per command; `draft` is what decisions are written on.
//! Precedence of refusals: token, AppId, busy, IfRevision, ToAppVersion, selector, IfPlan, shortage
//! (`decisions.md` §3); permission and form come before, in the gateway.

mod cancel_operation;
mod change_node;
mod create_application;
mod delete_app_version;
mod delete_application;
mod draft;
pub(crate) mod drain;
mod draw;
mod ending;
pub(crate) mod fleet;
mod freshness;
mod modify_application;
mod moving;
pub(crate) mod observe;
mod own_instances;
mod planning;
mod protect_instances;
mod rebalance_application;
mod rescale_application;
mod rollback_application;
mod rolling;
pub(crate) mod tick;
mod upgrade_application;

use crate::application::Application;
use crate::command::{Accepted, Change, ClientToken, Command, RequestFacts};
use crate::event::{AcceptedOperation, Event};
use crate::id::AppId;
use crate::observation::Observation;
use crate::operation::{AskedItem, Caller, OnTimeout, OperationKind, OperationStatus, SkippedItem, Subject};
use crate::permit::Permit;
use crate::refusal::Refusal;
use crate::state::State;
use crate::time::{LogTime, Now, WallTime};
use serde_json::Value;
use std::sync::Arc;

pub(crate) use draft::Draft;
pub use drain::{Stays, staying};
pub use freshness::Freshness;
pub use planning::{PlanAnswer, explained, plan, shortage};
pub use rebalance_application::{MoveAnswer, plan_rebalance};
pub use tick::Attendance;
pub(crate) use tick::next_due;

/// How deep JSON that is kept as given may be nested. The log's reader stops at 128, its own levels included.
const LEVELS_AT_MOST: usize = 64;

/// What an accepted command changes, and its answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Empty when a client token came again: then nothing changes.
    pub events: Vec<Event>,
    pub accepted: Accepted,
}

/// Decides one command against `state`.
///
/// # Errors
/// The [`Refusal`] that comes first in the precedence of `decisions.md` §3.
pub fn decide(state: &State, command: &Command, now: Now) -> Result<Decision, Refusal> {
    let mut draft = Draft::on(state, now);
    let accepted = on(&mut draft, command)?;
    Ok(Decision { events: draft.into_events(), accepted })
}

/// What an engine's report changes when it is the first: transitions only, nothing when nothing is new.
pub fn observe(state: &State, observation: Observation, now: Now) -> Vec<Event> {
    let mut draft = Draft::on(state, now);
    let news = Freshness::default().sift(state, observation);
    observe::on(&mut draft, news);
    draft.into_events()
}

/// What the passing of time changes: operations whose deadline is over, engines that never reported.
pub fn tick(state: &State, attendance: &Attendance, now: Now) -> Vec<Event> {
    let mut draft = Draft::on(state, now);
    tick::on(&mut draft, attendance);
    draft.into_events()
}

/// Decides on the draft; a refusal leaves it as it was.
pub(crate) fn on(draft: &mut Draft, command: &Command) -> Result<Accepted, Refusal> {
    if let Some(accepted) = answered_before(&draft.state, command, draft.now)? {
        return Ok(accepted);
    }
    match &command.change {
        Change::Create(create) => create_application::on(draft, command, create),
        Change::Rescale(rescale) => rescale_application::on(draft, command, rescale),
        Change::Delete(delete) => delete_application::on(draft, command, delete),
        Change::Modify(modify) => modify_application::on(draft, command, modify),
        Change::Upgrade(upgrade) => upgrade_application::on(draft, command, upgrade),
        Change::Rollback(rollback) => rollback_application::on(draft, command, rollback),
        Change::DeleteVersion(delete) => delete_app_version::on(draft, command, delete),
        Change::Rebalance(rebalance) => rebalance_application::on(draft, command, rebalance),
        Change::Cancel(cancel) => cancel_operation::on(draft, command, cancel),
        Change::RunInstances(run) => own_instances::run(draft, command, run),
        Change::ReleaseInstance(release) => own_instances::release(draft, command, release),
        Change::Protect(protect) => protect_instances::on(draft, command, protect),
        Change::Node(change) => change_node::on(draft, command, change),
    }
}

/// Repeats the answer that this client token got (`decisions.md` §2.11).
fn answered_before(state: &State, command: &Command, now: Now) -> Result<Option<Accepted>, Refusal> {
    let RequestFacts { action, client_token, nonce, .. } = &command.request;
    if let Some(nonce) = nonce.as_ref().filter(|nonce| state.nonce_used(nonce)) {
        return Err(Refusal::NonceUsed { nonce: nonce.nonce.clone() });
    }
    let Some(token) = client_token else { return Ok(None) };
    answered(state, &command.permit, action, token, now.wall)
}

/// The answer that this client token got. Whoever reads the content of a request before it becomes a command asks
/// here first, since the token comes before the content; the decision itself asks again.
///
/// # Errors
/// [`Refusal::TokenReused`] when it was used for a call with other parameters.
pub fn answered(
    state: &State,
    permit: &Permit,
    action: &str,
    token: &ClientToken,
    now: WallTime,
) -> Result<Option<Accepted>, Refusal> {
    let Some(answer) = state.answered(permit.account(), action, &token.token, now) else {
        return Ok(None);
    };
    if answer.fingerprint != token.fingerprint {
        return Err(Refusal::TokenReused { token: token.token.clone() });
    }
    Ok(Some(Accepted {
        operation: answer.operation.clone(),
        app: answer.app.clone(),
        revision: answer.revision,
    }))
}

/// The account's application; another account's is refused as one that does not exist.
fn owned<'a>(state: &'a State, permit: &'a Permit, app: &AppId) -> Result<&'a Arc<Application>, Refusal> {
    state.account(permit).application(app).ok_or_else(|| Refusal::UnknownApplication { app: app.clone() })
}

fn check_revision(application: &Application, asked: Option<u64>) -> Result<(), Refusal> {
    match asked {
        Some(asked) if asked != application.revision => {
            Err(Refusal::StaleRevision { app: application.id.clone(), asked, current: application.revision })
        }
        Some(_) | None => Ok(()),
    }
}

/// What a new operation is about.
struct Asked {
    subject: Subject,
    kind: OperationKind,
    timeout_s: u32,
    on_timeout: OnTimeout,
    items: Vec<AskedItem>,
    skipped: Vec<SkippedItem>,
    description: String,
}

/// Accepts: from here on the command cannot be refused.
fn accept(draft: &mut Draft, command: &Command, asked: Asked) {
    let deadline = draft.now.log.plus_seconds(asked.timeout_s);
    accept_until(draft, command, asked, deadline);
}

/// The same, with a deadline that is not `timeout_s` from now.
fn accept_until(draft: &mut Draft, command: &Command, asked: Asked, deadline: LogTime) {
    let now = draft.now;
    let mut operation = operation(now, command, asked);
    operation.deadline = deadline;
    operation.deadline_at = now.wall.plus_ms(deadline.since(now.log));
    draft.emit(Event::OperationAccepted { operation: Box::new(operation) });
}

/// Accepts what is done in the same append: its events come between, its end is this.
fn accept_and_end(
    draft: &mut Draft,
    command: &Command,
    subject: Subject,
    outcome: &str,
    between: impl FnOnce(&mut Draft),
) -> Accepted {
    let app = subject.app().cloned();
    let asked = Asked {
        subject,
        kind: OperationKind::Immediate,
        timeout_s: 0,
        on_timeout: OnTimeout::Keep,
        items: Vec::new(),
        skipped: Vec::new(),
        description: outcome.to_owned(),
    };
    accept(draft, command, asked);
    between(draft);
    draft.emit(Event::OperationEnded {
        operation: command.request.request_id.clone(),
        status: OperationStatus::Succeeded,
        outcome: outcome.to_owned(),
        description: String::new(),
    });
    accepted(draft, command, app.as_ref())
}

fn operation(now: Now, command: &Command, asked: Asked) -> AcceptedOperation {
    let Command { permit, request, .. } = command;
    let caller = Caller {
        principal: permit.account().to_string(),
        key_id: permit.key_id().to_owned(),
        source: request.source.clone(),
    };
    AcceptedOperation {
        id: request.request_id.clone(),
        account: permit.account().clone(),
        subject: asked.subject,
        kind: asked.kind,
        action: request.action.clone(),
        caller,
        parameters: Arc::new(kept(&request.parameters)),
        client_token: request.client_token.clone(),
        nonce: request.nonce.clone(),
        timeout_s: asked.timeout_s,
        on_timeout: asked.on_timeout,
        deadline: now.log.plus_seconds(asked.timeout_s),
        deadline_at: now.wall.plus_ms(i64::from(asked.timeout_s) * 1_000),
        items: asked.items,
        skipped: asked.skipped,
        description: asked.description,
    }
}

/// The answer to an accepted command, read from what it made.
fn accepted(draft: &Draft, command: &Command, app: Option<&AppId>) -> Accepted {
    let operation = command.request.request_id.clone();
    let revision = draft.state.operations.get(&operation).map_or(0, |operation| operation.revision);
    Accepted { operation, app: app.cloned(), revision }
}

/// Parameters as the history keeps them: as text where they are nested too deep to be read back from the log.
fn kept(parameters: &Value) -> Value {
    if nests_deeper(parameters, LEVELS_AT_MOST) {
        return Value::String(parameters.to_string());
    }
    parameters.clone()
}

fn nests_deeper(value: &Value, levels: usize) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        Value::Array(_) | Value::Object(_) if levels == 0 => true,
        Value::Array(values) => values.iter().any(|value| nests_deeper(value, levels - 1)),
        Value::Object(values) => values.values().any(|value| nests_deeper(value, levels - 1)),
    }
}
