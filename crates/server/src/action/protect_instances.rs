//! ProtectInstances and UnprotectInstances: who is taken only when named (`decisions.md` §9.1).

use super::{Answer, Context, client_token};
use ensemble_model::command::{Change, ProtectInstances, Protection};
use ensemble_model::id::InstanceId;
use ensemble_model::permit::Permit;
use ensemble_wire::action::protect_instances::{Request, Response};
use ensemble_wire::error::Error;

pub(super) async fn handle(
    context: &Context,
    permit: Permit,
    request: Request,
    protection: Protection,
) -> Result<Answer, Error> {
    let token = client_token(context, request.client_token.as_deref());
    let change = Change::Protect(ProtectInstances {
        instances: request.instance_ids.into_iter().map(InstanceId::new).collect(),
        protection,
    });
    let accepted = context.submit(permit, change, token).await?;
    Ok(Answer::accepted(&Response { request_id: accepted.operation.to_string() }, &accepted))
}
