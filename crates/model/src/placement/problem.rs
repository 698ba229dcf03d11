//! From names to small integers and back: builds the abstract problem from the state, and names its solution.

use super::solve::{CarrierChoice, Choice, Demand, Eligible, Outcome, Problem, Site};
use super::{Chains, PlaceRequest, ScopedItem};
use crate::fleet::{EdgeNode, Fleet};
use crate::id::{AppId, EdgeNodeId, Isp};
use crate::plan::{Placement, PlannedItem, Shortage};
use crate::spec::Resources;
use crate::state::State;
use std::collections::HashMap;

/// A problem and the places in the fleet's order that its sites stand for.
pub(super) struct Posed {
    pub(super) problem: Problem,
    places: Vec<usize>,
}

/// Poses `request`. Only edge nodes that some item reaches become sites.
pub(super) fn pose(
    state: &State,
    chains: &Chains<'_>,
    request: &PlaceRequest<'_>,
    items: &[ScopedItem],
) -> Posed {
    let fleet = state.fleet();
    let reached: Vec<Vec<usize>> = items.iter().map(|item| eligible(fleet, chains, request, item)).collect();
    let mut places: Vec<usize> = reached.concat();
    places.sort_unstable();
    places.dedup();
    let counts = Counts::of(state, request.app);
    let used = Used::of(state, places.len());
    let sites = places.iter().map(|place| site(state, *place, &used, &counts)).collect();
    let mut site_of = vec![0; fleet.nodes.len()];
    places.iter().enumerate().for_each(|(site, place)| site_of[*place] = site);
    let demands = items
        .iter()
        .zip(&reached)
        .map(|(item, reached)| Demand {
            index: item.index,
            breadth: item.breadth(),
            count: item.count,
            eligible: reached
                .iter()
                .map(|place| Eligible {
                    site: site_of[*place],
                    carrier: carrier_choice(&fleet.nodes[*place], item.isp.as_ref()),
                })
                .collect(),
        })
        .collect();
    let problem = Problem { spec: request.spec, strategy: request.strategy, sites, demands };
    Posed { problem, places }
}

/// The nodes that may take instances of `item`: in reach, with its carrier, not excluded.
fn eligible(fleet: &Fleet, chains: &Chains<'_>, request: &PlaceRequest<'_>, item: &ScopedItem) -> Vec<usize> {
    let mut places = item.nodes(fleet, chains);
    places.retain(|place| {
        let node = &fleet.nodes[*place];
        !request.excluded.contains_key(&node.id) && node.isps.iter().any(|isp| item.allows(isp))
    });
    places
}

fn carrier_choice(node: &EdgeNode, isp: Option<&Isp>) -> CarrierChoice {
    match isp.and_then(|isp| node.isps.iter().position(|offered| offered == isp)) {
        Some(carrier) => CarrierChoice::Only(carrier),
        None => CarrierChoice::Any,
    }
}

fn site(state: &State, place: usize, used: &Used<'_>, counts: &Counts<'_>) -> Site {
    let node = &state.fleet().nodes[place];
    Site {
        capacity: node.capacity,
        free: node.capacity.minus(used.on(place, node)),
        of_application: counts.on(&node.id),
        by_carrier: node.isps.iter().map(|isp| counts.on_carrier(&node.id, isp)).collect(),
    }
}

/// What is taken of each node: looked up one by one where few are asked about, else all read in one go, since both the
/// nodes' places and what is taken stand in the order of ids.
enum Used<'a> {
    OneByOne(&'a State),
    ByPlace(Vec<Resources>),
}

impl<'a> Used<'a> {
    fn of(state: &'a State, asked: usize) -> Self {
        if asked < state.fleet().nodes.len() / 16 {
            return Self::OneByOne(state);
        }
        let mut by_place = vec![Resources::default(); state.fleet().nodes.len()];
        let mut places = state.places.iter().peekable();
        for (node, used) in &state.used {
            while places.next_if(|(id, _)| *id < node).is_some() {}
            if let Some((_, place)) = places.next_if(|(id, _)| *id == node) {
                by_place[*place] = *used;
            }
        }
        Self::ByPlace(by_place)
    }

    fn on(&self, place: usize, node: &EdgeNode) -> Resources {
        match self {
            Self::OneByOne(state) => state.used(&node.id),
            Self::ByPlace(used) => used.get(place).copied().unwrap_or_default(),
        }
    }
}

/// How many instances of one application there are, those being released left out (`decisions.md` §1.9).
#[derive(Default)]
pub(crate) struct Counts<'a> {
    by_node: HashMap<&'a EdgeNodeId, Vec<(&'a Isp, u32)>>,
}

impl<'a> Counts<'a> {
    pub(crate) fn of(state: &'a State, app: Option<&'a AppId>) -> Self {
        let mut counts = Self::default();
        let Some(app) = app else { return counts };
        for (node, isp, count) in state.held_of(app) {
            counts.by_node.entry(node).or_default().push((isp, count));
        }
        counts
    }

    pub(crate) fn on(&self, node: &EdgeNodeId) -> u32 {
        self.by_node.get(node).into_iter().flatten().map(|(_, count)| count).sum()
    }

    pub(crate) fn on_carrier(&self, node: &EdgeNodeId, isp: &Isp) -> u32 {
        let carriers = self.by_node.get(node).into_iter().flatten();
        carriers.filter(|(carrier, _)| *carrier == isp).map(|(_, count)| count).sum()
    }
}

impl Posed {
    /// The outcome in the plan's words: one placement per edge node and carrier, in the order first chosen.
    pub(super) fn name(&self, fleet: &Fleet, outcome: Outcome) -> PlannedItem {
        let mut placements: Vec<Placement> = Vec::new();
        let mut position: HashMap<(usize, usize), usize> = HashMap::new();
        for Choice { site, carrier, before } in outcome.choices {
            let at = *position.entry((site, carrier)).or_insert(placements.len());
            if let Some(placement) = placements.get_mut(at) {
                placement.count += 1;
                continue;
            }
            let node = &fleet.nodes[self.places[site]];
            let isp = node.isps[carrier].clone();
            placements.push(Placement {
                node: node.id.clone(),
                isp,
                count: 1,
                before,
                instances: Vec::new(),
            });
        }
        let shortage = (outcome.missing > 0).then(|| Shortage {
            missing: outcome.missing,
            alternatives: Vec::new(),
            remedies: Vec::new(),
        });
        PlannedItem { index: outcome.index, wanted: outcome.count, placements, shortage }
    }
}
