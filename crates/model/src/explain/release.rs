//! Why a Del that names no instance takes those it takes: the rule of `decisions.md` §1.8 for each, and why others stay.

use super::reasons::Groups;
use super::{ExplainedInstance, ExplainedItem, ExplainedPlacement, Names};
use crate::id::EdgeNodeId;
use crate::instance::{Instance, InstanceStatus, Origin};
use crate::placement::problem::Counts;
use crate::placement::scope::{Chains, Extent, ScopedItem, resolve};
use crate::placement::{ReleaseRequest, SelectorFault};
use crate::plan::{Placement, Plan, PlannedItem};
use crate::refusal::utc;
use crate::state::State;

pub(super) fn of_del(
    state: &State,
    request: &ReleaseRequest<'_>,
    names: &Names<'_>,
    plan: &Plan,
) -> Result<Vec<ExplainedItem>, SelectorFault> {
    let fleet = state.fleet();
    let chains = Chains::of(fleet);
    let scoped = resolve(fleet, request.level, request.items, request.excluded)?;
    let counts = Counts::of(state, Some(request.app));
    let mut explained = Vec::with_capacity(scoped.len());
    for item in &scoped {
        let Some(planned) = plan.items.iter().find(|planned| planned.index == item.index) else { continue };
        let placements = planned.placements.iter();
        let placements = placements.map(|placement| taken(state, request, item, placement, names)).collect();
        let mut groups = Groups::default();
        for place in item.nodes(fleet, &chains) {
            let node = &fleet.nodes[place].id;
            let kept = counts.on(node);
            if kept > 0 && !planned.placements.iter().any(|placement| placement.node == *node) {
                groups.add(node, why_kept(state, request, planned, node, (kept, names)));
            }
        }
        explained.push(ExplainedItem::of(planned, placements, groups.reasons));
    }
    Ok(explained)
}

fn taken(
    state: &State,
    request: &ReleaseRequest<'_>,
    item: &ScopedItem,
    placement: &Placement,
    names: &Names<'_>,
) -> ExplainedPlacement {
    let rest = match &item.extent {
        Extent::Node(_) => "newest".to_owned(),
        Extent::District { .. } | Extent::Country => format!("newest where {} has most", names.app),
    };
    let victims = placement.instances.iter().filter_map(|victim| state.instances.get(victim));
    let instances: Vec<ExplainedInstance> = victims
        .map(|victim| ExplainedInstance {
            id: victim.shown_id().clone(),
            reason: condition(state, victim, request).unwrap_or_else(|| rest.clone()),
        })
        .collect();
    ExplainedPlacement {
        node: placement.node.clone(),
        isp: placement.isp.clone(),
        before: placement.before,
        after: placement.before.saturating_sub(placement.count),
        reason: counted(&instances),
        instances,
    }
}

/// `1 failed, 2 newest`.
fn counted(instances: &[ExplainedInstance]) -> String {
    let mut groups: Vec<(&str, u32)> = Vec::new();
    for ExplainedInstance { reason, .. } in instances {
        match groups.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => groups.push((reason, 1)),
        }
    }
    let words: Vec<String> = groups.into_iter().map(|(why, count)| format!("{count} {why}")).collect();
    words.join(", ")
}

/// What puts an instance before sound ones, or behind them.
fn condition(state: &State, victim: &Instance, request: &ReleaseRequest<'_>) -> Option<String> {
    if victim.status() == InstanceStatus::Unknown {
        return Some(match state.unreachable_since(&victim.node) {
            Some(since) => format!("held: unreachable since {}", utc(since)),
            None => "held: not heard of yet".to_owned(),
        });
    }
    if victim.origin == Origin::Hosted {
        return Some("hosted: given back, for want of others".to_owned());
    }
    if victim.status() == InstanceStatus::Failed {
        Some("failed".to_owned())
    } else if !victim.ready {
        Some("not ready".to_owned())
    } else if victim.version != *request.stable_version {
        Some(format!("of version {}", victim.version))
    } else {
        None
    }
}

/// Why nothing on `node` is taken.
fn why_kept(
    state: &State,
    request: &ReleaseRequest<'_>,
    planned: &PlannedItem,
    node: &EdgeNodeId,
    (kept, names): (u32, &Names<'_>),
) -> String {
    let app = names.app;
    let mut words = format!("keeps its {kept} of {app}");
    let of_app = |instance: &&std::sync::Arc<Instance>| instance.app == *request.app && instance.is_held();
    let protected = state.instances_on(node).filter(of_app).filter(|instance| instance.protected).count();
    if protected > 0 {
        words.push_str(&format!("; {protected} protected"));
    }
    let floor = state.applications.get(request.app).map_or(0, |found| found.resources.min_ready);
    if planned.shortage.is_some() && floor > 0 {
        words.push_str(&format!("; minReady {floor}"));
    }
    if let Some(since) = state.unreachable_since(node) {
        words.push_str(&format!("; unreachable since {}: taken last", utc(since)));
    }
    words
}
