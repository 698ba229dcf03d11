//! RescaleApplication: adds instances or releases some, asynchronously (ens-api.md §2.2). What may be asked is
//! decided by `ensemble_model::decide`; here the request becomes its command.

use super::{Answer, Context, client_token};
use ensemble_model::command::{Change, Direction, Partial, RescaleApplication};
use ensemble_model::id::{AppId, Isp, PlanId, VersionName};
use ensemble_model::permit::Permit;
use ensemble_model::selector::{Level, SelectorItem};
use ensemble_wire::action::rescale_application::{Request, RescaleLevel, RescaleType, Response};
use ensemble_wire::error::Error;
use ensemble_wire::parameters::Flag;
use ensemble_wire::selector::Item;

pub(super) async fn handle(context: &Context, permit: Permit, request: Request) -> Result<Answer, Error> {
    let app = AppId::new(request.app_id);
    let items = match request.selector.items() {
        Ok(items) => items,
        // An unknown AppId comes before what is wrong inside the selector (`decisions.md` §3).
        Err(_) if context.state().account(&permit).application(&app).is_none() => {
            return Err(Error::unknown_application(app.as_str()));
        }
        Err(error) => return Err(error),
    };
    let token = client_token(context, request.client_token.as_deref());
    let change = Change::Rescale(RescaleApplication {
        app,
        direction: direction(request.rescale_type),
        level: level(request.level),
        selector: items.into_iter().map(selector_item).collect(),
        to_version: request.to_app_version.map(VersionName::new),
        timeout_s: request.timeout_s,
        partial: partial(request.allow_partial),
        if_revision: request.if_revision,
        if_plan: request.if_plan.map(PlanId::new),
    });
    let accepted = context.submit(permit, change, token).await?;
    Ok(Answer::of(&Response { request_id: accepted.operation.to_string() }))
}

pub(super) fn selector_item(item: Item) -> SelectorItem {
    SelectorItem { region_code: item.region_code, isp: item.isp_code.map(Isp::new), count: item.count }
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
    }
}

pub(super) fn partial(asked: Flag) -> Partial {
    match asked {
        Flag::Yes => Partial::Allowed,
        Flag::No => Partial::Refused,
    }
}
