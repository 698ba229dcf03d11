//! The JSON of an image: index, manifest and descriptors, OCI and Docker schema 2, as far as we use them.
//! Turns bytes into checked values; must not quote them in an error, nor open anything.

use std::collections::BTreeMap;

use ensemble_model::id::Digest;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::digest;
use super::platform::Platform;

/// Largest index, manifest or config that is read (runtime.md §8).
pub(super) const DOCUMENT_LIMIT: u64 = 4 << 20;
/// The kernel stacks at most this many lower layers.
pub(super) const LAYERS_AT_MOST: usize = 500;
/// Entries of one index that are looked at.
const INDEX_ENTRIES_AT_MOST: usize = 1000;
const TAG_ANNOTATION: &str = "org.opencontainers.image.ref.name";

pub(super) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// Why a document is refused; a plain sentence without any of its text.
pub(super) type Reason = &'static str;

/// What a descriptor's media type says the blob is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DocumentKind {
    Index,
    Manifest,
}

/// How a layer's tar stream is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

/// A checked descriptor of a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Descriptor {
    pub(super) digest: Digest,
    /// Bytes.
    pub(super) size: u64,
    pub(super) platform: Option<Platform>,
    pub(super) tag: Option<String>,
    media_type: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) config: Descriptor,
    /// Base first, as the manifest lists them.
    pub(super) layers: Vec<(Descriptor, Compression)>,
    /// What it says it is; old ones say nothing.
    pub(super) media_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDescriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: u64,
    platform: Option<Platform>,
    annotations: Option<BTreeMap<String, String>>,
    urls: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawIndex {
    schema_version: u32,
    media_type: Option<String>,
    manifests: Vec<RawDescriptor>,
    layers: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawManifest {
    schema_version: u32,
    media_type: Option<String>,
    config: RawDescriptor,
    layers: Vec<RawDescriptor>,
    manifests: Option<IgnoredAny>,
}

impl Descriptor {
    /// Nothing for a blob that is neither an index nor a manifest.
    pub(super) fn document_kind(&self) -> Option<DocumentKind> {
        document_kind(&self.media_type)
    }
}

/// The entries of an index that may be images; attestations are left out.
pub(super) fn index(bytes: &[u8]) -> Result<Vec<Descriptor>, Reason> {
    let raw: RawIndex = json(bytes)?;
    if raw.schema_version != 2 {
        return Err("its index is not of schema version 2");
    }
    if raw.media_type.is_some_and(|name| document_kind(&name) != Some(DocumentKind::Index)) {
        return Err("an index says that it is something else");
    }
    if raw.layers.is_some() {
        return Err("a document of it is a manifest and an index at once");
    }
    if raw.manifests.len() > INDEX_ENTRIES_AT_MOST {
        return Err("an index has more than 1000 entries");
    }
    let checked: Vec<_> = raw.manifests.into_iter().map(descriptor).collect::<Result<_, _>>()?;
    let is_image = |entry: &Descriptor| !entry.platform.as_ref().is_some_and(Platform::is_attestation);
    Ok(checked.into_iter().filter(is_image).collect())
}

pub(super) fn manifest(bytes: &[u8]) -> Result<Manifest, Reason> {
    let raw: RawManifest = json(bytes)?;
    if raw.schema_version != 2 {
        return Err("its manifest is not of schema version 2");
    }
    if raw.media_type.as_ref().is_some_and(|name| document_kind(name) != Some(DocumentKind::Manifest)) {
        return Err("a manifest says that it is something else");
    }
    if raw.manifests.is_some() {
        // Whoever reads it as an index would run another image than we do (CVE-2021-41190).
        return Err("a document of it is a manifest and an index at once");
    }
    if raw.layers.len() > LAYERS_AT_MOST {
        return Err("it has more than 500 layers");
    }
    let config = descriptor(raw.config)?;
    if ![OCI_CONFIG, DOCKER_CONFIG].contains(&config.media_type.as_str()) {
        return Err("its config is not that of a container image");
    }
    let layers = raw.layers.into_iter().map(layer).collect::<Result<_, _>>()?;
    Ok(Manifest { config, layers, media_type: raw.media_type })
}

/// Reads JSON without ever repeating what it says: serde's own messages quote values.
pub(super) fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Reason> {
    serde_json::from_slice(bytes).map_err(|_| "a document of it is not the JSON that it should be")
}

/// What a document is that came with a media type of its own; without one that is known, what it says itself.
pub(super) fn kind_of(content_type: Option<&str>, bytes: &[u8]) -> Option<DocumentKind> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Typed {
        media_type: Option<String>,
    }
    let named =
        content_type.and_then(|name| document_kind(name.split(';').next().unwrap_or_default().trim()));
    named.or_else(|| {
        let typed: Typed = json(bytes).ok()?;
        document_kind(&typed.media_type?)
    })
}

/// What is asked for: a registry answers nothing for an OCI manifest unless its type is named (runtime.md §3).
pub(super) fn accepted() -> String {
    [OCI_INDEX, OCI_MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST].join(", ")
}

fn document_kind(media_type: &str) -> Option<DocumentKind> {
    match media_type {
        OCI_INDEX | DOCKER_INDEX => Some(DocumentKind::Index),
        OCI_MANIFEST | DOCKER_MANIFEST => Some(DocumentKind::Manifest),
        _ => None,
    }
}

fn layer(raw: RawDescriptor) -> Result<(Descriptor, Compression), Reason> {
    if raw.urls.as_ref().is_some_and(|urls| !urls.is_empty()) {
        return Err("a layer is to be fetched from elsewhere");
    }
    let compression = match raw.media_type.as_str() {
        "application/vnd.oci.image.layer.v1.tar" | "application/vnd.docker.image.rootfs.diff.tar" => {
            Compression::None
        }
        "application/vnd.oci.image.layer.v1.tar+gzip"
        | "application/vnd.docker.image.rootfs.diff.tar.gzip" => Compression::Gzip,
        "application/vnd.oci.image.layer.v1.tar+zstd" => Compression::Zstd,
        name if name.contains("nondistributable") || name.contains("foreign") => {
            return Err("a layer is foreign or not distributable");
        }
        _ => return Err("a layer is of a media type that is not known"),
    };
    Ok((descriptor(raw)?, compression))
}

fn descriptor(raw: RawDescriptor) -> Result<Descriptor, Reason> {
    let digest =
        digest::parse(&raw.digest).ok_or("a digest is not `sha256:` and 64 lower-case hex digits")?;
    let tag = raw.annotations.and_then(|mut annotations| annotations.remove(TAG_ANNOTATION));
    Ok(Descriptor { digest, size: raw.size, platform: raw.platform, tag, media_type: raw.media_type })
}
