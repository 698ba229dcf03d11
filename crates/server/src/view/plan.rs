//! `Plan` of PlanRescaleApplication (`decisions.md` §5): the core's plan in its own words.

use ensemble_model::command::{RebalanceApplication, RescaleApplication};
use ensemble_model::decide;
use ensemble_model::explain::{ExplainedItem, ExplainedPlacement};
use ensemble_model::id::EdgeNodeId;
use ensemble_model::permit::Permit;
use ensemble_model::plan::{Alternative, MovePlan, PlannedMove, Remedy, Shortage};
use ensemble_model::refusal::Refusal;
use ensemble_model::state::State;
use ensemble_wire::error::sentence;
use ensemble_wire::payload::plan as payload;

/// What RescaleApplication would do on this state, and why.
///
/// # Errors
/// A [`Refusal`] where the input itself is not sound.
pub(crate) fn plan(
    state: &State,
    permit: &Permit,
    request: &RescaleApplication,
) -> Result<payload::Plan, Refusal> {
    let answer = decide::plan(state, permit, request)?;
    let explanation = decide::explained(state, permit, request, &answer.plan)?;
    let short = decide::shortage(state, permit, request, &answer.plan)?;
    let blocked = answer.blocked.map(|refusal| match (&refusal, short) {
        (Refusal::Shortage { .. } | Refusal::TooMany { .. }, Some(short)) => sentence(&short),
        (_, _) => sentence(&refusal.to_string()),
    });
    Ok(payload::Plan {
        plan_id: answer.plan.id.to_string(),
        revision: answer.revision,
        fits: answer.fits,
        blocked,
        before: answer.before as usize,
        after: answer.after as usize,
        items: explanation.items.into_iter().map(item).collect(),
    })
}

/// Placements that a plan in one sentence lists, and instances of each.
const LISTED: usize = 8;

/// What a plan does, in one sentence: ``item 0: cn-x/cmcc 4 → 3 (i-…), cn-y 1 → 0 (i-…)``; and what stands against it.
pub(crate) fn in_words(plan: &payload::Plan) -> String {
    let mut words = Vec::new();
    for item in &plan.items {
        for (number, placement) in item.placements.iter().enumerate() {
            let isp = Some(&placement.isp_code).filter(|isp| !isp.is_empty());
            let isp = isp.map(|isp| format!("/{isp}")).unwrap_or_default();
            let ids: Vec<&str> = placement.instance_ids.iter().flatten().map(String::as_str).collect();
            let more = if ids.len() > LISTED { ", …" } else { "" };
            let ids = match ids.is_empty() {
                true => String::new(),
                false => format!(" ({}{more})", ids[..ids.len().min(LISTED)].join(", ")),
            };
            let label = if number == 0 { format!("item {}: ", item.index) } else { String::new() };
            let (node, before, after) = (&placement.ens_region_id, placement.before, placement.after);
            words.push(format!("{label}{node}{isp} {before} → {after}{ids}"));
        }
    }
    let more = words.len().saturating_sub(LISTED);
    words.truncate(LISTED);
    if more > 0 {
        words.push(format!("and {more} more"));
    }
    words.extend(plan.blocked.as_ref().map(|blocked| format!("what stands against it: {blocked}")));
    if words.is_empty() { "nothing would be done".to_owned() } else { words.join(", ") }
}

/// What stands against a rescale that does not fit, in the words a person reads; nothing when it fits by now.
pub(crate) fn shortage(state: &State, permit: &Permit, request: &RescaleApplication) -> Option<String> {
    let answer = decide::plan(state, permit, request).ok()?;
    decide::shortage(state, permit, request, &answer.plan).ok()?
}

fn item(item: ExplainedItem) -> payload::Item {
    let not_chosen = item.not_chosen.iter().flat_map(|group| {
        let named = |node: &ensemble_model::id::EdgeNodeId| payload::NotChosen {
            ens_region_id: node.to_string(),
            reason: group.reason.clone(),
        };
        group.nodes.iter().map(named).collect::<Vec<_>>()
    });
    payload::Item {
        index: item.index,
        wanted: item.wanted,
        placed: item.placed,
        not_chosen: not_chosen.collect(),
        not_chosen_count: item.not_chosen.iter().map(|group| group.count).sum(),
        placements: item.placements.into_iter().map(placement).collect(),
        shortage: item.shortage.map(shortage_of),
    }
}

fn placement(placement: ExplainedPlacement) -> payload::Placement {
    let ids: Vec<String> = placement.instances.iter().map(|chosen| chosen.id.to_string()).collect();
    let instances = placement.instances.into_iter();
    payload::Placement {
        ens_region_id: placement.node.to_string(),
        isp_code: placement.isp.to_string(),
        before: placement.before,
        after: placement.after,
        instance_ids: (!ids.is_empty()).then_some(ids),
        instances: instances
            .map(|chosen| payload::Chosen { instance_id: chosen.id.to_string(), reason: chosen.reason })
            .collect(),
        reason: placement.reason,
    }
}

fn shortage_of(shortage: Shortage) -> payload::Shortage {
    let alternative = |other: Alternative| payload::Alternative {
        region_code: other.region_code,
        isp_code: other.isp.map(|isp| isp.to_string()),
        room: other.room,
    };
    payload::Shortage {
        missing: shortage.missing,
        alternatives: shortage.alternatives.into_iter().map(alternative).collect(),
        remedies: shortage.remedies.into_iter().map(remedy).collect(),
    }
}

fn remedy(remedy: Remedy) -> payload::Remedy {
    let change = |change: &str| payload::Remedy { change: change.to_owned(), ..payload::Remedy::default() };
    let names = |nodes: Vec<EdgeNodeId>| nodes.iter().map(ToString::to_string).collect();
    match remedy {
        Remedy::DrainEnds { nodes, room } => {
            payload::Remedy { ens_region_ids: names(nodes), room: Some(room), ..change("DrainEnds") }
        }
        Remedy::BackInReach { nodes, room } => {
            payload::Remedy { ens_region_ids: names(nodes), room: Some(room), ..change("BackInReach") }
        }
        Remedy::SmallerSpec { spec, room } => payload::Remedy {
            instance_type: Some(spec.to_string()),
            room: Some(room),
            ..change("SmallerSpec")
        },
        Remedy::Unprotect { instances } => payload::Remedy {
            instance_ids: instances.iter().map(ToString::to_string).collect(),
            ..change("Unprotect")
        },
        Remedy::LowerMinReady { keeps } => payload::Remedy { room: Some(keeps), ..change("LowerMinReady") },
    }
}

/// What RebalanceApplication would do on this state, and what stays where it is.
///
/// # Errors
/// A [`Refusal`] where the input itself is not sound.
pub(crate) fn moves(
    state: &State,
    permit: &Permit,
    request: &RebalanceApplication,
) -> Result<payload::MovePlan, Refusal> {
    let answer = decide::plan_rebalance(state, permit, request)?;
    let moved = |planned: &PlannedMove| payload::Move {
        instance_id: planned.instance.to_string(),
        ens_region_id: planned.node.to_string(),
        isp_code: planned.isp.to_string(),
        to_ens_region_id: planned.to_node.to_string(),
        to_isp_code: planned.to_isp.to_string(),
    };
    Ok(payload::MovePlan {
        plan_id: answer.plan.id.to_string(),
        revision: answer.revision,
        fits: answer.blocked.is_none(),
        blocked: answer.blocked.map(|refusal| sentence(&refusal.to_string())),
        moves: answer.plan.moves.iter().map(moved).collect(),
        not_moved: not_moved(state, &answer.plan),
    })
}

/// What stays, as its account knows it.
pub(crate) fn not_moved(state: &State, plan: &MovePlan) -> Vec<payload::NotMoved> {
    let kept = plan.kept.iter().map(|(id, node, reason)| payload::NotMoved {
        instance_id: state.shown_id(id).to_string(),
        ens_region_id: node.to_string(),
        reason: reason.clone(),
    });
    kept.collect()
}
