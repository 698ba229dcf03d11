//! What must hold of everything that becomes durable: the shadow before, the entry, the shadow after.

use super::{Broken, check_all};
use crate::request::{Outcome, Requests};
use crate::shadow::Shadow;
use ensemble_model::event::{Entry, Event, ReleaseCause};
use ensemble_model::fleet::Fleet;
use ensemble_model::id::{EdgeNodeId, OperationId};
use ensemble_model::operation::OperationStatus;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) struct Seen<'a> {
    pub(crate) before: &'a Shadow,
    pub(crate) entry: &'a Entry,
    pub(crate) after: &'a Shadow,
    pub(crate) requests: &'a Requests,
    pub(crate) fleet: &'a Fleet,
}

type Verdict = Result<(), String>;

pub(crate) fn check(seen: &Seen<'_>) -> Result<(), Broken> {
    check_all!(seen;
        log_time_never_falls,
        an_older_epoch_writes_nothing,
        a_refusal_leaves_no_event,
        one_execution_per_client_token,
        one_execution_per_nonce,
        an_ended_operation_never_changes,
        no_instance_is_planned_twice,
        nothing_is_placed_onto_a_full_node,
        asked_is_placed_plus_refused,
        a_release_touches_only_what_was_asked_for,
        what_was_planned_is_what_executes,
        an_unreachable_node_is_not_emptied,
        an_operation_stays_in_its_account,
    )
}

/// The times of an entry are never before those of the one before it.
fn log_time_never_falls(seen: &Seen<'_>) -> Verdict {
    let (before, now) = (seen.before.last.log, seen.entry.now.log);
    if now < before { Err(format!("log time {} follows {}", now.0, before.0)) } else { Ok(()) }
}

/// Nothing of a leader that was followed by another becomes durable.
fn an_older_epoch_writes_nothing(seen: &Seen<'_>) -> Verdict {
    let (before, now) = (seen.before.epoch, seen.entry.epoch);
    if now < before { Err(format!("epoch {} writes after epoch {}", now.0, before.0)) } else { Ok(()) }
}

/// What was refused never becomes an operation.
fn a_refusal_leaves_no_event(seen: &Seen<'_>) -> Verdict {
    for operation in accepted(seen.entry) {
        // One that was sent twice may be refused the first time and accepted the second.
        let request = seen.requests.of(operation).filter(|request| !request.is_doubled);
        if let Some(Outcome::Refused(refusal)) = request.map(|request| &request.outcome) {
            return Err(format!("{operation} was refused ({refusal}) and is in the log"));
        }
    }
    Ok(())
}

/// Within 24 hours a client token is accepted once, whatever died in between.
fn one_execution_per_client_token(seen: &Seen<'_>) -> Verdict {
    const DAY_MS: i64 = 24 * 3_600_000;
    let mut here = BTreeSet::new();
    for event in &seen.entry.events {
        let Event::OperationAccepted { operation } = event else { continue };
        let Some(token) = &operation.client_token else { continue };
        let key = (operation.account.clone(), operation.action.clone(), token.token.clone());
        if let Some((at, first)) = seen.before.tokens.get(&key)
            && (0..=DAY_MS).contains(&(seen.entry.now.wall.0 - at.0))
        {
            return Err(format!("{} repeats the token of {first}", operation.id));
        }
        if !here.insert(key) {
            return Err(format!("{} repeats a token of its own entry", operation.id));
        }
    }
    Ok(())
}

/// A signed request is accepted once.
fn one_execution_per_nonce(seen: &Seen<'_>) -> Verdict {
    let mut here = BTreeSet::new();
    for event in &seen.entry.events {
        let Event::OperationAccepted { operation } = event else { continue };
        let Some(nonce) = &operation.nonce else { continue };
        let key = (nonce.key_id.clone(), nonce.nonce.clone());
        if let Some(first) = seen.before.nonces.get(&key) {
            return Err(format!("{} was signed with the nonce of {first}", operation.id));
        }
        if !here.insert(key) {
            return Err(format!("{} was signed with a nonce of its own entry", operation.id));
        }
    }
    Ok(())
}

/// Once an operation has ended, nothing is planned, released by request or ended in its name.
fn an_ended_operation_never_changes(seen: &Seen<'_>) -> Verdict {
    let mut ended: BTreeSet<&OperationId> = BTreeSet::new();
    let has_ended = |ended: &BTreeSet<&OperationId>, id: &OperationId| {
        let before = seen.before.operations.get(id);
        before.is_some_and(|before| before.status != OperationStatus::Running) || ended.contains(id)
    };
    for event in &seen.entry.events {
        let operation = match event {
            Event::OperationEnded { operation, .. }
            | Event::InstancesPlanned { operation, .. }
            | Event::InstancesReleasing { operation, .. } => operation,
            _ => continue,
        };
        if has_ended(&ended, operation) {
            return Err(format!("{operation} has ended, and then {event:?}"));
        }
        if let Event::OperationEnded { .. } = event {
            ended.insert(operation);
        }
    }
    Ok(())
}

/// An instance id is given once.
fn no_instance_is_planned_twice(seen: &Seen<'_>) -> Verdict {
    let mut here = BTreeSet::new();
    for event in &seen.entry.events {
        let Event::InstancesPlanned { placements, .. } = event else { continue };
        for planned in placements.iter().flat_map(|placement| &placement.instances) {
            if seen.before.instances.contains_key(&planned.id) || !here.insert(&planned.id) {
                return Err(format!("{} is planned a second time", planned.id));
            }
        }
    }
    Ok(())
}

/// What is placed fits beside everything that is still there, what is being released included.
fn nothing_is_placed_onto_a_full_node(seen: &Seen<'_>) -> Verdict {
    let mut touched: BTreeSet<&EdgeNodeId> = BTreeSet::new();
    for event in &seen.entry.events {
        if let Event::InstancesPlanned { placements, .. } = event {
            touched.extend(placements.iter().map(|placement| &placement.node));
        }
    }
    for node in touched {
        // A fleet that shrinks leaves what is there alone: only what comes must fit.
        let used = seen.after.used(node);
        let Some(found) = seen.after.nodes.get(node) else {
            return Err(format!("{node} is not in the fleet"));
        };
        if used.vcpu > found.capacity.vcpu || used.memory_mib > found.capacity.memory_mib {
            return Err(format!("{node} has {:?} and carries {used:?}", found.capacity));
        }
    }
    Ok(())
}

/// Every item of an accepted request was done whole or is named as skipped.
fn asked_is_placed_plus_refused(seen: &Seen<'_>) -> Verdict {
    for event in &seen.entry.events {
        let Event::OperationAccepted { operation } = event else { continue };
        let mut done: BTreeMap<usize, u32> = BTreeMap::new();
        for event in &seen.entry.events {
            match event {
                Event::InstancesPlanned { operation: by, placements, .. } if *by == operation.id => {
                    for placement in placements {
                        *done.entry(placement.item).or_default() += placement.instances.len() as u32;
                    }
                }
                Event::InstancesReleasing {
                    operation: by, instances, cause: ReleaseCause::Asked, ..
                } if *by == operation.id => {
                    for released in instances {
                        *done.entry(released.item).or_default() += 1;
                    }
                }
                _ => {}
            }
        }
        for item in &operation.items {
            let got = done.get(&item.item).copied().unwrap_or_default();
            if got != item.wanted {
                return Err(format!(
                    "{}: item {} asks for {}, got {got}",
                    operation.id, item.item, item.wanted
                ));
            }
        }
        for skipped in &operation.skipped {
            if done.contains_key(&skipped.item) {
                return Err(format!("{}: item {} is skipped and done", operation.id, skipped.item));
            }
        }
    }
    Ok(())
}

/// A release takes instances of its own application only, each where its item says.
fn a_release_touches_only_what_was_asked_for(seen: &Seen<'_>) -> Verdict {
    for event in &seen.entry.events {
        let Event::InstancesReleasing { operation, app, instances, cause } = event else { continue };
        let items = seen.after.operations.get(operation).map(|operation| &operation.items);
        for released in instances {
            let Some(instance) =
                seen.before.instances.get(&released.id).or(seen.after.instances.get(&released.id))
            else {
                return Err(format!("{operation} releases {}, which nobody knows", released.id));
            };
            if instance.app != *app {
                return Err(format!("{operation} of {app} releases {} of {}", released.id, instance.app));
            }
            let item = items.and_then(|items| items.iter().find(|item| item.item == released.item));
            if let (Some(item), ReleaseCause::Asked) = (item, cause) {
                let in_area = item.region_code.as_deref().is_none_or(|code| {
                    code == instance.node.as_str()
                        || seen
                            .fleet
                            .node(instance.node.as_str())
                            .is_some_and(|node| seen.fleet.lies_in(node, code))
                });
                if !in_area || item.isp.as_ref().is_some_and(|isp| *isp != instance.isp) {
                    return Err(format!("{operation} releases {} outside of {item:?}", released.id));
                }
            }
        }
    }
    Ok(())
}

/// A request that names its plan does what that plan said, or nothing.
fn what_was_planned_is_what_executes(seen: &Seen<'_>) -> Verdict {
    for operation in accepted(seen.entry) {
        let Some(plan) = seen.requests.of(operation).and_then(|request| request.plan.as_ref()) else {
            continue;
        };
        let mut said = BTreeMap::new();
        for item in &plan.items {
            for placement in &item.placements {
                let key = (item.index, placement.node.clone(), placement.isp.clone());
                *said.entry(key).or_insert(0) += placement.count;
            }
        }
        let mut done = BTreeMap::new();
        if let Some(shadow) = seen.after.operations.get(operation) {
            for (id, item) in &shadow.targets {
                let found = seen.after.instances.get(id).or(seen.before.instances.get(id));
                if let Some(instance) = found {
                    *done.entry((*item, instance.node.clone(), instance.isp.clone())).or_insert(0) += 1;
                }
            }
        }
        if said != done {
            return Err(format!("{operation} was planned as {said:?} and did {done:?}"));
        }
    }
    Ok(())
}

/// What cannot be reached is neither taken for gone nor given up.
fn an_unreachable_node_is_not_emptied(seen: &Seen<'_>) -> Verdict {
    let mut unreachable = seen.before.unreachable.clone();
    for event in &seen.entry.events {
        match event {
            Event::NodesUnreachable { nodes } => unreachable.extend(nodes.iter().cloned()),
            Event::NodesReachable { nodes } => {
                for node in nodes {
                    unreachable.remove(node);
                }
            }
            Event::InstanceGone { instance } => {
                let node = seen.before.instances.get(instance).map(|instance| &instance.node);
                if node.is_some_and(|node| unreachable.contains(node)) {
                    return Err(format!("{instance} is said to be gone from a node out of reach"));
                }
            }
            Event::InstancesReleasing { instances, cause: ReleaseCause::Deadline, .. } => {
                for released in instances {
                    let node = seen.before.instances.get(&released.id).map(|instance| &instance.node);
                    if node.is_some_and(|node| unreachable.contains(node)) {
                        return Err(format!("{} is given up on a node out of reach", released.id));
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// What is done in the name of an operation is done to its own account's application and instances.
fn an_operation_stays_in_its_account(seen: &Seen<'_>) -> Verdict {
    for event in &seen.entry.events {
        let (operation, app) = match event {
            Event::InstancesPlanned { operation, app, .. }
            | Event::InstancesReleasing { operation, app, .. } => (operation, app),
            _ => continue,
        };
        let account = seen.after.operations.get(operation).map(|operation| &operation.account);
        let owner = seen.before.apps.get(app).or(seen.after.apps.get(app)).map(|app| &app.account);
        if account != owner {
            return Err(format!("{operation} of {account:?} changes {app} of {owner:?}"));
        }
        if let Event::InstancesReleasing { instances, .. } = event {
            let of_another = instances.iter().find(|released| {
                let owner = seen.before.instances.get(&released.id).map(|instance| &instance.account);
                owner.is_some() && owner != account
            });
            if let Some(released) = of_another {
                return Err(format!(
                    "{operation} of {account:?} releases {} of another account",
                    released.id
                ));
            }
        }
    }
    Ok(())
}

fn accepted(entry: &Entry) -> impl Iterator<Item = &OperationId> {
    entry.events.iter().filter_map(|event| match event {
        Event::OperationAccepted { operation } => Some(&operation.id),
        _ => None,
    })
}
