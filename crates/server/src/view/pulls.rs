//! How far pulls are, put together for a pod or a node. Progress is no part of the state: it is asked of the engines when
//! it is shown (`decisions.md` §7.7).

use ensemble_engine::embedded::image::PullProgress;
use ensemble_model::id::Digest;
use ensemble_model::instance::{Instance, Pod};
use ensemble_model::state::AccountView;
use ensemble_wire::payload::operation::Pulled;
use std::collections::{BTreeMap, BTreeSet};

/// What is being pulled now, by the image's digest.
pub(crate) type Pulls = BTreeMap<Digest, PullProgress>;

/// The pinned images of one pod.
pub(super) fn images<'a>(
    account: AccountView<'a>,
    instance: &Instance,
    pod: &Pod,
) -> impl Iterator<Item = &'a Digest> + use<'a> {
    let application = account.application(&instance.app);
    let version = application.and_then(|application| application.version(&instance.version));
    let (workload, pins) = match version {
        Some(version) => {
            (version.workloads.iter().find(|workload| workload.name == pod.workload), Some(&version.pins))
        }
        None => (None, None),
    };
    let containers = workload.into_iter().flat_map(|workload| &workload.containers);
    containers.filter_map(move |container| pins?.get(&container.image))
}

/// The sum over those that are being pulled; nothing when none is.
pub(super) fn progress<'a>(pulls: &Pulls, images: impl IntoIterator<Item = &'a Digest>) -> Option<Pulled> {
    let images: BTreeSet<&Digest> = images.into_iter().collect();
    let pulled: Vec<&PullProgress> = images.into_iter().filter_map(|image| pulls.get(image)).collect();
    if pulled.is_empty() {
        return None;
    }
    Some(Pulled {
        bytes: pulled.iter().map(|progress| progress.done_bytes).sum(),
        total_bytes: pulled.iter().map(|progress| progress.total_bytes).sum(),
    })
}
