//! DescribeEdgeNodes: how edge nodes stand with the operator. Nodes are everybody's to see; what stays on one is shown of
//! the caller's own.

use super::describe_ens_regions::unknown_node;
use super::{Answer, Context};
use crate::view;
use ensemble_model::decide;
use ensemble_model::id::EdgeNodeId;
use ensemble_model::permit::Permit;
use ensemble_model::state::State;
use ensemble_wire::action::describe_edge_nodes::{EdgeNode, Request, Response};
use ensemble_wire::error::{Error, sentence};
use ensemble_wire::payload::plan::NotMoved;
use ensemble_wire::time::iso;
use std::collections::BTreeSet;

pub(super) fn handle(context: &Context, permit: &Permit, request: &Request) -> Result<Answer, Error> {
    let state = context.state();
    let nodes: Vec<EdgeNodeId> = match &request.ens_region_id {
        Some(id) => {
            let node = state.fleet().node(id).ok_or_else(|| unknown_node(&state, id))?;
            vec![node.id.clone()]
        }
        None => {
            let draining = state.draining().map(|(node, _)| node);
            let nodes: BTreeSet<&EdgeNodeId> = state.unreachable().chain(draining).collect();
            nodes.into_iter().cloned().collect()
        }
    };
    Ok(Answer::of(&Response {
        edge_nodes: nodes.iter().map(|node| edge_node(&state, permit, node)).collect(),
        request_id: context.request_id.clone(),
    }))
}

fn edge_node(state: &State, permit: &Permit, node: &EdgeNodeId) -> EdgeNode {
    EdgeNode {
        ens_region_id: node.to_string(),
        reachable: state.is_reachable(node),
        unreachable_since: state.unreachable_since(node).map(|since| iso(since.0)),
        draining_since: state.drain_of(node).map(|drain| iso(drain.since.0)),
        instances: state.instance_count(node),
        stays: stays(state, permit, node),
    }
}

/// Nobody but its account moves what exists by itself.
const BARE: &str = "exists by itself and is never moved; `ReleaseInstance` gives it up";

fn stays(state: &State, permit: &Permit, node: &EdgeNodeId) -> Vec<NotMoved> {
    let mut found = Vec::new();
    if state.drain_of(node).is_some() {
        found.extend(state.account(permit).bare_instances_on(node).map(|own| NotMoved {
            instance_id: own.id.to_string(),
            ens_region_id: node.to_string(),
            reason: BARE.to_owned(),
        }));
    }
    for staying in decide::staying(state, node) {
        if state.account(permit).application(&staying.app).is_none() {
            continue;
        }
        // What may move is under way, or waits for this.
        let waits = staying.why.as_ref().map_or_else(|| "moves next".to_owned(), |why| sentence(why));
        found.extend(view::plan::not_moved(state, &staying.plan));
        found.extend(staying.plan.moves.iter().map(|planned| NotMoved {
            instance_id: state.shown_id(&planned.instance).to_string(),
            ens_region_id: planned.node.to_string(),
            reason: waits.clone(),
        }));
    }
    found
}
