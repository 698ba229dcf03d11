//! PlanRescaleApplication: what RescaleApplication would do now, and what stands against it (`decisions.md` §5).

use super::rescale_application::{direction, level, partial, selector_items};
use super::{Answer, Context, refusal};
use crate::view;
use ensemble_model::command::RescaleApplication;
use ensemble_model::id::{AppId, VersionName};
use ensemble_model::operation::OnTimeout;
use ensemble_model::permit::Permit;
use ensemble_wire::action::plan_rescale_application::{Request, Response};
use ensemble_wire::error::Error;

pub(super) fn handle(context: &Context, permit: &Permit, request: Request) -> Result<Answer, Error> {
    let state = context.state();
    let mut rescale = RescaleApplication {
        app: AppId::new(request.app_id),
        selector: Vec::new(),
        direction: direction(request.rescale_type),
        level: level(request.level),
        to_version: request.to_app_version.map(VersionName::new),
        timeout_s: 0,
        on_timeout: OnTimeout::Keep,
        partial: partial(request.allow_partial),
        if_revision: request.if_revision,
        if_plan: None,
    };
    rescale.selector = selector_items(&state, permit, &rescale, &request.selector)?;
    let plan = view::plan::plan(&state, permit, &rescale).map_err(refusal::to_wire)?;
    Ok(Answer::of(&Response { plan, request_id: context.request_id.clone() }))
}
