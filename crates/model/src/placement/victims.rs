//! Which instances a Del takes back, and in which order (`decisions.md` §1.8).

use super::scope::{Chains, ScopedItem, require_carrier};
use super::{ReleaseRequest, SelectorFault, alternatives};
use crate::fleet::Fleet;
use crate::id::{EdgeNodeId, InstanceId, Isp};
use crate::instance::{Instance, InstanceStatus};
use crate::plan::{Placement, PlannedItem, Shortage};
use crate::state::State;
use crate::time::WallTime;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};
use std::sync::Arc;

/// What is decided before the number of neighbours is looked at; the smallest goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Standing {
    /// Last of all: it may be running, only nobody can say.
    unknown: bool,
    sound: bool,
    ready: bool,
    stable: bool,
}

/// Picks for every item, narrowest first; what one item takes no longer exists for the next.
///
/// # Errors
/// [`SelectorFault`] for the first item, by index, whose carrier is neither offered nor in use in its reach.
pub(super) fn pick(
    state: &State,
    chains: &Chains<'_>,
    request: &ReleaseRequest<'_>,
    items: &[ScopedItem],
) -> Result<Vec<PlannedItem>, SelectorFault> {
    let fleet = state.fleet();
    let held: Vec<&Instance> =
        state.instances_of(request.app).map(Arc::as_ref).filter(|instance| instance.is_held()).collect();
    let mut scopes: Vec<Scope<'_>> = items.iter().map(|item| Scope::of(fleet, chains, item)).collect();
    for scope in &scopes {
        // A node may have instances on a carrier that the fleet has dropped since: those can still be taken back.
        if !held.iter().any(|instance| scope.contains(instance)) {
            require_carrier(fleet, chains, scope.item)?;
        }
    }
    scopes.sort_by_key(|scope| (scope.item.breadth(), scope.item.index));
    let mut taken: HashSet<&InstanceId> = HashSet::new();
    let mut planned = Vec::with_capacity(items.len());
    for scope in &scopes {
        let left: Vec<&Instance> = held
            .iter()
            .copied()
            .filter(|instance| scope.contains(instance) && !taken.contains(&instance.id))
            .collect();
        let victims = choose(&left, scope.item.count as usize, request);
        let missing = scope.item.count.saturating_sub(u32::try_from(victims.len()).unwrap_or(u32::MAX));
        if missing == 0 {
            taken.extend(victims.iter().map(|victim| &victim.id));
        }
        planned.push(describe(scope.item, &left, victims, missing));
    }
    for (scope, item) in scopes.iter().zip(&mut planned) {
        if let Some(shortage) = &mut item.shortage {
            let elsewhere = held
                .iter()
                .copied()
                .filter(|instance| !scope.contains(instance) && !taken.contains(&instance.id));
            shortage.alternatives = alternatives::for_del(elsewhere);
        }
    }
    Ok(planned)
}

/// What an item reaches, prepared for asking about many instances.
struct Scope<'a> {
    item: &'a ScopedItem,
    nodes: HashSet<&'a EdgeNodeId>,
}

impl<'a> Scope<'a> {
    fn of(fleet: &'a Fleet, chains: &Chains<'_>, item: &'a ScopedItem) -> Self {
        let places = item.nodes(fleet, chains).into_iter();
        Self { item, nodes: places.map(|place| &fleet.nodes[place].id).collect() }
    }

    fn contains(&self, instance: &Instance) -> bool {
        self.nodes.contains(&instance.node) && self.item.allows(&instance.isp)
    }
}

/// The first `count` of `left` in the order of §1.8; fewer when there are fewer.
fn choose<'a>(left: &[&'a Instance], count: usize, request: &ReleaseRequest<'_>) -> Vec<&'a Instance> {
    let mut neighbours: HashMap<&EdgeNodeId, u32> = HashMap::new();
    let mut by_standing: BTreeMap<Standing, BTreeMap<&EdgeNodeId, Vec<&'a Instance>>> = BTreeMap::new();
    for instance in left {
        *neighbours.entry(&instance.node).or_default() += 1;
        let nodes = by_standing.entry(standing(instance, request)).or_default();
        nodes.entry(&instance.node).or_default().push(instance);
    }
    let mut victims = Vec::new();
    for nodes in by_standing.into_values() {
        if victims.len() >= count {
            break;
        }
        let mut next: BinaryHeap<Next<'a>> = BinaryHeap::new();
        let mut queues: HashMap<&EdgeNodeId, Vec<&'a Instance>> = HashMap::new();
        for (node, mut queue) in nodes {
            queue.sort_by_key(|instance| age(instance));
            next.extend(queue.last().map(|last| rank(neighbours[node], last)));
            queues.insert(node, queue);
        }
        while victims.len() < count {
            let Some(Next { node, .. }) = next.pop() else { break };
            let Some(victim) = queues.get_mut(node).and_then(Vec::pop) else { continue };
            victims.push(victim);
            let left_on_node = neighbours.entry(node).and_modify(|count| *count -= 1).or_default();
            next.extend(queues[node].last().map(|last| rank(*left_on_node, last)));
        }
    }
    victims
}

/// The next instance of a node in line; the greatest is chosen.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Next<'a> {
    neighbours: u32,
    age: (WallTime, &'a InstanceId),
    node: &'a EdgeNodeId,
}

fn rank(neighbours: u32, instance: &Instance) -> Next<'_> {
    Next { neighbours, age: age(instance), node: &instance.node }
}

/// The newest is the greatest, then the greatest id.
fn age(instance: &Instance) -> (WallTime, &InstanceId) {
    (instance.created_at, &instance.id)
}

fn standing(instance: &Instance, request: &ReleaseRequest<'_>) -> Standing {
    Standing {
        unknown: instance.status() == InstanceStatus::Unknown,
        sound: instance.status() != InstanceStatus::Failed,
        ready: instance.ready,
        stable: instance.version == *request.stable_version,
    }
}

fn describe(item: &ScopedItem, left: &[&Instance], victims: Vec<&Instance>, missing: u32) -> PlannedItem {
    let mut placements: Vec<Placement> = Vec::new();
    if missing == 0 {
        let mut before: HashMap<(&EdgeNodeId, &Isp), u32> = HashMap::new();
        for instance in left {
            *before.entry((&instance.node, &instance.isp)).or_default() += 1;
        }
        let mut position: HashMap<(&EdgeNodeId, &Isp), usize> = HashMap::new();
        for victim in victims {
            let cell = (&victim.node, &victim.isp);
            let at = *position.entry(cell).or_insert(placements.len());
            if at == placements.len() {
                placements.push(Placement {
                    node: victim.node.clone(),
                    isp: victim.isp.clone(),
                    count: 0,
                    before: before.get(&cell).copied().unwrap_or_default(),
                    victims: Vec::new(),
                });
            }
            placements[at].count += 1;
            placements[at].victims.push(victim.id.clone());
        }
    }
    let shortage = (missing > 0).then(|| Shortage { missing, alternatives: Vec::new() });
    PlannedItem { index: item.index, wanted: item.count, placements, shortage }
}
