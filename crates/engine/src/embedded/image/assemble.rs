//! Makes an image of the store from its documents and blobs: checks that they belong together, unpacks the layers that
//! are not there yet, and writes the record last. Where the blobs came from is not known here.

use std::fs::File;
use std::path::Path;
use std::sync::PoisonError;

use ensemble_model::id::Digest;

use super::config::{self, ConfigDocument};
use super::incoming::{self, Incoming};
use super::layer::{self, Layer};
use super::lower::Lower;
use super::manifest::{self, Manifest};
use super::platform::Platform;
use super::store::{ImageStore, RECORD_VERSION, Record};
use super::{Claim, Error, digest, tree};

/// The documents of an image, verified against the digests that led to them.
pub(super) struct Documents {
    /// Digest of the manifest, and its bytes.
    pub(super) manifest: (Digest, Vec<u8>),
    pub(super) config: Vec<u8>,
    /// The indexes that led to the manifest, outermost first.
    pub(super) indexes: Vec<Digest>,
    /// The reference it was asked for by, as written.
    pub(super) name: String,
}

/// An image that is about to be assembled.
pub(super) struct Plan {
    documents: Documents,
    config_digest: Digest,
    pub(super) layers: Vec<Layer>,
    /// Nobody prunes what it relies on, from before it is looked for until the record says so.
    claims: Vec<Claim>,
}

impl Plan {
    /// Checks the documents.
    ///
    /// # Errors
    /// Hopeless ones: the image is refused, or not made for this machine.
    pub(super) fn new(store: &ImageStore, documents: Documents, platform: &Platform) -> Result<Self, Error> {
        let refused = |reason| Error::Refused { reason };
        let manifest = manifest::manifest(&documents.manifest.1).map_err(refused)?;
        let config = config::parse(&documents.config).map_err(refused)?;
        let layers = layers(&manifest, &config, platform)?;
        let mut plan = Self { config_digest: manifest.config.digest, documents, layers, claims: vec![] };
        plan.claim(store);
        Ok(plan)
    }

    fn claim(&mut self, store: &ImageStore) {
        let mut claims = vec![
            store.claim_image(&self.documents.manifest.0),
            store.claim_blob(&self.documents.manifest.0),
            store.claim_blob(&self.config_digest),
        ];
        claims.extend(self.layers.iter().map(|layer| store.claim_blob(&layer.blob.digest)));
        for (layer, chain) in self.layers.iter().zip(self.chains()) {
            claims.extend(names(layer, &chain).map(|name| store.claim_layer(&name)));
        }
        self.claims = claims;
    }

    /// For each layer, what it is together with those below.
    fn chains(&self) -> Vec<Digest> {
        let mut chains: Vec<Digest> = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            chains.push(match chains.last() {
                None => layer.diff_id.clone(),
                Some(below) => digest::of(format!("{below} {}", layer.diff_id).as_bytes()),
            });
        }
        chains
    }

    /// The layers that are not unpacked yet, whose blobs are needed.
    pub(super) fn missing<'a>(&'a self, store: &'a ImageStore) -> impl Iterator<Item = &'a Layer> {
        let chains = self.chains();
        let layers = self.layers.iter().zip(chains);
        layers.filter(|(layer, chain)| layer_name(store, layer, chain).is_none()).map(|(layer, _)| layer)
    }

    /// Unpacks what is missing from the store's own blobs, and writes the record. Says which image it is, and keeps it
    /// from being pruned for as long as the claim is held.
    ///
    /// # Errors
    /// [`Error::Layer`] for a hostile or damaged layer, [`Error::Write`], [`Error::Read`].
    pub(super) fn assemble(self, store: &ImageStore) -> Result<(Digest, Claim), Error> {
        let incoming = Incoming::new(store.directory())?;
        let names = self.take_layers(store, &incoming)?;
        let Documents { manifest: (manifest, bytes), config, indexes, name } = self.documents;
        put_document(store, &incoming, &manifest, &bytes)?;
        put_document(store, &incoming, &self.config_digest, &config)?;
        let recording = store.recording.lock().unwrap_or_else(PoisonError::into_inner);
        let mut record = Record {
            version: RECORD_VERSION,
            names: store.names_of(&manifest),
            manifest: manifest.clone(),
            config: self.config_digest,
            indexes,
            layers: names,
        };
        record.name(&name);
        store.put_record(&incoming, &record)?;
        drop(recording);
        let claim = store.claim_image(&manifest);
        Ok((manifest, claim))
    }

    /// Sees to it that every layer is in the store, base first, and answers their names, topmost first.
    fn take_layers(&self, store: &ImageStore, incoming: &Incoming) -> Result<Vec<String>, Error> {
        let mut limits = *store.limits();
        let mut names: Vec<String> = Vec::new();
        for (index, (layer, chain)) in self.layers.iter().zip(self.chains()).enumerate() {
            if let Some(name) = layer_name(store, layer, &chain) {
                names.insert(0, name);
                continue;
            }
            let below: Vec<_> = names.iter().map(|name| store.layer_path(name)).collect();
            let lower = Lower::open(&below)
                .map_err(|source| Error::Read { path: store.directory().to_owned(), source })?;
            let target = incoming.directory(&format!("layer-{index}"))?;
            let blob = store.open_blob(&layer.blob)?;
            let (unpacked, bytes) = layer::unpack(layer, blob, &target, &lower, &limits)
                .map_err(|source| Error::Layer { digest: layer.blob.digest.clone(), source })?;
            limits.image_bytes =
                limits.image_bytes.saturating_sub(bytes).saturating_sub(unpacked.copied_bytes);
            limits.image_entries = limits.image_entries.saturating_sub(unpacked.entries);
            if unpacked.devices_skipped > 0 {
                tracing::warn!(
                    layer = %layer.blob.digest,
                    "left {} device nodes out of a layer: a container's `/dev` is made by the runtime",
                    unpacked.devices_skipped
                );
            }
            let name = match unpacked.depends_on_lower {
                true => chained_name(&chain),
                false => digest::hex(&layer.diff_id).to_owned(),
            };
            put_layer(store, &target, &name)?;
            names.insert(0, name);
        }
        cut_below_opaque_root(store, names)
    }
}

/// Checks that manifest and config describe one image, for this machine, and pairs them up.
fn layers(manifest: &Manifest, config: &ConfigDocument, wanted: &Platform) -> Result<Vec<Layer>, Error> {
    if config.platform.rank_for(wanted).is_none() {
        return Err(Error::NoSuchPlatform {
            wanted: wanted.shown(),
            offered: format!("`{}`", config.platform.shown()),
        });
    }
    if config.diff_ids.len() != manifest.layers.len() {
        return Err(Error::Refused { reason: "its config names another number of layers than its manifest" });
    }
    if manifest.layers.is_empty() {
        return Err(Error::Refused { reason: "it has no layers" });
    }
    let pairs = manifest.layers.iter().zip(&config.diff_ids);
    pairs
        .map(|((blob, compression), diff_id)| {
            let diff_id = digest::parse(diff_id).ok_or(Error::Refused {
                reason: "a diff id is not `sha256:` and 64 lower-case hex digits",
            })?;
            Ok(Layer { blob: blob.clone(), compression: *compression, diff_id })
        })
        .collect()
}

/// The name under which a layer is there already.
fn layer_name(store: &ImageStore, layer: &Layer, chain: &Digest) -> Option<String> {
    names(layer, chain).find(|name| store.layer_path(name).is_dir())
}

/// The names that a layer can have.
fn names(layer: &Layer, chain: &Digest) -> impl Iterator<Item = String> + use<> {
    [digest::hex(&layer.diff_id).to_owned(), chained_name(chain)].into_iter()
}

/// Names a layer whose directory is right only above the same layers.
fn chained_name(chain: &Digest) -> String {
    format!("above-{}", digest::hex(chain))
}

/// Overlay does not look at the root of a lower layer, so one that hides everything below it is the last.
fn cut_below_opaque_root(store: &ImageStore, mut names: Vec<String>) -> Result<Vec<String>, Error> {
    for index in 0..names.len() {
        let path = store.layer_path(&names[index]);
        let is_opaque = File::open(&path).and_then(|root| tree::is_opaque(&root));
        if is_opaque.map_err(|source| Error::Read { path, source })? {
            names.truncate(index + 1);
            break;
        }
    }
    Ok(names)
}

fn put_layer(store: &ImageStore, from: &Path, name: &str) -> Result<(), Error> {
    let path = store.layer_path(name);
    let write = |source| Error::Write { path: path.clone(), source };
    // All of it must be on disk before its name says that it is there.
    let root = File::open(from).map_err(write)?;
    rustix::fs::syncfs(&root).map_err(|errno| write(errno.into()))?;
    incoming::put(from, &path).map_err(write)
}

pub(super) fn put_document(
    store: &ImageStore,
    incoming: &Incoming,
    digest: &Digest,
    bytes: &[u8],
) -> Result<(), Error> {
    let temporary = incoming.file(digest::hex(digest), bytes)?;
    incoming::replace(&temporary, store.blob_path(digest))
}
