//! What a run came to: figures, faults that came, and the violation that ended it, if one did.

use crate::agenda::Moment;
use crate::faults::Fault;
use crate::invariant::Exercised;
use crate::reference::optimum::Regret;
use crate::trace::Shown;
use std::collections::BTreeMap;
use std::fmt;

/// A rule of `invariant` that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The name of its function.
    pub invariant: &'static str,
    pub detail: String,
    pub at: Moment,
    /// Which event of the world it was, counted from 1.
    pub step: u64,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { invariant, detail, at, step } = self;
        write!(formatter, "{invariant}: {detail} (step {step}, at {})", Shown(*at))
    }
}

#[derive(Clone, Debug, Default)]
pub struct Report {
    pub seed: u64,
    pub steps: u64,
    pub simulated_ms: i64,
    /// What clients did at once and what broke at once, counted together: what [`Options::without`] leaves out.
    ///
    /// [`Options::without`]: crate::Options::without
    pub deeds: u64,
    pub figures: Figures,
    pub faults: BTreeMap<Fault, u64>,
    /// How many things each invariant had to look at.
    pub exercised: Exercised,
    /// How good placements were, on fleets of at most six nodes.
    pub regret: Regret,
    pub violation: Option<Violation>,
    pub trace: Vec<String>,
}

/// What was done, so that a run in which nothing happened is seen to be one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub requests: u64,
    pub accepted: u64,
    pub refused: u64,
    pub unanswered: u64,
    pub entries: u64,
    pub starts: u64,
    pub snapshots: u64,
    pub reports: u64,
    pub most_instances: u64,
}
