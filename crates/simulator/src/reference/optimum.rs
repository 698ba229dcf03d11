//! How good a placement is, where all placements can be tried: on a few nodes. The rules place one instance after the
//! other and never look back; the regret is what that costs against the best that there was.
//!
//! What is best follows from `decisions.md` §1.4. For Disperse it is evenness: the sum of the squares of the application's
//! instances on each node, which falls by two or more for each instance that moves from a fuller node to an emptier one,
//! so half the difference is the regret. For Concentrate it is the number of nodes that hold instances of it.

use super::add::{Site, sites};
use super::area::Area;
use crate::shadow::Shadow;
use ensemble_model::application::Strategy;
use ensemble_model::id::AppId;
use ensemble_model::selector::{Level, SelectorItem};
use ensemble_model::spec::Resources;
use std::collections::BTreeSet;

const NODES_AT_MOST: usize = 6;
/// Instances of one decision: with more, there are too many placements to try.
const INSTANCES_AT_MOST: u32 = 6;

/// Decisions by how much better they could have been.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Regret {
    pub none: u64,
    pub one: u64,
    pub more: u64,
    pub greatest: u64,
}

impl Regret {
    pub(crate) fn add(&mut self, regret: u64) {
        match regret {
            0 => self.none += 1,
            1 => self.one += 1,
            _ => self.more += 1,
        }
        self.greatest = self.greatest.max(regret);
    }

    pub fn merge(&mut self, other: Self) {
        self.none += other.none;
        self.one += other.one;
        self.more += other.more;
        self.greatest = self.greatest.max(other.greatest);
    }
}

/// The regret of placing `items` so that each node of the fleet got `placed` more. Nothing where there is too much to try.
pub(crate) fn regret(
    shadow: &Shadow,
    app: &AppId,
    (strategy, spec): (Strategy, Resources),
    (level, items): (Level, &[SelectorItem]),
    placed: &[u32],
) -> Option<u64> {
    let asked: u32 = items.iter().map(|item| item.count).sum();
    if shadow.fleet.nodes.len() > NODES_AT_MOST || asked > INSTANCES_AT_MOST {
        return None;
    }
    let sites = sites(shadow, app);
    let mut reached: BTreeSet<Vec<u32>> = BTreeSet::from([vec![0; sites.len()]]);
    for item in items {
        let area = Area::read(&shadow.fleet, level, item)?;
        let open: Vec<usize> = (0..sites.len())
            .filter(|at| {
                let site = &sites[*at];
                let offers = item.isp.as_ref().is_none_or(|isp| site.node.isps.contains(isp));
                site.is_open && offers && area.reaches(&shadow.fleet, site.node)
            })
            .collect();
        for _ in 0..item.count {
            let mut next = BTreeSet::new();
            for taken in &reached {
                for at in open.iter().filter(|at| taken[**at] < room(&sites[**at], spec)) {
                    let mut taken = taken.clone();
                    taken[*at] += 1;
                    next.insert(taken);
                }
            }
            reached = next;
        }
    }
    let best = reached.iter().map(|taken| cost(strategy, &sites, taken)).min()?;
    Some(cost(strategy, &sites, placed).saturating_sub(best) / unit(strategy))
}

fn room(site: &Site<'_>, spec: Resources) -> u32 {
    let by_vcpu = site.free.vcpu.checked_div(spec.vcpu).unwrap_or(u32::MAX);
    let by_memory = site.free.memory_mib.checked_div(spec.memory_mib).unwrap_or(u64::MAX);
    by_vcpu.min(u32::try_from(by_memory).unwrap_or(u32::MAX))
}

fn cost(strategy: Strategy, sites: &[Site<'_>], taken: &[u32]) -> u64 {
    let counts = sites.iter().zip(taken).map(|(site, taken)| {
        let before: u32 = site.stray + site.of_app.iter().sum::<u32>();
        u64::from(before + taken)
    });
    match strategy {
        Strategy::Disperse => counts.map(|count| count * count).sum(),
        Strategy::Concentrate => counts.filter(|count| *count > 0).count() as u64,
    }
}

fn unit(strategy: Strategy) -> u64 {
    match strategy {
        Strategy::Disperse => 2,
        Strategy::Concentrate => 1,
    }
}
