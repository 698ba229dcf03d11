//! What is planned for instances that are named: there is no choice to explain, only what becomes of each.

use super::{ExplainedInstance, ExplainedItem, ExplainedPlacement};
use crate::command::Direction;
use crate::id::InstanceId;
use crate::placement::NamedRequest;
use crate::plan::{Placement, Plan};
use crate::refusal::utc;
use crate::state::State;

pub(super) fn of(state: &State, request: &NamedRequest<'_>, plan: &Plan) -> Vec<ExplainedItem> {
    let items = plan.items.iter();
    let explained = items.map(|item| {
        let placements = item.placements.iter().map(|placement| placement_of(state, request, placement));
        ExplainedItem::of(item, placements.collect(), Vec::new())
    });
    explained.collect()
}

fn placement_of(state: &State, request: &NamedRequest<'_>, placement: &Placement) -> ExplainedPlacement {
    let after = match request.direction {
        Direction::Add => placement.before.saturating_add(placement.count),
        Direction::Del => placement.before.saturating_sub(placement.count),
    };
    let instances = placement.instances.iter().map(|id| instance(state, request, id)).collect();
    ExplainedPlacement {
        node: placement.node.clone(),
        isp: placement.isp.clone(),
        before: placement.before,
        after,
        instances,
        reason: "named".to_owned(),
    }
}

fn instance(state: &State, request: &NamedRequest<'_>, id: &InstanceId) -> ExplainedInstance {
    let Some(victim) = state.instances.get(id).filter(|_| request.direction == Direction::Del) else {
        return ExplainedInstance { id: id.clone(), reason: "named: hosted as it is".to_owned() };
    };
    let mut reason = "named".to_owned();
    if victim.protected {
        reason.push_str(", though protected");
    }
    reason.push_str(match victim.host {
        Some(_) => ": given back to its owner",
        None => ": destroyed",
    });
    if let Some(since) = state.unreachable_since(&victim.node) {
        reason.push_str(&format!("; held: unreachable since {}", utc(since)));
    }
    ExplainedInstance { id: victim.shown_id().clone(), reason }
}
