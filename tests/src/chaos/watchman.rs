//! Looks at the machine again and again while a run goes on: writes into the history which process came and went, and
//! finds what must not be for a moment, two processes of one container.

use super::clients::Ledger;
use super::evidence::{Container, Process, Witness, identity_of};
use super::verdict::{Fault, Finding, doubled};
use anyhow::Result;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const PACE: Duration = Duration::from_millis(250);

/// Watches until it is dropped.
///
/// # Errors
/// When the kernel cannot be read.
pub async fn watch(witness: &Witness, ledger: &Ledger) -> Result<()> {
    let mut before: BTreeMap<Process, Container> = BTreeMap::new();
    let mut told = BTreeSet::new();
    loop {
        let containers = witness.containers()?;
        for (place, twins) in doubled(&containers) {
            // They were not looked at in the same instant: one may have come when the other had gone.
            let alive = |one: &&&Container| identity_of(one.process.pid) == Some(one.process);
            let lasting: Vec<u32> = twins.iter().filter(alive).map(|one| one.process.pid).collect();
            if lasting.len() > 1 && told.insert(place.clone()) {
                let text = format!("container `{}` of pod {} ran as {lasting:?}", place.container, place.pod);
                ledger.find(Finding::new(Fault::Doubled, &place.instance, text));
            }
        }
        let now: BTreeMap<Process, Container> =
            containers.into_iter().map(|container| (container.process, container)).collect();
        for (word, here, there) in [("runs", &now, &before), ("gone", &before, &now)] {
            for (process, container) in here.iter().filter(|(process, _)| !there.contains_key(*process)) {
                let place = &container.place;
                ledger.history.note(
                    word,
                    json!({"instance": place.instance, "pod": place.pod, "container": place.container,
                        "app": container.app, "pid": process.pid}),
                );
            }
        }
        before = now;
        tokio::time::sleep(PACE).await;
    }
}
