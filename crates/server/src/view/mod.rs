//! What the state looks like from outside: from the model's types to the payloads of `ensemble_wire`, in one place.
//! Must not change or decide anything, and sees one account at a time. What is shown is what is durable.

pub(crate) mod application;
pub(crate) mod carrier;
mod detail;
pub(crate) mod device;
pub(crate) mod district;
pub(crate) mod event;
pub(crate) mod operation;
mod parameters;
pub(crate) mod plan;
mod port;
pub(crate) mod pulls;
mod selection;
pub(crate) mod summary;
#[cfg(test)]
mod tests;
pub(crate) mod why;

pub(crate) use selection::Selection;

use ensemble_model::application::StatusDescription;
use ensemble_model::instance::{Instance, Pod, PodStatus};
use ensemble_wire::payload::application::{InternalIp, StatusDescription as StatusText};
use ensemble_wire::payload::to_text;
use ensemble_wire::time;
use std::collections::BTreeSet;

/// `StatusDescrip`: JSON inside a string (ens-api.md §1.2).
fn status_text(status: &StatusDescription) -> String {
    to_text(&StatusText {
        status: status.status.clone(),
        step: status.step.clone(),
        descrip: status.description.clone(),
        start_time: time::spaced(status.started_at.0),
    })
}

/// A pod's status as shown: what its engine cannot say is `Unknown`, whatever was seen last.
fn shown_status(instance: &Instance, pod: &Pod) -> PodStatus {
    if instance.unknown { PodStatus::Unknown } else { pod.status }
}

/// The addresses of an instance's pods, each once.
fn addresses(instance: &Instance) -> Vec<InternalIp> {
    let addresses: BTreeSet<_> = instance.pods.iter().filter_map(|pod| pod.address).collect();
    addresses.into_iter().map(|address| InternalIp { ip: address.to_string() }).collect()
}
