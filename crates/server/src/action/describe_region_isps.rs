//! DescribeRegionIsps: the carriers of one edge node, or of the fleet (ens-api.md §7.1). The nameless carrier of a node
//! without any is not one to be listed.

use super::describe_ens_regions::unknown_node;
use super::{Answer, Context};
use crate::view::carrier;
use ensemble_model::fleet::EdgeNode;
use ensemble_model::permit::Permit;
use ensemble_wire::action::describe_region_isps::{Isp, Request, Response};
use ensemble_wire::error::Error;

pub(super) fn handle(context: &Context, _permit: &Permit, request: &Request) -> Result<Answer, Error> {
    let state = context.state();
    let fleet = state.fleet();
    let nodes: Vec<&EdgeNode> = match &request.ens_region_id {
        Some(id) => vec![fleet.node(id).ok_or_else(|| unknown_node(&state, id))?],
        None => fleet.nodes.iter().collect(),
    };
    let codes = carrier::named(nodes.iter().flat_map(|node| &node.isps));
    let isp = |code: &str| Isp { code: code.to_owned(), name: carrier::name(code).to_owned() };
    Ok(Answer::of(&Response {
        request_id: context.request_id.clone(),
        isps: codes.into_iter().map(isp).collect(),
    }))
}
