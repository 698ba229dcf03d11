//! Pins: which image each reference of a template means, fixed by digest when the version is created
//! (`decisions.md` §6.3). `oci:` images are taken into the engine's store; a simulated fleet ignores images.

use crate::causes::chain;
use crate::engines::Engines;
use ensemble_engine::embedded::image::{Error as ImageError, OciReference};
use ensemble_model::id::Digest;
use ensemble_wire::error::{Code, Error};
use ensemble_wire::template::Workload;
use std::collections::BTreeMap;

/// The digest of every image of the template, by its reference as written.
///
/// # Errors
/// `InvalidParameter` that names the container by its path, for an image that is absent, damaged, or in a registry.
pub(crate) async fn pin(
    engines: &Engines,
    workloads: &[Workload],
) -> Result<BTreeMap<String, Digest>, Error> {
    let mut pins = BTreeMap::new();
    if !engines.run_images() {
        return Ok(pins);
    }
    for (workload_index, workload) in workloads.iter().enumerate() {
        for (container_index, container) in workload.containers.iter().enumerate() {
            if pins.contains_key(&container.image) {
                continue;
            }
            let path =
                format!("Template.workload[{workload_index}].podSpec.containers[{container_index}].image");
            if let Some(digest) = import(engines, &path, &container.image).await? {
                pins.insert(container.image.clone(), digest);
            }
        }
    }
    Ok(pins)
}

async fn import(engines: &Engines, path: &str, image: &str) -> Result<Option<Digest>, Error> {
    let reference: OciReference = image.parse().map_err(|error| refused(path, &error))?;
    engines.import(&reference).await.map_err(|error| refused(path, &error))
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
