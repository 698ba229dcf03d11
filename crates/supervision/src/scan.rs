//! Gathers what `reconcile` decides from: records under the engine's directory, locks, control groups. Reads only;
//! what it cannot read it reports as a stray or leaves out, and never takes for "not there" what it failed to look at.

use crate::directory::Directory;
use crate::host::Host;
use crate::kernel::{EntryKind, Groups, Kernel, LockState};
use crate::layout::{self, ContainerKey};
use crate::reconcile::state::{ContainerRecords, Facts, Records, Stray, containers};
use crate::record::{self, Attempt, Exit, InstanceRecord, Running};
use ensemble_model::id::InstanceId;
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
///
/// # Errors
/// Something cannot be looked at; then nothing may be concluded, and nothing is changed.
pub fn everything<K: Kernel, G: Groups>(
    host: Host<'_, K, G>,
    records: &mut Records,
    facts: &mut Facts,
) -> Result<(), Error> {
    let Host { groups, layout, .. } = host;
    let mut found = Records::default();
    let mut strays: BTreeSet<Stray> =
        facts.strays.iter().filter(|stray| matches!(stray, Stray::Network(_))).cloned().collect();
    for entry in host.kernel.list(&layout.instances()).map_err(Error::List)? {
        if entry.kind != EntryKind::Directory {
            // Nothing of ours is a plain file here, and nothing that somebody left must keep us from starting.
            continue;
        }
        let directory = layout.instances().join(&entry.name);
        match record::read::<InstanceRecord>(host.kernel, &layout::instance_record(&directory)) {
            // A record under another name is not where its containers would be looked for.
            Ok(Some(record)) if layout.instance(&record.id) == directory => {
                found.instances.insert(record.id.clone(), record);
            }
            Ok(_) | Err(record::Error::Malformed { .. }) => {
                strays.insert(Stray::Directory(entry.name.to_string_lossy().into_owned()));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let mut held = BTreeSet::new();
    for record in found.instances.values() {
        for key in containers(&record.id, &record.template) {
            let (records, lock) = container(host.kernel, &layout.container(&key))?;
            if lock == LockState::Held {
                held.insert(key.clone());
            }
            found.containers.insert(key, records);
        }
    }
    let named: BTreeSet<String> = found.instances.keys().map(layout::instance_group).collect();
    let there = groups.instances().map_err(Error::Group)?;
    strays.extend(there.difference(&named).cloned().map(Stray::Group));
    facts.groups = found
        .instances
        .keys()
        .filter(|id| groups.has_instance(&layout::instance_group(id)))
        .cloned()
        .collect();
    facts.held = held;
    facts.strays = strays;
    *records = found;
    Ok(())
}

/// Looks at one container again, after something happened to it.
///
/// # Errors
/// It cannot be looked at; what was known of it stays.
pub fn one_container<K: Kernel, G: Groups>(
    host: Host<'_, K, G>,
    key: &ContainerKey,
    records: &mut Records,
    facts: &mut Facts,
) -> Result<(), Error> {
    let (found, lock) = container(host.kernel, &host.layout.container(key))?;
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
///
/// # Errors
/// It cannot be looked at; what was known of it stays.
pub fn one_instance<K: Kernel, G: Groups>(
    host: Host<'_, K, G>,
    id: &InstanceId,
    records: &mut Records,
    facts: &mut Facts,
) -> Result<(), Error> {
    match record::read::<InstanceRecord>(host.kernel, &layout::instance_record(&host.layout.instance(id)))? {
        Some(record) => {
            records.instances.insert(id.clone(), record);
        }
        None => {
            records.instances.remove(id);
            records.containers.retain(|key, _| key.pod.instance != *id);
        }
    }
    if host.groups.has_instance(&layout::instance_group(id)) {
        facts.groups.insert(id.clone());
    } else {
        facts.groups.remove(id);
    }
    Ok(())
}

/// The lock is asked before the records are read: a supervisor writes its exit record before it lets the lock go, so
/// a free lock without a record means that there will be none.
fn container(kernel: &impl Kernel, directory: &Directory) -> Result<(ContainerRecords, LockState), Error> {
    let lock = kernel.probe_lock(&directory.lock()).map_err(Error::Lock)?;
    let running: Option<Running> = lenient(record::read(kernel, &directory.running()))?;
    let exit: Option<Exit> = lenient(record::read(kernel, &directory.exit()))?;
    // The supervisor's own records tell which start it was; without that a container that runs would count as one
    // that never got there.
    let attempt = lenient(record::read(kernel, &directory.attempt()))?
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
