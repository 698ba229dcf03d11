//! DescribeOperation, ours: how far an accepted write is (`decisions.md` §5).

use super::{Answer, Context, unknown_operation};
use crate::view;
use crate::view::operation::Steps;
use ensemble_model::id::OperationId;
use ensemble_model::permit::Permit;
use ensemble_wire::action::describe_operation::{Request, Response};
use ensemble_wire::error::Error;

pub(super) fn handle(context: &Context, permit: &Permit, request: Request) -> Result<Answer, Error> {
    let state = context.state();
    let account = state.account(permit);
    let id = OperationId::new(request.operation_id);
    let operation = account.operation(&id).ok_or_else(|| unknown_operation(&id))?;
    let operation =
        view::operation::operation(account, operation, Steps::Shown, &context.services.engines.pulls());
    Ok(Answer::of(&Response { operation, request_id: context.request_id.clone() }))
}
