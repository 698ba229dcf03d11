//! The doors through which a stranger's bytes come in, one by one: an index, a manifest, a config, a layer. For whoever
//! looks at one of them without a store or a registry, fuzzing above all. Must hold no rule of its own: what is
//! taken and refused here is what the store takes and refuses.

use std::path::{Path, PathBuf};

use ensemble_model::id::Digest;

use super::lower::Lower;
use super::{Compression, ImageConfig, LayerError, Limits, config, layer, manifest};

/// What a manifest says its image is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blobs {
    pub config: Digest,
    /// Digest and bytes of each layer as it is packed, base first.
    pub layers: Vec<(Digest, u64)>,
}

/// What a layer's stream was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// Digest and bytes of the tar stream.
    pub diff_id: Digest,
    pub bytes: u64,
    /// Entries taken and directories implied.
    pub entries: u64,
    /// Bytes of files of the layers below that it made its own.
    pub copied_bytes: u64,
}

/// The manifests and indexes that an index lists, without attestations.
///
/// # Errors
/// A plain sentence that quotes nothing of it, as from all of these.
pub fn index(bytes: &[u8]) -> Result<Vec<Digest>, &'static str> {
    Ok(manifest::index(bytes)?.into_iter().map(|entry| entry.digest).collect())
}

/// # Errors
/// As for [`index`].
pub fn manifest(bytes: &[u8]) -> Result<Blobs, &'static str> {
    let manifest = manifest::manifest(bytes)?;
    let layers = manifest.layers.into_iter().map(|(blob, _)| (blob.digest, blob.size)).collect();
    Ok(Blobs { config: manifest.config.digest, layers })
}

/// # Errors
/// As for [`index`].
pub fn config(bytes: &[u8]) -> Result<ImageConfig, &'static str> {
    Ok(config::parse(bytes)?.run)
}

/// Unpacks a layer into the empty directory `target`, above the layers `lower`, topmost first. After an error what
/// is in `target` is worth nothing.
///
/// # Errors
/// What is wrong with the layer, or that it could not be written.
pub fn unpack(
    packed: &[u8],
    compression: Compression,
    target: &Path,
    lower: &[PathBuf],
    limits: &Limits,
) -> Result<Unpacked, LayerError> {
    let lower = Lower::open(lower).map_err(LayerError::Write)?;
    let stream = layer::unpack_stream(packed, compression, target, &lower, limits)?;
    let (entries, copied_bytes) = (stream.unpacked.entries, stream.unpacked.copied_bytes);
    Ok(Unpacked { diff_id: stream.diff_id, bytes: stream.bytes, entries, copied_bytes })
}
