//! What must hold of what really runs, by the hosts' own truth.

use super::{Broken, Exercised, Verdict, check_all};
use crate::host::{Host, Running, StaleEpoch};
use crate::shadow::Shadow;
use ensemble_model::id::InstanceId;
use ensemble_model::wanted::Epoch;
use std::collections::{BTreeMap, BTreeSet};

/// `running` is everything that any host has, or everything of one host.
pub(crate) fn check(running: &[Running], shadow: &Shadow, exercised: &mut Exercised) -> Result<(), Broken> {
    check_all!(running, exercised;
        no_pod_runs_twice,
        no_two_pods_share_a_name,
        no_two_pods_of_a_host_share_an_address,
    )?;
    exercised.note("a_pod_runs_where_it_was_placed", a_pod_runs_where_it_was_placed(running, shadow))
}

/// What a host saw done to it.
pub(crate) fn check_host(host: &Host, exercised: &mut Exercised) -> Result<(), Broken> {
    exercised
        .note("nothing_is_done_twice_or_to_strangers", nothing_is_done_twice_or_to_strangers(&host.wrongs()))
}

/// Nothing was done on a host that is never right: no stranger signalled, no lock taken twice.
fn nothing_is_done_twice_or_to_strangers(wrongs: &[String]) -> Verdict {
    if wrongs.is_empty() { Ok(1) } else { Err(wrongs.join(", ")) }
}

/// `stopped` is what whoever drives a host has begun to stop.
pub(crate) fn check_stopped(
    stopped: &[InstanceId],
    shadow: &Shadow,
    exercised: &mut Exercised,
) -> Result<(), Broken> {
    exercised.note("what_is_held_is_not_stopped", what_is_held_is_not_stopped(stopped, shadow))
}

/// Nobody stops what the log wants to run: not in doubt, not at a start, not because a list is short. What went to another
/// version is stopped for that, once each time; which time it was is not told here.
fn what_is_held_is_not_stopped(stopped: &[InstanceId], shadow: &Shadow) -> Verdict {
    let held = |id: &&InstanceId| {
        shadow.instances.get(*id).is_some_and(|found| found.is_held() && !found.was_redeployed)
    };
    match stopped.iter().find(held) {
        Some(id) => Err(format!("{id} is stopped, and is held")),
        None => Ok(stopped.len() as u64),
    }
}

/// `held` are the instances that are wanted, now that everything is at rest.
pub(crate) fn check_rest(
    host: &Host,
    held: &BTreeSet<InstanceId>,
    exercised: &mut Exercised,
) -> Result<(), Broken> {
    exercised
        .note("nothing_is_left_that_nobody_owns", nothing_is_left_that_nobody_owns(&host.leftovers(held)))
}

/// When everything is at rest nothing lies around that belongs to none of the instances that are held.
fn nothing_is_left_that_nobody_owns(leftovers: &[String]) -> Verdict {
    if leftovers.is_empty() { Ok(1) } else { Err(leftovers.join(", ")) }
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
    Ok(seen.len() as u64)
}

/// No two pods have one name.
fn no_two_pods_share_a_name(running: &[Running]) -> Verdict {
    let mut seen = BTreeSet::new();
    match running.iter().find(|pod| !seen.insert(&pod.name)) {
        Some(pod) => Err(format!("two pods are named {}", pod.name)),
        None => Ok(seen.len() as u64),
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
    Ok(seen.len() as u64)
}

/// Whoever was told something by a leader does nothing any more for one before it.
pub(crate) fn an_older_epoch_moves_nothing(
    newest: Epoch,
    epoch: Epoch,
    heard: &Result<(), StaleEpoch>,
) -> Verdict {
    match (epoch < newest, heard) {
        (true, Ok(())) => Err(format!("a host does what epoch {} wants after epoch {}", epoch.0, newest.0)),
        (true, Err(StaleEpoch)) => Ok(1),
        (false, Ok(()) | Err(StaleEpoch)) => Ok(0),
    }
}

/// What belongs to an instance is on the node that the instance was planned for.
fn a_pod_runs_where_it_was_placed(running: &[Running], shadow: &Shadow) -> Verdict {
    let mut looked = 0;
    for pod in running {
        let Some(instance) = shadow.instances.get(&pod.instance) else { continue };
        looked += 1;
        if instance.node != pod.node {
            return Err(format!("{} runs on {} and belongs to {}", pod.name, pod.node, instance.node));
        }
    }
    Ok(looked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::house::{self, house};
    use ensemble_model::id::{EdgeNodeId, InstanceId};

    fn pod(instance: &str, name: &str, address: &str) -> Running {
        Running {
            instance: InstanceId::new(instance),
            workload: "web".to_owned(),
            index: 0,
            node: EdgeNodeId::new(house::NODE),
            host: 0,
            name: name.to_owned(),
            address: Some(address.to_owned()),
            is_up: true,
        }
    }

    #[test]
    fn what_runs_twice_or_shares_something_is_found() {
        let elsewhere = Running { node: EdgeNodeId::new("elsewhere"), ..pod("i-1", "b", "10.0.0.2") };
        let of_another_host = Running { host: 1, ..pod("i-2", "b", "10.0.0.1") };
        for (second, expected) in [
            (pod("i-2", "b", "10.0.0.2"), None),
            (of_another_host, None),
            (elsewhere, Some("no_pod_runs_twice")),
            (pod("i-2", "a", "10.0.0.2"), Some("no_two_pods_share_a_name")),
            (pod("i-2", "b", "10.0.0.1"), Some("no_two_pods_of_a_host_share_an_address")),
        ] {
            let running = [pod("i-1", "a", "10.0.0.1"), second];

            let found = check(&running, &Shadow::default(), &mut Exercised::default());

            assert_eq!(found.err().map(|broken| broken.invariant), expected);
        }
    }

    #[test]
    fn a_host_that_does_what_an_older_leader_wants_is_found() {
        let heard = |newest, epoch, heard| an_older_epoch_moves_nothing(Epoch(newest), Epoch(epoch), &heard);

        assert!(heard(2, 1, Ok(())).is_err());
        assert_eq!(heard(2, 1, Err(StaleEpoch)), Ok(1));
        assert_eq!(heard(2, 2, Ok(())), Ok(0));
    }

    #[test]
    fn stopping_what_is_held_is_found() {
        let house = house();
        let stopped = |id| what_is_held_is_not_stopped(&[InstanceId::new(id)], &house);

        assert!(stopped(house::HELD).is_err());
        assert_eq!(stopped(house::LEAVING), Ok(1));
        assert_eq!(stopped("i-unheard-of"), Ok(1));
    }

    #[test]
    fn a_pod_on_another_node_is_found() {
        let house = house();
        let astray = Running { node: EdgeNodeId::new("elsewhere"), ..pod(house::HELD, "a", "10.0.0.1") };

        let found = check(&[astray], &house, &mut Exercised::default());

        assert_eq!(found.unwrap_err().invariant, "a_pod_runs_where_it_was_placed");
        check(&[pod(house::HELD, "a", "10.0.0.1")], &house, &mut Exercised::default()).unwrap();
    }
}
