//! Where instances go and which ones are taken back: pure, same state and request in, same plan out.
//! Turns names into a small abstract problem, solves it, and turns the answer into a [`Plan`]; puts nothing into
//! words but faults of the selector (`explain` does). The properties it keeps are in `placement/README.md`.

pub(crate) mod alternatives;
mod excluded;
#[cfg(test)]
pub(crate) mod fixture;
mod floor;
mod moves;
pub(crate) mod named;
pub(crate) mod problem;
#[cfg(test)]
mod properties;
mod remedies;
pub(crate) mod scope;
mod solve;
mod victims;

use crate::application::Strategy;
use crate::fleet::EdgeNode;
use crate::id::{AppId, EdgeNodeId, InstanceId, PlanId, VersionName};
use crate::plan::{Placement, Plan, PlannedItem};
use crate::selector::{Level, SelectorItem};
use crate::spec::Resources;
use crate::state::State;
use ring::digest;

pub(crate) use scope::CARRIERS;
use scope::{Chains, ScopedItem, resolve};

pub(crate) use excluded::now as excluded_now;
pub use excluded::{Excluded, Exclusion};
pub(crate) use floor::Floor;
pub use moves::{MoveRequest, Purpose, plan_moves};
pub use named::NamedRequest;

/// What an Add asks of placement.
#[derive(Clone, Copy, Debug)]
pub struct PlaceRequest<'a> {
    /// Whose instances count when spreading; `None` for an application that is being created.
    pub app: Option<&'a AppId>,
    /// What one instance takes of its edge node.
    pub spec: Resources,
    pub strategy: Strategy,
    pub level: Level,
    pub items: &'a [SelectorItem],
    pub excluded: &'a Excluded,
}

/// What a Del asks of placement.
#[derive(Clone, Copy, Debug)]
pub struct ReleaseRequest<'a> {
    pub app: &'a AppId,
    /// Instances of other versions go first.
    pub stable_version: &'a VersionName,
    pub level: Level,
    pub items: &'a [SelectorItem],
    pub excluded: &'a Excluded,
}

/// A selector item that cannot be read against this fleet (`decisions.md` §3).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct SelectorFault {
    /// Of the item in the selector.
    pub index: usize,
    pub kind: FaultKind,
    /// For people, with a suggestion where there is one; does not name the index.
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Wrong in itself: an unknown node, district or carrier, or one of the wrong level. `InvalidParameter`.
    Content,
    /// This edge node, named by its id or by an instance on it, cannot be reached. `CallInterface`.
    OutOfReach(EdgeNodeId),
}

/// Plans where the instances of `request` go (`decisions.md` §1.3 to §1.7). An item for which there is no room
/// carries a shortage and no placements, and leaves the room it would have taken to the others: whether it is then
/// skipped or refuses the whole call (`AllowPartial`) is the caller's to say.
///
/// # Errors
/// [`SelectorFault`] for the first item, by index, that cannot be read against the fleet.
pub fn place(state: &State, request: &PlaceRequest<'_>) -> Result<Plan, SelectorFault> {
    let chains = Chains::of(state.fleet());
    let items = resolve(state.fleet(), request.level, request.items, request.excluded)?;
    for item in &items {
        scope::require_carrier(state.fleet(), &chains, item)?;
    }
    let mut posed = problem::pose(state, &chains, request, &items);
    let outcomes = solve::solve(&mut posed.problem);
    let mut planned: Vec<PlannedItem> =
        outcomes.into_iter().map(|outcome| posed.name(state.fleet(), outcome)).collect();
    alternatives::for_add(state, &chains, request, &items, &mut planned);
    Ok(plan(planned))
}

/// How many more instances of `spec` an edge node would take now, on its carriers together: none while it cannot be
/// reached or is draining.
pub fn room_on(state: &State, node: &EdgeNode, spec: Resources) -> u32 {
    if !state.is_reachable(&node.id) || state.drain_of(&node.id).is_some() {
        return 0;
    }
    alternatives::room(node.capacity.minus(state.used(&node.id)), spec)
}

/// Plans which instances a Del takes back (`decisions.md` §1.8). An item that asks for more than there is carries
/// a shortage and no victims.
///
/// # Errors
/// [`SelectorFault`] for the first item, by index, that cannot be read against the fleet.
pub fn pick_victims(state: &State, request: &ReleaseRequest<'_>) -> Result<Plan, SelectorFault> {
    let chains = Chains::of(state.fleet());
    let items = resolve(state.fleet(), request.level, request.items, request.excluded)?;
    Ok(plan(victims::pick(state, &chains, request, &items)?))
}

/// Plans to release exactly the instances that are named, or to host the application on them.
///
/// # Errors
/// [`SelectorFault`] for the first item, by index, that names what is not there to be taken.
pub fn plan_named(state: &State, request: &NamedRequest<'_>) -> Result<Plan, SelectorFault> {
    Ok(plan(named::plan(state, request)?))
}

/// Puts items that were planned narrowest first back into the selector's order.
fn plan(mut items: Vec<PlannedItem>) -> Plan {
    items.sort_by_key(|item| item.index);
    Plan { id: digest_of(&items), items }
}

/// Eight hex digits over everything that would be done, in whatever order it was chosen: what `IfPlan` compares
/// (`decisions.md` §2.10). It guards against a change in between, not against an adversary.
fn digest_of(items: &[PlannedItem]) -> PlanId {
    let mut context = digest::Context::new(&digest::SHA256);
    for item in items {
        let mut placements: Vec<&Placement> = item.placements.iter().collect();
        placements.sort_by_key(|placement| (&placement.node, &placement.isp));
        for placement in placements {
            // Ids hold no control characters, so the fields cannot run into each other.
            let line =
                format!("{}\n{}\n{}\n{}\n", item.index, placement.node, placement.isp, placement.count);
            context.update(line.as_bytes());
            let mut named: Vec<&InstanceId> = placement.instances.iter().collect();
            named.sort();
            for instance in named {
                context.update(instance.as_str().as_bytes());
                context.update(b"\n");
            }
        }
    }
    short(context)
}

fn short(context: digest::Context) -> PlanId {
    let digest = context.finish();
    PlanId::new(digest.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::fixture::{adding, builtin_state, item};
    use super::*;

    fn add(level: Level, items: &[SelectorItem]) -> Result<Plan, SelectorFault> {
        let excluded = Excluded::new();
        let request = PlaceRequest { level, ..adding(None, items, &excluded) };
        place(&builtin_state(), &request)
    }

    fn placed(plan: &Plan) -> Vec<(usize, &str, &str, u32)> {
        let of_item = |item: &PlannedItem| item.index;
        plan.items
            .iter()
            .flat_map(|item| item.placements.iter().map(move |placement| (of_item(item), placement)))
            .map(|(index, placement)| {
                (index, placement.node.as_str(), placement.isp.as_str(), placement.count)
            })
            .collect()
    }

    #[test]
    fn the_documented_example_is_placed_as_it_asks() {
        let items =
            [item("cn-shanghai-cmcc", None, 4), item("cn-wuxi-telecom_unicom_cmcc-3", Some("telecom"), 2)];

        let plan = add(Level::RegionId, &items).expect("both nodes are built in");

        assert!(plan.fits());
        assert_eq!(
            placed(&plan),
            [(0, "cn-shanghai-cmcc", "cmcc", 4), (1, "cn-wuxi-telecom_unicom_cmcc-3", "telecom", 2)]
        );
    }

    #[test]
    fn a_district_is_spread_evenly_in_the_order_of_the_fleet() {
        let plan = add(Level::AreaIspCode, &[item("310100", None, 5)]).expect("Shanghai is built in");

        assert_eq!(
            placed(&plan),
            [
                (0, "cn-shanghai-cmcc", "cmcc", 2),
                (0, "cn-shanghai-cmcc-4", "cmcc", 1),
                (0, "cn-shanghai-telecom-2", "telecom", 1),
                (0, "cn-shanghai-unicom", "unicom", 1),
            ]
        );
    }

    #[test]
    fn a_plan_has_the_same_id_in_whatever_order_its_nodes_were_chosen() {
        let items = |turned: &[usize]| {
            let planned = add(Level::AreaIspCode, &[item("310100", None, 5)]).expect("Shanghai is built in");
            let PlannedItem { placements, .. } = &planned.items[0];
            let placements = turned.iter().map(|at| placements[*at].clone()).collect();
            vec![PlannedItem { placements, ..planned.items[0].clone() }]
        };

        assert_eq!(digest_of(&items(&[0, 1, 2, 3])), digest_of(&items(&[3, 0, 2, 1])));
        assert_ne!(digest_of(&items(&[0, 1, 2, 3])), digest_of(&items(&[0, 1, 2, 2])));
    }

    #[test]
    fn a_selector_that_cannot_be_read_names_the_item_and_suggests() {
        for (level, wrong, expected) in [
            (
                Level::RegionId,
                item("cn-shanghai-cmc", None, 1),
                "unknown edge node `cn-shanghai-cmc`; did you mean `cn-shanghai-cmcc`?",
            ),
            (
                Level::RegionId,
                item("310100", None, 1),
                "district `310100` is no edge node; a district needs level AreaIspCode",
            ),
            (
                Level::AreaIspCode,
                item("310101", None, 1),
                "unknown district `310101`; did you mean `310100`?",
            ),
            (Level::RegionId, item("", None, 1), "level RegionId needs the id of an edge node as regionCode"),
            (
                Level::AreaIspCode,
                item("310100", Some("cbn"), 1),
                "district `310100` (Shanghai) does not offer carrier `cbn`; it offers cmcc, telecom, unicom",
            ),
            (
                Level::AreaIspCode,
                item("tr-Istanbul-1", Some("cmcc"), 1),
                "edge node `tr-Istanbul-1` does not offer carrier `cmcc`; it offers none by name: leave ispCode out",
            ),
            (
                Level::AreaIspCode,
                item("All", Some("multiCarrier"), 1),
                "`multiCarrier` is no carrier: leave ispCode out to let placement choose",
            ),
            (
                Level::AreaIspCode,
                item("All", Some("telecon"), 1),
                "unknown carrier `telecon`; known are telecom, unicom, cmcc, cbn; did you mean `telecom`?",
            ),
        ] {
            let fault = add(level, &[item("cn-shanghai-cmcc", None, 1), wrong]).unwrap_err();

            assert_eq!((fault.index, fault.kind), (1, FaultKind::Content));
            assert_eq!(fault.text, expected);
        }
    }
}
