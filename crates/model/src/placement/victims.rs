//! Which instances a Del that names none takes back, and in which order (`decisions.md` §1.8, §9.1, §9.2).

use super::scope::{Chains, ScopedItem, require_carrier};
use super::{Floor, ReleaseRequest, SelectorFault, alternatives};
use crate::fleet::Fleet;
use crate::id::{EdgeNodeId, InstanceId, Isp};
use crate::instance::{Instance, InstanceStatus, Origin};
use crate::plan::{Placement, PlannedItem, Remedy, Shortage};
use crate::state::State;
use crate::time::WallTime;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// What is decided before the number of neighbours is looked at; the smallest goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Standing {
    /// Last of all: it may be running, only nobody can say.
    unknown: bool,
    /// It takes no capacity of its own, so it goes after those that do.
    hosted: bool,
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
    let mut scopes: Vec<Scope<'_>> = items.iter().map(|item| Scope::of(fleet, chains, item)).collect();
    let held = within_reach(state, request, &scopes);
    for scope in &scopes {
        // A node may have instances on a carrier that the fleet has dropped since: those can still be taken back.
        if !held.iter().any(|instance| scope.contains(instance)) {
            require_carrier(fleet, chains, scope.item)?;
        }
    }
    scopes.sort_by_key(|scope| (scope.item.breadth(), scope.item.index));
    let mut floor = Floor::of(state, request.app);
    let mut taken: HashSet<&InstanceId> = HashSet::new();
    let mut planned = Vec::with_capacity(items.len());
    for scope in &scopes {
        let left: Vec<&Instance> = held
            .iter()
            .copied()
            .filter(|instance| scope.contains(instance) && !taken.contains(&instance.id))
            .collect();
        let mut after = floor.clone();
        let victims = choose(&left, scope.item.count as usize, request, &mut after);
        let missing = scope.item.count.saturating_sub(u32::try_from(victims.len()).unwrap_or(u32::MAX));
        let remedies = remedies(&left, &victims, missing);
        if missing == 0 {
            floor = after;
            taken.extend(victims.iter().map(|victim| &victim.id));
        }
        planned.push(describe(scope.item, &left, victims, (missing, remedies)));
    }
    for (scope, item) in scopes.iter().zip(&mut planned) {
        if let Some(shortage) = &mut item.shortage {
            let all = state.instances_of(request.app).map(Arc::as_ref);
            let mut elsewhere: Vec<&Instance> = all
                .filter(|instance| {
                    instance.is_held()
                        && !instance.protected
                        && !scope.contains(instance)
                        && !taken.contains(&instance.id)
                })
                .collect();
            // What the floor keeps there is no way out; those that are not ready make way first.
            elsewhere.sort_by_key(|instance| instance.is_ready());
            let mut left = floor.clone();
            elsewhere.retain(|instance| left.take(instance));
            shortage.alternatives = alternatives::for_del(elsewhere.into_iter());
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

/// What the application holds where any of the items reaches; all of it where it is no more than there are cells to look into.
fn within_reach<'a>(
    state: &'a State,
    request: &ReleaseRequest<'a>,
    scopes: &[Scope<'_>],
) -> Vec<&'a Instance> {
    let nodes: BTreeSet<&EdgeNodeId> = scopes.iter().flat_map(|scope| scope.nodes.iter().copied()).collect();
    let versions = state.applications.get(request.app).map_or(0, |application| application.versions.len());
    let cells = nodes.len().saturating_mul(versions);
    let found: Vec<&Arc<Instance>> = if versions == 0 || state.held_count(request.app) as usize <= cells {
        state.instances_of(request.app).collect()
    } else {
        nodes.into_iter().flat_map(|node| state.instances_of_on(request.app, node)).collect()
    };
    found.into_iter().map(Arc::as_ref).filter(|instance| instance.is_held()).collect()
}

/// The first `count` of `left` in the order of §1.8; fewer when there are fewer. What is protected does not exist here, and
/// what the floor keeps is passed over, until so much else went that it may.
fn choose<'a>(
    left: &[&'a Instance],
    count: usize,
    request: &ReleaseRequest<'_>,
    floor: &mut Floor,
) -> Vec<&'a Instance> {
    let mut neighbours: HashMap<&EdgeNodeId, u32> = HashMap::new();
    let mut by_standing: BTreeMap<Standing, BTreeMap<&EdgeNodeId, Vec<&'a Instance>>> = BTreeMap::new();
    for instance in left {
        *neighbours.entry(&instance.node).or_default() += 1;
        if !instance.protected {
            let nodes = by_standing.entry(standing(instance, request)).or_default();
            nodes.entry(&instance.node).or_default().push(instance);
        }
    }
    let mut taken = Taken { victims: Vec::new(), passed: HashMap::new(), count, floor };
    for nodes in by_standing.into_values() {
        let mut line = Line::of(nodes, &neighbours);
        while !taken.is_enough() {
            let Some(next) = line.next(&neighbours) else { break };
            for victim in taken.take(next) {
                neighbours.entry(&victim.node).and_modify(|count| *count -= 1);
            }
        }
    }
    taken.victims
}

/// What is taken so far, and what was passed over for the floor's sake.
struct Taken<'a, 'floor> {
    victims: Vec<&'a Instance>,
    passed: HashMap<(&'a EdgeNodeId, &'a Isp), VecDeque<&'a Instance>>,
    count: usize,
    floor: &'floor mut Floor,
}

impl<'a> Taken<'a, '_> {
    fn is_enough(&self) -> bool {
        self.victims.len() >= self.count
    }

    /// Takes the next in line, where the floor allows it, and with it those that may go now that it does; returns them.
    fn take(&mut self, next: &'a Instance) -> Vec<&'a Instance> {
        let cell = (&next.node, &next.isp);
        if !self.floor.take(next) {
            self.passed.entry(cell).or_default().push_back(next);
            return Vec::new();
        }
        let from = self.victims.len();
        self.victims.push(next);
        // Only one that is not ready makes way: fewer are wanted then, and as many are ready.
        let waiting = self.passed.get_mut(&cell).filter(|_| !next.is_ready());
        if let Some(waiting) = waiting {
            while self.victims.len() < self.count
                && waiting.front().is_some_and(|front| self.floor.take(front))
            {
                self.victims.extend(waiting.pop_front());
            }
        }
        self.victims[from..].to_vec()
    }
}

/// Those of one standing, node by node; the newest of a node stands last.
struct Line<'a> {
    next: BinaryHeap<Next<'a>>,
    queues: HashMap<&'a EdgeNodeId, Vec<&'a Instance>>,
}

impl<'a> Line<'a> {
    fn of(
        nodes: BTreeMap<&'a EdgeNodeId, Vec<&'a Instance>>,
        neighbours: &HashMap<&EdgeNodeId, u32>,
    ) -> Self {
        let mut line = Self { next: BinaryHeap::new(), queues: HashMap::new() };
        for (node, mut queue) in nodes {
            queue.sort_by_key(|instance| age(instance));
            line.next.extend(queue.last().map(|last| rank(neighbours[node], last)));
            line.queues.insert(node, queue);
        }
        line
    }

    /// The next of the node with the most neighbours. A node that lost one since it was put in line is put back with
    /// what it has now.
    fn next(&mut self, neighbours: &HashMap<&EdgeNodeId, u32>) -> Option<&'a Instance> {
        loop {
            let Next { node, neighbours: then, .. } = self.next.pop()?;
            let now = neighbours.get(node).copied().unwrap_or_default();
            let queue = self.queues.get_mut(node)?;
            if now < then {
                self.next.extend(queue.last().map(|last| rank(now, last)));
                continue;
            }
            let victim = queue.pop()?;
            // As if it went; where it does not, it is put right when it is the node's turn.
            self.next.extend(queue.last().map(|last| rank(now, last)));
            return Some(victim);
        }
    }
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
        hosted: instance.origin == Origin::Hosted,
        sound: instance.status() != InstanceStatus::Failed,
        ready: instance.ready,
        stable: instance.version == *request.stable_version,
    }
}

/// What of `left` would have to change for the item to find what it asks for: who is protected, and the floor.
fn remedies(left: &[&Instance], victims: &[&Instance], missing: u32) -> Vec<Remedy> {
    let mut remedies = Vec::new();
    if missing == 0 {
        return remedies;
    }
    let protected: Vec<InstanceId> = left
        .iter()
        .filter(|instance| instance.protected)
        .map(|instance| instance.shown_id().clone())
        .take(missing as usize)
        .collect();
    let kept = left.len() - victims.len() - left.iter().filter(|instance| instance.protected).count();
    if !protected.is_empty() {
        remedies.push(Remedy::Unprotect { instances: protected });
    }
    if kept > 0 {
        remedies.push(Remedy::LowerMinReady { keeps: u32::try_from(kept).unwrap_or(u32::MAX) });
    }
    remedies
}

fn describe(
    item: &ScopedItem,
    left: &[&Instance],
    victims: Vec<&Instance>,
    (missing, remedies): (u32, Vec<Remedy>),
) -> PlannedItem {
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
                    instances: Vec::new(),
                });
            }
            placements[at].count += 1;
            placements[at].instances.push(victim.id.clone());
        }
    }
    let shortage = (missing > 0).then_some(Shortage { missing, alternatives: Vec::new(), remedies });
    PlannedItem { index: item.index, wanted: item.count, placements, shortage }
}
