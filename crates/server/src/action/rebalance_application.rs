//! RebalanceApplication and its plan: moves instances to where the strategy would put them now (`decisions.md` §9.5).

use super::{Answer, Context, client_token, refusal};
use crate::view;
use ensemble_model::command::{Change, RebalanceApplication};
use ensemble_model::id::{AppId, PlanId};
use ensemble_model::permit::Permit;
use ensemble_wire::action::rebalance_application::{PlanResponse, Request, Response};
use ensemble_wire::error::{Error, Reason};

pub(super) async fn handle(context: &Context, permit: Permit, request: Request) -> Result<Answer, Error> {
    let token = client_token(context, request.client_token.as_deref());
    let asked = asked(request);
    let accepted = context.submit(permit.clone(), Change::Rebalance(asked.clone()), token).await;
    let accepted = accepted.map_err(|error| with_plan(context, &permit, asked, error))?;
    Ok(Answer::accepted(&Response { request_id: accepted.operation.to_string() }, &accepted))
}

pub(super) fn plan(context: &Context, permit: &Permit, request: Request) -> Result<Answer, Error> {
    let plan = view::plan::moves(&context.state(), permit, &asked(request)).map_err(refusal::to_wire)?;
    Ok(Answer::of(&PlanResponse { plan, request_id: context.request_id.clone() }))
}

fn asked(request: Request) -> RebalanceApplication {
    RebalanceApplication {
        app: AppId::new(request.app_id),
        max_moves: request.max_moves,
        timeout_s: request.timeout_s,
        if_revision: request.if_revision,
        if_plan: request.if_plan.map(PlanId::new),
    }
}

/// A plan that changed is refused with the new one.
fn with_plan(context: &Context, permit: &Permit, asked: RebalanceApplication, error: Error) -> Error {
    if error.reason != Some(Reason::PlanChanged) {
        return error;
    }
    let asked = RebalanceApplication { if_plan: None, ..asked };
    match view::plan::moves(&context.state(), permit, &asked).map(serde_json::to_value) {
        Ok(Ok(plan)) => error.with_member("Plan", plan),
        Ok(Err(_)) | Err(_) => error,
    }
}
