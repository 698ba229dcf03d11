//! RebalanceApplication: an operation of its application that moves instances one for one (`decisions.md` §9.5).

use super::draft::Draft;
use super::draw::Draw;
use super::planning::{check_idle, resources_of};
use super::{Asked, accept, accepted, check_revision, ending, moving, owned};
use crate::application::Application;
use crate::command::{Accepted, Command, RebalanceApplication};
use crate::operation::{OnTimeout, OperationKind, Subject};
use crate::permit::Permit;
use crate::placement::{MoveRequest, Purpose, excluded_now, plan_moves};
use crate::plan::MovePlan;
use crate::refusal::Refusal;
use crate::state::State;

/// What RebalanceApplication would do now, and what stands against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoveAnswer {
    pub plan: MovePlan,
    /// Of the application: what `IfRevision` compares.
    pub revision: u64,
    /// Why it would be refused: busy, nothing to move.
    pub blocked: Option<Refusal>,
}

/// Plans what RebalanceApplication would do on this state.
///
/// # Errors
/// A [`Refusal`] where the input itself is not sound: unknown application or revision.
pub fn plan_rebalance(
    state: &State,
    permit: &Permit,
    request: &RebalanceApplication,
) -> Result<MoveAnswer, Refusal> {
    let application = owned(state, permit, &request.app)?;
    let busy = check_idle(state, application).err();
    check_revision(application, request.if_revision)?;
    let plan = moves(state, application, request)?;
    let blocked = busy.or_else(|| check(application, request, &plan).err());
    Ok(MoveAnswer { plan, revision: application.revision, blocked })
}

pub(super) fn on(
    draft: &mut Draft,
    command: &Command,
    request: &RebalanceApplication,
) -> Result<Accepted, Refusal> {
    let application = owned(&draft.state, &command.permit, &request.app)?.clone();
    check_idle(&draft.state, &application)?;
    check_revision(&application, request.if_revision)?;
    let plan = moves(&draft.state, &application, request)?;
    check(&application, request, &plan)?;
    let asked = Asked {
        subject: Subject::Application(application.id.clone()),
        kind: OperationKind::Move,
        timeout_s: request.timeout_s,
        on_timeout: OnTimeout::Keep,
        items: Vec::new(),
        skipped: Vec::new(),
        description: format!("move {}", ending::instances(plan.moves.len() as u32)),
    };
    accept(draft, command, asked);
    let before = draft.state.clone();
    let mut draw = Draw::new(&before, command.seed);
    let id = command.request.request_id.clone();
    moving::begin(draft, &id, &application.id, &plan.moves, &mut draw);
    let accepted = accepted(draft, command, Some(&application.id));
    ending::settle(draft, &id);
    Ok(accepted)
}

fn moves(
    state: &State,
    application: &Application,
    request: &RebalanceApplication,
) -> Result<MovePlan, Refusal> {
    let excluded = excluded_now(state);
    let moves_at_most = (request.max_moves as usize).min(moving::MOVES_AT_MOST);
    let spec = resources_of(&application.resources)?;
    let purpose = Purpose::Balance;
    Ok(plan_moves(state, &MoveRequest { application, spec, excluded: &excluded, moves_at_most, purpose }))
}

fn check(application: &Application, request: &RebalanceApplication, plan: &MovePlan) -> Result<(), Refusal> {
    if request.if_plan.as_ref().is_some_and(|asked| *asked != plan.id) {
        return Err(Refusal::MovesChanged { plan: Box::new(plan.clone()) });
    }
    if plan.moves.is_empty() {
        let reason = match plan.kept.len() {
            0 => "nothing to move".to_owned(),
            kept => format!("nothing to move, {} kept where they are", ending::instances(kept as u32)),
        };
        return Err(Refusal::NothingToMove { app: application.id.clone(), reason });
    }
    Ok(())
}
