//! What must hold of what really runs, by the hosts' own truth.

use super::{Broken, check_all};
use crate::host::Running;
use ensemble_model::event::{Entry, Event};
use ensemble_model::id::InstanceId;
use std::collections::{BTreeMap, BTreeSet};

type Verdict = Result<(), String>;

/// `running` is everything that any host has.
pub(crate) fn check(running: &[Running]) -> Result<(), Broken> {
    check_all!(running; no_pod_runs_twice, no_two_pods_share_a_name, no_two_pods_of_a_host_share_an_address)
}

/// `running` is asked only where the entry frees the place of an instance.
pub(crate) fn check_gone(entry: &Entry, running: impl FnOnce() -> Vec<Running>) -> Result<(), Broken> {
    let gone = entry.events.iter().filter_map(|event| match event {
        Event::InstanceGone { instance } => Some(instance),
        _ => None,
    });
    let gone: Vec<&InstanceId> = gone.collect();
    if gone.is_empty() {
        return Ok(());
    }
    what_is_gone_runs_nowhere(&gone, &running())
        .map_err(|detail| Broken { invariant: "what_is_gone_runs_nowhere", detail })
}

/// Released means confirmed gone: when the place of an instance is free, nothing of it is left.
fn what_is_gone_runs_nowhere(gone: &[&InstanceId], running: &[Running]) -> Verdict {
    match running.iter().find(|pod| gone.contains(&&pod.instance)) {
        Some(pod) => {
            Err(format!("{} is said to be gone, and {} is there on {}", pod.instance, pod.name, pod.node))
        }
        None => Ok(()),
    }
}

/// A pod of an instance is in one place, once.
fn no_pod_runs_twice(running: &[Running]) -> Verdict {
    let mut seen = BTreeMap::new();
    for pod in running {
        let key = (&pod.instance, &pod.workload, pod.index);
        if let Some(node) = seen.insert(key, &pod.node) {
            return Err(format!(
                "{}/{}/{} runs on {node} and on {}",
                pod.instance, pod.workload, pod.index, pod.node
            ));
        }
    }
    Ok(())
}

/// No two pods have one name.
fn no_two_pods_share_a_name(running: &[Running]) -> Verdict {
    let mut seen = BTreeSet::new();
    match running.iter().find(|pod| !seen.insert(&pod.name)) {
        Some(pod) => Err(format!("two pods are named {}", pod.name)),
        None => Ok(()),
    }
}

/// No two pods that can reach one another have one address.
fn no_two_pods_of_a_host_share_an_address(running: &[Running]) -> Verdict {
    let mut seen = BTreeSet::new();
    for pod in running {
        if let Some(address) = &pod.address
            && !seen.insert((pod.host, address))
        {
            return Err(format!("two pods of one host have {address}, one of them {}", pod.name));
        }
    }
    Ok(())
}
