//! What stands against the items that do not fit, in one sentence each: how much room there is, who uses it, and
//! what would fit instead (cli.md §3).

use super::{Asked, Names};
use crate::fleet::Fleet;
use crate::id::{AppId, EdgeNodeId, InstanceId};
use crate::placement::alternatives::{Rooms, offers, room};
use crate::placement::scope::{Chains, Extent, ScopedItem, resolve};
use crate::placement::{NamedRequest, PlaceRequest};
use crate::plan::{Alternative, Plan, PlannedItem, Remedy};
use crate::state::State;
use std::collections::{BTreeMap, BTreeSet};

/// Items put into words; the others are counted.
const MOST_ITEMS: usize = 3;
/// Alternatives and users of room named per item.
const MOST_NAMED: usize = 4;
/// Beyond this many instances, who uses the room is left out: counting them would hold everybody up.
const MOST_COUNTED: usize = 20_000;

/// What stands against `plan`, or nothing when everything fits: for the `Detail` of a refusal and for a plan.
pub fn shortage(state: &State, asked: &Asked<'_>, names: &Names<'_>, plan: &Plan) -> Option<String> {
    let short: Vec<&PlannedItem> = plan.items.iter().filter(|item| item.shortage.is_some()).collect();
    if short.is_empty() {
        return None;
    }
    let fleet = state.fleet();
    let chains = Chains::of(fleet);
    let (level, items, excluded) = match asked {
        Asked::Add(request) => (request.level, request.items, request.excluded),
        Asked::Del(request) => (request.level, request.items, request.excluded),
        // What is named and not there is refused by itself: this is what drains.
        Asked::Named(request) => return Some(closed_hosts(request, &short)),
    };
    let scoped = resolve(fleet, level, items, excluded).ok()?;
    let mut sentences: Vec<String> = short
        .iter()
        .take(MOST_ITEMS)
        .filter_map(|item| Some((*item, scoped.get(item.index)?)))
        .map(|(item, scope)| match asked {
            Asked::Add(request) => of_add(state, &chains, request, names, plan, item, scope),
            Asked::Del(_) | Asked::Named(_) => of_del(fleet, names, item, scope),
        })
        .collect();
    let more = short.len().saturating_sub(MOST_ITEMS);
    if more > 0 {
        sentences.push(format!("{more} more {} not fit", if more == 1 { "item does" } else { "items do" }));
    }
    Some(sentences.join("\n"))
}

/// Instances that are named to be hosted on, where nothing may come now.
fn closed_hosts(request: &NamedRequest<'_>, short: &[&PlannedItem]) -> String {
    let remedies = short.iter().filter_map(|item| item.shortage.as_ref()).flat_map(|short| &short.remedies);
    let mut nodes: BTreeSet<&EdgeNodeId> = BTreeSet::new();
    for remedy in remedies {
        if let Remedy::DrainEnds { nodes: draining, .. } = remedy {
            nodes.extend(draining);
        }
    }
    let closed = nodes.into_iter().take(MOST_NAMED).map(|node| match request.excluded.get(node) {
        Some(why) => format!("edge node {node} takes nothing now: {why}"),
        None => format!("edge node {node} takes nothing now"),
    });
    let missing = short.iter().filter_map(|item| item.shortage.as_ref()).map(|short| short.missing).sum();
    format!("{} cannot be hosted on: {}", counted(missing), closed.collect::<Vec<_>>().join("; "))
}

fn of_add(
    state: &State,
    chains: &Chains<'_>,
    request: &PlaceRequest<'_>,
    names: &Names<'_>,
    plan: &Plan,
    item: &PlannedItem,
    scope: &ScopedItem,
) -> String {
    let fleet = state.fleet();
    let free = Rooms::after(state, request, &plan.items).of_item(fleet, chains, scope);
    let nodes = scope.nodes(fleet, chains).into_iter().map(|place| &fleet.nodes[place]);
    let offering = nodes.filter(|node| offers(node, scope.isp.as_ref()));
    let mut total: u32 = 0;
    let mut reached: Vec<&EdgeNodeId> = Vec::new();
    for node in offering {
        total = total.saturating_add(room(node.capacity, request.spec));
        reached.push(&node.id);
    }
    let mut sentence = format!(
        "{} {} not fit {}: {free} free of {total}, spec {}",
        counted(item.wanted),
        if item.wanted == 1 { "does" } else { "do" },
        where_at(fleet, scope),
        names.spec
    );
    if let Extent::Node(place) = scope.extent
        && let Some(why) = request.excluded.get(&fleet.nodes[place].id)
    {
        sentence.push_str(&format!("; it takes nothing now: {why}"));
    }
    for (label, words) in
        [("used by", users(state, &reached, names)), ("would fit", alternatives(fleet, item, scope, "free"))]
    {
        if !words.is_empty() {
            sentence.push_str(&format!("; {label}: {words}"));
        }
    }
    sentence.push_str(&remedies(item));
    sentence
}

/// `; or when the drain of cn-shanghai-cmcc ends (7 more) · with spec ens.sn1.stiny (9 fit)`.
fn remedies(item: &PlannedItem) -> String {
    let remedies = item.shortage.iter().flat_map(|shortage| &shortage.remedies);
    let words: Vec<String> = remedies.map(remedy).collect();
    if words.is_empty() { String::new() } else { format!("; or: {}", words.join(" · ")) }
}

fn remedy(remedy: &Remedy) -> String {
    let listed =
        |names: &mut dyn Iterator<Item = &str>| names.take(MOST_NAMED).collect::<Vec<_>>().join(", ");
    match remedy {
        Remedy::DrainEnds { nodes, room } => {
            format!(
                "once the drain of {} ends ({room} more)",
                listed(&mut nodes.iter().map(EdgeNodeId::as_str))
            )
        }
        Remedy::BackInReach { nodes, room } => {
            format!("once {} can be reached ({room} more)", listed(&mut nodes.iter().map(EdgeNodeId::as_str)))
        }
        Remedy::SmallerSpec { spec, room } => format!("with spec {spec} ({room} fit)"),
        Remedy::Unprotect { instances } => {
            format!("unprotect or name {}", listed(&mut instances.iter().map(InstanceId::as_str)))
        }
        Remedy::LowerMinReady { keeps } => format!("a lower minReady, which keeps {keeps}"),
    }
}

fn of_del(fleet: &Fleet, names: &Names<'_>, item: &PlannedItem, scope: &ScopedItem) -> String {
    let missing = item.shortage.as_ref().map_or(0, |shortage| shortage.missing);
    let there = item.wanted.saturating_sub(missing);
    let verb = if there == 1 { "is" } else { "are" };
    let app = names.app;
    let mut sentence = format!(
        "cannot release {} of {app} {}: only {there} {verb} there",
        counted(item.wanted),
        where_at(fleet, scope)
    );
    let elsewhere = alternatives(fleet, item, scope, "there");
    if !elsewhere.is_empty() {
        sentence.push_str(&format!("; {app} also has: {elsewhere}"));
    }
    sentence.push_str(&remedies(item));
    sentence
}

fn counted(count: u32) -> String {
    match count {
        1 => "1 instance".to_owned(),
        count => format!("{count} instances"),
    }
}

/// `on cn-shanghai-cmcc (carrier cmcc)`, `in district 310100 (Shanghai), any carrier`.
fn where_at(fleet: &Fleet, scope: &ScopedItem) -> String {
    let place = match &scope.extent {
        Extent::Node(place) => format!("on {}", fleet.nodes[*place].id),
        Extent::District { code, .. } => match fleet.districts.get(code) {
            Some(district) => format!("in district {code} {}", district.name_en),
            None => format!("in district {code}"),
        },
        Extent::Country => "in the country".to_owned(),
    };
    match &scope.isp {
        Some(isp) => format!("{place} (carrier {isp})"),
        None => place,
    }
}

/// Who holds instances on `nodes`, the most first: `hello 6, video 3, own instances 2`.
fn users(state: &State, nodes: &[&EdgeNodeId], names: &Names<'_>) -> String {
    let mut by_app: BTreeMap<&AppId, u32> = BTreeMap::new();
    let instances = nodes.iter().flat_map(|node| state.instances_on(node));
    for (number, instance) in instances.enumerate() {
        if number == MOST_COUNTED {
            return String::new();
        }
        *by_app.entry(&instance.app).or_default() += 1;
    }
    let mut named: Vec<(&str, u32)> = Vec::new();
    let (mut others, mut own) = (0, 0);
    let bare = nodes.iter().flat_map(|node| state.bare_instances_on(node));
    for (number, instance) in bare.enumerate() {
        if number == MOST_COUNTED {
            return String::new();
        }
        *(if instance.account == *names.account { &mut own } else { &mut others }) += 1;
    }
    for (app, count) in by_app {
        match state.applications.get(app).filter(|application| application.account == *names.account) {
            Some(application) => named.push((&application.meta.name, count)),
            None => others += count,
        }
    }
    named.sort_by(|(a, m), (b, n)| n.cmp(m).then(a.cmp(b)));
    let more: u32 = named.iter().skip(MOST_NAMED).map(|(_, count)| count).sum();
    let mut words: Vec<String> =
        named.iter().take(MOST_NAMED).map(|(name, count)| format!("{name} {count}")).collect();
    if own > 0 {
        words.push(format!("own instances {own}"));
    }
    if more + others > 0 {
        words.push(format!("others {}", more + others));
    }
    words.join(", ")
}

fn alternatives(fleet: &Fleet, item: &PlannedItem, scope: &ScopedItem, room_word: &str) -> String {
    let Some(shortage) = &item.shortage else { return String::new() };
    let (nodes, districts): (Vec<&Alternative>, Vec<&Alternative>) =
        shortage.alternatives.iter().partition(|other| fleet.district(&other.region_code).is_none());
    // Of the districts the narrowest with the carrier asked for, and the narrowest with any.
    let narrowest = districts.first().copied();
    let any_carrier = narrowest
        .filter(|other| other.isp.is_some())
        .and_then(|_| districts.iter().copied().find(|other| other.isp.is_none()));
    let districts: Vec<&Alternative> = narrowest.into_iter().chain(any_carrier).collect();
    let words: Vec<String> = nodes
        .into_iter()
        .take(MOST_NAMED - districts.len())
        .chain(districts)
        .map(|other| alternative(fleet, other, scope, room_word))
        .collect();
    words.join(" · ")
}

fn alternative(fleet: &Fleet, other: &Alternative, scope: &ScopedItem, room_word: &str) -> String {
    let place = match fleet.district(&other.region_code) {
        Some(_) => format!("district {}", other.region_code),
        None => other.region_code.clone(),
    };
    let carrier = match (&other.isp, &scope.isp) {
        (None, Some(_)) => ", any carrier".to_owned(),
        (Some(isp), asked) if asked.as_ref() != Some(isp) => format!("/{isp}"),
        (Some(_), _) | (None, None) => String::new(),
    };
    format!("{place}{carrier} ({} {room_word})", other.room)
}
