//! Moves of instances: another one is made first, and only when it is ready does the one it replaces go. What an
//! application keeps ready on the node it leaves is kept there too (`decisions.md` §9.1, §9.5).

use super::draft::Draft;
use super::draw::Draw;
use crate::event::{Event, PlannedPlacement, ReleaseCause, ReleasedInstance};
use crate::id::{AppId, EdgeNodeId, InstanceId, Isp, OperationId, VersionName};
use crate::instance::{Instance, Origin};
use crate::operation::{Operation, OperationKind, TargetState};
use crate::placement::Floor;
use crate::plan::PlannedMove;
use crate::spec;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long a move that nobody asked for one by one may take, in seconds.
pub(super) const MOVE_S: u32 = 900;
/// Moves of one operation; the rest follows in the next one.
pub(crate) const MOVES_AT_MOST: usize = 100;

/// Releases every instance whose successor is ready by now.
pub(super) fn advance(draft: &mut Draft, operation: &OperationId) {
    let moving = |found: &&Arc<Operation>| found.kind == OperationKind::Move && found.is_running();
    let Some(found) = draft.state.operations.get(operation).filter(moving).cloned() else { return };
    let Some(app) = found.subject.app().cloned() else { return };
    let mut floor = Floor::of(&draft.state, &app);
    let mut instances = Vec::new();
    for target in found.targets.iter().filter(|target| target.replaced_by.is_some()) {
        let Some(old) = draft.state.instances.get(&target.instance).filter(|old| old.is_held()) else {
            continue;
        };
        let successor =
            found.targets.iter().find(|other| Some(&other.instance) == target.replaced_by.as_ref());
        let is_ready = successor.is_some_and(|successor| successor.state == TargetState::Done);
        if is_ready && floor.take(old) {
            instances.push(ReleasedInstance { id: old.id.clone(), item: target.item });
        }
    }
    if !instances.is_empty() {
        let (operation, cause) = (operation.clone(), ReleaseCause::Moved);
        draft.emit(Event::InstancesReleasing { operation, app, cause, instances });
    }
}

/// Gives up successors that cannot be reached, once nothing else is waited for: what they were to replace stays, and would
/// be there twice when they are back.
pub(super) fn give_up_stranded(draft: &mut Draft, operation: &OperationId) {
    let Some(found) = draft.state.operations.get(operation).filter(|found| found.kind == OperationKind::Move)
    else {
        return;
    };
    let stranded = stranded(draft, found);
    if found.is_running() && found.tally.waiting as usize <= stranded.len() {
        release_stranded(draft, operation);
    }
}

/// Gives up all of them, whatever else is waited for.
pub(super) fn release_stranded(draft: &mut Draft, operation: &OperationId) {
    let Some(found) = draft.state.operations.get(operation) else { return };
    let Some(app) = found.subject.app().cloned() else { return };
    let instances = stranded(draft, found);
    if !instances.is_empty() {
        let reason = "its edge node cannot be reached, so what it was to replace stays".to_owned();
        let (operation, cause) = (operation.clone(), ReleaseCause::Hopeless { reason });
        draft.emit(Event::InstancesReleasing { operation, app, cause, instances });
    }
}

/// Successors out of reach of instances that are still held.
fn stranded(draft: &Draft, operation: &Operation) -> Vec<ReleasedInstance> {
    let held = |id: &InstanceId| draft.state.instances.get(id).is_some_and(|found| found.is_held());
    let olds = operation.targets.iter().filter(|target| held(&target.instance));
    let news = olds.filter_map(|old| {
        let new = old.replaced_by.as_ref()?;
        operation.targets.iter().find(|target| target.instance == *new)
    });
    let lost = news.filter(|new| new.state == TargetState::OutOfReach && held(&new.instance));
    lost.map(|new| ReleasedInstance { id: new.instance.clone(), item: new.item }).collect()
}

/// Makes the successors of `moves`, which belong to an operation that has just been accepted.
pub(super) fn begin(
    draft: &mut Draft,
    operation: &OperationId,
    app: &AppId,
    moves: &[PlannedMove],
    draw: &mut Draw<'_>,
) {
    let Some(application) = draft.state.applications.get(app).cloned() else { return };
    type Cell = (EdgeNodeId, Isp, InstanceId);
    let mut by_version: BTreeMap<VersionName, Vec<(Cell, Arc<Instance>)>> = BTreeMap::new();
    for planned in moves {
        let Some(old) = draft.state.instances.get(&planned.instance) else { continue };
        let cell = (planned.to_node.clone(), planned.to_isp.clone(), planned.instance.clone());
        by_version.entry(old.version.clone()).or_default().push((cell, old.clone()));
    }
    let spec = application.resources.instance_spec.clone();
    for (version, moved) in by_version {
        let placements = moved.into_iter().map(|((node, isp, old), instance)| PlannedPlacement {
            item: 0,
            scope: instance.scope.clone(),
            origin: Origin::Created,
            node,
            isp,
            instances: vec![draw.instance(Some(&old))],
        });
        draft.emit(Event::InstancesPlanned {
            operation: operation.clone(),
            app: app.clone(),
            version,
            resources: spec::resources(&spec).unwrap_or_default(),
            spec: spec.clone(),
            placements: placements.collect(),
        });
    }
}
