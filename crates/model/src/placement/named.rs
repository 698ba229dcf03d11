//! Plans about instances that the selector names one by one (ens-api.md §5.3): to release exactly these, or to host an
//! application on them. One that does not fit refuses the whole call, saying which and why.

use super::scope::{Chains, Extent, ScopedItem, extent};
use super::{Excluded, Exclusion, FaultKind, Floor, SelectorFault};
use crate::command::Direction;
use crate::fleet::Fleet;
use crate::id::{AccountId, AppId, EdgeNodeId, InstanceId, Isp};
use crate::instance::Instance;
use crate::own_instance::OwnInstance;
use crate::plan::{Placement, PlannedItem, Remedy, Shortage};
use crate::refusal::utc;
use crate::selector::{Level, SelectorItem};
use crate::spec::Resources;
use crate::state::State;
use std::collections::{BTreeMap, BTreeSet};

/// What a rescale at level InstanceId asks for.
#[derive(Clone, Copy, Debug)]
pub struct NamedRequest<'a> {
    pub account: &'a AccountId,
    pub app: &'a AppId,
    pub direction: Direction,
    /// What an instance of the application takes: a host has that much or more.
    pub spec: Resources,
    pub items: &'a [SelectorItem],
    pub excluded: &'a Excluded,
}

/// Where a named instance is, and what the plan calls it.
struct Found<'a> {
    planned: InstanceId,
    node: &'a EdgeNodeId,
    isp: &'a Isp,
}

/// # Errors
/// [`SelectorFault`] for the first item, by index, that names something which is not there to be taken.
pub(super) fn plan(state: &State, request: &NamedRequest<'_>) -> Result<Vec<PlannedItem>, SelectorFault> {
    let chains = Chains::of(state.fleet());
    let mut named: BTreeSet<&InstanceId> = BTreeSet::new();
    let mut planned = Vec::with_capacity(request.items.len());
    let counts = super::problem::Counts::of(state, Some(request.app));
    let mut floor = Floor::of(state, request.app);
    let mut before: BTreeMap<(&EdgeNodeId, &Isp), u32> = BTreeMap::new();
    for (index, item) in request.items.iter().enumerate() {
        let content = |text| SelectorFault { index, kind: FaultKind::Content, text };
        check_form(item).map_err(content)?;
        let mut cells: Cells<'_> = BTreeMap::new();
        for id in &item.instances {
            if !named.insert(id) {
                return Err(content(format!("`{id}` is named twice")));
            }
            let found =
                find(state, request, id).map_err(|(kind, text)| SelectorFault { index, kind, text })?;
            check_place(state.fleet(), &chains, item, id, &found).map_err(content)?;
            if let Some(victim) = state.instances.get(&found.planned) {
                floor.count_out(victim);
            }
            cells.entry((found.node, found.isp)).or_default().push(found.planned);
        }
        let shortage = closed(request, &cells);
        if shortage.is_some() {
            cells.clear();
        }
        let placements = cells.into_iter().map(|((node, isp), instances)| {
            let count = u32::try_from(instances.len()).unwrap_or(u32::MAX);
            let before = before.entry((node, isp)).or_insert_with(|| counts.on_carrier(node, isp));
            let placement =
                Placement { node: node.clone(), isp: isp.clone(), count, before: *before, instances };
            // The next item finds what this one leaves.
            *before = match request.direction {
                Direction::Add => before.saturating_add(count),
                Direction::Del => before.saturating_sub(count),
            };
            placement
        });
        let placements: Vec<Placement> = placements.collect();
        planned.push(PlannedItem { index, wanted: item.count, placements, shortage });
    }
    check_floor(state, request, &planned, &floor)?;
    Ok(planned)
}

/// What an item names, by edge node and carrier.
type Cells<'a> = BTreeMap<(&'a EdgeNodeId, &'a Isp), Vec<InstanceId>>;

/// Nothing new comes to a node that is to be emptied: of an item with an instance there nothing is done.
fn closed(request: &NamedRequest<'_>, cells: &Cells<'_>) -> Option<Shortage> {
    let closed = cells.iter().filter(|((node, _), _)| request.excluded.contains_key(*node));
    let (mut nodes, mut missing) = (BTreeSet::new(), 0_u32);
    for ((node, _), instances) in closed {
        nodes.insert((*node).clone());
        missing = missing.saturating_add(u32::try_from(instances.len()).unwrap_or(u32::MAX));
    }
    let remedy = Remedy::DrainEnds { nodes: nodes.into_iter().collect(), room: missing };
    (missing > 0).then(|| Shortage { missing, alternatives: Vec::new(), remedies: vec![remedy] })
}

fn check_form(item: &SelectorItem) -> Result<(), String> {
    let named = item.instances.len();
    if named == 0 {
        return Err("names no instance: level InstanceId takes instanceIds".to_owned());
    }
    if usize::try_from(item.count).ok() != Some(named) {
        return Err(format!("count is {}, and {named} instances are named", item.count));
    }
    Ok(())
}

fn find<'a>(
    state: &'a State,
    request: &NamedRequest<'_>,
    id: &InstanceId,
) -> Result<Found<'a>, (FaultKind, String)> {
    let own = state.owned.get(id).map(AsRef::as_ref).filter(|own| own.account == *request.account);
    let runs = own.and_then(|own| own.runs.as_ref()).unwrap_or(id);
    let instance = state.instances.get(runs);
    let instance = instance
        .map(AsRef::as_ref)
        .filter(|found| found.account == *request.account && found.shown_id() == id);
    if own.is_none() && instance.is_none() {
        return Err((FaultKind::Content, not_there(state, request, id)));
    }
    let content = |text| (FaultKind::Content, text);
    match (request.direction, own, instance) {
        (Direction::Del, _, Some(instance)) => victim(state, request, id, instance).map_err(content),
        (Direction::Del, _, None) => {
            Err(content(format!("`{id}` is managed by no application; `ReleaseInstance` gives it up")))
        }
        (Direction::Add, Some(own), None) => host(request, own),
        (Direction::Add, _, Some(instance)) => Err(content(managed(state, request, id, instance))),
        (Direction::Add, None, None) => Err(content(not_there(state, request, id))),
    }
}

fn victim<'a>(
    state: &State,
    request: &NamedRequest<'_>,
    id: &InstanceId,
    instance: &'a Instance,
) -> Result<Found<'a>, String> {
    if instance.app != *request.app {
        return Err(format!("`{id}` belongs to {}", named_app(state, &instance.app)));
    }
    if !instance.is_held() {
        let cause = instance.cause.as_deref().unwrap_or("released");
        return Err(format!("`{id}` is being released already: {cause}"));
    }
    Ok(Found { planned: instance.id.clone(), node: &instance.node, isp: &instance.isp })
}

fn host<'a>(request: &NamedRequest<'_>, own: &'a OwnInstance) -> Result<Found<'a>, (FaultKind, String)> {
    let id = &own.id;
    if !own.resources.holds(request.spec) {
        let text = format!(
            "`{id}` is of spec `{}`, {} vCPU and {} MiB; the application needs {} vCPU and {} MiB",
            own.spec,
            own.resources.vcpu,
            own.resources.memory_mib,
            request.spec.vcpu,
            request.spec.memory_mib
        );
        return Err((FaultKind::Content, text));
    }
    if let Some(why @ Exclusion::Unreachable { .. }) = request.excluded.get(&own.node) {
        let kind = FaultKind::OutOfReach(own.node.clone());
        return Err((kind, format!("`{id}` is on edge node `{}`, which takes nothing now: {why}", own.node)));
    }
    Ok(Found { planned: id.clone(), node: &own.node, isp: &own.isp })
}

/// Why an instance that belongs to an application cannot be hosted.
fn managed(state: &State, request: &NamedRequest<'_>, id: &InstanceId, instance: &Instance) -> String {
    let app = match instance.app == *request.app {
        true => "this application".to_owned(),
        false => named_app(state, &instance.app),
    };
    match (instance.host.is_some(), instance.is_held()) {
        (true, true) => format!("`{id}` is hosted by {app} already"),
        (true, false) => format!("`{id}` is being given back by {app}; try again when that is done"),
        (false, _) => {
            format!("`{id}` was made for {app}; only an instance that no application manages can be hosted")
        }
    }
}

/// Nothing tells another account's instance from one that never was.
fn not_there(state: &State, request: &NamedRequest<'_>, id: &InstanceId) -> String {
    match state.memory.gone.get(id).filter(|gone| gone.instance.account == *request.account) {
        Some(gone) => {
            let cause = gone.instance.cause.as_deref().unwrap_or("released");
            format!("`{id}` is gone since {}: {cause}", utc(gone.at))
        }
        None => match state.memory.gone_own.get(id).filter(|gone| gone.own.account == *request.account) {
            Some(gone) => format!("`{id}` is gone since {}: released", utc(gone.at)),
            None => {
                format!("there is no instance {} in this account", crate::suggestion::quoted(id.as_str()))
            }
        },
    }
}

fn named_app(state: &State, app: &AppId) -> String {
    match state.applications.get(app) {
        Some(application) => format!("application `{}` (`{app}`)", application.meta.name),
        None => format!("application `{app}`"),
    }
}

/// A region code or carrier beside the names confirms where they are.
fn check_place(
    fleet: &Fleet,
    chains: &Chains<'_>,
    item: &SelectorItem,
    id: &InstanceId,
    found: &Found<'_>,
) -> Result<(), String> {
    let find = |wanted: &str| fleet.nodes.iter().position(|node| node.id.as_str() == wanted);
    if item.region_code.is_some() {
        let extent = extent(fleet, Level::InstanceId, item, find)?;
        let reaches = match &extent {
            Extent::Country => true,
            Extent::Node(place) => fleet.nodes[*place].id == *found.node,
            Extent::District { code, .. } => {
                find(found.node.as_str()).is_some_and(|place| chains.lies_in(place, code))
            }
        };
        if !reaches {
            let scope = ScopedItem { index: 0, extent, isp: None, count: 1 };
            return Err(format!(
                "`{id}` is on edge node `{}`, not in {}",
                found.node,
                scope.described(fleet)
            ));
        }
    }
    match &item.isp {
        Some(isp) if isp != found.isp => Err(format!("`{id}` is on carrier `{}`, not on `{isp}`", found.isp)),
        Some(_) | None => Ok(()),
    }
}

/// Naming an instance overrides its protection, never the floor (`decisions.md` §9.1).
fn check_floor(
    state: &State,
    request: &NamedRequest<'_>,
    planned: &[PlannedItem],
    floor: &Floor,
) -> Result<(), SelectorFault> {
    if request.direction == Direction::Add {
        return Ok(());
    }
    for item in planned {
        for placement in &item.placements {
            let ready = |id: &InstanceId| state.instances.get(id).is_some_and(|victim| victim.is_ready());
            let Some((left, wanted)) = floor.breach(&placement.node, &placement.isp) else { continue };
            // What was too little before is no worse for an instance that was not ready.
            if placement.instances.iter().any(ready) {
                let text = format!(
                    "minReady keeps {wanted} ready on `{}` ({}), and {left} would be left; name instances that are \
                     not ready, or change minReady with `ModifyApplicationAttribute`",
                    placement.node, placement.isp
                );
                return Err(SelectorFault { index: item.index, kind: FaultKind::Content, text });
            }
        }
    }
    Ok(())
}
