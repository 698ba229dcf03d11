//! DrainEdgeNode, ResumeEdgeNode, LoseEdgeNode: the operator's word about an edge node (`decisions.md` §9.3, §9.5).

use super::{Answer, Context, client_token};
use ensemble_model::command::{Change, ChangeNode, NodeChange, Replacement};
use ensemble_model::id::EdgeNodeId;
use ensemble_model::permit::Permit;
use ensemble_wire::action::change_edge_node::{DRAIN_ENTRY, RESUME_ENTRY, Request, Response};
use ensemble_wire::error::Error;
use ensemble_wire::parameters::Flag;

pub(super) async fn handle(context: &Context, permit: Permit, request: Request) -> Result<Answer, Error> {
    context.check_owner(&permit)?;
    let token = client_token(context, request.client_token.as_deref());
    let change = if context.action.name == DRAIN_ENTRY.name {
        NodeChange::Drain
    } else if context.action.name == RESUME_ENTRY.name {
        NodeChange::Resume
    } else {
        let replacement = match request.replace {
            Flag::Yes => Replacement::Wanted,
            Flag::No => Replacement::None,
        };
        NodeChange::Lose { replacement, timeout_s: request.timeout_s }
    };
    let node = EdgeNodeId::new(request.ens_region_id);
    let accepted = context.submit(permit, Change::Node(ChangeNode { node, change }), token).await?;
    Ok(Answer::accepted(&Response { request_id: accepted.operation.to_string() }, &accepted))
}
