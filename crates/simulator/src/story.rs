//! What became durable, in plain words: one sentence for each event.

use ensemble_model::event::{Event, ReleaseCause};
use ensemble_model::operation::{OperationKind, Subject};
use std::collections::BTreeMap;

pub(crate) fn tell(event: &Event) -> String {
    match event {
        Event::FleetInstalled { fleet } => format!("a fleet of {} edge nodes is in force", fleet.nodes.len()),
        Event::ApplicationCreated { application } => {
            let (app, name, account) = (&application.app, &application.meta.name, &application.account);
            format!("account {account} creates {name} ({app})")
        }
        Event::OperationAccepted { operation } => {
            let Subject::Application(app) = &operation.subject;
            let kind = match operation.kind {
                OperationKind::Create => "its first instances",
                OperationKind::Add => "more",
                OperationKind::Del => "fewer",
                OperationKind::Delete => "its end",
            };
            let items = operation.items.iter().map(|item| {
                let place = item.region_code.as_deref().unwrap_or("anywhere");
                let isp = item.isp.as_ref().map(|isp| format!("/{isp}")).unwrap_or_default();
                format!("{} in {place}{isp}", item.wanted)
            });
            let items = items.collect::<Vec<_>>().join(", ");
            let (id, within) = (&operation.id, operation.timeout_s);
            format!("{id}: {app} is to get {kind} within {within} s [{items}]")
        }
        Event::InstancesPlanned { placements, .. } => {
            let places = placements.iter().map(|placement| {
                let ids: Vec<&str> = placement.instances.iter().map(|planned| planned.id.as_str()).collect();
                format!("{} on {}/{}", ids.join(" "), placement.node, placement.isp)
            });
            format!("placed: {}", places.collect::<Vec<_>>().join("; "))
        }
        Event::InstancesReleasing { instances, cause, .. } => {
            let ids: Vec<&str> = instances.iter().map(|released| released.id.as_str()).collect();
            let why = match cause {
                ReleaseCause::Asked => "as asked".to_owned(),
                ReleaseCause::Deadline => "because the time is up".to_owned(),
                ReleaseCause::Hopeless { reason } => format!("because {reason}"),
            };
            format!("to go, {why}: {}", ids.join(" "))
        }
        Event::InstanceObserved { instance, ready, pods } => {
            let mut by_status: BTreeMap<&str, usize> = BTreeMap::new();
            for pod in pods {
                *by_status.entry(pod.status.as_str()).or_default() += 1;
            }
            let pods: Vec<String> =
                by_status.into_iter().map(|(status, count)| format!("{count} {status}")).collect();
            format!("{instance} is {}ready [{}]", if *ready { "" } else { "not " }, pods.join(", "))
        }
        Event::InstanceGone { instance } => format!("{instance} is gone"),
        Event::ImagePinned { image, digest, .. } => format!("{image} means {digest}"),
        Event::NodesUnreachable { nodes } => format!("out of reach: {}", listed(nodes)),
        Event::NodesReachable { nodes } => format!("in reach again: {}", listed(nodes)),
        Event::OperationEnded { operation, status, outcome, .. } => {
            format!("{operation} ends as {}: {outcome}", status.as_str())
        }
        Event::ApplicationDeleted { app } => format!("{app} is no more"),
    }
}

fn listed<T: std::fmt::Display>(names: &[T]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
