//! What must hold some time after faults have stopped: the world has become what was asked for.

use super::{Broken, Exercised, Verdict, check_all};
use crate::host::Running;
use crate::reference::moves;
use crate::shadow::Shadow;
use ensemble_model::operation::OperationStatus;
use ensemble_model::time::LogTime;
use std::collections::BTreeSet;

pub(crate) struct Calm<'a> {
    pub(crate) shadow: &'a Shadow,
    pub(crate) running: &'a [Running],
    pub(crate) log_now: LogTime,
}

pub(crate) fn check(calm: &Calm<'_>, exercised: &mut Exercised) -> Result<(), Broken> {
    check_all!(calm, exercised;
        everything_wanted_runs,
        nothing_else_runs,
        everything_can_be_reached,
        nothing_is_late_in_the_end,
        what_stays_on_a_draining_node_has_a_reason,
    )
}

/// Every instance that is held has all its pods up.
fn everything_wanted_runs(calm: &Calm<'_>) -> Verdict {
    let up: BTreeSet<_> = calm.running.iter().filter(|pod| pod.is_up).map(|pod| &pod.instance).collect();
    let down: BTreeSet<_> = calm.running.iter().filter(|pod| !pod.is_up).map(|pod| &pod.instance).collect();
    let mut looked = 0;
    for (id, instance) in calm.shadow.held() {
        looked += 1;
        if !up.contains(id) || down.contains(id) {
            return Err(format!("{id} of {} does not run on {}", instance.app, instance.node));
        }
        if !instance.is_ready() {
            return Err(format!("{id} runs on {} and is not known to be ready", instance.node));
        }
    }
    Ok(looked)
}

/// What runs is held.
fn nothing_else_runs(calm: &Calm<'_>) -> Verdict {
    for pod in calm.running {
        let instance = calm.shadow.instances.get(&pod.instance);
        if instance.is_none_or(|instance| instance.released_by.is_some()) {
            return Err(format!("{} runs on {} and nobody wants it", pod.name, pod.node));
        }
    }
    Ok(calm.running.len() as u64)
}

/// No node is taken for one that nobody can speak about.
fn everything_can_be_reached(calm: &Calm<'_>) -> Verdict {
    match calm.shadow.unreachable.iter().next() {
        Some(node) => Err(format!("{node} is said to be out of reach, and is not")),
        None => Ok(calm.shadow.fleet.nodes.len() as u64),
    }
}

/// No operation runs past its deadline.
fn nothing_is_late_in_the_end(calm: &Calm<'_>) -> Verdict {
    for (id, operation) in &calm.shadow.operations {
        if operation.status == OperationStatus::Running && operation.deadline < calm.log_now {
            return Err(format!(
                "{id} should have ended at {}, it is {}",
                operation.deadline.0, calm.log_now.0
            ));
        }
    }
    Ok(calm.shadow.operations.len() as u64)
}

/// A node that is to be emptied keeps only what may not be moved, has nowhere to go, failed to go, or belongs to what is busy.
fn what_stays_on_a_draining_node_has_a_reason(calm: &Calm<'_>) -> Verdict {
    let mut looked = 0;
    for (id, instance) in calm.shadow.held() {
        let Some(failed) = calm.shadow.draining.get(&instance.node) else { continue };
        let Some(app) = calm.shadow.apps.get(&instance.app) else { continue };
        looked += 1;
        let is_busy = app.running.is_some() || app.is_deleted || failed.contains(&instance.app);
        let mut open = moves::open_to(calm.shadow, instance, app.resources);
        if let Some(node) = open.next().filter(|_| !is_busy && moves::stays(instance).is_none()) {
            return Err(format!("{id} is still on {}, and could be on {}", instance.node, node.id));
        }
    }
    Ok(looked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::house::{
        APP, ENDED, HELD, LEAVING, LOST_NODE, NODE, OTHER_NODE, accepted, ended, fleet, house, next, planned,
    };
    use ensemble_model::event::Event;
    use ensemble_model::id::{AppId, EdgeNodeId, InstanceId};
    use ensemble_model::operation::OperationKind;
    use imbl::OrdSet;

    /// One instance that is held and ready, and a Del of nothing.
    fn at_peace() -> Shadow {
        let mut shadow = Shadow::default();
        let observed =
            Event::InstanceObserved { instance: InstanceId::new(HELD), ready: true, pods: Vec::new() };
        let events = vec![
            Event::FleetInstalled { fleet: fleet() },
            crate::invariant::house::created(APP, crate::invariant::house::ACCOUNT),
            accepted(ENDED, OperationKind::Add, &[(NODE, 1)]),
            planned(ENDED, &[(NODE, "cmcc", &[HELD])]),
            observed,
            ended(ENDED, OperationStatus::Succeeded),
        ];
        let first = next(&shadow, events);
        shadow.fold(&first);
        shadow
    }

    fn pod(instance: &str, is_up: bool) -> Running {
        Running {
            instance: InstanceId::new(instance),
            workload: "web".to_owned(),
            index: 0,
            node: EdgeNodeId::new(NODE),
            host: 0,
            name: format!("web-of-{instance}"),
            address: None,
            is_up,
        }
    }

    fn broken(shadow: &Shadow, running: &[Running]) -> Option<&'static str> {
        let calm = Calm { shadow, running, log_now: LogTime(i64::MAX) };
        check(&calm, &mut Exercised::default()).err().map(|broken| broken.invariant)
    }

    #[test]
    fn what_is_missing_too_much_or_late_is_found() {
        let shadow = at_peace();
        let mut late = shadow.clone();
        late.fold(&next(&shadow, vec![accepted("OP-LATE", OperationKind::Del, &[(NODE, 1)])]));
        let mut unseen = shadow.clone();
        unseen.fold(&next(&shadow, vec![Event::NodesUnreachable { nodes: vec![EdgeNodeId::new(NODE)] }]));
        let mut lost = shadow.clone();
        let nodes = vec![EdgeNodeId::new(LOST_NODE)];
        lost.fold(&next(&shadow, vec![Event::NodesUnreachable { nodes }]));
        for (shadow, running, expected) in [
            (&shadow, vec![pod(HELD, true)], None),
            (&shadow, vec![], Some("everything_wanted_runs")),
            (&shadow, vec![pod(HELD, false)], Some("everything_wanted_runs")),
            (&unseen, vec![pod(HELD, true)], Some("everything_wanted_runs")),
            (&shadow, vec![pod(HELD, true), pod("i-orphan", true)], Some("nothing_else_runs")),
            (&lost, vec![pod(HELD, true)], Some("everything_can_be_reached")),
            (&late, vec![pod(HELD, true)], Some("nothing_is_late_in_the_end")),
        ] {
            assert_eq!(broken(shadow, &running), expected);
        }
    }

    #[test]
    fn what_is_being_released_has_to_go() {
        let house = house();
        let running: Vec<Running> = house.held().map(|(id, _)| pod(id.as_str(), true)).collect();

        let calm = Calm { shadow: &house, running: &running, log_now: LogTime(0) };
        assert!(nothing_else_runs(&calm).is_ok());
        let running: Vec<Running> = running.into_iter().chain([pod(LEAVING, true)]).collect();
        let calm = Calm { shadow: &house, running: &running, log_now: LogTime(0) };
        assert!(nothing_else_runs(&calm).is_err());
    }

    #[test]
    fn what_stays_on_a_draining_node_without_a_reason_is_found() {
        let mut shadow = at_peace();
        let (node, app) = (EdgeNodeId::new(NODE), AppId::new(APP));
        shadow.draining.insert(node.clone(), OrdSet::new());
        let verdict = |change: &dyn Fn(&mut Shadow)| {
            let mut shadow = shadow.clone();
            change(&mut shadow);
            let running = [pod(HELD, true)];
            let calm = Calm { shadow: &shadow, running: &running, log_now: LogTime(0) };
            what_stays_on_a_draining_node_has_a_reason(&calm)
        };
        let held = |shadow: &mut Shadow, change: &dyn Fn(&mut crate::shadow::Instance)| {
            change(shadow.instances.get_mut(&InstanceId::new(HELD)).expect("it is there"));
        };

        assert!(verdict(&|_| {}).is_err());
        assert_eq!(verdict(&|shadow| held(shadow, &|found| found.protected = true)), Ok(1));
        assert_eq!(
            verdict(&|shadow| held(shadow, &|found| found.scope.region_code = NODE.to_owned())),
            Ok(1)
        );
        // The only other node that could take it drains, too.
        assert_eq!(
            verdict(&|shadow| {
                held(shadow, &|found| found.scope.region_code = "310100".to_owned());
                shadow.draining.insert(EdgeNodeId::new(OTHER_NODE), OrdSet::new());
            }),
            Ok(1)
        );
        assert_eq!(
            verdict(&|shadow| drop(shadow.draining.insert(node.clone(), OrdSet::unit(app.clone())))),
            Ok(1)
        );
    }
}
