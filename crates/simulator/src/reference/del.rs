//! Which instances a Del takes, by `decisions.md` §1.8, §9.1 and §9.2: for each victim all that are left are looked at anew.

use super::{Asked, Done, Pick, floor};
use crate::shadow::{Instance, Shadow};
use ensemble_model::id::{AppId, EdgeNodeId, InstanceId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Takes item by item; one that asks for more than there is takes nothing.
pub(super) fn take(shadow: &Shadow, app: &AppId, asked: &[Asked<'_>]) -> Vec<Done> {
    let mut taken: BTreeSet<&InstanceId> = BTreeSet::new();
    let mut done = Vec::new();
    for asked in asked {
        let mut left: BTreeMap<&InstanceId, &Instance> = in_scope(shadow, app, asked);
        left.retain(|id, _| !taken.contains(id));
        let mut victims = Vec::new();
        while (victims.len() as u32) < asked.item.count {
            let gone: BTreeSet<&InstanceId> = taken.iter().chain(&victims).copied().collect();
            let Some(victim) = next_victim(shadow, app, &left, &gone) else { break };
            left.remove(victim);
            victims.push(victim);
        }
        let missing = asked.item.count - victims.len() as u32;
        if missing > 0 {
            victims.clear();
        }
        taken.extend(&victims);
        let picks = victims.into_iter().filter_map(|id| {
            let found = shadow.instances.get(id)?;
            Some(Pick { node: found.node.clone(), isp: found.isp.clone(), victim: Some(id.clone()) })
        });
        done.push(Done { index: asked.index, picks: picks.collect(), missing });
    }
    done
}

/// What the application holds where the item says.
pub(super) fn in_scope<'a>(
    shadow: &'a Shadow,
    app: &AppId,
    asked: &Asked<'_>,
) -> BTreeMap<&'a InstanceId, &'a Instance> {
    let reached: BTreeSet<&EdgeNodeId> = shadow
        .fleet
        .nodes
        .iter()
        .filter(|node| asked.area.reaches(&shadow.fleet, node))
        .map(|node| &node.id)
        .collect();
    let on_carrier = |instance: &Instance| asked.item.isp.as_ref().is_none_or(|isp| *isp == instance.isp);
    shadow
        .held()
        .filter(|(_, found)| found.app == *app && reached.contains(&found.node) && on_carrier(found))
        .collect()
}

/// Broken first, then not ready, then of another version than the stable one, then from where most are, then the newest,
/// then the greatest id; what nobody can see last of all.
fn next_victim<'a>(
    shadow: &Shadow,
    app: &AppId,
    left: &BTreeMap<&'a InstanceId, &'a Instance>,
    gone: &BTreeSet<&InstanceId>,
) -> Option<&'a InstanceId> {
    let stable = shadow.apps.get(app).map(|app| &app.stable);
    let standing = |id: &'a InstanceId, found: &Instance| {
        let is_broken = !found.unknown && !found.failed_pods.is_empty();
        let is_stable = stable == Some(&found.version);
        let here = left.values().filter(|other| other.node == found.node).count();
        (
            found.unknown,
            found.host.is_some(),
            !is_broken,
            found.ready,
            is_stable,
            Reverse(here),
            Reverse(found.created_at),
            Reverse(id),
        )
    };
    let may_go = |id: &'a InstanceId, found: &Instance| {
        // What goes already may: only where this one goes can it be too much.
        let here = |other: &&&InstanceId| {
            let other = shadow.instances.get(**other);
            other.is_some_and(|other| other.node == found.node && other.isp == found.isp)
        };
        let going = gone.iter().filter(here).copied().chain([id]).collect();
        !found.protected && (!found.is_ready() || floor::check(shadow, app, &going).is_ok())
    };
    let open = left.iter().filter(|(id, found)| may_go(id, found));
    open.min_by_key(|(id, found)| standing(id, found)).map(|(id, _)| *id)
}
