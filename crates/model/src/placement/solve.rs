//! The solver over the abstract problem: small integers and exact fractions, no names, no state, no clock.
//! Decides the order of items and where each instance goes (`decisions.md` §1.3 to §1.5).

use crate::application::Strategy;
use crate::spec::Resources;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// What there is and what is asked.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub(super) spec: Resources,
    pub(super) strategy: Strategy,
    /// In the fleet's order, which breaks ties.
    pub(super) sites: Vec<Site>,
    /// In any order.
    pub(super) demands: Vec<Demand>,
}

/// An edge node.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) capacity: Resources,
    pub(super) free: Resources,
    /// Instances of the application, whatever their carrier.
    pub(super) of_application: u32,
    /// The same per carrier, in the record's order.
    pub(super) by_carrier: Vec<u32>,
}

/// A selector item.
#[derive(Clone, Debug)]
pub(super) struct Demand {
    /// In the selector; breaks ties of breadth.
    pub(super) index: usize,
    /// Narrower ones are placed first.
    pub(super) breadth: (u8, bool),
    pub(super) count: u32,
    /// Each site at most once.
    pub(super) eligible: Vec<Eligible>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Eligible {
    pub(super) site: usize,
    pub(super) carrier: CarrierChoice,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CarrierChoice {
    /// By its place in the site's record.
    Only(usize),
    Any,
}

/// What becomes of one demand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) index: usize,
    pub(super) count: u32,
    /// One entry per instance, in the order chosen; empty when something is missing.
    pub(super) choices: Vec<Choice>,
    /// How many there is no room for; 0 = the demand is met.
    pub(super) missing: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) site: usize,
    pub(super) carrier: usize,
    /// Instances of the application on the site and carrier before this one.
    pub(super) before: u32,
}

/// Meets the demands one after the other, narrowest first. The sites of `problem` are left as they are after that.
pub(super) fn solve(problem: &mut Problem) -> Vec<Outcome> {
    let mut demands = std::mem::take(&mut problem.demands);
    demands.sort_by_key(|demand| (demand.breadth, demand.index));
    demands.iter().map(|demand| meet(problem, demand)).collect()
}

fn meet(problem: &mut Problem, demand: &Demand) -> Outcome {
    // Only the chosen site's standing changes, so a heap gives the same order as looking at all sites each time.
    let mut candidates: BinaryHeap<Candidate> =
        demand.eligible.iter().filter_map(|eligible| candidate(problem, *eligible)).collect();
    let mut choices = Vec::new();
    while choices.len() < demand.count as usize {
        let Some(best) = candidates.pop() else { break };
        choices.push(put(&mut problem.sites[best.eligible.site], best.eligible, problem.spec));
        candidates.extend(candidate(problem, best.eligible));
    }
    let missing = demand.count - u32::try_from(choices.len()).expect("bounded by the demand's own count");
    if missing > 0 {
        for choice in choices.drain(..) {
            take_back(&mut problem.sites[choice.site], choice, problem.spec);
        }
    }
    Outcome { index: demand.index, count: demand.count, choices, missing }
}

fn put(site: &mut Site, eligible: Eligible, spec: Resources) -> Choice {
    let carrier = match eligible.carrier {
        CarrierChoice::Only(carrier) => carrier,
        // `min_by_key` keeps the first of equals: ties go in the record's order.
        CarrierChoice::Any => {
            (0..site.by_carrier.len()).min_by_key(|carrier| site.by_carrier[*carrier]).unwrap_or_default()
        }
    };
    let before = site.by_carrier[carrier];
    site.free = site.free.minus(spec);
    site.of_application += 1;
    site.by_carrier[carrier] += 1;
    Choice { site: eligible.site, carrier, before }
}

fn take_back(site: &mut Site, choice: Choice, spec: Resources) {
    site.free = site.free.plus(spec);
    site.of_application -= 1;
    site.by_carrier[choice.carrier] -= 1;
}

/// A site that is in line for the next instance; the greatest is chosen.
struct Candidate {
    eligible: Eligible,
    standing: Standing,
}

/// Where a strategy puts the next instance: the greatest of those with room. Placement and moves choose by it, and by
/// nothing else (`decisions.md` §1.4).
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    strategy: Strategy,
    of_application: u32,
    free_share: Share,
    /// In the fleet's order.
    place: usize,
}

fn candidate(problem: &Problem, eligible: Eligible) -> Option<Candidate> {
    let site = &problem.sites[eligible.site];
    if !site.free.holds(problem.spec) || site.by_carrier.is_empty() {
        return None;
    }
    let free_share = Share::free(site.free, site.capacity);
    let standing = Standing::of(problem.strategy, site.of_application, free_share, eligible.site);
    Some(Candidate { eligible, standing })
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.standing.cmp(&other.standing)
    }
}

impl Standing {
    /// Of the node at `place`, which has `of_application` instances of the application and `free_share` left.
    pub(super) fn of(strategy: Strategy, of_application: u32, free_share: Share, place: usize) -> Self {
        Self { strategy, of_application, free_share, place }
    }
}

impl Ord for Standing {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_count = self.of_application.cmp(&other.of_application);
        let by_share = self.free_share.cmp(&other.free_share);
        let preferred = match self.strategy {
            Strategy::Disperse => by_count.reverse().then(by_share),
            Strategy::Concentrate => by_count.then(by_share.reverse()),
        };
        preferred.then(other.place.cmp(&self.place))
    }
}

impl PartialOrd for Standing {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Standing {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Standing {}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Candidate {}

/// An exact fraction; a denominator of 0 stands for a node without any of that resource, whose share is 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    part: u64,
    whole: u64,
}

impl Share {
    /// The smaller of free vCPU/vCPU and free memory/memory.
    pub(super) fn free(free: Resources, capacity: Resources) -> Self {
        let vcpu = Self::of(u64::from(free.vcpu), u64::from(capacity.vcpu));
        let memory = Self::of(free.memory_mib, capacity.memory_mib);
        vcpu.min(memory)
    }

    fn of(part: u64, whole: u64) -> Self {
        match whole {
            0 => Self { part: 0, whole: 1 },
            whole => Self { part, whole },
        }
    }
}

impl Ord for Share {
    fn cmp(&self, other: &Self) -> Ordering {
        let (mine, theirs) = (u128::from(self.part), u128::from(other.part));
        (mine * u128::from(other.whole)).cmp(&(theirs * u128::from(self.whole)))
    }
}

impl PartialOrd for Share {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Share {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Share {}
