//! DescribeApplicationResourceSummary: what the account's applications have, and could have (ens-api.md §4.6).

use super::{Answer, Context};
use crate::view::summary::application_resource;
use ensemble_model::permit::Permit;
use ensemble_wire::action::describe_application_resource_summary::{Request, Response};
use ensemble_wire::payload::to_text;

pub(super) fn handle(context: &Context, permit: &Permit, request: &Request) -> Answer {
    let state = context.state();
    let shown = application_resource(state.account(permit), request.level, request.resource_type.as_deref());
    Answer::of(&Response { application_resource: to_text(&shown), request_id: context.request_id.clone() })
}
