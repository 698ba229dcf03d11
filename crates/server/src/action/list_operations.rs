//! ListOperations: the account's writes, newest first (`decisions.md` §5).

use super::{Answer, Context};
use crate::view::operation::{Steps, operation};
use ensemble_model::id::AppId;
use ensemble_model::operation::Operation;
use ensemble_model::permit::Permit;
use ensemble_wire::action::Page;
use ensemble_wire::action::list_operations::{Request, Response};
use ensemble_wire::error::Error;
use std::sync::Arc;

pub(super) fn handle(context: &Context, permit: &Permit, request: &Request) -> Result<Answer, Error> {
    let state = context.state();
    let account = state.account(permit);
    let app = request.app_id.clone().map(AppId::new);
    let mut found: Vec<&Arc<Operation>> = account.operations(app.as_ref());
    if let (Some(app), true) = (&app, found.is_empty()) {
        // Operations outlive their application, so that one without any may be gone, or may never have been.
        account.application(app).ok_or_else(|| Error::unknown_application(app.as_str()))?;
    }
    found
        .retain(|operation| request.status.as_deref().is_none_or(|asked| asked == operation.status.as_str()));
    let pulls = context.services.engines.pulls();
    let total_count = found.len();
    let page = request.page.unwrap_or(Page { number: 1, size: total_count });
    Ok(Answer::of(&Response {
        operations: page
            .of(found)
            .into_iter()
            .map(|found| operation(account, found, Steps::LeftOut, &pulls))
            .collect(),
        page_number: page.number,
        page_size: page.size,
        total_count,
        request_id: context.request_id.clone(),
    }))
}
