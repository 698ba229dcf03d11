//! What would make an Add fit where it was asked for: a drain that ends, a node that comes back, a smaller spec. Says only
//! what is enough for the whole item.

use super::alternatives::{Rooms, offers, room};
use super::scope::{Chains, ScopedItem};
use super::{Exclusion, PlaceRequest};
use crate::fleet::EdgeNode;
use crate::id::{EdgeNodeId, SpecName};
use crate::plan::Remedy;
use crate::spec::{self, Resources};
use crate::state::State;
use std::cmp::Reverse;

/// Edge nodes that one remedy names.
const MOST_NODES: usize = 8;

pub(super) fn for_add(
    state: &State,
    chains: &Chains<'_>,
    request: &PlaceRequest<'_>,
    item: &ScopedItem,
    rooms: &Rooms,
) -> Vec<Remedy> {
    let fleet = state.fleet();
    let reached: Vec<(usize, &EdgeNode)> = item
        .nodes(fleet, chains)
        .into_iter()
        .map(|place| (place, &fleet.nodes[place]))
        .filter(|(_, node)| offers(node, item.isp.as_ref()))
        .collect();
    let free = reached.iter().fold(0_u32, |sum, (place, _)| sum.saturating_add(rooms.on(*place)));
    let missing = item.count.saturating_sub(free);
    let excluded = |wanted: fn(&Exclusion) -> bool| {
        let nodes = reached.iter().map(|(_, node)| *node);
        enough(
            state,
            request,
            nodes.filter(|node| request.excluded.get(&node.id).is_some_and(wanted)),
            missing,
        )
    };
    let mut remedies = Vec::new();
    if let Some((nodes, room)) = excluded(|why| matches!(why, Exclusion::Draining { .. })) {
        remedies.push(Remedy::DrainEnds { nodes, room });
    }
    if let Some((nodes, room)) = excluded(|why| matches!(why, Exclusion::Unreachable { .. })) {
        remedies.push(Remedy::BackInReach { nodes, room });
    }
    remedies.extend(smaller(state, request, item, &reached));
    remedies
}

/// The fewest of these nodes that hold what is missing, if they do.
fn enough<'a>(
    state: &State,
    request: &PlaceRequest<'_>,
    nodes: impl Iterator<Item = &'a EdgeNode>,
    missing: u32,
) -> Option<(Vec<EdgeNodeId>, u32)> {
    let mut by_room: Vec<(u32, &EdgeNode)> = nodes
        .map(|node| (room(free(state, node), request.spec), node))
        .filter(|(room, _)| *room > 0)
        .collect();
    by_room.sort_by_key(|(room, _)| Reverse(*room));
    let (mut named, mut sum) = (Vec::new(), 0_u32);
    for (room, node) in by_room.into_iter().take(MOST_NODES) {
        named.push(node.id.clone());
        sum = sum.saturating_add(room);
        if sum >= missing {
            return Some((named, sum));
        }
    }
    None
}

/// The largest spec of which all fit, where the one that was asked for does not.
fn smaller(
    state: &State,
    request: &PlaceRequest<'_>,
    item: &ScopedItem,
    reached: &[(usize, &EdgeNode)],
) -> Option<Remedy> {
    let mut specs: Vec<(SpecName, Resources)> = spec::names()
        .map(SpecName::new)
        .filter_map(|name| spec::resources(&name).map(|resources| (name, resources)))
        .filter(|(_, resources)| request.spec.holds(*resources) && *resources != request.spec)
        .collect();
    specs.sort_by_key(|(_, resources)| Reverse((resources.memory_mib, resources.vcpu)));
    let open = || reached.iter().filter(|(_, node)| !request.excluded.contains_key(&node.id));
    specs.into_iter().find_map(|(spec, resources)| {
        let rooms = open().map(|(_, node)| room(free(state, node), resources));
        let room = rooms.fold(0_u32, u32::saturating_add);
        (room >= item.count).then_some(Remedy::SmallerSpec { spec, room })
    })
}

fn free(state: &State, node: &EdgeNode) -> Resources {
    node.capacity.minus(state.used(&node.id))
}
