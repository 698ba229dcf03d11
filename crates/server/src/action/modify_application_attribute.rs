//! ModifyApplicationAttribute: changes what an application keeps to (`decisions.md` §9.1).

use super::{Answer, Context, client_token};
use ensemble_model::command::{Change, ModifyApplication};
use ensemble_model::id::AppId;
use ensemble_model::permit::Permit;
use ensemble_wire::action::modify_application_attribute::{Request, Response};
use ensemble_wire::error::Error;

pub(super) async fn handle(context: &Context, permit: Permit, request: Request) -> Result<Answer, Error> {
    let token = client_token(context, request.client_token.as_deref());
    let change = Change::Modify(ModifyApplication {
        app: AppId::new(request.app_id),
        min_ready: request.min_ready,
        if_revision: request.if_revision,
    });
    let accepted = context.submit(permit, change, token).await?;
    Ok(Answer::accepted(&Response { request_id: accepted.operation.to_string() }, &accepted))
}
