//! Pins: which image each reference of a template means, by digest. `oci:` images are taken into the engine's store when
//! the version is created (`decisions.md` §6.3); one of a registry is only read for its form, because no registry is
//! asked at acceptance: its pin is what the engine finds first. A simulated fleet ignores images.
//! Also what the API shows of the stores, and the task that keeps them within their bound.

use crate::action::Services;
use crate::causes::chain;
use crate::control::{Control, Published};
use crate::engines::{Engines, Stored};
use ensemble_engine::embedded::image::{Claim, Error as ImageError, Extent, ImageReference};
use ensemble_model::event::Event;
use ensemble_model::id::Digest;
use ensemble_model::state::State;
use ensemble_wire::action::describe_images::{Image, PinnedBy};
use ensemble_wire::error::{Code, Error};
use ensemble_wire::template::Workload;
use ensemble_wire::time::iso;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;

/// The stores are looked at this often when nothing happens.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// And not more often than this, however much does.
const LOOKS_APART: Duration = Duration::from_secs(2);

/// What is known at creation.
#[derive(Default)]
pub(crate) struct Pins {
    /// By the reference as written.
    pub(crate) digests: BTreeMap<String, Digest>,
    /// Held until the version is durable, so that nobody prunes its images in between.
    claims: Vec<Claim>,
}

/// The digest of every `oci:` image of the template, by its reference as written.
///
/// # Errors
/// `InvalidParameter` that names the container by its path, for an image that is absent, damaged, or has no sound name.
pub(crate) async fn pin(engines: &Engines, workloads: &[Workload]) -> Result<Pins, Error> {
    let mut pins = Pins::default();
    if !engines.run_images() {
        return Ok(pins);
    }
    for (workload_index, workload) in workloads.iter().enumerate() {
        for (container_index, container) in workload.containers.iter().enumerate() {
            let image = &container.image;
            if pins.digests.contains_key(image) {
                continue;
            }
            let path =
                format!("Template.workload[{workload_index}].podSpec.containers[{container_index}].image");
            let reference = image.parse().map_err(|error| refused(&path, &error))?;
            let ImageReference::Oci(reference) = reference else { continue };
            let (digest, claims) =
                engines.import(&reference).await.map_err(|error| refused(&path, &error))?;
            pins.digests.extend(digest.map(|digest| (image.clone(), digest)));
            pins.claims.extend(claims);
        }
    }
    Ok(pins)
}

/// Keeps the stores within their bound for as long as the server runs: looked at after a version came or went, and once a
/// minute.
pub(crate) async fn keep_within_bounds(services: Arc<Services>) {
    let mut published = services.control.subscribe();
    loop {
        let control = services.control.clone();
        let pruned =
            services.engines.prune_images(Extent::ToBytes(services.cache_bytes()), move || pinned(&control));
        match pruned.await {
            Ok(pruned) if pruned.images.is_empty() => {}
            Ok(pruned) => {
                let (many, bytes) = (pruned.images.len(), pruned.freed_bytes);
                tracing::info!(many, bytes, "{many} images that nothing pins left the cache, {bytes} bytes");
            }
            Err(error) => tracing::warn!("the image cache was not looked at: {}", chain(&error)),
        }
        tokio::time::sleep(LOOKS_APART).await;
        let _ = tokio::time::timeout(LOOK_EVERY, changed(&mut published)).await;
    }
}

/// Every image that a version of any account is pinned to, as of now.
pub(crate) fn pinned(control: &Control) -> BTreeSet<Digest> {
    control.state().pins().map(|(_, digest)| digest.clone()).collect()
}

/// Waits for an entry of the log after which other images may be pinned.
async fn changed(published: &mut broadcast::Receiver<Published>) {
    loop {
        match published.recv().await {
            Ok(published) => {
                let is_about_images = |event: &Event| {
                    matches!(
                        event,
                        Event::ImagePinned { .. }
                            | Event::ApplicationDeleted { .. }
                            | Event::InstanceGone { .. }
                    )
                };
                if published.entry.events.iter().any(is_about_images) {
                    return;
                }
            }
            Err(broadcast::error::RecvError::Lagged(_)) => return,
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// An image as the API shows it, with the versions that mean it.
pub(crate) fn shown(stored: Stored, state: &State) -> Image {
    let pinned_by = state.pinned_by(&stored.image.manifest).map(|(application, version)| PinnedBy {
        app_id: application.id.to_string(),
        app_name: application.meta.name.clone(),
        app_version: version.name.to_string(),
    });
    Image {
        pinned_by: pinned_by.collect(),
        digest: stored.image.manifest.to_string(),
        references: stored.image.names,
        engine: stored.engine.to_string(),
        bytes: stored.image.bytes,
        last_used_time: iso(stored.image.last_used.0),
        in_use: stored.in_use,
    }
}

/// A store that cannot be read or written.
pub(crate) fn fault(error: &ImageError) -> Error {
    let text = chain(error);
    tracing::warn!("the images could not be looked at: {text}");
    Error::new(Code::CallInterface).with_detail(text)
}

/// The caller's mistake, or a fault of this machine that may pass.
fn refused(path: &str, error: &ImageError) -> Error {
    let text = format!("{path}: {}", chain(error));
    if error.is_hopeless() {
        return Error::invalid(text);
    }
    tracing::warn!("an image could not be taken in: {text}");
    Error::new(Code::CallInterface).with_detail(text)
}
