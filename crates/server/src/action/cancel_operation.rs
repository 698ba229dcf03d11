//! CancelOperation: ends a running operation before its time (`decisions.md` §9.4).

use super::rescale_application::ending;
use super::{Answer, Context, client_token};
use ensemble_model::command::{CancelOperation, Change};
use ensemble_model::id::OperationId;
use ensemble_model::permit::Permit;
use ensemble_wire::action::cancel_operation::{Request, Response};
use ensemble_wire::error::Error;

pub(super) async fn handle(context: &Context, permit: Permit, request: Request) -> Result<Answer, Error> {
    let token = client_token(context, request.client_token.as_deref());
    let change = Change::Cancel(CancelOperation {
        operation: OperationId::new(request.operation_id),
        mode: ending(request.mode),
    });
    let accepted = context.submit(permit, change, token).await?;
    Ok(Answer::accepted(&Response { request_id: accepted.operation.to_string() }, &accepted))
}
