//! Edge nodes that take nothing at the moment, and why.

use crate::id::{EdgeNodeId, EngineName};
use crate::refusal::utc;
use crate::state::State;
use crate::time::WallTime;
use std::collections::BTreeMap;
use std::fmt;

pub type Excluded = BTreeMap<EdgeNodeId, Exclusion>;

/// `Display` is for people: ``its engine `here` cannot be reached``.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exclusion {
    Unreachable { engine: EngineName, since: Option<WallTime> },
    Draining { since: WallTime },
}

/// Nodes that an Add passes over: those that cannot be reached, and those that are to be emptied.
pub(crate) fn now(state: &State) -> Excluded {
    let draining =
        state.draining().map(|(node, drain)| (node.clone(), Exclusion::Draining { since: drain.since }));
    let mut excluded: Excluded = draining.collect();
    excluded.extend(state.unreachable().filter_map(|node| {
        let engine = state.engine_of(node)?.clone();
        Some((node.clone(), Exclusion::Unreachable { engine, since: state.unreachable_since(node) }))
    }));
    excluded
}

impl fmt::Display for Exclusion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { engine, since: Some(since) } => {
                write!(formatter, "its engine `{engine}` cannot be reached since {}", utc(*since))
            }
            Self::Unreachable { engine, since: None } => {
                write!(formatter, "its engine `{engine}` cannot be reached")
            }
            Self::Draining { since } => write!(formatter, "draining since {}", utc(*since)),
        }
    }
}
