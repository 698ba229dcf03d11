//! Which instances of an application would make room for others elsewhere: towards what its strategy would do now
//! (`decisions.md` §9.5), or away from a node that is to be emptied. Every move makes a sum grow or shrink, so it ends.

use super::scope::{Chains, resolve};
use super::solve::{Share, Standing};
use super::{Excluded, short};
use crate::application::{Application, Strategy};
use crate::id::{EdgeNodeId, Isp, PlanId};
use crate::instance::{Instance, Origin, Scope};
use crate::placement::alternatives::room;
use crate::plan::{MovePlan, PlannedMove};
use crate::selector::{Level, SelectorItem};
use crate::spec::Resources;
use crate::state::State;
use ring::digest;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

#[derive(Clone, Copy, Debug)]
pub struct MoveRequest<'a> {
    pub application: &'a Application,
    /// What one instance takes of its edge node.
    pub spec: Resources,
    pub excluded: &'a Excluded,
    pub moves_at_most: usize,
    pub purpose: Purpose<'a>,
}

#[derive(Clone, Copy, Debug)]
pub enum Purpose<'a> {
    /// As few as bring the application nearer to its strategy.
    Balance,
    /// Whatever is on this node.
    Empty(&'a EdgeNodeId),
}

/// Plans moves on this state; nothing is moved out of the scope that placed it.
pub fn plan_moves(state: &State, request: &MoveRequest<'_>) -> MovePlan {
    let mut board = Board::of(state, request);
    let mut moves = Vec::new();
    let mut kept = Vec::new();
    let mut left: Vec<&Instance> = Vec::new();
    for instance in board.held.iter().copied() {
        if matches!(request.purpose, Purpose::Empty(node) if instance.node != *node) {
            continue;
        }
        match hindrance(state, instance) {
            Some(why) => kept.push((instance.id.clone(), instance.node.clone(), why.to_owned())),
            None => left.push(instance),
        }
    }
    while moves.len() < request.moves_at_most {
        let Some((at, to)) = board.best(request, &left) else { break };
        let instance = left.swap_remove(at);
        let to_isp = board.put(instance, to);
        moves.push(PlannedMove {
            instance: instance.id.clone(),
            node: instance.node.clone(),
            isp: instance.isp.clone(),
            to_node: state.fleet().nodes[to].id.clone(),
            to_isp,
        });
    }
    if let Purpose::Empty(_) = request.purpose {
        for instance in left {
            let why = match moves.len() < request.moves_at_most {
                true => format!("no room elsewhere in {}", in_words(&instance.scope)),
                false => "its turn has not come yet".to_owned(),
            };
            kept.push((instance.id.clone(), instance.node.clone(), why));
        }
    }
    kept.sort();
    MovePlan { id: digest_of(&moves), moves, kept }
}

/// Whether `instance` may be moved at all, or why not.
fn hindrance(state: &State, instance: &Instance) -> Option<&'static str> {
    if instance.origin == Origin::Hosted {
        Some("hosted on an instance of the account, which is never moved")
    } else if instance.protected {
        Some("protected")
    } else if instance.unknown || !state.is_reachable(&instance.node) {
        Some("unknown: its node cannot be reached")
    } else if instance.scope.region_code == instance.node.as_str() {
        Some("placed on this edge node by name")
    } else {
        None
    }
}

fn in_words(scope: &Scope) -> String {
    let place = if scope.region_code.is_empty() { "the country" } else { &scope.region_code };
    scope.isp.as_ref().map_or_else(|| place.to_owned(), |isp| format!("{place}/{isp}"))
}

fn digest_of(moves: &[PlannedMove]) -> PlanId {
    let mut lines: Vec<String> = moves
        .iter()
        .map(|planned| format!("{}\n{}\n{}\n", planned.instance, planned.to_node, planned.to_isp))
        .collect();
    lines.sort();
    let mut context = digest::Context::new(&digest::SHA256);
    lines.iter().for_each(|line| context.update(line.as_bytes()));
    short(context)
}

/// How the application stands on every node, as moves are planned.
struct Board<'a> {
    state: &'a State,
    held: Vec<&'a Instance>,
    /// Instances of the application, by the node's place in the fleet.
    counts: HashMap<usize, u32>,
    by_carrier: HashMap<(usize, &'a Isp), u32>,
    free: HashMap<usize, Resources>,
    /// The nodes in reach of each scope, in the fleet's order.
    scopes: BTreeMap<(String, Option<Isp>), Vec<usize>>,
    spec: Resources,
}

impl<'a> Board<'a> {
    fn of(state: &'a State, request: &MoveRequest<'a>) -> Self {
        let held: Vec<&Instance> = state
            .instances_of(&request.application.id)
            .map(AsRef::as_ref)
            .filter(|instance| instance.is_held())
            .collect();
        let (mut counts, mut by_carrier) = (HashMap::new(), HashMap::new());
        for instance in &held {
            let Some(place) = state.places.get(&instance.node) else { continue };
            *counts.entry(*place).or_default() += 1;
            *by_carrier.entry((*place, &instance.isp)).or_default() += 1;
        }
        let mut board = Self {
            state,
            held,
            counts,
            by_carrier,
            free: HashMap::new(),
            scopes: BTreeMap::new(),
            spec: request.spec,
        };
        board.find_scopes(request);
        board
    }

    fn find_scopes(&mut self, request: &MoveRequest<'_>) {
        let fleet = self.state.fleet();
        let chains = Chains::of(fleet);
        let scopes: Vec<Scope> = self.held.iter().map(|instance| instance.scope.clone()).collect();
        for scope in scopes {
            let key = (scope.region_code.clone(), scope.isp.clone());
            if self.scopes.contains_key(&key) {
                continue;
            }
            let region_code = Some(scope.region_code).filter(|code| !code.is_empty());
            let item = SelectorItem { region_code, isp: scope.isp, count: 1, instances: Vec::new() };
            let resolved = resolve(fleet, Level::AreaIspCode, &[item], &Excluded::new());
            // A scope that the fleet does not know any more reaches nothing.
            let nodes = resolved.ok().and_then(|items| items.into_iter().next()).map(|item| {
                let open = |place: &usize| {
                    let node = &fleet.nodes[*place];
                    !request.excluded.contains_key(&node.id) && node.isps.iter().any(|isp| item.allows(isp))
                };
                item.nodes(fleet, &chains).into_iter().filter(open).collect()
            });
            self.scopes.insert(key, nodes.unwrap_or_default());
        }
    }

    fn count(&self, place: usize) -> u32 {
        self.counts.get(&place).copied().unwrap_or_default()
    }

    fn free(&self, place: usize) -> Resources {
        let node = &self.state.fleet().nodes[place];
        let planned = self.free.get(&place).copied();
        planned.unwrap_or_else(|| node.capacity.minus(self.state.used(&node.id)))
    }

    fn has_room(&self, place: usize) -> bool {
        room(self.free(place), self.spec) > 0
    }

    fn standing(&self, strategy: Strategy, place: usize) -> Standing {
        let free_share = Share::free(self.free(place), self.state.fleet().nodes[place].capacity);
        Standing::of(strategy, self.count(place), free_share, place)
    }

    /// The move that helps most: which of `left`, and to which node.
    fn best(&self, request: &MoveRequest<'_>, left: &[&Instance]) -> Option<(usize, usize)> {
        let mut seen: BTreeMap<(usize, (String, Option<Isp>)), usize> = BTreeMap::new();
        for (at, instance) in left.iter().enumerate() {
            let Some(from) = self.state.places.get(&instance.node) else { continue };
            let key = (*from, (instance.scope.region_code.clone(), instance.scope.isp.clone()));
            // Of those that are alike the newest goes.
            let known = seen.entry(key).or_insert(at);
            if (left[*known].created_at, &left[*known].id) < (instance.created_at, &instance.id) {
                *known = at;
            }
        }
        let moves = seen.into_iter().filter_map(|((from, scope), at)| {
            let to = self.target(request, from, self.scopes.get(&scope)?)?;
            let gain = i64::from(self.count(from)) - i64::from(self.count(to));
            let helps = match (request.purpose, request.application.resources.strategy) {
                (Purpose::Empty(_), _) => true,
                (Purpose::Balance, Strategy::Disperse) => gain >= 2,
                (Purpose::Balance, Strategy::Concentrate) => gain <= 0,
            };
            let rank = match request.application.resources.strategy {
                Strategy::Disperse => gain,
                Strategy::Concentrate => -gain,
            };
            let standing = self.standing(request.application.resources.strategy, to);
            helps.then_some((rank, Reverse(from), standing, at, to))
        });
        moves.max().map(|(_, _, _, at, to)| (at, to))
    }

    /// Where the strategy would put an instance that leaves `from`.
    fn target(&self, request: &MoveRequest<'_>, from: usize, nodes: &[usize]) -> Option<usize> {
        let strategy = request.application.resources.strategy;
        let open = nodes.iter().copied().filter(|place| *place != from && self.has_room(*place));
        open.max_by_key(|place| self.standing(strategy, *place))
    }

    /// Takes note of a move; returns the carrier that it gets.
    fn put(&mut self, instance: &'a Instance, to: usize) -> Isp {
        let node = &self.state.fleet.nodes[to];
        let offered =
            node.isps.iter().filter(|isp| instance.scope.isp.as_ref().is_none_or(|asked| asked == *isp));
        let count = |isp: &Isp| self.by_carrier.get(&(to, isp)).copied().unwrap_or_default();
        let isp = offered.min_by_key(|isp| count(isp)).unwrap_or(&instance.isp);
        *self.by_carrier.entry((to, isp)).or_default() += 1;
        *self.counts.entry(to).or_default() += 1;
        let free = node.capacity.minus(self.state.used(&node.id));
        let free = self.free.entry(to).or_insert(free);
        *free = free.minus(self.spec);
        if let Some(from) = self.state.places.get(&instance.node) {
            self.counts.entry(*from).and_modify(|count| *count = count.saturating_sub(1));
        }
        isp.clone()
    }
}
