//! What must hold some time after faults have stopped: the world has become what was asked for.

use super::{Broken, check_all};
use crate::host::Running;
use crate::shadow::Shadow;
use ensemble_model::operation::OperationStatus;
use ensemble_model::time::LogTime;
use std::collections::BTreeSet;

pub(crate) struct Calm<'a> {
    pub(crate) shadow: &'a Shadow,
    pub(crate) running: &'a [Running],
    pub(crate) log_now: LogTime,
}

type Verdict = Result<(), String>;

pub(crate) fn check(calm: &Calm<'_>) -> Result<(), Broken> {
    check_all!(calm; everything_wanted_runs, nothing_else_runs, every_operation_ends_by_its_deadline)
}

/// Every instance that is held has all its pods up.
fn everything_wanted_runs(calm: &Calm<'_>) -> Verdict {
    let up: BTreeSet<_> = calm.running.iter().filter(|pod| pod.is_up).map(|pod| &pod.instance).collect();
    let down: BTreeSet<_> = calm.running.iter().filter(|pod| !pod.is_up).map(|pod| &pod.instance).collect();
    for (id, instance) in calm.shadow.held() {
        if !up.contains(id) || down.contains(id) {
            return Err(format!("{id} of {} does not run on {}", instance.app, instance.node));
        }
        if !instance.ready {
            return Err(format!("{id} runs on {} and is not known to be ready", instance.node));
        }
    }
    Ok(())
}

/// What runs is held.
fn nothing_else_runs(calm: &Calm<'_>) -> Verdict {
    for pod in calm.running {
        let instance = calm.shadow.instances.get(&pod.instance);
        if instance.is_none_or(|instance| instance.released_by.is_some()) {
            return Err(format!("{} runs on {} and nobody wants it", pod.name, pod.node));
        }
    }
    Ok(())
}

/// No operation runs past its deadline.
fn every_operation_ends_by_its_deadline(calm: &Calm<'_>) -> Verdict {
    for (id, operation) in &calm.shadow.operations {
        if operation.status == OperationStatus::Running && operation.deadline < calm.log_now {
            return Err(format!(
                "{id} should have ended at {}, it is {}",
                operation.deadline.0, calm.log_now.0
            ));
        }
    }
    Ok(())
}
