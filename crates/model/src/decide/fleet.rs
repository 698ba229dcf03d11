//! Puts a fleet in force, at start or while everything runs. One that lacks a node which still carries instances is
//! refused, saying which (`decisions.md` §1.2); capacity below what is used only stops new placements.

use super::draft::Draft;
use crate::event::Event;
use crate::fleet::Fleet;
use crate::id::{EdgeNodeId, EngineName};
use crate::refusal::Refusal;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// As [`install`], while engines run: a node that carries instances keeps its engine, since the one it had would still
/// hold them when the other is told to run them.
pub(crate) fn replace(draft: &mut Draft, fleet: &Arc<Fleet>) -> Result<(), Refusal> {
    let engines: HashMap<&EdgeNodeId, &EngineName> =
        fleet.nodes.iter().map(|node| (&node.id, &node.engine)).collect();
    let moves = |node: &&EdgeNodeId| {
        engines.get(*node).is_some_and(|engine| draft.state.engine_of(node) != Some(*engine))
    };
    let nodes: Vec<EdgeNodeId> = draft.state.used.keys().filter(moves).cloned().collect();
    if !nodes.is_empty() {
        return Err(Refusal::EngineInUse { nodes });
    }
    install(draft, fleet)
}

/// # Errors
/// [`Refusal::NodesInUse`].
pub(crate) fn install(draft: &mut Draft, fleet: &Arc<Fleet>) -> Result<(), Refusal> {
    if draft.state.fleet == *fleet {
        return Ok(());
    }
    let offered: BTreeSet<&EdgeNodeId> = fleet.nodes.iter().map(|node| &node.id).collect();
    let nodes: Vec<EdgeNodeId> =
        draft.state.used.keys().filter(|node| !offered.contains(node)).cloned().collect();
    if !nodes.is_empty() {
        return Err(Refusal::NodesInUse { nodes });
    }
    let left: Vec<EdgeNodeId> =
        draft.state.unreachable().filter(|node| !offered.contains(node)).cloned().collect();
    if !left.is_empty() {
        draft.emit(Event::NodesReachable { nodes: left });
    }
    draft.emit(Event::FleetInstalled { fleet: fleet.clone() });
    Ok(())
}
