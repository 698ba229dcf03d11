//! Puts a fleet in force. One that lacks a node which still carries instances is refused, saying which
//! (`decisions.md` §1.2); capacity below what is used only stops new placements.

use super::draft::Draft;
use crate::event::Event;
use crate::fleet::Fleet;
use crate::id::EdgeNodeId;
use crate::refusal::Refusal;
use std::collections::BTreeSet;
use std::sync::Arc;

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
