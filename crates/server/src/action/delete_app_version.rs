//! DeleteAppVersion, ours: forgets a version that no instance carries (`decisions.md` §9.10).

use super::{Answer, Context, client_token};
use ensemble_model::command::{Change, DeleteAppVersion};
use ensemble_model::id::{AppId, VersionName};
use ensemble_model::permit::Permit;
use ensemble_wire::action::delete_app_version::{Request, Response};
use ensemble_wire::error::Error;

pub(super) async fn handle(context: &Context, permit: Permit, request: Request) -> Result<Answer, Error> {
    let token = client_token(context, request.client_token.as_deref());
    let change = Change::DeleteVersion(DeleteAppVersion {
        app: AppId::new(request.app_id),
        version: VersionName::new(request.app_version),
        if_revision: request.if_revision,
    });
    let accepted = context.submit(permit, change, token).await?;
    Ok(Answer::accepted(&Response { request_id: accepted.operation.to_string() }, &accepted))
}
