//! What a run is asked to be.

use crate::faults::Choice;
use crate::trace::Tracing;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub seed: u64,
    /// How long faults and clients go on, in simulated minutes; the calm at the end comes on top.
    pub minutes: u32,
    pub edge_nodes: usize,
    /// At the most, over all accounts.
    pub applications: usize,
    pub faults: Choice,
    pub tracing: Tracing,
}

impl Options {
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            minutes: 60,
            edge_nodes: 12,
            applications: 6,
            faults: Choice::Drawn,
            tracing: Tracing::Off,
        }
    }
}
