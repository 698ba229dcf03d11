//! Finds out what an image reference means, and sees to it that the image is in the store: from an OCI layout of this
//! machine, or from a registry. One at a time for each image and blob, however many wait for it. Errors are final for
//! one try; whether and when there is another is the caller's.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ensemble_model::id::Digest;
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::assemble::{Documents, Plan};
use super::download::{self, Gates, Origin};
use super::layout::{INDEX_DEPTH, choose};
use super::manifest::{self, DOCUMENT_LIMIT, Descriptor, DocumentKind};
use super::platform::Platform;
use super::progress::{Board, PullProgress};
use super::reference::{ImageReference, RegistryReference};
use super::registry::{self, Registry, RegistrySettings};
use super::store::ImageStore;
use super::{Error, digest};

/// Blobs of one image that are fetched at once.
const BLOBS_AT_ONCE: usize = 3;
/// Before a download that was cut is gone on with.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Chains of indexes that are remembered between resolving and fetching.
const CHAINS_AT_MOST: usize = 1_000;

/// The images of one engine.
#[derive(Debug)]
pub struct Images {
    store: Arc<ImageStore>,
    registry: Registry,
    gates: Gates,
    board: Board,
    first_pause: Duration,
    /// The indexes that led to a manifest, until it is fetched.
    chains: Mutex<HashMap<Digest, Vec<Digest>>>,
}

impl Images {
    pub fn new(store: ImageStore, settings: RegistrySettings) -> Self {
        Self {
            store: Arc::new(store),
            registry: Registry::new(settings),
            gates: Gates::default(),
            board: Board::default(),
            first_pause: FIRST_PAUSE,
            chains: Mutex::default(),
        }
    }

    pub fn store(&self) -> &Arc<ImageStore> {
        &self.store
    }

    /// How far pulls are, by the digest of the image.
    pub fn progress(&self) -> BTreeMap<Digest, PullProgress> {
        self.board.now()
    }

    /// Bytes that came from registries since the start.
    pub fn received_bytes(&self) -> u64 {
        self.board.received()
    }

    /// Asks registries by other settings from now on.
    pub fn change_registries(&self, settings: RegistrySettings) {
        self.registry.change(settings);
    }

    /// The digest of the manifest that the reference leads to now, on this machine's platform. One of `oci:` is taken in.
    ///
    /// # Errors
    /// Hopeless ones where there is no such image; the others may pass.
    pub async fn resolve(&self, image: &str) -> Result<Digest, Error> {
        match image.parse()? {
            ImageReference::Oci(reference) => {
                let store = Arc::clone(&self.store);
                blocking(move || store.import(&reference)).await
            }
            ImageReference::Registry(reference) => self.resolve_remote(&reference).await,
        }
    }

    /// Sees to it that the image of this digest is in the store. `begins` is called once it is not, before anything is
    /// fetched.
    ///
    /// # Errors
    /// As [`Images::resolve`]; [`Error::Repinned`] where `oci:` leads to another image by now.
    pub async fn fetch(&self, image: &str, pin: &Digest, begins: impl FnOnce()) -> Result<(), Error> {
        let (store, wanted) = (Arc::clone(&self.store), pin.clone());
        if blocking(move || store.image(&wanted)).await.is_ok() {
            return Ok(());
        }
        begins();
        match image.parse()? {
            ImageReference::Oci(reference) => {
                let store = Arc::clone(&self.store);
                let digest = blocking(move || store.import(&reference)).await?;
                if digest == *pin {
                    Ok(())
                } else {
                    Err(Error::Repinned { image: image.to_owned(), pin: pin.clone() })
                }
            }
            ImageReference::Registry(reference) => self.pull(&reference, pin).await,
        }
    }

    /// Follows tag, or digest, and platform to one manifest.
    async fn resolve_remote(&self, image: &RegistryReference) -> Result<Digest, Error> {
        let wanted = Platform::here();
        let mut version = image.version().to_owned();
        let mut indexes = Vec::new();
        for _ in 0..INDEX_DEPTH {
            let (found, kind, bytes) = self.document(image, &version).await?;
            match kind {
                DocumentKind::Manifest => {
                    // The pin is for good: nothing is pinned that could never be run.
                    manifest::manifest(&bytes).map_err(|reason| Error::Refused { reason })?;
                    self.remember(found.clone(), indexes);
                    return Ok(found);
                }
                DocumentKind::Index => {
                    let entries = manifest::index(&bytes).map_err(|reason| Error::Refused { reason })?;
                    version = choose(entries, &wanted)?.digest.as_str().to_owned();
                    indexes.push(found);
                }
            }
        }
        Err(Error::Refused { reason: "its indexes are nested too deep" })
    }

    /// A document of the registry, verified where it was asked for by digest.
    async fn document(
        &self,
        image: &RegistryReference,
        version: &str,
    ) -> Result<(Digest, DocumentKind, Vec<u8>), Error> {
        let document = self.registry.document(image, version).await?;
        let found = digest::of(&document.bytes);
        if let Some(asked) = digest::parse(version)
            && asked != found
        {
            return Err(Error::Damaged { digest: asked, reason: "its bytes do not have this digest" });
        }
        // By a tag, only this tells the right bytes from others. Algorithms that are not known say nothing.
        if let Some(said) = document.digest.as_deref().and_then(digest::parse)
            && said != found
        {
            let reason = "a document does not have the digest that came beside it";
            return Err(registry::Error::Protocol { registry: image.registry().to_owned(), reason }.into());
        }
        let kind = manifest::kind_of(document.content_type.as_deref(), &document.bytes);
        let kind = kind
            .ok_or(Error::Refused { reason: "what its name leads to is neither a manifest nor an index" })?;
        Ok((found, kind, document.bytes))
    }

    async fn pull(&self, image: &RegistryReference, pin: &Digest) -> Result<(), Error> {
        let (found, kind, bytes) = self.document(image, pin.as_str()).await?;
        if kind != DocumentKind::Manifest {
            return Err(Error::Refused { reason: "its pin leads to no manifest" });
        }
        let parsed = manifest::manifest(&bytes).map_err(|reason| Error::Refused { reason })?;
        self.check_sizes(&parsed)?;
        let blobs = parsed.layers.iter().map(|(layer, _)| layer.size);
        let total = blobs.fold(parsed.config.size, u64::saturating_add);
        let transfer = self.board.begin(pin, total);
        // Claimed from the first byte on, so that pruning leaves it alone.
        let claims: Vec<_> = std::iter::once(&parsed.config)
            .chain(parsed.layers.iter().map(|(layer, _)| layer))
            .map(|blob| self.store.claim_blob(&blob.digest))
            .collect();
        let origin = Origin { registry: &self.registry, image, first_pause: self.first_pause };
        download::fetch(&self.store, &self.gates, &origin, &parsed.config, &transfer).await?;
        let plan = self.plan((found, bytes), parsed.config, image.to_string()).await?;
        let missing: Vec<Descriptor> = plan.missing(&self.store).map(|layer| layer.blob.clone()).collect();
        let there: u64 = plan.layers.iter().map(|layer| layer.blob.size).sum::<u64>()
            - missing.iter().map(|blob| blob.size).sum::<u64>();
        transfer.advance(there);
        let fetches = stream::iter(missing).map(|blob| async {
            let fetched = download::fetch(&self.store, &self.gates, &origin, &blob, &transfer).await;
            fetched.map(|came| came.then_some(blob.digest))
        });
        let came: Vec<Option<Digest>> = fetches.buffer_unordered(BLOBS_AT_ONCE).try_collect().await?;
        let store = Arc::clone(&self.store);
        blocking(move || {
            plan.assemble(&store)?;
            drop(claims);
            // Once unpacked they are not needed, and can be had again.
            came.iter().flatten().for_each(|blob| store.drop_blob(blob));
            Ok(())
        })
        .await
    }

    async fn plan(
        &self,
        manifest: (Digest, Vec<u8>),
        config: Descriptor,
        name: String,
    ) -> Result<Plan, Error> {
        let indexes = self.lock_chains().remove(&manifest.0).unwrap_or_default();
        let store = Arc::clone(&self.store);
        blocking(move || {
            let path = store.blob_path(&config.digest);
            let config = std::fs::read(&path).map_err(|source| Error::Read { path, source })?;
            Plan::new(&store, Documents { manifest, config, indexes, name }, &Platform::here())
        })
        .await
    }

    /// Before anything is fetched: what is said to be larger than it may be needs not come.
    fn check_sizes(&self, manifest: &manifest::Manifest) -> Result<(), Error> {
        if manifest.config.size > DOCUMENT_LIMIT {
            return Err(Error::Refused { reason: "its config is larger than 4 MiB" });
        }
        let layers = manifest.layers.iter().map(|(layer, _)| layer.size);
        let limits = self.store.limits();
        if layers.clone().any(|size| size > limits.layer_bytes)
            || layers.fold(0, u64::saturating_add) > limits.image_bytes
        {
            return Err(Error::Refused { reason: "its layers are larger than an image may be" });
        }
        Ok(())
    }

    fn remember(&self, manifest: Digest, indexes: Vec<Digest>) {
        let mut chains = self.lock_chains();
        if chains.len() >= CHAINS_AT_MOST {
            chains.clear();
        }
        chains.insert(manifest, indexes);
    }

    fn lock_chains(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, Vec<Digest>>> {
        self.chains.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("taking an image in does not panic")
}

#[cfg(test)]
#[path = "tests/pull.rs"]
mod tests;
