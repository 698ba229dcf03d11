//! Reads selector items against the fleet: which edge nodes an item reaches, and how narrow it is. An id is only
//! ever looked up, never parsed for meaning.

use super::{Excluded, Exclusion, FaultKind, SelectorFault};
use crate::fleet::{DistrictLevel, Fleet};
use crate::id::{DistrictCode, Isp};
use crate::selector::{Level, SelectorItem};
use crate::suggestion::{clause, quoted};
use std::cell::OnceCell;
use std::collections::HashMap;
use std::rc::Rc;

/// The country: also what an absent region code means.
pub(crate) const COUNTRY: &str = "100000";
/// The carriers that ENS knows (ens-api.md §7.3); an operator's fleet may not offer them all.
pub(crate) const CARRIERS: [&str; 4] = ["telecom", "unicom", "cmcc", "cbn"];

/// A selector item, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScopedItem {
    /// In the selector.
    pub(crate) index: usize,
    pub(crate) extent: Extent,
    pub(crate) isp: Option<Isp>,
    pub(crate) count: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// One edge node, by its place in the fleet's order.
    Node(usize),
    /// Every edge node in the district.
    District { code: DistrictCode, level: DistrictLevel },
    /// Every edge node that has a district.
    Country,
}

impl ScopedItem {
    /// Smaller is narrower: node, city, province, big area, country, and one carrier before all of the same.
    pub(crate) fn breadth(&self) -> (u8, bool) {
        let level = match &self.extent {
            Extent::Node(_) => 0,
            Extent::District { level: DistrictLevel::Small, .. } => 1,
            Extent::District { level: DistrictLevel::Middle, .. } => 2,
            Extent::District { level: DistrictLevel::Big, .. } => 3,
            Extent::District { level: DistrictLevel::National, .. } | Extent::Country => 4,
        };
        (level, self.isp.is_none())
    }

    /// The edge nodes in reach, by their places in the fleet's order, whatever their carriers.
    pub(crate) fn nodes(&self, fleet: &Fleet, chains: &Chains<'_>) -> Vec<usize> {
        match &self.extent {
            Extent::Node(place) => vec![*place],
            Extent::District { code, .. } => {
                (0..fleet.nodes.len()).filter(|place| chains.lies_in(*place, code)).collect()
            }
            Extent::Country => {
                (0..fleet.nodes.len()).filter(|place| fleet.nodes[*place].district.is_some()).collect()
            }
        }
    }

    /// For messages: ``edge node `cn-shanghai-cmcc` ``, ``district `310100` (Shanghai)``, `the country`.
    pub(crate) fn described(&self, fleet: &Fleet) -> String {
        match &self.extent {
            Extent::Node(place) => format!("edge node `{}`", fleet.nodes[*place].id),
            Extent::District { code, .. } => match fleet.districts.get(code) {
                Some(district) => format!("district `{code}` ({})", district.name_en),
                None => format!("district `{code}`"),
            },
            Extent::Country => "the country".to_owned(),
        }
    }

    pub(crate) fn allows(&self, isp: &Isp) -> bool {
        self.isp.as_ref().is_none_or(|asked| asked == isp)
    }
}

/// Every edge node's districts from its own up to the country, looked up once for all items of a request, and
/// only when the first of them asks.
pub(crate) struct Chains<'a> {
    fleet: &'a Fleet,
    by_node: OnceCell<Vec<Rc<[&'a DistrictCode]>>>,
}

impl<'a> Chains<'a> {
    pub(crate) fn of(fleet: &'a Fleet) -> Self {
        Self { fleet, by_node: OnceCell::new() }
    }

    pub(crate) fn lies_in(&self, place: usize, code: &DistrictCode) -> bool {
        self.up_from(place).contains(&code)
    }

    /// The districts of the node at `place`, narrowest first.
    pub(crate) fn up_from(&self, place: usize) -> &[&'a DistrictCode] {
        self.by_node.get_or_init(|| chains(self.fleet)).get(place).map(Rc::as_ref).unwrap_or_default()
    }
}

fn chains(fleet: &Fleet) -> Vec<Rc<[&DistrictCode]>> {
    let mut known: HashMap<Option<&DistrictCode>, Rc<[&DistrictCode]>> = HashMap::new();
    let mut chains = Vec::with_capacity(fleet.nodes.len());
    for node in &fleet.nodes {
        let district = node.district.as_ref();
        chains.push(known.entry(district).or_insert_with(|| chain(fleet, district)).clone());
    }
    chains
}

pub(crate) fn chain<'a>(fleet: &'a Fleet, district: Option<&'a DistrictCode>) -> Rc<[&'a DistrictCode]> {
    // Four levels; the bound keeps a broken table from looping.
    std::iter::successors(district, |code| fleet.districts.get(*code)?.father.as_ref()).take(8).collect()
}

/// Resolves every item, in the selector's order.
///
/// # Errors
/// The first item that names what is not there, or is of the wrong level, or out of reach.
pub(crate) fn resolve(
    fleet: &Fleet,
    level: Level,
    items: &[SelectorItem],
    excluded: &Excluded,
) -> Result<Vec<ScopedItem>, SelectorFault> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    // A look-up table pays only where there are many items; one or two are found faster by looking.
    if items.len() > 4 {
        places.extend(fleet.nodes.iter().enumerate().map(|(place, node)| (node.id.as_str(), place)));
    }
    let find = |id: &str| match places.is_empty() {
        true => fleet.nodes.iter().position(|node| node.id.as_str() == id),
        false => places.get(id).copied(),
    };
    let mut scoped = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let fault = |kind, text| SelectorFault { index, kind, text };
        if !item.instances.is_empty() {
            let text = "names instances, which takes RescaleLevel=InstanceId".to_owned();
            return Err(fault(FaultKind::Content, text));
        }
        let extent = extent(fleet, level, item, find).map_err(|text| fault(FaultKind::Content, text))?;
        if let Some(isp) = &item.isp {
            check_carrier_name(fleet, isp).map_err(|text| fault(FaultKind::Content, text))?;
        }
        if let Extent::Node(place) = extent {
            let id = &fleet.nodes[place].id;
            // One that drains merely stands against it: then there is no room (`decisions.md` §3).
            if let Some(reason @ Exclusion::Unreachable { .. }) = excluded.get(id) {
                let kind = FaultKind::OutOfReach(id.clone());
                return Err(fault(kind, format!("edge node `{id}` takes nothing now: {reason}")));
            }
        }
        scoped.push(ScopedItem { index, extent, isp: item.isp.clone(), count: item.count });
    }
    Ok(scoped)
}

/// What the region code of `item` stands for at `level` (`decisions.md` §1.7).
pub(super) fn extent(
    fleet: &Fleet,
    level: Level,
    item: &SelectorItem,
    find: impl Fn(&str) -> Option<usize>,
) -> Result<Extent, String> {
    let code = item.region_code.as_deref().filter(|code| !code.is_empty() && *code != "All");
    match (level, code) {
        (Level::RegionId, None) => Err("level RegionId needs the id of an edge node as regionCode".into()),
        (Level::RegionId, Some(id)) => match find(id) {
            Some(place) => Ok(Extent::Node(place)),
            None => Err(no_such_node(fleet, id)),
        },
        (Level::AreaIspCode | Level::InstanceId, None | Some(COUNTRY)) => Ok(Extent::Country),
        (Level::AreaIspCode | Level::InstanceId, Some(code)) => match (find(code), fleet.district(code)) {
            (Some(place), _) => Ok(Extent::Node(place)),
            (None, Some(district)) => {
                Ok(Extent::District { code: district.code.clone(), level: district.level })
            }
            (None, None) => Err(no_such_area(fleet, code)),
        },
    }
}

fn no_such_node(fleet: &Fleet, id: &str) -> String {
    if fleet.district(id).is_some() {
        return format!("district `{id}` is no edge node; a district needs level AreaIspCode");
    }
    format!("unknown edge node {}{}", quoted(id), clause(id, node_ids(fleet)))
}

fn no_such_area(fleet: &Fleet, code: &str) -> String {
    // Which of the two was meant only decides the words: it is neither.
    if code.bytes().all(|byte| byte.is_ascii_digit()) {
        let codes = fleet.districts.keys().map(DistrictCode::as_str);
        return format!("unknown district {}{}", quoted(code), clause(code, codes));
    }
    format!("unknown edge node {}{}", quoted(code), clause(code, node_ids(fleet)))
}

fn node_ids(fleet: &Fleet) -> impl Iterator<Item = &str> {
    fleet.nodes.iter().map(|node| node.id.as_str())
}

fn check_carrier_name(fleet: &Fleet, isp: &Isp) -> Result<(), String> {
    if isp.as_str() == "multiCarrier" {
        return Err("`multiCarrier` is no carrier: leave ispCode out to let placement choose".into());
    }
    let known = CARRIERS.contains(&isp.as_str())
        || (!isp.as_str().is_empty() && fleet.nodes.iter().any(|node| node.isps.contains(isp)));
    match known {
        true => Ok(()),
        false => Err(format!(
            "unknown carrier {}; known are {}{}",
            quoted(isp.as_str()),
            CARRIERS.join(", "),
            clause(isp.as_str(), CARRIERS)
        )),
    }
}

/// Refuses an item whose carrier is offered nowhere in its reach.
///
/// # Errors
/// [`FaultKind::Content`], naming the carriers that are offered.
pub(crate) fn require_carrier(
    fleet: &Fleet,
    chains: &Chains<'_>,
    item: &ScopedItem,
) -> Result<(), SelectorFault> {
    let Some(isp) = &item.isp else { return Ok(()) };
    let nodes = item.nodes(fleet, chains);
    if nodes.iter().any(|place| fleet.nodes[*place].isps.contains(isp)) {
        return Ok(());
    }
    let mut offered: Vec<&str> =
        nodes.iter().flat_map(|place| &fleet.nodes[*place].isps).map(Isp::as_str).collect();
    offered.retain(|name| !name.is_empty());
    offered.sort_unstable();
    offered.dedup();
    let instead = match offered.is_empty() {
        true => "it offers none by name: leave ispCode out".to_owned(),
        false => format!("it offers {}", offered.join(", ")),
    };
    let text = format!("{} does not offer carrier `{isp}`; {instead}", item.described(fleet));
    Err(SelectorFault { index: item.index, kind: FaultKind::Content, text })
}
