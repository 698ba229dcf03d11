//! RescaleApplication: adds instances or releases some, asynchronously (ens-api.md §2.2). What may be asked is
//! decided by `ensemble_model::decide`; here the request becomes its command.

use super::{Answer, Context, client_token, refusal};
use crate::view;
use ensemble_model::command::{Change, Direction, Partial, RescaleApplication};
use ensemble_model::decide::{self, PlanAnswer};
use ensemble_model::id::{AppId, InstanceId, Isp, PlanId, VersionName};
use ensemble_model::operation::OnTimeout;
use ensemble_model::permit::Permit;
use ensemble_model::refusal::Refusal;
use ensemble_model::selector::{Level, SelectorItem};
use ensemble_model::state::State;
use ensemble_wire::action::Ending;
use ensemble_wire::action::rescale_application::{Request, RescaleLevel, RescaleType, Response};
use ensemble_wire::error::{Error, Reason, sentence};
use ensemble_wire::parameters::Flag;
use ensemble_wire::selector::{Item, Selector};

pub(super) async fn handle(context: &Context, permit: Permit, request: Request) -> Result<Answer, Error> {
    let mut rescale = RescaleApplication {
        app: AppId::new(request.app_id),
        direction: direction(request.rescale_type),
        level: level(request.level),
        selector: Vec::new(),
        to_version: request.to_app_version.map(VersionName::new),
        timeout_s: request.timeout_s,
        on_timeout: ending(request.on_timeout),
        partial: partial(request.allow_partial),
        if_revision: request.if_revision,
        if_plan: request.if_plan.map(PlanId::new),
    };
    let token = client_token(context, request.client_token.as_deref());
    if let Some(accepted) = context.answered(&permit, token.as_ref())? {
        return Ok(Answer::accepted(&Response { request_id: accepted.operation.to_string() }, &accepted));
    }
    rescale.selector = selector_items(&context.state(), &permit, &rescale, &request.selector)?;
    let accepted = context.submit(permit.clone(), Change::Rescale(rescale.clone()), token).await;
    let accepted = accepted.map_err(|error| explained(context, &permit, rescale, error))?;
    Ok(Answer::accepted(&Response { request_id: accepted.operation.to_string() }, &accepted))
}

/// The items of a selector whose content has not been looked at. What comes before that content is an unknown
/// AppId, a busy application, a stale revision and an unknown version (`decisions.md` §3): only the core knows
/// these, so it is asked about a rescale without items.
pub(super) fn selector_items(
    state: &State,
    permit: &Permit,
    without_items: &RescaleApplication,
    selector: &Selector,
) -> Result<Vec<SelectorItem>, Error> {
    match selector.items() {
        Ok(items) => Ok(items.into_iter().map(selector_item).collect()),
        Err(error) => Err(match decide::plan(state, permit, without_items) {
            Err(refusal) => refusal::to_wire(refusal),
            Ok(PlanAnswer {
                blocked: Some(busy @ (Refusal::Busy { .. } | Refusal::BeingDeleted { .. })),
                ..
            }) => refusal::to_wire(busy),
            Ok(_) => error,
        }),
    }
}

/// Says what stood against it on the state as it is by now: who uses the room, what would fit, the new plan.
fn explained(context: &Context, permit: &Permit, asked: RescaleApplication, error: Error) -> Error {
    let state = context.state();
    match error.reason {
        Some(reason @ (Reason::CapacityShortage | Reason::NotEnoughInstances)) => {
            match view::plan::shortage(&state, permit, &asked) {
                Some(words) => Error::invalid(words.replace('\n', "; "))
                    .with_detail(sentence(&words))
                    .with_reason(reason),
                None => error,
            }
        }
        Some(Reason::PlanChanged) => {
            let asked = RescaleApplication { if_plan: None, ..asked };
            let Ok(plan) = view::plan::plan(&state, permit, &asked) else { return error };
            let said = error.detail.clone().unwrap_or_default();
            let error = error.with_detail(format!("{said} Now: {}", sentence(&view::plan::in_words(&plan))));
            match serde_json::to_value(plan) {
                Ok(plan) => error.with_member("Plan", plan),
                Err(_) => error,
            }
        }
        Some(_) | None => error,
    }
}

pub(super) fn selector_item(item: Item) -> SelectorItem {
    SelectorItem {
        region_code: item.region_code,
        isp: item.isp_code.map(Isp::new),
        count: item.count,
        instances: item.instance_ids.into_iter().map(InstanceId::new).collect(),
    }
}

pub(super) fn direction(asked: RescaleType) -> Direction {
    match asked {
        RescaleType::Add => Direction::Add,
        RescaleType::Del => Direction::Del,
    }
}

pub(super) fn level(asked: RescaleLevel) -> Level {
    match asked {
        RescaleLevel::AreaIspCode => Level::AreaIspCode,
        RescaleLevel::RegionId => Level::RegionId,
        RescaleLevel::InstanceId => Level::InstanceId,
    }
}

pub(super) fn ending(asked: Ending) -> OnTimeout {
    match asked {
        Ending::Keep => OnTimeout::Keep,
        Ending::Undo => OnTimeout::Undo,
    }
}

pub(super) fn partial(asked: Flag) -> Partial {
    match asked {
        Flag::Yes => Partial::Allowed,
        Flag::No => Partial::Refused,
    }
}
