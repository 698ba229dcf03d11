//! Where the instances of an Add go, by `decisions.md` §1.3 to §1.5: for each instance all nodes are looked at anew.

use super::{Asked, Done, Pick};
use crate::shadow::Shadow;
use ensemble_model::application::Strategy;
use ensemble_model::fleet::EdgeNode;
use ensemble_model::id::AppId;
use ensemble_model::spec::Resources;
use std::cmp::Ordering;

/// An edge node and what is on it.
#[derive(Clone, Debug)]
pub(super) struct Site<'a> {
    pub(super) node: &'a EdgeNode,
    pub(super) free: Resources,
    /// In reach, and not to be emptied.
    pub(super) is_open: bool,
    /// Instances of the application, by the node's carriers; those being released are left out.
    pub(super) of_app: Vec<u32>,
    /// On carriers that the node has no more.
    pub(super) stray: u32,
}

/// Counts everything there is, in the fleet's order.
pub(super) fn sites<'a>(shadow: &'a Shadow, app: &AppId) -> Vec<Site<'a>> {
    let mut sites = Vec::new();
    for node in &shadow.fleet.nodes {
        let used = shadow.used(&node.id);
        let mut site = Site {
            node,
            free: Resources {
                vcpu: node.capacity.vcpu.saturating_sub(used.vcpu),
                memory_mib: node.capacity.memory_mib.saturating_sub(used.memory_mib),
            },
            is_open: !shadow.unreachable.contains(&node.id) && !shadow.draining.contains_key(&node.id),
            of_app: vec![0; node.isps.len()],
            stray: 0,
        };
        for instance in shadow.instances.values().filter(|instance| instance.node == node.id) {
            if instance.app == *app && instance.is_held() {
                match node.isps.iter().position(|isp| *isp == instance.isp) {
                    Some(carrier) => site.of_app[carrier] += 1,
                    None => site.stray += 1,
                }
            }
        }
        sites.push(site);
    }
    sites
}

/// Places item by item; one that does not fit whole gives back what it took.
pub(super) fn place(
    shadow: &Shadow,
    sites: &mut [Site<'_>],
    (strategy, spec): (Strategy, Resources),
    asked: &[Asked<'_>],
) -> Vec<Done> {
    let mut done = Vec::new();
    for Asked { index, item, area } in asked {
        let before = sites.to_vec();
        let mut picks = Vec::new();
        for _ in 0..item.count {
            let mut best: Option<usize> = None;
            for at in 0..sites.len() {
                let here = &sites[at];
                let offers = item.isp.as_ref().is_none_or(|isp| here.node.isps.contains(isp));
                let fits = here.free.vcpu >= spec.vcpu && here.free.memory_mib >= spec.memory_mib;
                if here.is_open
                    && offers
                    && fits
                    && area.reaches(&shadow.fleet, here.node)
                    && best.is_none_or(|best| is_better(strategy, here, &sites[best]))
                {
                    best = Some(at);
                }
            }
            let Some(best) = best else { break };
            let site = &mut sites[best];
            let carriers = 0..site.node.isps.len();
            let carrier = match &item.isp {
                Some(isp) => site.node.isps.iter().position(|offered| offered == isp),
                None => carriers.min_by_key(|carrier| (site.of_app[*carrier], *carrier)),
            };
            let Some(carrier) = carrier else { break };
            site.of_app[carrier] += 1;
            site.free.vcpu -= spec.vcpu;
            site.free.memory_mib -= spec.memory_mib;
            picks.push(Pick {
                node: site.node.id.clone(),
                isp: site.node.isps[carrier].clone(),
                victim: None,
            });
        }
        let missing = item.count - picks.len() as u32;
        if missing > 0 {
            picks.clear();
            sites.clone_from_slice(&before);
        }
        done.push(Done { index: *index, picks, missing });
    }
    done
}

/// Whether `one` is chosen over `other`, which stands before it in the fleet.
fn is_better(strategy: Strategy, one: &Site<'_>, other: &Site<'_>) -> bool {
    let count = |site: &Site<'_>| site.stray + site.of_app.iter().sum::<u32>();
    let order = match strategy {
        Strategy::Disperse => count(other).cmp(&count(one)).then_with(|| compare_free_share(one, other)),
        Strategy::Concentrate => count(one).cmp(&count(other)).then_with(|| compare_free_share(other, one)),
    };
    order == Ordering::Greater
}

/// The smaller of the free shares of vCPU and of memory, compared as fractions.
fn compare_free_share(one: &Site<'_>, other: &Site<'_>) -> Ordering {
    let share = |site: &Site<'_>| {
        let of =
            |part: u64, whole: u64| if whole == 0 { (0, 1) } else { (u128::from(part), u128::from(whole)) };
        let vcpu = of(site.free.vcpu.into(), site.node.capacity.vcpu.into());
        let memory = of(site.free.memory_mib, site.node.capacity.memory_mib);
        let is_vcpu = vcpu.0 * memory.1 < memory.0 * vcpu.1;
        if is_vcpu { vcpu } else { memory }
    };
    let (one, other) = (share(one), share(other));
    (one.0 * other.1).cmp(&(other.0 * one.1))
}
