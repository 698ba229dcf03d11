//! Where else what was refused would find room, or where else there is something to take back. Whatever is listed
//! for an Add holds the whole item, with everything that fits of the same plan already in place.

use super::scope::{COUNTRY, Chains, Extent, ScopedItem, chain};
use super::{PlaceRequest, remedies};
use crate::fleet::{EdgeNode, Fleet};
use crate::id::{DistrictCode, EdgeNodeId, Isp};
use crate::instance::Instance;
use crate::plan::{Alternative, PlannedItem};
use crate::selector::Level;
use crate::spec::Resources;
use crate::state::State;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

/// Alternatives of one item, edge nodes and districts together.
const MOST: usize = 8;
/// Edge nodes among them where districts can be named too.
const MOST_NODES: usize = 4;

/// How many more instances of one spec each edge node holds.
pub(crate) struct Rooms {
    by_place: Vec<u32>,
}

impl Rooms {
    /// With what fits of `planned` already in place; excluded nodes have none.
    pub(crate) fn after(state: &State, request: &PlaceRequest<'_>, planned: &[PlannedItem]) -> Self {
        let mut placed: HashMap<&EdgeNodeId, u32> = HashMap::new();
        for placement in planned.iter().flat_map(|item| &item.placements) {
            *placed.entry(&placement.node).or_default() += placement.count;
        }
        let room_of = |node: &EdgeNode| {
            if request.excluded.contains_key(&node.id) {
                return 0;
            }
            let free = node.capacity.minus(state.used(&node.id));
            room(free, request.spec).saturating_sub(placed.get(&node.id).copied().unwrap_or_default())
        };
        Self { by_place: state.fleet().nodes.iter().map(room_of).collect() }
    }

    pub(crate) fn on(&self, place: usize) -> u32 {
        self.by_place.get(place).copied().unwrap_or_default()
    }

    /// Of all nodes in the item's reach that offer its carrier.
    pub(crate) fn of_item(&self, fleet: &Fleet, chains: &Chains<'_>, item: &ScopedItem) -> u32 {
        let nodes = item.nodes(fleet, chains);
        let offering = nodes.into_iter().filter(|place| offers(&fleet.nodes[*place], item.isp.as_ref()));
        offering.fold(0, |sum, place| sum.saturating_add(self.on(place)))
    }
}

/// How many instances of `spec` fit into `free`.
pub(crate) fn room(free: Resources, spec: Resources) -> u32 {
    let by_vcpu = free.vcpu.checked_div(spec.vcpu).unwrap_or(u32::MAX);
    let by_memory = free.memory_mib.checked_div(spec.memory_mib).unwrap_or(u64::MAX);
    by_vcpu.min(u32::try_from(by_memory).unwrap_or(u32::MAX))
}

pub(crate) fn offers(node: &EdgeNode, isp: Option<&Isp>) -> bool {
    isp.is_none_or(|isp| node.isps.contains(isp))
}

/// Fills in the alternatives of every item of an Add that has a shortage.
pub(super) fn for_add(
    state: &State,
    chains: &Chains<'_>,
    request: &PlaceRequest<'_>,
    items: &[ScopedItem],
    planned: &mut [PlannedItem],
) {
    if planned.iter().all(|item| item.shortage.is_none()) {
        return;
    }
    let rooms = Rooms::after(state, request, planned);
    let search = Search { fleet: state.fleet(), chains, rooms, level: request.level };
    for item in planned.iter_mut() {
        if let (Some(shortage), Some(scoped)) = (&mut item.shortage, items.get(item.index)) {
            shortage.alternatives = search.alternatives(scoped);
            shortage.remedies = remedies::for_add(state, chains, request, scoped, &search.rooms);
        }
    }
}

struct Search<'a, 'fleet> {
    fleet: &'a Fleet,
    chains: &'a Chains<'fleet>,
    rooms: Rooms,
    level: Level,
}

impl Search<'_, '_> {
    fn alternatives(&self, item: &ScopedItem) -> Vec<Alternative> {
        let surroundings = self.surroundings(item);
        let most_nodes = match self.level {
            Level::AreaIspCode => MOST_NODES,
            // A district cannot be named at these levels.
            Level::RegionId | Level::InstanceId => MOST,
        };
        let mut found = self.nodes(item, &surroundings, most_nodes);
        if self.level == Level::AreaIspCode {
            found.extend(self.districts(item, &surroundings));
        }
        found.truncate(MOST);
        found
    }

    /// The districts around what was asked for, narrowest first.
    fn surroundings(&self, item: &ScopedItem) -> Vec<DistrictCode> {
        match &item.extent {
            Extent::Node(place) => self.chains.up_from(*place).iter().map(|code| (*code).clone()).collect(),
            Extent::District { code, .. } => {
                chain(self.fleet, Some(code)).iter().map(|code| (*code).clone()).collect()
            }
            Extent::Country => vec![DistrictCode::new(COUNTRY)],
        }
    }

    /// The nearest nodes first, then those with the most room, then the fleet's order.
    fn nodes(&self, item: &ScopedItem, surroundings: &[DistrictCode], most: usize) -> Vec<Alternative> {
        let distance = |place: usize| {
            let shared = |code: &DistrictCode| self.chains.lies_in(place, code);
            surroundings.iter().position(shared).unwrap_or(surroundings.len())
        };
        let mut places: Vec<usize> = (0..self.fleet.nodes.len())
            .filter(|place| self.rooms.on(*place) >= item.count)
            .filter(|place| offers(&self.fleet.nodes[*place], item.isp.as_ref()))
            .collect();
        places.sort_by_cached_key(|place| (distance(*place), Reverse(self.rooms.on(*place)), *place));
        let alternative = |place: &usize| Alternative {
            region_code: self.fleet.nodes[*place].id.as_str().to_owned(),
            isp: item.isp.clone(),
            room: self.rooms.on(*place),
        };
        places.iter().take(most).map(alternative).collect()
    }

    /// From narrow to broad, with the carrier asked for, then with any; only where a broader one adds room.
    fn districts(&self, item: &ScopedItem, surroundings: &[DistrictCode]) -> Vec<Alternative> {
        let mut found = Vec::new();
        let carriers = match &item.isp {
            Some(isp) => vec![Some(isp.clone()), None],
            None => vec![None],
        };
        for isp in carriers {
            let mut most = 0;
            for code in surroundings {
                let Some(district) = self.fleet.districts.get(code) else { continue };
                let extent = Extent::District { code: code.clone(), level: district.level };
                let scope = ScopedItem { extent, isp: isp.clone(), ..item.clone() };
                let room = self.rooms.of_item(self.fleet, self.chains, &scope);
                if room >= item.count && room > most {
                    most = room;
                    found.push(Alternative { region_code: code.as_str().to_owned(), isp: isp.clone(), room });
                }
            }
        }
        found
    }
}

/// Where the application has instances out of an item's reach, the most of them first.
pub(super) fn for_del<'a>(elsewhere: impl Iterator<Item = &'a Instance>) -> Vec<Alternative> {
    let mut counts: BTreeMap<(&EdgeNodeId, &Isp), u32> = BTreeMap::new();
    for instance in elsewhere {
        *counts.entry((&instance.node, &instance.isp)).or_default() += 1;
    }
    let mut cells: Vec<_> = counts.into_iter().collect();
    cells.sort_by_key(|(_, count)| Reverse(*count));
    let alternative = |((node, isp), room): ((&EdgeNodeId, &Isp), u32)| Alternative {
        region_code: node.as_str().to_owned(),
        isp: (!isp.as_str().is_empty()).then(|| isp.clone()),
        room,
    };
    cells.into_iter().take(MOST).map(alternative).collect()
}
