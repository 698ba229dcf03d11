//! What became durable, in plain words: one sentence for each event.

use ensemble_model::event::{AcceptedOperation, Event, ReleaseCause};
use ensemble_model::operation::{OperationKind, Subject, Undoing};
use std::collections::BTreeMap;

pub(crate) fn tell(event: &Event) -> String {
    match event {
        Event::FleetInstalled { fleet } => format!("a fleet of {} edge nodes is in force", fleet.nodes.len()),
        Event::ApplicationCreated { application } => {
            let (app, name, account) = (&application.app, &application.meta.name, &application.account);
            format!("account {account} creates {name} ({app})")
        }
        Event::OperationAccepted { operation } => accepted(operation),
        Event::InstancesPlanned { placements, .. } => {
            let places = placements.iter().map(|placement| {
                let ids: Vec<&str> = placement.instances.iter().map(|planned| planned.id.as_str()).collect();
                format!("{} on {}/{}", ids.join(" "), placement.node, placement.isp)
            });
            format!("placed: {}", places.collect::<Vec<_>>().join("; "))
        }
        Event::InstancesReleasing { instances, cause, .. } => {
            let ids: Vec<&str> = instances.iter().map(|released| released.id.as_str()).collect();
            let why = reason(cause);
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
        Event::InstancesRevived { instances, .. } => format!("to stay after all: {}", listed(instances)),
        Event::InstancesProtected { instances, protection, .. } => {
            format!("protection {protection:?}: {}", listed(instances))
        }
        Event::OwnInstancesCreated { instances } => {
            let made = instances.iter().map(|own| format!("{} on {}", own.id, own.node));
            format!("made by themselves: {}", made.collect::<Vec<_>>().join(" "))
        }
        Event::OwnInstanceReleased { instance } => format!("{instance} is given up"),
        Event::VersionCreated { app, version } => format!("{app} has a version {}", version.name),
        Event::VersionDeleted { app, version } => format!("{app} has no version {version} any more"),
        Event::StableVersionMoved { app, version } => format!("{version} is the stable version of {app}"),
        Event::RolloutPlanned { rollout, instances, .. } => {
            let ids: Vec<&str> = instances.iter().map(|rolled| rolled.id.as_str()).collect();
            format!("to go to {}, in {} units: {}", rollout.to, rollout.units.len(), ids.join(" "))
        }
        Event::InstancesRedeployed { version, instances, .. } => {
            let ids: Vec<&str> = instances.iter().map(|redeployed| redeployed.id.as_str()).collect();
            format!("goes to {version}: {}", ids.join(" "))
        }
        Event::RolloutChecked { operation, .. } => format!("{operation} is looked at"),
        Event::ApplicationModified { app, min_ready } => format!("{app} keeps {min_ready} ready"),
        Event::NodeDraining { node, .. } => format!("draining: {node}"),
        Event::NodeResumed { node } => format!("resumed: {node}"),
        Event::OperationUndoing { operation, cause, .. } => match cause {
            Undoing::Canceled => format!("{operation} is canceled and goes back"),
            Undoing::TimedOut => format!("{operation} timed out and goes back"),
            Undoing::Broken => format!("{operation} brings what does not become ready, and goes back"),
        },
        Event::OperationEnded { operation, status, outcome, .. } => {
            format!("{operation} ends as {}: {outcome}", status.as_str())
        }
        Event::ApplicationDeleted { app } => format!("{app} is no more"),
    }
}

fn accepted(operation: &AcceptedOperation) -> String {
    let subject = match &operation.subject {
        Subject::Application(app) => app.to_string(),
        Subject::Account => format!("account {}", operation.account),
        Subject::Node(node) => node.to_string(),
    };
    let kind = match operation.kind {
        OperationKind::Create => "its first instances",
        OperationKind::Add => "more",
        OperationKind::Del => "fewer",
        OperationKind::Delete => "its end",
        OperationKind::Move => "others in their place",
        OperationKind::Upgrade => "another version",
        OperationKind::Immediate => {
            return format!("{}: {subject}: {}", operation.id, operation.description);
        }
    };
    let items = operation.items.iter().map(|item| {
        let place = item.region_code.as_deref().unwrap_or("anywhere");
        let isp = item.isp.as_ref().map(|isp| format!("/{isp}")).unwrap_or_default();
        format!("{} in {place}{isp}", item.wanted)
    });
    let items = items.collect::<Vec<_>>().join(", ");
    let (id, within) = (&operation.id, operation.timeout_s);
    format!("{id}: {subject} is to get {kind} within {within} s [{items}]")
}

fn reason(cause: &ReleaseCause) -> String {
    match cause {
        ReleaseCause::Asked => "as asked".to_owned(),
        ReleaseCause::Deadline => "because the time is up".to_owned(),
        ReleaseCause::Hopeless { reason } => format!("because {reason}"),
        ReleaseCause::Canceled => "because it is canceled".to_owned(),
        ReleaseCause::Undone => "because it is taken back".to_owned(),
        ReleaseCause::Moved => "because others are ready".to_owned(),
        ReleaseCause::NodeLost => "because their node is lost".to_owned(),
    }
}

fn listed<T: std::fmt::Display>(names: &[T]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
