//! The example image's only layer, as the other systems take it: a directory, and a tar archive.

use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

pub(super) struct Layer {
    pub(super) directory: PathBuf,
    pub(super) archive: PathBuf,
}

impl Layer {
    /// Takes the layer out of an OCI archive.
    pub(super) fn unpack(image: &Path, into: &Path) -> Result<Self> {
        let mut files = HashMap::new();
        for entry in tar::Archive::new(File::open(image)?).entries()? {
            let mut entry = entry?;
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            files.insert(entry.path()?.display().to_string(), content);
        }
        let blob = |descriptor: &Value| {
            let digest = descriptor["digest"].as_str().context("a descriptor has a digest")?;
            files.get(&format!("blobs/{}", digest.replace(':', "/"))).context("the image is incomplete")
        };
        let index: Value = serde_json::from_slice(files.get("index.json").context("no index.json")?)?;
        let manifest: Value = serde_json::from_slice(blob(&index["manifests"][0])?)?;
        let mut content = Vec::new();
        flate2::read::GzDecoder::new(blob(&manifest["layers"][0])?.as_slice()).read_to_end(&mut content)?;
        let layer = Self { directory: into.join("root"), archive: into.join("root.tar") };
        fs::write(&layer.archive, &content)?;
        tar::Archive::new(content.as_slice()).unpack(&layer.directory)?;
        Ok(layer)
    }
}
