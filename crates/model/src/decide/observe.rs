//! What an engine's report changes: transitions only. Facts are believed from whoever runs the node; an instance
//! is gone only when its engine says so of one that is being released.

use super::draft::Draft;
use super::ending;
use super::freshness::News;
use super::rolling;
use super::tick::operations_on;
use crate::event::{Event, ReleaseCause, ReleasedInstance};
use crate::id::{AppId, OperationId};
use crate::instance::{Instance, Pod, PodStatus};
use crate::observation::{InstanceObservation, PodObservation, Presence, ResolvedImage};
use crate::operation::{OperationKind, Role};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How much of an engine's own words is kept, in bytes.
const MESSAGE_BYTES: usize = 1_024;

/// What has to be looked at again once a report has been taken in.
#[derive(Default)]
struct Touched {
    operations: BTreeSet<OperationId>,
    apps: BTreeSet<AppId>,
}

pub(crate) fn on(draft: &mut Draft, news: News) {
    let News { lost, back, instances, resolved } = news;
    let mut touched = Touched::default();
    if !lost.is_empty() {
        touched.operations.extend(operations_on(&draft.state, &lost));
        draft.emit(Event::NodesUnreachable { nodes: lost });
    }
    if !back.is_empty() {
        draft.emit(Event::NodesReachable { nodes: back });
    }
    for resolved in &resolved {
        pin(draft, resolved);
    }
    for InstanceObservation { instance, presence } in &instances {
        let Some(found) = draft.state.instances.get(instance).cloned() else { continue };
        touched.operations.extend(draft.state.waiting_for(instance).map(|operation| operation.id.clone()));
        // A move waits for the floor, which is about instances beside its own.
        let of_app = draft.state.applications.get(&found.app).and_then(|app| app.operation.clone());
        touched.operations.extend(of_app);
        match presence {
            Presence::Gone => not_there(draft, &found, &mut touched),
            // It tells of what ran before; of what is wanted now nothing is there yet.
            Presence::Here { deployment, .. } if *deployment != found.deployment => {
                here(draft, &found, &[], false);
            }
            Presence::Here { pods, ready, hopeless, .. } => {
                here(draft, &found, pods, *ready);
                if let Some(reason) = hopeless {
                    give_up(draft, &found, reason);
                }
            }
        }
    }
    for operation in &touched.operations {
        ending::settle(draft, operation);
    }
    for app in &touched.apps {
        ending::vanish(draft, app);
    }
}

/// The first resolution of an image that the version really uses is its pin (`decisions.md` §9.9). What comes later is
/// no news: its engine is told the pin and takes that.
fn pin(draft: &mut Draft, resolved: &ResolvedImage) {
    let ResolvedImage { app, version, image, digest } = resolved.clone();
    let found = draft.state.applications.get(&app).and_then(|found| found.version(&version));
    let is_open = found.is_some_and(|found| !found.pins.contains_key(&image) && found.uses(&image));
    if is_open {
        draft.emit(Event::ImagePinned { app, version, image, digest });
    }
}

/// Nothing of it is left. One that is being released is gone for good; one that is held comes again, because its
/// engine still wants it.
fn not_there(draft: &mut Draft, instance: &Arc<Instance>, touched: &mut Touched) {
    if instance.is_held() {
        here(draft, instance, &[], false);
        return;
    }
    touched.apps.insert(instance.app.clone());
    draft.emit(Event::InstanceGone { instance: instance.id.clone() });
}

/// Takes in how an instance is; a pod that is not named is not there.
fn here(draft: &mut Draft, instance: &Instance, seen: &[PodObservation], ready: bool) {
    let seen: BTreeMap<(&str, u32), &PodObservation> =
        seen.iter().map(|pod| ((pod.workload.as_str(), pod.index), pod)).collect();
    let mut pods = Vec::new();
    for known in &instance.pods {
        let now = match seen.get(&(known.workload.as_str(), known.index)) {
            Some(pod) => Pod {
                workload: known.workload.clone(),
                index: known.index,
                status: pod.status,
                address: pod.address,
                exposed_at: pod.exposed_at,
                restarts: pod.restarts,
                message: bounded(&pod.message),
            },
            None => Pod { status: PodStatus::Pending, address: None, exposed_at: None, ..known.clone() },
        };
        if now != *known {
            pods.push(now);
        }
    }
    if instance.unknown || instance.ready != ready || !pods.is_empty() {
        draft.emit(Event::InstanceObserved { instance: instance.id.clone(), ready, pods });
    }
}

/// An instance that can never run fails at once, while an operation waits for it (`decisions.md` §2.4). Outside
/// of one it is held: nobody asked to take it away.
fn give_up(draft: &mut Draft, instance: &Instance, reason: &str) {
    let state = &draft.state;
    let Some((found, at)) =
        state.targets.get(&instance.id).and_then(|(id, at)| Some((state.operations.get(id)?, at)))
    else {
        return;
    };
    let Some(target) = found.targets.get(*at).filter(|target| found.role(target) == Role::Comes) else {
        return;
    };
    if found.kind == OperationKind::Upgrade {
        let found = Arc::clone(found);
        if found.undoing.is_none() {
            rolling::stop(draft, &found, &instance.id, &bounded(reason));
        }
        return;
    }
    let (operation, item) = (found.id.clone(), target.item);
    let instances = vec![ReleasedInstance { id: instance.id.clone(), item }];
    let cause = ReleaseCause::Hopeless { reason: bounded(reason) };
    draft.emit(Event::InstancesReleasing { operation, app: instance.app.clone(), cause, instances });
}

fn bounded(text: &str) -> String {
    let mut end = text.len().min(MESSAGE_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
