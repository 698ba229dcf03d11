//! RunInstances: takes shares of edge nodes that no application manages (ens-api.md §4.7).

use super::{Answer, Context, client_token};
use ensemble_model::application::Strategy;
use ensemble_model::command::{Accepted, Change, InstanceNames, RunInstances};
use ensemble_model::fleet::{DistrictLevel, Fleet};
use ensemble_model::id::{Isp, SpecName};
use ensemble_model::own_instance::Tag;
use ensemble_model::permit::Permit;
use ensemble_model::selector::{Level, SelectorItem};
use ensemble_wire::action::run_instances::{self, AreaLevel, Request, Response};
use ensemble_wire::error::{Error, shown};
use ensemble_wire::parameters::Flag;

pub(super) async fn handle(context: &Context, permit: Permit, request: Request) -> Result<Answer, Error> {
    check_district(context.state().fleet(), &request)?;
    let token = client_token(context, request.client_token.as_deref());
    let change = Change::RunInstances(Box::new(run(request)));
    let accepted = context.submit(permit.clone(), change, token).await?;
    let response = Response {
        instance_ids: made(context, &permit, &accepted),
        order_id: accepted.operation.to_string(),
        request_id: accepted.operation.to_string(),
    };
    Ok(Answer::accepted(&response, &accepted))
}

/// Whether the district is of the level that was asked for, and the edge node in the district that was named beside it. What
/// is not known is refused where it is placed.
fn check_district(fleet: &Fleet, request: &Request) -> Result<(), Error> {
    let Some(code) = request.net_district_code.as_deref() else { return Ok(()) };
    let refused = |text: String| Err(Error::invalid_parameter("NetDistrictCode", text));
    if request.level == AreaLevel::National {
        return Ok(());
    }
    if request.level == AreaLevel::Region {
        let node = request.ens_region_id.as_deref().and_then(|id| fleet.node(id));
        return match node {
            Some(node) if !fleet.lies_in(node, code) => {
                let (id, own) = (&node.id, node.district.as_ref());
                let own = own.map(|own| format!(", which lies in {own}")).unwrap_or_default();
                refused(format!(
                    "NetDistrictCode: {} is not where edge node {id} is{own}; leave it out.",
                    shown(code)
                ))
            }
            Some(_) | None => Ok(()),
        };
    }
    let Some(district) = fleet.district(code) else {
        return match fleet.node(code) {
            Some(node) => refused(format!(
                "NetDistrictCode: {} is an edge node; ScheduleAreaLevel=Region with EnsRegionId means it.",
                node.id
            )),
            None => Ok(()),
        };
    };
    let level = level_of(district.level);
    if level == request.level {
        return Ok(());
    }
    let (level, asked) = (level.as_str(), request.level.as_str());
    let text = format!("ScheduleAreaLevel: {code} is a district of level {level}, not {asked}; use {level}.");
    // Whoever knows the code alone reads the level from here.
    Err(Error::invalid_parameter("ScheduleAreaLevel", text).with_member("ScheduleAreaLevel", level.into()))
}

fn level_of(level: DistrictLevel) -> AreaLevel {
    match level {
        DistrictLevel::National => AreaLevel::National,
        DistrictLevel::Big => AreaLevel::Big,
        DistrictLevel::Middle => AreaLevel::Middle,
        DistrictLevel::Small => AreaLevel::Small,
    }
}

/// What the call made, also when it was an earlier one that a token repeats.
fn made(context: &Context, permit: &Permit, accepted: &Accepted) -> Vec<String> {
    let state = context.state();
    let operation = state.account(permit).operation(&accepted.operation);
    operation.into_iter().flat_map(|found| &found.made).map(ToString::to_string).collect()
}

fn run(request: Request) -> RunInstances {
    RunInstances {
        spec: SpecName::new(request.instance_type),
        level: match request.level {
            AreaLevel::Region => Level::RegionId,
            AreaLevel::National | AreaLevel::Big | AreaLevel::Middle | AreaLevel::Small => Level::AreaIspCode,
        },
        item: SelectorItem {
            region_code: request.ens_region_id.or(request.net_district_code),
            isp: request.carrier.map(Isp::new),
            count: request.amount,
            instances: Vec::new(),
        },
        strategy: match request.strategy {
            run_instances::Strategy::Concentrate => Strategy::Concentrate,
            run_instances::Strategy::Disperse => Strategy::Disperse,
        },
        names: match request.unique_suffix {
            Flag::Yes => InstanceNames::Numbered(request.instance_name),
            Flag::No => InstanceNames::Same(request.instance_name),
        },
        tags: request.tags.into_iter().map(|(key, value)| Tag { key, value }).collect(),
        echoed: request.echoed,
    }
}
