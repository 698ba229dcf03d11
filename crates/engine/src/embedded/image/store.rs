//! The images of this machine, by content: `images/` says what a manifest is made of, `blobs/` keeps manifests,
//! configs and the layers of `oci:` images as they came, `layers/` the unpacked ones. Everything appears by a rename
//! after it was checked and synced, so that a crash leaves nothing believed; only `incoming/` and `partial/` hold
//! something half done. `assemble.rs` makes images, `cache.rs` removes them.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ensemble_model::id::Digest;
use serde::{Deserialize, Serialize};

use super::assemble::{Documents, Plan};
use super::cache::Sizes;
use super::claims::{Claim, Claims};
use super::incoming::{self, Incoming};
use super::layer;
use super::layout::Layout;
use super::manifest::{self, Descriptor};
use super::platform::Platform;
use super::{Error, ImageConfig, Limits, OciReference, config, digest};

/// An image that is ready to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The digest by which versions pin it.
    pub manifest: Digest,
    pub config: ImageConfig,
    /// Directories for an overlay mount, **topmost first**, as `lowerdir` lists them.
    pub layers: Vec<PathBuf>,
}

/// A directory of images. Shared by threads and processes: imports meet at the rename.
#[derive(Debug)]
pub struct ImageStore {
    directory: PathBuf,
    limits: Limits,
    claims: Arc<Claims>,
    /// What layers take, as far as it was looked at.
    pub(super) sizes: Sizes,
    /// Held by whoever changes a record by what it says.
    pub(super) recording: Mutex<()>,
    /// Held by whoever prunes.
    pub(super) pruning: Mutex<()>,
}

/// What `images/<hex>` holds: written last, so an image that has one is complete. Its time of change is when the image
/// was used last.
#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) version: u32,
    pub(super) manifest: Digest,
    pub(super) config: Digest,
    /// The indexes that led to the manifest, outermost first.
    pub(super) indexes: Vec<Digest>,
    /// Names in `layers/`, topmost first.
    pub(super) layers: Vec<String>,
    /// The references it was asked for by, the latest last; none where that was not kept.
    #[serde(default)]
    pub(super) names: Vec<String>,
}

/// References of one image that are kept.
const NAMES_AT_MOST: usize = 16;

impl Record {
    /// Whether all of its blobs are kept: nobody says that it can be had again.
    pub(super) fn is_local(&self) -> bool {
        self.names.is_empty() || self.names.iter().any(|name| name.starts_with("oci:"))
    }

    /// Makes `name` the latest of its references.
    pub(super) fn name(&mut self, name: &str) {
        self.names.retain(|known| known != name);
        self.names.push(name.to_owned());
        while self.names.len() > NAMES_AT_MOST {
            // That it came from `oci:` says that its blobs are kept.
            let oldest = self.names.iter().position(|known| !known.starts_with("oci:")).unwrap_or(0);
            self.names.remove(oldest);
        }
    }
}

pub(super) const RECORD_VERSION: u32 = 1;
const PLACES: [&str; 5] = ["blobs/sha256", "layers", "images", "incoming", "partial"];

impl ImageStore {
    /// Opens the store, makes its directories where they are missing, and clears away what a crash left.
    ///
    /// # Errors
    /// [`Error::Write`] where the directory cannot be made or read.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        Self::with_limits(directory, Limits::default())
    }

    /// A store that another process may be at work in, to read from: nothing is made and nothing cleared away.
    pub fn open_to_read(directory: &Path) -> Self {
        Self::at(directory, Limits::default())
    }

    /// The same with other bounds on what an image may unpack to.
    ///
    /// # Errors
    /// As [`ImageStore::open`].
    pub fn with_limits(directory: &Path, limits: Limits) -> Result<Self, Error> {
        let store = Self::at(directory, limits);
        for place in PLACES {
            let path = store.directory.join(place);
            fs::create_dir_all(&path).map_err(|source| Error::Write { path, source })?;
        }
        incoming::clear(&store.directory)?;
        Ok(store)
    }

    fn at(directory: &Path, limits: Limits) -> Self {
        Self {
            directory: directory.to_owned(),
            limits,
            claims: Arc::default(),
            sizes: Sizes::default(),
            recording: Mutex::default(),
            pruning: Mutex::default(),
        }
    }

    /// Verifies the image that the reference names and takes it in, its blobs included, so that it can be exported.
    /// Importing again what is there is quick and changes nothing.
    ///
    /// # Errors
    /// Hopeless ones for an image that is absent, damaged or refused; the others may pass.
    pub fn import(&self, reference: &OciReference) -> Result<Digest, Error> {
        self.import_claimed(reference).map(|(digest, _)| digest)
    }

    /// The same; the image is not pruned for as long as the claim is held.
    ///
    /// # Errors
    /// As [`ImageStore::import`].
    pub fn import_claimed(&self, reference: &OciReference) -> Result<(Digest, Claim), Error> {
        let layout = Layout::open(reference.path())?;
        let platform = Platform::here();
        let found = layout.find(reference, &platform)?;
        let claim = self.claim_image(&found.manifest);
        if self.has_whole(&found.manifest) {
            self.touch(&found.manifest, &reference.to_string());
            return Ok((found.manifest, claim));
        }
        let manifest = manifest::manifest(&found.bytes).map_err(|reason| Error::Refused { reason })?;
        let documents = Documents {
            config: layout.blob_document(&manifest.config)?,
            manifest: (found.manifest, found.bytes),
            indexes: found.indexes,
            name: reference.to_string(),
        };
        let plan = Plan::new(self, documents, &platform)?;
        for layer in &plan.layers {
            self.take_blob(&layer.blob, layout.blob(&layer.blob)?)?;
        }
        plan.assemble(self)
    }

    /// How to run an image that was taken in, and from which directories.
    ///
    /// # Errors
    /// [`Error::NotInStore`] where it, or a part of it, is not there.
    pub fn image(&self, manifest: &Digest) -> Result<Image, Error> {
        let record = self.record(manifest)?;
        let path = self.blob_path(&record.config);
        let bytes = fs::read(&path).map_err(|source| Error::Read { path, source })?;
        if digest::of(&bytes) != record.config {
            return Err(Error::Damaged { digest: record.config, reason: "it changed in the store" });
        }
        let config = config::parse(&bytes).map_err(|reason| Error::Refused { reason })?;
        let layers = record.layers.iter().map(|name| self.layer_path(name)).collect();
        Ok(Image { manifest: manifest.clone(), config: config.run, layers })
    }

    /// Whether the image can run, and everything of it could be exported.
    fn has_whole(&self, manifest: &Digest) -> bool {
        let blobs = || {
            let bytes = fs::read(self.blob_path(manifest)).ok()?;
            let manifest = manifest::manifest(&bytes).ok()?;
            Some(manifest.layers.iter().all(|(blob, _)| self.has_blob(blob)))
        };
        self.image(manifest).is_ok() && blobs() == Some(true)
    }

    /// Notes that the image is used now, by this reference: what was not used for longest is pruned first. What cannot be
    /// noted only makes the image look older than it is.
    pub fn touch(&self, manifest: &Digest, name: &str) {
        let recording = self.recording.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.record(manifest).and_then(|mut record| {
            // Two that take turns must not write it each time.
            if !record.names.iter().any(|known| known == name) {
                record.name(name);
                self.put_record(&Incoming::new(&self.directory)?, &record)?;
            }
            Ok(())
        });
        drop(recording);
        if let Err(error) = known {
            tracing::debug!("the use of an image could not be noted: {error}");
        }
        let now = std::time::SystemTime::now();
        let _ = File::open(self.record_path(manifest)).and_then(|record| record.set_modified(now));
    }

    /// The record of an image all of whose layers are there.
    pub(super) fn record(&self, manifest: &Digest) -> Result<Record, Error> {
        let missing = || Error::NotInStore { digest: manifest.clone() };
        let manifest = digest::parse(manifest.as_str()).ok_or_else(missing)?;
        let path = self.record_path(&manifest);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing()),
            Err(source) => return Err(Error::Read { path, source }),
        };
        let record: Record = manifest::json(&bytes).map_err(|_| missing())?;
        let is_whole = record.version == RECORD_VERSION
            && record.layers.iter().all(|name| self.layer_path(name).is_dir())
            && self.blob_path(&record.config).is_file();
        if is_whole { Ok(record) } else { Err(missing()) }
    }

    /// The references by which an image was asked for; none where it is not there.
    pub(super) fn names_of(&self, manifest: &Digest) -> Vec<String> {
        self.record(manifest).map(|record| record.names).unwrap_or_default()
    }

    pub(super) fn put_record(&self, incoming: &Incoming, record: &Record) -> Result<(), Error> {
        let bytes = serde_json::to_vec(record).expect("a record of texts is always JSON");
        let temporary = incoming.file("record", &bytes)?;
        incoming::replace(&temporary, self.record_path(&record.manifest))
    }

    /// Copies a blob in, verified.
    fn take_blob(&self, blob: &Descriptor, from: impl Read) -> Result<(), Error> {
        let incoming = Incoming::new(&self.directory)?;
        let path = incoming.directory.path().join("blob");
        let write = |source| Error::Write { path: path.clone(), source };
        let file = File::create(&path).map_err(write)?;
        layer::copy(blob, from, &file)
            .map_err(|source| Error::Layer { digest: blob.digest.clone(), source })?;
        file.sync_all().map_err(write)?;
        incoming::replace(&path, self.blob_path(&blob.digest))
    }

    /// Blobs get their name once they were verified.
    pub(super) fn has_blob(&self, blob: &Descriptor) -> bool {
        fs::metadata(self.blob_path(&blob.digest))
            .is_ok_and(|found| found.is_file() && found.len() == blob.size)
    }

    /// Removes a blob that can be had again, unless somebody else relies on it, or an image of `oci:` has it as well.
    pub(super) fn drop_blob(&self, blob: &Digest) {
        let path = format!("blobs/sha256/{}", digest::hex(blob));
        // One that stays only takes room until the store is pruned.
        let _ = self.claims.if_unclaimed(&path, || match self.is_kept_locally(blob) {
            Ok(false) => fs::remove_file(self.blob_path(blob)),
            Ok(true) | Err(_) => Ok(()),
        });
    }

    pub(super) fn open_blob(&self, blob: &Descriptor) -> Result<File, Error> {
        let path = self.blob_path(&blob.digest);
        match File::open(&path) {
            Ok(file) => Ok(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Error::NoSuchBlob { digest: blob.digest.clone() })
            }
            Err(source) => Err(Error::Read { path, source }),
        }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn claims(&self) -> &Arc<Claims> {
        &self.claims
    }

    pub(super) fn claim_image(&self, manifest: &Digest) -> Claim {
        self.claims.claim(format!("images/{}", digest::hex(manifest)))
    }

    pub(super) fn claim_blob(&self, blob: &Digest) -> Claim {
        self.claims.claim(format!("blobs/sha256/{}", digest::hex(blob)))
    }

    pub(super) fn claim_layer(&self, name: &str) -> Claim {
        self.claims.claim(format!("layers/{name}"))
    }

    pub(super) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.directory.join("blobs/sha256").join(digest::hex(digest))
    }

    /// Where the first bytes of a blob wait for the rest.
    pub(super) fn partial_path(&self, digest: &Digest) -> PathBuf {
        self.directory.join("partial").join(digest::hex(digest))
    }

    pub(super) fn record_path(&self, manifest: &Digest) -> PathBuf {
        self.directory.join("images").join(digest::hex(manifest))
    }

    pub(super) fn layer_path(&self, name: &str) -> PathBuf {
        self.directory.join("layers").join(name)
    }
}

#[cfg(test)]
#[path = "tests/store/mod.rs"]
mod tests;
