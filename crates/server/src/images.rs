//! Pins: which image each reference of a template means, by digest. `oci:` images are taken into the engine's store when
//! the version is created (`decisions.md` §6.3); one of a registry is only read for its form, because no registry is
//! asked at acceptance: its pin is what the engine finds first. A simulated fleet ignores images.

use crate::causes::chain;
use crate::engines::Engines;
use ensemble_engine::embedded::image::{Claim, Error as ImageError, ImageReference};
use ensemble_model::id::Digest;
use ensemble_wire::error::{Code, Error};
use ensemble_wire::template::Workload;
use std::collections::BTreeMap;

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

/// The caller's mistake, or a fault of this machine that may pass.
fn refused(path: &str, error: &ImageError) -> Error {
    let text = format!("{path}: {}", chain(error));
    if error.is_hopeless() {
        return Error::invalid(text);
    }
    tracing::warn!("an image could not be taken in: {text}");
    Error::new(Code::CallInterface).with_detail(text)
}
