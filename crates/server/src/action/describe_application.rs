//! DescribeApplication: one application down to its devices (ens-api.md §2.6).

use super::{Answer, Context};
use crate::view::Selection;
use crate::view::application::{Frame, described};
use ensemble_model::id::AppId;
use ensemble_model::permit::Permit;
use ensemble_wire::action::describe_application::{Request, Response};
use ensemble_wire::error::Error;
use ensemble_wire::payload::to_text;

pub(super) fn handle(context: &Context, permit: &Permit, request: &Request) -> Result<Answer, Error> {
    let state = context.state();
    let account = state.account(permit);
    let app = AppId::new(request.app_id.clone());
    let application = account.application(&app).ok_or_else(|| Error::unknown_application(app.as_str()))?;
    let fleet = state.fleet();
    let selection = Selection::new(request.versions.clone()).filtered(fleet, request.filter()?)?;
    let frame = Frame { fleet, selection: &selection, level: request.level, parts: request.parts };
    let shown = described(application, &account.instances(&app), &frame);
    Ok(Answer::of(&Response { application: to_text(&shown), request_id: context.request_id.clone() }))
}
