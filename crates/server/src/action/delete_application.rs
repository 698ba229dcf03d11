//! DeleteApplication: releases everything, the application with it (ens-api.md §2.5).

use super::{Answer, Context, client_token};
use ensemble_model::command::{Change, DeleteApplication};
use ensemble_model::id::AppId;
use ensemble_model::permit::Permit;
use ensemble_wire::action::delete_application::{Request, Response};
use ensemble_wire::error::Error;

pub(super) async fn handle(context: &Context, permit: Permit, request: Request) -> Result<Answer, Error> {
    let token = client_token(context, request.client_token.as_deref());
    let change = Change::Delete(DeleteApplication {
        app: AppId::new(request.app_id),
        timeout_s: request.timeout_s,
        if_revision: request.if_revision,
    });
    let accepted = context.submit(permit, change, token).await?;
    Ok(Answer::accepted(&Response { request_id: accepted.operation.to_string() }, &accepted))
}
