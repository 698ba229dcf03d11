//! What a drain does, whenever something else has changed: instances of applications that are idle move away from the
//! node, an operation per application, as far as there is room in the scope that placed them (`decisions.md` §9.5).

use super::draft::Draft;
use super::draw::Draw;
use super::planning::{check_idle, resources_of};
use super::{ending, moving};
use crate::application::Application;
use crate::event::{AcceptedOperation, Event};
use crate::id::{AppId, EdgeNodeId};
use crate::operation::{OnTimeout, OperationKind, Subject};
use crate::placement::{MoveRequest, Purpose, excluded_now, plan_moves};
use crate::plan::MovePlan;
use crate::state::{Draining, State};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What keeps an instance on a node that is to be emptied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stays {
    pub app: AppId,
    pub plan: MovePlan,
    /// Why nothing of the application moves now, whatever the plan says.
    pub why: Option<String>,
}

/// Begins whatever moves are possible now.
pub(crate) fn pursue(draft: &mut Draft) {
    let draining: Vec<(EdgeNodeId, Draining)> =
        draft.state.draining().map(|(node, draining)| (node.clone(), draining.clone())).collect();
    for (node, draining) in draining {
        for app in applications_on(&draft.state, &node) {
            let Some(application) = draft.state.applications.get(&app).cloned() else { continue };
            let is_open = check_idle(&draft.state, &application).is_ok() && !draining.failed.contains(&app);
            if !is_open {
                continue;
            }
            let plan = moves(&draft.state, &application, &node);
            if !plan.moves.is_empty() {
                begin(draft, &application, &node, &draining, &plan);
            }
        }
    }
}

/// What is on a node that is to be emptied, by application, and why it is still there.
pub fn staying(state: &State, node: &EdgeNodeId) -> Vec<Stays> {
    let Some(draining) = state.drain_of(node) else { return Vec::new() };
    let on_node = applications_on(state, node).into_iter();
    on_node
        .filter_map(|app| {
            let application = state.applications.get(&app)?;
            let why = match check_idle(state, application) {
                Err(busy) => Some(busy.to_string()),
                Ok(()) if draining.failed.contains(&app) => {
                    Some("the last move failed; `DrainEdgeNode` again tries again".to_owned())
                }
                Ok(()) => None,
            };
            Some(Stays { plan: moves(state, application, node), why, app })
        })
        .collect()
}

fn applications_on(state: &State, node: &EdgeNodeId) -> BTreeSet<AppId> {
    let held = state.instances_on(node).filter(|instance| instance.is_held());
    held.map(|instance| instance.app.clone()).collect()
}

fn moves(state: &State, application: &Application, node: &EdgeNodeId) -> MovePlan {
    let excluded = excluded_now(state);
    // An application without a spec has no instances.
    let spec = resources_of(&application.resources).unwrap_or_default();
    let (moves_at_most, purpose) = (moving::MOVES_AT_MOST, Purpose::Empty(node));
    plan_moves(state, &MoveRequest { application, spec, excluded: &excluded, moves_at_most, purpose })
}

/// An operation of the application, called by whoever asked for the drain.
fn begin(
    draft: &mut Draft,
    application: &Application,
    node: &EdgeNodeId,
    draining: &Draining,
    plan: &MovePlan,
) {
    let before = draft.state.clone();
    let mut draw = Draw::new(&before, seed(&before, node));
    let (id, app, now) = (draw.operation(), application.id.clone(), draft.now);
    let count = ending::instances(plan.moves.len() as u32);
    draft.emit(Event::OperationAccepted {
        operation: Box::new(AcceptedOperation {
            id: id.clone(),
            account: application.account.clone(),
            subject: Subject::Application(app.clone()),
            kind: OperationKind::Move,
            action: "DrainEdgeNode".to_owned(),
            caller: draining.caller.clone(),
            parameters: Arc::clone(&draining.parameters),
            client_token: None,
            nonce: None,
            timeout_s: moving::MOVE_S,
            on_timeout: OnTimeout::Keep,
            deadline: now.log.plus_seconds(moving::MOVE_S),
            deadline_at: now.wall.plus_ms(i64::from(moving::MOVE_S) * 1_000),
            items: Vec::new(),
            skipped: Vec::new(),
            description: format!("move {count} away from `{node}`, which is drained"),
        }),
    });
    moving::begin(draft, &id, &app, &plan.moves, &mut draw);
}

/// No caller drew one: every operation has its own number, and nothing secret comes of it.
fn seed(state: &State, node: &EdgeNodeId) -> u64 {
    let start = state.next_number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    node.as_str().bytes().fold(start, |seed, byte| seed.rotate_left(7) ^ u64::from(byte))
}
