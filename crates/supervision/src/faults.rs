//! Faults of an engine as a value: edge nodes cut off, instances that fail, reports that are late. What of them a
//! listener and the engine get to hear is decided by the filter; delaying is left to whoever has a clock.

mod filter;

use ensemble_model::id::{EdgeNodeId, InstanceId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use filter::{Filter, Switched};

/// The faults in force. The default is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Cut off: they are told nothing, nothing is heard of them, and the listener is told so. Those among several
    /// that come back are heard of by name; the report of the whole comes when none is cut off any more.
    pub unreachable: BTreeSet<EdgeNodeId>,
    /// Every instance on these nodes fails.
    pub failing: BTreeMap<EdgeNodeId, Failure>,
    pub failing_instances: BTreeMap<InstanceId, Failure>,
    /// How late reports arrive.
    pub delay: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It exits again and again.
    Crashing,
    /// It can never run.
    Hopeless { reason: String },
}

#[cfg(test)]
mod tests;
