//! DescribeEnsRegions: the edge nodes of the fleet in force (ens-api.md §7.1), with their room beside the published
//! members. Nodes are the operator's: every account sees the same.

use super::{Answer, Context};
use crate::view::district::chain;
use ensemble_model::fleet::EdgeNode;
use ensemble_model::permit::Permit;
use ensemble_model::spec::Resources as Taken;
use ensemble_model::state::State;
use ensemble_model::suggestion;
use ensemble_wire::action::describe_ens_regions::{EnsRegion, EnsRegions, Request, Resources, Response};
use ensemble_wire::error::{Error, sentence};

pub(super) fn handle(context: &Context, _permit: &Permit, request: &Request) -> Result<Answer, Error> {
    let state = context.state();
    let fleet = state.fleet();
    let ens_regions = match &request.ens_region_id {
        None => fleet.nodes.iter().map(|node| region(&state, node)).collect(),
        Some(id) => {
            let node = fleet.node(id).ok_or_else(|| unknown_node(&state, id))?;
            vec![region(&state, node)]
        }
    };
    Ok(Answer::of(&Response {
        code: 0,
        ens_regions: EnsRegions { ens_regions },
        request_id: context.request_id.clone(),
    }))
}

pub(super) fn unknown_node(state: &State, id: &str) -> Error {
    let known = state.fleet().nodes.iter().map(|node| node.id.as_str());
    let detail = format!("unknown edge node {}{}", suggestion::quoted(id), suggestion::clause(id, known));
    Error::invalid_parameter("EnsRegionId", sentence(&detail))
}

fn region(state: &State, node: &EdgeNode) -> EnsRegion {
    EnsRegion {
        area: node.area.clone(),
        en_name: node.name_en.clone(),
        ens_region_id: node.id.to_string(),
        name: node.name.clone(),
        province: node.province.clone(),
        isps: node.isps.iter().map(ToString::to_string).filter(|isp| !isp.is_empty()).collect(),
        districts: chain(state.fleet(), node).map(|district| district.code.to_string()).collect(),
        capacity: resources(node.capacity),
        used: resources(state.used(&node.id)),
        instances: state.instance_count(&node.id),
        engine: node.engine.to_string(),
    }
}

fn resources(taken: Taken) -> Resources {
    Resources { vcpu: taken.vcpu, memory_mib: taken.memory_mib }
}
