//! RollbackApplication: all instances of one version go back to an earlier one (ens-api.md §2.4).

use super::rescale_application::ending;
use super::{Answer, Context, client_token};
use ensemble_model::command::{Change, RollbackApplication};
use ensemble_model::id::{AppId, VersionName};
use ensemble_model::permit::Permit;
use ensemble_wire::action::rollback_application::{Request, Response};
use ensemble_wire::error::Error;

pub(super) async fn handle(context: &Context, permit: Permit, request: Request) -> Result<Answer, Error> {
    let token = client_token(context, request.client_token.as_deref());
    let change = Change::Rollback(RollbackApplication {
        app: AppId::new(request.app_id),
        from: VersionName::new(request.from_app_version),
        to: request.to_app_version.map(VersionName::new),
        timeout_s: request.timeout_s,
        on_timeout: ending(request.on_timeout),
        if_revision: request.if_revision,
    });
    let accepted = context.submit(permit, change, token).await?;
    Ok(Answer::accepted(&Response { request_id: accepted.operation.to_string() }, &accepted))
}
