//! Waits for supervisors to end: one descriptor and one small task each, adopted ones and our own children alike.
//! Says that one ended; how is in its records.

use super::Message;
use crate::embedded::kernel::Linux;
use ensemble_supervision::kernel::{ProcessIdentity, open_process};
use ensemble_supervision::layout::ContainerKey;
use ensemble_supervision::supervisor::SOON;
use rustix::process::{WaitId, WaitIdOptions, waitid};
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, OwnedFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

pub(crate) struct Watches {
    messages: mpsc::Sender<Message>,
    watched: BTreeMap<ContainerKey, AbortHandle>,
    /// Just started, and not yet known to hold a lock.
    started: BTreeMap<ContainerKey, OwnedFd>,
}

impl Watches {
    pub(crate) fn new(messages: mpsc::Sender<Message>) -> Self {
        Self { messages, watched: BTreeMap::new(), started: BTreeMap::new() }
    }

    /// Takes a child that was started a moment ago.
    pub(super) fn take(&mut self, key: ContainerKey, process: OwnedFd) {
        self.started.insert(key, process);
    }

    /// Sees to those that were started and do not hold their lock: one let go of it, as its last deed, before anybody
    /// looked, and nobody else would reap it.
    pub(super) fn settle(&mut self, held: &BTreeSet<ContainerKey>) {
        for (key, process) in std::mem::take(&mut self.started) {
            if !held.contains(&key) {
                tokio::spawn(until_reaped(process));
            }
        }
    }

    /// Says when this supervisor has ended.
    pub(super) fn watch(&mut self, key: ContainerKey, identity: ProcessIdentity) {
        let task = tokio::spawn(watch(identity, key.clone(), self.messages.clone()));
        self.watched.insert(key, task.abort_handle());
    }

    pub(super) fn forget(&mut self, key: &ContainerKey) {
        self.watched.remove(key);
    }

    pub(super) fn end(&mut self) {
        for task in self.watched.values() {
            task.abort();
        }
        self.watched.clear();
    }
}

/// A pidfd becomes readable when its process has ended.
fn register(process: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an owned descriptor always answers the same descriptor, open until it is dropped.
    Ok(unsafe { AsyncFd::register_with_interest(process, Interest::READABLE) }?)
}

async fn until_reaped(process: OwnedFd) {
    if let Ok(process) = register(process) {
        // Readable when the process has ended. An error means the same: nothing more will be learnt from it.
        let _ = process.readable().await;
        // Ours are children and must be reaped; adopted ones are somebody else's.
        let _ = waitid(WaitId::PidFd(process.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
    }
}

async fn watch(identity: ProcessIdentity, key: ContainerKey, messages: mpsc::Sender<Message>) {
    if let Ok(Some(process)) = open_process(&Linux, &identity) {
        until_reaped(process).await;
    } else {
        // Gone already, or the lock names one that is: look again, but not in a circle without a pause.
        tokio::time::sleep(SOON).await;
    }
    // The loop has ended when nobody receives.
    let _ = messages.send(Message::Ended(key)).await;
}
