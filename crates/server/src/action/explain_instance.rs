//! ExplainInstance, ours: why an instance is where it is, or is not there any more.

use super::{Answer, Context, unknown_instance};
use crate::view;
use ensemble_model::id::InstanceId;
use ensemble_model::permit::Permit;
use ensemble_wire::action::explain_instance::{Request, Response};
use ensemble_wire::error::Error;

pub(super) fn handle(context: &Context, permit: &Permit, request: Request) -> Result<Answer, Error> {
    let state = context.state();
    let id = InstanceId::new(request.instance_id);
    let pulls = context.services.engines.pulls();
    let instance = view::why::instance(state.account(permit), &id, &pulls)
        .ok_or_else(|| unknown_instance(id.as_str()))?;
    Ok(Answer::of(&Response { instance, request_id: context.request_id.clone() }))
}
