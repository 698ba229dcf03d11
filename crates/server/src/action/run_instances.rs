//! RunInstances: takes shares of edge nodes that no application manages (ens-api.md §4.7).

use super::{Answer, Context, client_token};
use ensemble_model::application::Strategy;
use ensemble_model::command::{Accepted, Change, InstanceNames, RunInstances};
use ensemble_model::id::{Isp, SpecName};
use ensemble_model::own_instance::Tag;
use ensemble_model::permit::Permit;
use ensemble_model::selector::{Level, SelectorItem};
use ensemble_wire::action::run_instances::{self, AreaLevel, Request, Response};
use ensemble_wire::error::Error;
use ensemble_wire::parameters::Flag;

pub(super) async fn handle(context: &Context, permit: Permit, request: Request) -> Result<Answer, Error> {
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
            AreaLevel::District => Level::AreaIspCode,
        },
        item: SelectorItem {
            region_code: request.place,
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
