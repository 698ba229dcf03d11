//! Gathers what `reconcile` decides from: records under the engine's directory, locks, control groups. Reads only;
//! what it cannot read it reports as a stray or leaves out, and never takes for "not there" what it failed to look at.

use super::cgroup::Subtree;
use super::kernel::Linux;
use ensemble_model::id::InstanceId;
use ensemble_supervision::directory::Directory;
use ensemble_supervision::kernel::{Groups, Kernel, LockState};
use ensemble_supervision::layout::{self, ContainerKey, Layout};
use ensemble_supervision::reconcile::state::{ContainerRecords, Facts, Records, Stray, containers};
use ensemble_supervision::record::{self, Attempt, Exit, InstanceRecord, Running};
use std::collections::BTreeSet;
use std::io;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("could not list the instances")]
    List(#[source] io::Error),
    #[error(transparent)]
    Group(io::Error),
    #[error("could not ask for a lock")]
    Lock(#[source] io::Error),
    #[error(transparent)]
    Record(#[from] record::Error),
}

/// Looks at everything. Networks are known to the network alone and left as they are; so is what the engine is about.
pub(super) fn everything(
    layout: &Layout,
    subtree: &Subtree,
    records: &mut Records,
    facts: &mut Facts,
) -> Result<(), Error> {
    let mut found = Records::default();
    let mut strays: BTreeSet<Stray> =
        facts.strays.iter().filter(|stray| matches!(stray, Stray::Network(_))).cloned().collect();
    for entry in std::fs::read_dir(layout.instances()).map_err(Error::List)? {
        let entry = entry.map_err(Error::List)?;
        if !entry.file_type().map_err(Error::List)?.is_dir() {
            // Nothing of ours is a plain file here, and nothing that somebody left must keep us from starting.
            continue;
        }
        let directory = entry.path();
        match record::read::<InstanceRecord>(&Linux, &layout::instance_record(&directory)) {
            // A record under another name is not where its containers would be looked for.
            Ok(Some(record)) if layout.instance(&record.id) == directory => {
                found.instances.insert(record.id.clone(), record);
            }
            Ok(_) | Err(record::Error::Malformed { .. }) => {
                strays.insert(Stray::Directory(entry.file_name().to_string_lossy().into_owned()));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let mut held = BTreeSet::new();
    for record in found.instances.values() {
        for key in containers(&record.id, &record.template) {
            let (records, lock) = container(&layout.container(&key))?;
            if lock == LockState::Held {
                held.insert(key.clone());
            }
            found.containers.insert(key, records);
        }
    }
    let named: BTreeSet<String> = found.instances.keys().map(layout::instance_group).collect();
    let groups = subtree.instances().map_err(Error::Group)?;
    strays.extend(groups.difference(&named).cloned().map(Stray::Group));
    facts.groups = found
        .instances
        .keys()
        .filter(|id| subtree.has_instance(&layout::instance_group(id)))
        .cloned()
        .collect();
    facts.held = held;
    facts.strays = strays;
    *records = found;
    Ok(())
}

/// Looks at one container again, after something happened to it.
pub(super) fn one_container(
    layout: &Layout,
    key: &ContainerKey,
    records: &mut Records,
    facts: &mut Facts,
) -> Result<(), Error> {
    let (found, lock) = container(&layout.container(key))?;
    match lock {
        LockState::Held => {
            facts.held.insert(key.clone());
        }
        LockState::Free => {
            facts.held.remove(key);
            facts.asked_to_stop.remove(key);
        }
    }
    records.containers.insert(key.clone(), found);
    Ok(())
}

/// Looks at one instance's record and group again, and forgets its containers when it is gone.
pub(super) fn one_instance(
    layout: &Layout,
    subtree: &Subtree,
    id: &InstanceId,
    records: &mut Records,
    facts: &mut Facts,
) -> Result<(), Error> {
    match record::read::<InstanceRecord>(&Linux, &layout::instance_record(&layout.instance(id)))? {
        Some(record) => {
            records.instances.insert(id.clone(), record);
        }
        None => {
            records.instances.remove(id);
            records.containers.retain(|key, _| key.pod.instance != *id);
        }
    }
    if subtree.has_instance(&layout::instance_group(id)) {
        facts.groups.insert(id.clone());
    } else {
        facts.groups.remove(id);
    }
    Ok(())
}

/// The lock is asked before the records are read: a supervisor writes its exit record before it lets the lock go, so
/// a free lock without a record means that there will be none.
fn container(directory: &Directory) -> Result<(ContainerRecords, LockState), Error> {
    let lock = Linux.probe_lock(&directory.lock()).map_err(Error::Lock)?;
    let running: Option<Running> = lenient(record::read(&Linux, &directory.running()))?;
    let exit: Option<Exit> = lenient(record::read(&Linux, &directory.exit()))?;
    // The supervisor's own records tell which start it was; without that a container that runs would count as one
    // that never got there.
    let attempt = lenient(record::read(&Linux, &directory.attempt()))?
        .or_else(|| latest_attempt(running.as_ref(), exit.as_ref()));
    Ok((ContainerRecords { attempt, running, exit }, lock))
}

/// How often it failed before is not in these records: the back-off begins anew.
fn latest_attempt(running: Option<&Running>, exit: Option<&Exit>) -> Option<Attempt> {
    let number = running.map(|running| running.attempt).max(exit.map(|exit| exit.attempt))?;
    Some(Attempt { number, streak: 0 })
}

/// A record that is there and makes no sense counts as none: what follows from none is safe, if not friendly.
fn lenient<T>(read: Result<Option<T>, record::Error>) -> Result<Option<T>, record::Error> {
    match read {
        Err(record::Error::Malformed { .. }) => Ok(None),
        read => read,
    }
}
