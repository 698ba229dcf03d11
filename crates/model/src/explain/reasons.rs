//! Why an Add goes where it goes, and why the other edge nodes are left out, item by item in the order planned.

use super::{ExplainedItem, ExplainedPlacement, MOST_NODES_PER_REASON, Names, NotChosen};
use crate::application::Strategy;
use crate::fleet::{EdgeNode, Fleet};
use crate::id::EdgeNodeId;
use crate::placement::alternatives::{offers, room};
use crate::placement::problem::Counts;
use crate::placement::scope::{Chains, Extent, ScopedItem, resolve};
use crate::placement::{PlaceRequest, SelectorFault};
use crate::plan::{Plan, PlannedItem};
use crate::state::State;
use std::collections::HashMap;

/// What the items planned so far have changed, on top of the state.
struct Standing<'a> {
    state: &'a State,
    request: &'a PlaceRequest<'a>,
    counts: Counts<'a>,
    placed: HashMap<EdgeNodeId, u32>,
}

impl Standing<'_> {
    /// How many more instances of the spec `node` holds.
    fn free(&self, node: &EdgeNode) -> u32 {
        let free = node.capacity.minus(self.state.used(&node.id));
        room(free, self.request.spec).saturating_sub(self.placed(node))
    }

    /// How many it would hold if it were empty.
    fn total(&self, node: &EdgeNode) -> u32 {
        room(node.capacity, self.request.spec)
    }

    /// Instances of the application.
    fn of_application(&self, node: &EdgeNode) -> u32 {
        self.counts.on(&node.id) + self.placed(node)
    }

    fn placed(&self, node: &EdgeNode) -> u32 {
        self.placed.get(&node.id).copied().unwrap_or_default()
    }

    fn room_in_words(&self, node: &EdgeNode) -> String {
        format!("{} of {} free", self.free(node), self.total(node))
    }
}

/// Explains an Add.
pub(super) fn of_add(
    state: &State,
    request: &PlaceRequest<'_>,
    names: &Names<'_>,
    plan: &Plan,
) -> Result<Vec<ExplainedItem>, SelectorFault> {
    let fleet = state.fleet();
    let chains = Chains::of(fleet);
    let mut scoped = resolve(fleet, request.level, request.items, request.excluded)?;
    scoped.sort_by_key(|item| (item.breadth(), item.index));
    let counts = Counts::of(state, request.app);
    let mut standing = Standing { state, request, counts, placed: HashMap::new() };
    let mut explained = Vec::with_capacity(scoped.len());
    for item in &scoped {
        let Some(planned) = plan.items.iter().find(|planned| planned.index == item.index) else { continue };
        let placements = placements_of_add(fleet, &standing, item, planned, names);
        let not_chosen = not_chosen_of_add(fleet, &chains, &standing, item, planned, names);
        explained.push(ExplainedItem::of(planned, placements, not_chosen));
        for placement in &planned.placements {
            *standing.placed.entry(placement.node.clone()).or_default() += placement.count;
        }
    }
    explained.sort_by_key(|item| item.index);
    Ok(explained)
}

fn placements_of_add(
    fleet: &Fleet,
    standing: &Standing<'_>,
    item: &ScopedItem,
    planned: &PlannedItem,
    names: &Names<'_>,
) -> Vec<ExplainedPlacement> {
    let mut explained = Vec::with_capacity(planned.placements.len());
    for (order, placement) in planned.placements.iter().enumerate() {
        let why = match (&item.extent, standing.request.strategy, order) {
            (Extent::Node(_), ..) => "named".to_owned(),
            (_, Strategy::Disperse, 0) => format!("fewest of {}", names.app),
            (_, Strategy::Disperse, _) => "spread".to_owned(),
            (_, Strategy::Concentrate, 0) => format!("most of {} with room", names.app),
            (_, Strategy::Concentrate, _) => "filled next".to_owned(),
        };
        let node = fleet.node(placement.node.as_str());
        let carrier = match node {
            Some(node) if item.isp.is_none() && node.isps.len() > 1 => {
                format!("; carrier {} had fewest", placement.isp)
            }
            _ => String::new(),
        };
        let free = node.map(|node| standing.room_in_words(node)).unwrap_or_default();
        explained.push(ExplainedPlacement {
            node: placement.node.clone(),
            isp: placement.isp.clone(),
            before: placement.before,
            after: placement.before + placement.count,
            instances: Vec::new(),
            reason: format!("{why}; {free}{carrier}"),
        });
    }
    explained
}

fn not_chosen_of_add(
    fleet: &Fleet,
    chains: &Chains<'_>,
    standing: &Standing<'_>,
    item: &ScopedItem,
    planned: &PlannedItem,
    names: &Names<'_>,
) -> Vec<NotChosen> {
    let chosen: Vec<&EdgeNodeId> = planned.placements.iter().map(|placement| &placement.node).collect();
    let mut groups = Groups::default();
    for place in item.nodes(fleet, chains) {
        let node = &fleet.nodes[place];
        if !chosen.contains(&&node.id) {
            groups.add(&node.id, why_not(standing, item, planned, node, names));
        }
    }
    groups.reasons
}

fn why_not(
    standing: &Standing<'_>,
    item: &ScopedItem,
    planned: &PlannedItem,
    node: &EdgeNode,
    names: &Names<'_>,
) -> String {
    if let (false, Some(isp)) = (offers(node, item.isp.as_ref()), &item.isp) {
        return format!("no carrier {isp}");
    }
    if let Some(reason) = standing.request.excluded.get(&node.id) {
        return reason.to_string();
    }
    if standing.free(node) == 0 {
        return format!("full: {}", standing.room_in_words(node));
    }
    if planned.shortage.is_some() {
        return format!("not enough room: {}", standing.room_in_words(node));
    }
    let here = standing.of_application(node);
    match (standing.request.strategy, here) {
        (Strategy::Disperse, 0) => "not needed: comes later by free room and the fleet's order".to_owned(),
        (Strategy::Disperse, _) => format!("not needed: has {here} of {} already", names.app),
        (Strategy::Concentrate, _) => {
            format!("not needed: has {here} of {}, others have more or less room", names.app)
        }
    }
}

/// Edge nodes by why they were left out.
#[derive(Default)]
pub(super) struct Groups {
    pub(super) reasons: Vec<NotChosen>,
    position: HashMap<String, usize>,
}

impl Groups {
    pub(super) fn add(&mut self, node: &EdgeNodeId, reason: String) {
        let at = *self.position.entry(reason).or_insert_with_key(|reason| {
            self.reasons.push(NotChosen { reason: reason.clone(), nodes: Vec::new(), count: 0 });
            self.reasons.len() - 1
        });
        let group = &mut self.reasons[at];
        group.count += 1;
        if group.nodes.len() < MOST_NODES_PER_REASON {
            group.nodes.push(node.clone());
        }
    }
}
