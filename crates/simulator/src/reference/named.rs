//! What becomes of instances that are named, by ens-api.md §4.7 and §5.3 and `decisions.md` §9.1, §9.2.

use super::area::Area;
use super::{Done, Pick, Why, floor};
use crate::shadow::{Own, Shadow};
use ensemble_model::command::Direction;
use ensemble_model::id::{AccountId, AppId, InstanceId};
use ensemble_model::selector::{Level, SelectorItem};
use std::collections::BTreeSet;

/// What a rescale at level InstanceId does.
pub(crate) fn rescale(
    shadow: &Shadow,
    app: &AppId,
    direction: Direction,
    items: &[SelectorItem],
) -> Result<Vec<Done>, Why> {
    let mut named = BTreeSet::new();
    let mut done = Vec::new();
    for (index, item) in items.iter().enumerate() {
        if item.instances.is_empty() || item.instances.len() != item.count as usize {
            return Err(Why::Unreadable);
        }
        let (mut picks, mut missing) = (Vec::new(), 0);
        for id in &item.instances {
            if !named.insert(id) {
                return Err(Why::Unreadable);
            }
            let pick = match direction {
                Direction::Del => victim(shadow, app, id)?,
                Direction::Add => host(shadow, app, id)?,
            };
            if !lies_in(shadow, item, &pick) {
                return Err(Why::Unreadable);
            }
            // Nothing new comes to a node that is to be emptied.
            missing += u32::from(direction == Direction::Add && shadow.draining.contains_key(&pick.node));
            picks.push(pick);
        }
        if missing > 0 {
            picks.clear();
        }
        done.push(Done { index, picks, missing });
    }
    if direction == Direction::Del {
        let going = done.iter().flat_map(|done| &done.picks).filter_map(|pick| pick.victim.as_ref());
        floor::check(shadow, app, &going.collect()).map_err(|_| Why::Unreadable)?;
    }
    Ok(done)
}

fn victim(shadow: &Shadow, app: &AppId, id: &InstanceId) -> Result<Pick, Why> {
    let known = shadow.known_as(id);
    let found = shadow.instances.get(known).filter(|found| found.app == *app && found.is_held());
    let found = found.filter(|found| found.host.as_ref().unwrap_or(known) == id).ok_or(Why::Unreadable)?;
    Ok(Pick { node: found.node.clone(), isp: found.isp.clone(), victim: Some(known.clone()) })
}

fn host(shadow: &Shadow, app: &AppId, id: &InstanceId) -> Result<Pick, Why> {
    let found = shadow.apps.get(app).ok_or(Why::UnknownApplication)?;
    let free = |own: &&Own| own.account == found.account && own.runs.is_none();
    let own = shadow.owned.get(id).filter(free).ok_or(Why::Unreadable)?;
    let is_enough =
        own.resources.vcpu >= found.resources.vcpu && own.resources.memory_mib >= found.resources.memory_mib;
    if !is_enough {
        return Err(Why::Unreadable);
    }
    if shadow.unreachable.contains(&own.node) {
        return Err(Why::EngineDown);
    }
    Ok(Pick { node: own.node.clone(), isp: own.isp.clone(), victim: Some(id.clone()) })
}

/// What is named beside the ids has to be so.
fn lies_in(shadow: &Shadow, item: &SelectorItem, pick: &Pick) -> bool {
    let node = shadow.fleet.node(pick.node.as_str());
    let place = SelectorItem { isp: None, ..item.clone() };
    let is_there = item.region_code.is_none()
        || Area::read(&shadow.fleet, Level::AreaIspCode, &place)
            .zip(node)
            .is_some_and(|(area, node)| area == Area::Country || area.reaches(&shadow.fleet, node));
    is_there && item.isp.as_ref().is_none_or(|named| *named == pick.isp)
}

pub(super) fn release(shadow: &Shadow, account: &AccountId, id: &InstanceId) -> Result<Vec<Done>, Why> {
    let own = shadow.owned.get(id).filter(|own| own.account == *account);
    match own {
        Some(own) if own.runs.is_none() => Ok(Vec::new()),
        Some(_) => Err(Why::InstanceInTheWay),
        None => match shadow.instances.get(id).filter(|found| found.account == *account) {
            Some(_) => Err(Why::InstanceInTheWay),
            None => Err(Why::UnknownInstance),
        },
    }
}

pub(super) fn protect(shadow: &Shadow, account: &AccountId, ids: &[InstanceId]) -> Result<Vec<Done>, Why> {
    for id in ids {
        let found = shadow.instances.get(shadow.known_as(id)).filter(|found| found.account == *account);
        let is_own = shadow.owned.get(id).is_some_and(|own| own.account == *account);
        match found {
            Some(found) if found.is_held() => {}
            Some(_) => return Err(Why::InstanceInTheWay),
            None if is_own => return Err(Why::InstanceInTheWay),
            None => return Err(Why::UnknownInstance),
        }
    }
    Ok(Vec::new())
}
