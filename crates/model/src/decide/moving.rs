//! Moves of instances: another one is made first, and only when it is ready does the one it replaces go. What an
//! application keeps ready on the node it leaves is kept there too (`decisions.md` §9.1, §9.5).

use super::draft::Draft;
use super::draw::Draw;
use crate::event::{Event, PlannedPlacement, ReleaseCause, ReleasedInstance};
use crate::id::{AppId, EdgeNodeId, InstanceId, Isp, OperationId, VersionName};
use crate::instance::{Instance, Origin};
use crate::operation::{Operation, OperationKind, Target, TargetState};
use crate::placement::Floor;
use crate::plan::PlannedMove;
use crate::spec;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long a move that nobody asked for one by one may take, in seconds.
pub(super) const MOVE_S: u32 = 900;
/// Moves of one operation; the rest follows in the next one.
pub(crate) const MOVES_AT_MOST: usize = 100;

/// Releases every instance whose successor is ready by now; what was protected meanwhile stays, and its successor goes.
pub(super) fn advance(draft: &mut Draft, operation: &OperationId) {
    give_way_to_protected(draft, operation);
    let moving = |found: &&Arc<Operation>| found.kind == OperationKind::Move && found.is_running();
    let Some(found) = draft.state.operations.get(operation).filter(moving).cloned() else { return };
    let Some(app) = found.subject.app().cloned() else { return };
    let olds = found.targets.iter().filter(|target| target.replaced_by.is_some());
    let mut replaced: Vec<(&Target, &Arc<Instance>)> = olds
        .filter_map(|target| {
            let is_it = |other: &&Target| Some(&other.instance) == target.replaced_by.as_ref();
            let successor = found.targets.iter().find(is_it)?;
            let old = draft.state.instances.get(&target.instance).filter(|old| old.is_held())?;
            (successor.state == TargetState::Done).then_some((target, old))
        })
        .collect();
    // Once one that is not ready is gone, less has to stay ready: then another may go that may not before.
    replaced.sort_by_key(|(_, old)| old.is_ready());
    let mut floor = Floor::of(&draft.state, &app);
    let going = replaced.into_iter().filter(|(_, old)| floor.take(old));
    let instances: Vec<ReleasedInstance> =
        going.map(|(target, old)| ReleasedInstance { id: old.id.clone(), item: target.item }).collect();
    if !instances.is_empty() {
        let (operation, cause) = (operation.clone(), ReleaseCause::Moved);
        draft.emit(Event::InstancesReleasing { operation, app, cause, instances });
    }
}

/// Gives up the successors of what is held and protected by now.
fn give_way_to_protected(draft: &mut Draft, operation: &OperationId) {
    let moving = |found: &&Arc<Operation>| found.kind == OperationKind::Move && found.is_running();
    let Some(found) = draft.state.operations.get(operation).filter(moving) else { return };
    let is_protected = |old: &Instance| old.protected;
    let instances = successors(draft, found, is_protected, |_| true);
    give_up(draft, operation, instances, "what it was to replace is protected now");
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
    let instances = stranded(draft, found);
    give_up(draft, operation, instances, "its edge node cannot be reached, so what it was to replace stays");
}

/// Successors out of reach of instances that are still held.
fn stranded(draft: &Draft, operation: &Operation) -> Vec<ReleasedInstance> {
    successors(draft, operation, |_| true, |new| new.state == TargetState::OutOfReach)
}

/// Those that are held of instances that are still held, where both are such.
fn successors(
    draft: &Draft,
    operation: &Operation,
    is_old: impl Fn(&Instance) -> bool,
    is_new: impl Fn(&Target) -> bool,
) -> Vec<ReleasedInstance> {
    let held = |id: &InstanceId| draft.state.instances.get(id).filter(|found| found.is_held());
    let olds =
        operation.targets.iter().filter(|target| held(&target.instance).is_some_and(|old| is_old(old)));
    let news = olds.filter_map(|old| {
        let new = old.replaced_by.as_ref()?;
        operation.targets.iter().find(|target| target.instance == *new)
    });
    let found = news.filter(|new| is_new(new) && held(&new.instance).is_some());
    found.map(|new| ReleasedInstance { id: new.instance.clone(), item: new.item }).collect()
}

fn give_up(draft: &mut Draft, operation: &OperationId, instances: Vec<ReleasedInstance>, reason: &str) {
    let found = draft.state.operations.get(operation).filter(|_| !instances.is_empty());
    let Some(app) = found.and_then(|found| found.subject.app().cloned()) else { return };
    let (operation, cause) = (operation.clone(), ReleaseCause::Hopeless { reason: reason.to_owned() });
    draft.emit(Event::InstancesReleasing { operation, app, cause, instances });
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
