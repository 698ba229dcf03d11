//! A plan in words: why each instance goes where it goes, why the other edge nodes are left out, what a refused
//! item met. Pure, and made only when somebody asks; decides nothing. Words are grouped and capped, so that a
//! plan over a thousand nodes stays readable.

mod named;
mod reasons;
mod release;
mod shortage;
#[cfg(test)]
mod tests;

use crate::command::Direction;
use crate::id::{AccountId, AppId, EdgeNodeId, InstanceId, Isp, SpecName};
use crate::placement::{NamedRequest, PlaceRequest, ReleaseRequest, SelectorFault};
use crate::plan::{Plan, PlannedItem, Shortage};
use crate::state::State;

pub use shortage::shortage;

/// Edge nodes named per reason for not being chosen.
const MOST_NODES_PER_REASON: usize = 1_000;

/// The request that a plan answers.
#[derive(Clone, Copy, Debug)]
pub enum Asked<'a> {
    Add(PlaceRequest<'a>),
    Del(ReleaseRequest<'a>),
    /// Instances by their ids, to be released or hosted on.
    Named(NamedRequest<'a>),
}

/// The names that stand in the words.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// Who asks: applications of other accounts are counted, not named.
    pub account: &'a AccountId,
    pub app: &'a str,
    pub spec: &'a SpecName,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Instances of the application, those being released left out.
    pub before: u32,
    /// The same once every item that fits is done.
    pub after: u32,
    /// By the selector's index.
    pub items: Vec<ExplainedItem>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainedItem {
    pub index: usize,
    pub wanted: u32,
    pub placed: u32,
    pub placements: Vec<ExplainedPlacement>,
    /// Grouped by reason.
    pub not_chosen: Vec<NotChosen>,
    pub shortage: Option<Shortage>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainedPlacement {
    pub node: EdgeNodeId,
    pub isp: Isp,
    /// Instances of the application on the node and carrier, before and after this item.
    pub before: u32,
    pub after: u32,
    /// The victims of a Del, or the hosts of an Add, as the account knows them, each with the rule that chose it.
    pub instances: Vec<ExplainedInstance>,
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainedInstance {
    pub id: InstanceId,
    pub reason: String,
}

/// Edge nodes in an item's reach that got nothing, for the same reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotChosen {
    pub reason: String,
    /// In the fleet's order; at most 1,000 are named.
    pub nodes: Vec<EdgeNodeId>,
    /// How many there are, the named ones included.
    pub count: usize,
}

/// Puts `plan`, which answers `asked` on this `state`, into words.
///
/// # Errors
/// [`SelectorFault`] when the items cannot be read against the fleet; then there was no plan either.
pub fn explain(
    state: &State,
    asked: &Asked<'_>,
    names: &Names<'_>,
    plan: &Plan,
) -> Result<Explanation, SelectorFault> {
    let before = held(state, asked.app());
    let changed = plan.placed();
    let after = match asked.direction() {
        Direction::Add => before.saturating_add(changed),
        Direction::Del => before.saturating_sub(changed),
    };
    let items = match asked {
        Asked::Add(request) => reasons::of_add(state, request, names, plan)?,
        Asked::Del(request) => release::of_del(state, request, names, plan)?,
        Asked::Named(request) => named::of(state, request, plan),
    };
    Ok(Explanation { before, after, items })
}

impl<'a> Asked<'a> {
    fn app(&self) -> Option<&'a AppId> {
        match self {
            Self::Add(request) => request.app,
            Self::Del(request) => Some(request.app),
            Self::Named(request) => Some(request.app),
        }
    }

    fn direction(&self) -> Direction {
        match self {
            Self::Add(_) => Direction::Add,
            Self::Del(_) => Direction::Del,
            Self::Named(request) => request.direction,
        }
    }
}

fn held(state: &State, app: Option<&AppId>) -> u32 {
    app.map_or(0, |app| state.held_count(app))
}

impl ExplainedItem {
    fn of(item: &PlannedItem, placements: Vec<ExplainedPlacement>, not_chosen: Vec<NotChosen>) -> Self {
        Self {
            index: item.index,
            wanted: item.wanted,
            placed: item.placed(),
            placements,
            not_chosen,
            shortage: item.shortage.clone(),
        }
    }
}
