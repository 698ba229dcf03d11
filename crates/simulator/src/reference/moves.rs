//! Which instances may be moved and where to, by `decisions.md` §9.5: every instance and every node is looked at.

use super::area::Area;
use super::{Asked, add};
use crate::shadow::{Instance, Shadow};
use ensemble_model::application::Strategy;
use ensemble_model::fleet::EdgeNode;
use ensemble_model::id::{AppId, EdgeNodeId, Isp};
use ensemble_model::instance::Scope;
use ensemble_model::selector::{Level, SelectorItem};
use ensemble_model::spec::Resources;

/// Why an instance stays where it is whatever room there is elsewhere.
pub(crate) fn stays(instance: &Instance) -> Option<&'static str> {
    if instance.host.is_some() {
        Some("hosted")
    } else if instance.protected {
        Some("protected")
    } else if instance.unknown {
        Some("unknown")
    } else if instance.scope.region_code == instance.node.as_str() {
        Some("placed by name")
    } else {
        None
    }
}

/// Where an Add of one would go that asks for what placed `instance`, were the node that it leaves closed.
pub(crate) fn target(shadow: &Shadow, instance: &Instance) -> Option<(EdgeNodeId, Isp)> {
    let found = shadow.apps.get(&instance.app)?;
    let item = asks_for(&instance.scope);
    let area = Area::read(&shadow.fleet, Level::AreaIspCode, &item)?;
    let mut sites = add::sites(shadow, &instance.app);
    sites.iter_mut().filter(|site| site.node.id == instance.node).for_each(|site| site.is_open = false);
    let asked = [Asked { index: 0, item: &item, area }];
    let done = add::place(shadow, &mut sites, (found.strategy, found.resources), &asked);
    let pick = done.into_iter().next()?.picks.into_iter().next()?;
    Some((pick.node, pick.isp))
}

fn asks_for(scope: &Scope) -> SelectorItem {
    let region_code = Some(scope.region_code.clone()).filter(|code| !code.is_empty());
    SelectorItem { region_code, isp: scope.isp.clone(), count: 1, instances: Vec::new() }
}

/// Whether what a selector item placed may be on this node.
pub(crate) fn lies_in(shadow: &Shadow, scope: &Scope, node: &EdgeNode) -> bool {
    let item = asks_for(scope);
    let area = Area::read(&shadow.fleet, Level::AreaIspCode, &item);
    let offers = scope.isp.as_ref().is_none_or(|isp| node.isps.contains(isp));
    offers && area.is_some_and(|area| area.reaches(&shadow.fleet, node))
}

/// Nodes that an instance could be moved to: others, in its scope, in reach, not to be emptied, with room.
pub(crate) fn open_to<'a>(
    shadow: &'a Shadow,
    instance: &'a Instance,
    size: Resources,
) -> impl Iterator<Item = &'a EdgeNode> {
    let has_room = move |node: &EdgeNode| {
        let used = shadow.used(&node.id);
        used.vcpu + size.vcpu <= node.capacity.vcpu
            && used.memory_mib + size.memory_mib <= node.capacity.memory_mib
    };
    shadow.fleet.nodes.iter().filter(move |node| {
        node.id != instance.node
            && !shadow.unreachable.contains(&node.id)
            && !shadow.draining.contains_key(&node.id)
            && lies_in(shadow, &instance.scope, node)
            && has_room(node)
    })
}

/// Instances of an application on a node.
pub(crate) fn count(shadow: &Shadow, app: &AppId, node: &EdgeNodeId) -> u64 {
    shadow.held_by(app).filter(|(_, found)| found.node == *node).count() as u64
}

/// Whether a single move would bring the application nearer to its strategy.
pub(super) fn helps(shadow: &Shadow, app: &AppId) -> bool {
    let Some(found) = shadow.apps.get(app) else { return false };
    let mut movable = shadow.held_by(app).filter(|(_, instance)| stays(instance).is_none());
    movable.any(|(_, instance)| {
        let from = count(shadow, app, &instance.node);
        open_to(shadow, instance, found.resources).any(|node| {
            let to = count(shadow, app, &node.id);
            match found.strategy {
                Strategy::Disperse => from >= to + 2,
                Strategy::Concentrate => to >= from,
            }
        })
    })
}
