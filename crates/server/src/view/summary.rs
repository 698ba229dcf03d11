//! `ApplicationResource` of DescribeApplicationResourceSummary (ens-api.md §4.6): by spec, district and carrier, how many
//! instances the account's applications have, and how many they would have if they took all the room there is. Instances
//! being released are not counted (`decisions.md` §1.9).

use super::district::{Unit, unit};
use ensemble_model::fleet::EdgeNode;
use ensemble_model::id::{EdgeNodeId, Isp, SpecName};
use ensemble_model::placement::room_on;
use ensemble_model::spec;
use ensemble_model::state::{AccountView, State};
use ensemble_wire::action::Level;
use ensemble_wire::payload::summary::{ApplicationResource, InstanceCountStat, Summary};
use ensemble_wire::template::MOST_SIZE;
use std::collections::{BTreeMap, BTreeSet};

/// How many instances of one spec there are, by edge node and carrier.
type Held<'a> = BTreeMap<&'a EdgeNodeId, BTreeMap<&'a Isp, u64>>;

/// One row on its way.
#[derive(Default)]
struct Row {
    nodes: BTreeSet<String>,
    count: u64,
    most: u64,
}

/// Counts the instances of applications whose resourceType is `resource_type`, or of all.
pub(crate) fn application_resource(
    account: AccountView<'_>,
    level: Level,
    resource_type: Option<&str>,
) -> ApplicationResource {
    let mut held: BTreeMap<&SpecName, Held<'_>> = BTreeMap::new();
    for application in account.applications() {
        if resource_type.is_some_and(|asked| asked != application.resources.resource_type) {
            continue;
        }
        for instance in account.instances(&application.id) {
            if instance.is_held() {
                let of_spec = held.entry(&instance.spec).or_default();
                *of_spec.entry(&instance.node).or_default().entry(&instance.isp).or_default() += 1;
            }
        }
    }
    // A spec that has left the table since may still have instances.
    let known: Vec<SpecName> = spec::names().map(SpecName::new).collect();
    let others = held.keys().filter(|spec| !known.contains(spec)).map(|spec| (*spec).clone());
    let specs: Vec<SpecName> = known.iter().cloned().chain(others).collect();
    let none = Held::new();
    let summary = specs
        .iter()
        .map(|spec| summary(account.state(), spec, held.get(spec).unwrap_or(&none), level))
        .filter(|summary| summary.instance_total_max_count > 0)
        .collect();
    ApplicationResource { level: level.as_str().to_owned(), summary }
}

fn summary(state: &State, spec: &SpecName, held: &Held<'_>, level: Level) -> Summary {
    let fleet = state.fleet();
    let resources = spec::resources(spec);
    let (mut total, mut total_most) = (0, 0);
    let mut rows: BTreeMap<(Unit, &Isp), Row> = BTreeMap::new();
    for node in &fleet.nodes {
        let room = resources.map_or(0, |resources| u64::from(room_on(state, node, resources)));
        let here = held.get(&node.id);
        let count_on = |isp: &Isp| here.and_then(|here| here.get(isp)).copied().unwrap_or_default();
        let count: u64 = here.into_iter().flat_map(BTreeMap::values).sum();
        total += count;
        total_most += count + room;
        for isp in carriers(node, here) {
            let offered = if node.isps.contains(isp) { room } else { 0 };
            let (count, most) = (count_on(isp), count_on(isp) + offered);
            if most > 0 {
                let row = rows.entry((unit(fleet, node, level), isp)).or_default();
                row.nodes.insert(node.id.to_string());
                row.count += count;
                row.most += most;
            }
        }
    }
    Summary {
        instance_type: spec.to_string(),
        system_disk_max_size: MOST_SIZE,
        data_disk_max_size: MOST_SIZE,
        bandwidth_out_limit: MOST_SIZE,
        instance_total_max_count: total_most,
        instance_total_count: total,
        instance_count_stat: rows.into_iter().map(stat).collect(),
    }
}

/// Those that the node offers, and those it has dropped while instances are left on them.
fn carriers<'a>(node: &'a EdgeNode, here: Option<&BTreeMap<&'a Isp, u64>>) -> BTreeSet<&'a Isp> {
    node.isps.iter().chain(here.into_iter().flat_map(|here| here.keys().copied())).collect()
}

fn stat(((unit, isp), row): ((Unit, &Isp), Row)) -> InstanceCountStat {
    InstanceCountStat {
        area_code: unit.area_code,
        area_name: unit.area_name,
        isp_code: isp.to_string(),
        region_ids: row.nodes.into_iter().collect(),
        instance_max_count: row.most,
        instance_count: row.count,
    }
}
