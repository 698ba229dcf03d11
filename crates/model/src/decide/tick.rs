//! What the passing of time changes (`decisions.md` §2.3, §2.7). At its deadline an operation that adds gives up
//! what is not ready; one that releases goes on releasing. What cannot be reached is never released by a deadline.

use super::draft::Draft;
use super::{cancel_operation, ending, moving};
use crate::event::{Event, ReleaseCause, ReleasedInstance};
use crate::id::{EdgeNodeId, EngineName, InstanceId, OperationId};
use crate::observation::{Observation, Reach};
use crate::operation::{Operation, OperationKind, Role, TargetState};
use crate::state::State;
use crate::time::LogTime;
use std::collections::BTreeSet;

/// How long after a start deadlines wait for engines to report once.
const GRACE_S: u32 = 10;

/// Which engines have reported since the control loop started. Not part of the log: a restart begins anew.
#[derive(Clone, Debug, Default)]
pub struct Attendance {
    started: LogTime,
    /// Engines that said how everything of theirs is, or that they cannot say.
    reported: BTreeSet<EngineName>,
    /// Engines that said anything at all.
    heard: BTreeSet<EngineName>,
    /// The grace is over and what came of it has been decided.
    closed: bool,
}

impl Attendance {
    pub fn new(started: LogTime) -> Self {
        Self { started, reported: BTreeSet::new(), heard: BTreeSet::new(), closed: false }
    }

    /// Takes note of a report, in the step that takes it in: a deadline that waited for it must see what it says.
    pub fn report(&mut self, observation: &Observation) {
        if self.closed {
            return;
        }
        self.heard.insert(observation.engine.clone());
        match observation.reach {
            Reach::Whole | Reach::Unreachable(_) => {
                self.reported.insert(observation.engine.clone());
            }
            // Says nothing about the rest.
            Reach::Listed => {}
        }
    }

    /// Once the grace is over and what came of it is decided, nobody is missed any more.
    pub(crate) fn close_after(&mut self, now: LogTime) {
        self.closed |= self.is_over(now);
    }

    fn end_of_grace(&self) -> LogTime {
        self.started.plus_seconds(GRACE_S)
    }

    fn is_over(&self, now: LogTime) -> bool {
        self.closed || now >= self.end_of_grace()
    }

    /// Engines that carry instances and have yet to report.
    fn missing<'a>(&self, state: &'a State) -> BTreeSet<&'a EngineName> {
        if self.closed {
            return BTreeSet::new();
        }
        let carrying = state.used.keys().filter_map(|node| state.engine_of(node));
        carrying.filter(|engine| !self.reported.contains(*engine)).collect()
    }
}

/// When time alone changes something next. While an engine that carries instances is still to report, deadlines
/// wait for it, all of them: they are seconds late at the most, and only after a start.
pub(crate) fn next_due(state: &State, attendance: &Attendance) -> Option<LogTime> {
    let deadline = state.deadlines.get_min().map(|(deadline, _)| *deadline);
    let check = state.checks.get_min().map(|(check, _)| *check);
    let deadline = deadline.into_iter().chain(check).min();
    if attendance.closed {
        return deadline;
    }
    let grace = attendance.end_of_grace();
    match deadline {
        Some(deadline) if attendance.missing(state).is_empty() => Some(deadline.min(grace)),
        Some(_) | None => Some(grace),
    }
}

pub(crate) fn on(draft: &mut Draft, attendance: &Attendance) {
    let now = draft.now.log;
    let missing = attendance.missing(&draft.state);
    if !missing.is_empty() && !attendance.is_over(now) {
        return;
    }
    let silent = |node: &&EdgeNodeId| {
        let engine = draft.state.engine_of(node);
        engine.is_some_and(|engine| missing.contains(engine) && !attendance.heard.contains(engine))
    };
    let nodes: Vec<EdgeNodeId> = draft.state.used.keys().filter(silent).cloned().collect();
    if !nodes.is_empty() {
        let waiting = operations_on(&draft.state, &nodes);
        draft.emit(Event::NodesUnreachable { nodes });
        waiting.iter().for_each(|operation| ending::settle(draft, operation));
    }
    let due: Vec<OperationId> = draft
        .state
        .deadlines
        .iter()
        .take_while(|(deadline, _)| *deadline <= now)
        .map(|(_, operation)| operation.clone())
        .collect();
    let checks: Vec<OperationId> = draft
        .state
        .checks
        .iter()
        .take_while(|(check, _)| *check <= now)
        .map(|(_, operation)| operation.clone())
        .collect();
    for operation in checks {
        ending::settle(draft, &operation);
    }
    for operation in due {
        cancel_operation::time_out(draft, &operation);
    }
}

/// How anything is counts as unknown until its engine says so: what the log tells is older than what runs.
pub(crate) fn lose_sight(draft: &mut Draft) {
    let known = |node: &&EdgeNodeId| draft.state.is_reachable(node);
    let nodes: Vec<EdgeNodeId> = draft.state.used.keys().filter(known).cloned().collect();
    if !nodes.is_empty() {
        draft.emit(Event::NodesUnreachable { nodes });
    }
}

/// The running operations that wait for anything on `nodes`.
pub(super) fn operations_on(state: &State, nodes: &[EdgeNodeId]) -> BTreeSet<OperationId> {
    let instances = nodes.iter().flat_map(|node| state.instances_on(node));
    instances.filter_map(|instance| state.waiting_for(&instance.id).map(|found| found.id.clone())).collect()
}

/// Releases what an operation still waits for to become ready; ready instances stay, and those that cannot be reached.
pub(super) fn give_up_unready(draft: &mut Draft, operation: &OperationId, cause: &ReleaseCause) {
    moving::release_stranded(draft, operation);
    let Some(found) = draft.state.operations.get(operation) else { return };
    // An upgrade ends with its instances where they are.
    let Some(app) = found.subject.app().filter(|_| found.kind != OperationKind::Upgrade).cloned() else {
        return;
    };
    let comes = found.targets.iter().filter(|target| found.role(target) == Role::Comes);
    let waiting = comes.filter(|target| match found.kind {
        // What is ready is of no use where it is before what it replaces is gone.
        OperationKind::Move => !is_moved(&draft.state, found, &target.instance),
        OperationKind::Create
        | OperationKind::Add
        | OperationKind::Del
        | OperationKind::Delete
        | OperationKind::Upgrade
        | OperationKind::Immediate => target.state == TargetState::Waiting,
    });
    let reachable = waiting.filter(|target| {
        let instance = draft.state.instances.get(&target.instance);
        instance.is_some_and(|instance| instance.is_held() && !instance.unknown)
    });
    let instances: Vec<ReleasedInstance> =
        reachable.map(|target| ReleasedInstance { id: target.instance.clone(), item: target.item }).collect();
    if !instances.is_empty() {
        let (operation, cause) = (operation.clone(), cause.clone());
        draft.emit(Event::InstancesReleasing { operation, app, cause, instances });
    }
}

/// Whether the instance that makes room for `new` has been released.
fn is_moved(state: &State, operation: &Operation, new: &InstanceId) -> bool {
    let old = operation.targets.iter().find(|target| target.replaced_by.as_ref() == Some(new));
    old.is_none_or(|old| state.instances.get(&old.instance).is_none_or(|old| !old.is_held()))
}
