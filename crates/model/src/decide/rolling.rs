//! A rollout as it goes on: whose turn it is, when it stops, and what it means for the stable version. In place, never more
//! at once than the caps of a unit allow, and never below what the application keeps ready (`decisions.md` §9.1, §9.6).

use super::draft::Draft;
use super::draw::Draw;
use super::{cancel_operation, ending};
use crate::application::Application;
use crate::event::Event;
use crate::id::{EdgeNodeId, InstanceId, OperationId, VersionName};
use crate::instance::{Instance, PodStatus};
use crate::operation::{OnTimeout, Operation, OperationKind, TargetState, Undoing};
use crate::placement::Floor;
use crate::rollout::{Redeployed, Rollout, StableRule};
use crate::state::State;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A pod of the new version that failed and came again so often is not going to be ready.
const RESTARTS_AT_MOST: u32 = 3;

/// Lets as many go as may go now; stops where the new version does not become ready.
pub(super) fn advance(draft: &mut Draft, id: &OperationId) {
    let Some(found) = running(&draft.state, id) else { return };
    let Some(rollout) = found.rollout.clone() else { return };
    if found.undoing.is_none()
        && let Some((instance, reason)) = broken(&draft.state, &found)
    {
        stop(draft, &found, &instance, &reason);
        return;
    }
    let is_looked_at = check_again(draft, id, &rollout);
    if found.undoing.is_none() && !is_looked_at {
        return;
    }
    let Some(app) = found.subject.app().cloned() else { return };
    let mut by_version: BTreeMap<VersionName, Vec<InstanceId>> = BTreeMap::new();
    for (instance, version) in turn(&draft.state, &found, &rollout) {
        by_version.entry(version).or_default().push(instance);
    }
    let before = draft.state.clone();
    let mut draw = Draw::new(&before, seed(&found, draft));
    for (version, instances) in by_version {
        let instances =
            instances.into_iter().map(|id| Redeployed { id, deployment: draw.deployment() }).collect();
        draft.emit(Event::InstancesRedeployed {
            operation: id.clone(),
            app: app.clone(),
            version,
            instances,
        });
    }
}

fn running(state: &State, id: &OperationId) -> Option<Arc<Operation>> {
    let found = state.operations.get(id)?;
    (found.kind == OperationKind::Upgrade && found.is_running()).then(|| Arc::clone(found))
}

/// Whether work may begin now: always without a schedule; with one, each time that it is looked at and is within its window.
fn check_again(draft: &mut Draft, id: &OperationId, rollout: &Rollout) -> bool {
    let Some(schedule) = &rollout.schedule else { return true };
    if draft.now.log < schedule.next_check {
        return false;
    }
    let next = draft.now.log.plus_seconds(schedule.check_s);
    draft.emit(Event::RolloutChecked { operation: id.clone(), next });
    schedule.is_open(draft.now.wall)
}

/// Who goes now, and to which version. What is not ready goes first, since nothing is lost by that; then the oldest.
fn turn(state: &State, operation: &Operation, rollout: &Rollout) -> Vec<(InstanceId, VersionName)> {
    let Some(app) = operation.subject.app() else { return Vec::new() };
    let mut under_way: HashMap<usize, u32> = HashMap::new();
    let mut waiting: Vec<(&Arc<Instance>, usize, &VersionName)> = Vec::new();
    for target in &operation.targets {
        let Some(instance) = state.instances.get(&target.instance).filter(|found| found.is_held()) else {
            continue;
        };
        let Some(goal) = operation.goal(target) else { continue };
        let is_awaited = matches!(target.state, TargetState::Waiting | TargetState::OutOfReach);
        if instance.version == *goal {
            *under_way.entry(target.item).or_default() += u32::from(is_awaited);
        } else if target.state == TargetState::Waiting {
            waiting.push((instance, target.item, goal));
        }
    }
    let mut missing = missing(state, operation, rollout);
    waiting.sort_by_key(|(instance, ..)| (instance.is_ready(), instance.created_at, instance.id.clone()));
    let mut floor = Floor::of(state, app);
    let mut going = Vec::new();
    for (instance, item, goal) in waiting {
        let at_once = rollout.units.get(item).map_or(1, |unit| unit.at_once);
        let (busy, missing) = (under_way.entry(item).or_default(), missing.entry(item).or_default());
        let takes_capacity = instance.is_ready();
        if *busy >= at_once || (takes_capacity && *missing >= at_once) || !floor.allows_a_pause(instance) {
            continue;
        }
        floor.count_pause(instance);
        *busy += 1;
        *missing += u32::from(takes_capacity);
        going.push((instance.id.clone(), goal.clone()));
    }
    going
}

/// How many instances of the application are not ready in each unit, whoever is to blame.
fn missing(state: &State, operation: &Operation, rollout: &Rollout) -> HashMap<usize, u32> {
    let Some(app) = operation.subject.app() else { return HashMap::new() };
    let units: HashMap<&str, usize> =
        rollout.units.iter().enumerate().map(|(at, unit)| (unit.code.as_str(), at)).collect();
    let mut codes: HashMap<&EdgeNodeId, Option<usize>> = HashMap::new();
    let mut missing: HashMap<usize, u32> = HashMap::new();
    let unready = state.instances_of(app).filter(|instance| instance.is_held() && !instance.is_ready());
    for instance in unready {
        let unit = *codes.entry(&instance.node).or_insert_with(|| {
            units.get(rollout.level.code_of(state.fleet(), &instance.node).as_str()).copied()
        });
        if let Some(unit) = unit {
            *missing.entry(unit).or_default() += 1;
        }
    }
    missing
}

/// An instance of the new version that will not be ready, and what it says.
fn broken(state: &State, operation: &Operation) -> Option<(InstanceId, String)> {
    operation.targets.iter().filter(|target| target.state == TargetState::Waiting).find_map(|target| {
        let instance = state.instances.get(&target.instance)?;
        if Some(&instance.version) != operation.goal(target) {
            return None;
        }
        let failed =
            |pod: &&crate::instance::Pod| pod.status == PodStatus::Failed && pod.restarts >= RESTARTS_AT_MOST;
        let pod = instance.pods.iter().find(failed)?;
        let reason = format!("{} restarts, {}", pod.restarts, or_nothing(&pod.message));
        Some((instance.id.clone(), reason))
    })
}

fn or_nothing(message: &str) -> &str {
    if message.is_empty() { "no cause told" } else { message }
}

/// Ends the rollout: what runs the old version keeps it, and what has begun stays as it is, unless it is to be undone.
pub(super) fn stop(draft: &mut Draft, operation: &Operation, instance: &InstanceId, reason: &str) {
    let Some(rollout) = &operation.rollout else { return };
    if operation.on_timeout == OnTimeout::Undo {
        cancel_operation::undo(draft, operation, Undoing::Broken);
        return;
    }
    let shown = draft.state.shown_id(instance);
    let cause = format!("stopped: `{shown}` does not become ready with version {} ({reason})", rollout.to);
    ending::stopped(draft, operation, &cause);
}

/// What its success makes of the application's stable version.
pub(super) fn settle_stable_version(draft: &mut Draft, operation: &Operation) {
    let Some((rollout, app)) = operation.rollout.as_ref().zip(operation.subject.app()) else { return };
    let Some(application) = draft.state.applications.get(app) else { return };
    if application.stable_version == rollout.to || !moves_stable_version(&draft.state, application, rollout) {
        return;
    }
    draft.emit(Event::StableVersionMoved { app: app.clone(), version: rollout.to.clone() });
}

fn moves_stable_version(state: &State, application: &Application, rollout: &Rollout) -> bool {
    match rollout.stable {
        StableRule::Stays => false,
        StableRule::WhenItSucceeds => true,
        StableRule::WhenAllRunIt => state
            .instances_of(&application.id)
            .filter(|instance| instance.is_held() && !instance.unknown)
            .all(|instance| instance.version == rollout.to),
    }
}

/// Nobody drew one for this moment; nothing secret comes of it.
fn seed(operation: &Operation, draft: &Draft) -> u64 {
    let start = operation.number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let moment = draft.state.sequence().wrapping_mul(0xbf58_476d_1ce4_e5b9);
    start ^ moment.rotate_left(17) ^ draft.events().len() as u64
}
