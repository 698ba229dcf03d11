//! `Plan` of PlanRescaleApplication (`decisions.md` §5): the core's plan in its own words.

use ensemble_model::command::RescaleApplication;
use ensemble_model::decide;
use ensemble_model::explain::{ExplainedItem, ExplainedPlacement};
use ensemble_model::permit::Permit;
use ensemble_model::plan::{Alternative, Shortage};
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
    let victims: Vec<String> = placement.instances.iter().map(ToString::to_string).collect();
    payload::Placement {
        ens_region_id: placement.node.to_string(),
        isp_code: placement.isp.to_string(),
        before: placement.before,
        after: placement.after,
        instance_ids: (!victims.is_empty()).then_some(victims),
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
    }
}
