//! ReleaseInstance: gives up an instance that no application manages (ens-api.md §4.7).

use super::{Answer, Context, client_token};
use ensemble_model::command::{Change, ReleaseInstance};
use ensemble_model::id::InstanceId;
use ensemble_model::permit::Permit;
use ensemble_wire::action::release_instance::{RESOURCE_TYPE, Request, Response};
use ensemble_wire::error::Error;

pub(super) async fn handle(context: &Context, permit: Permit, request: Request) -> Result<Answer, Error> {
    let token = client_token(context, request.client_token.as_deref());
    let change = Change::ReleaseInstance(ReleaseInstance { instance: InstanceId::new(request.instance_id) });
    let accepted = context.submit(permit, change, token).await?;
    Ok(Answer::accepted(
        &Response { resource_type: RESOURCE_TYPE.to_owned(), request_id: accepted.operation.to_string() },
        &accepted,
    ))
}
