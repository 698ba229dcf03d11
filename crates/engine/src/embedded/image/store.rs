//! The images of this machine, by content: `images/` says what a manifest is made of, `blobs/` keeps manifests,
//! indexes and configs, `layers/` the unpacked layers. Everything appears by a rename after it was checked and
//! synced, so that a crash leaves nothing believed; only `incoming/` ever holds something half done.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ensemble_model::id::Digest;
use rustix::fs::{CWD, FlockOperation, RenameFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::config::{self, ConfigDocument};
use super::layer::{self, Layer};
use super::layout::{Found, Layout};
use super::lower::Lower;
use super::manifest::{self, Manifest};
use super::platform::Platform;
use super::{Error, ImageConfig, Limits, OciReference, digest, tree};

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
}

/// What `images/<hex>` holds: written last, so an image that has one is complete.
#[derive(Serialize, Deserialize)]
struct Record {
    version: u32,
    manifest: Digest,
    config: Digest,
    /// The indexes that led to the manifest, outermost first.
    indexes: Vec<Digest>,
    /// Names in `layers/`, topmost first.
    layers: Vec<String>,
}

const RECORD_VERSION: u32 = 1;
const PLACES: [&str; 4] = ["blobs/sha256", "layers", "images", "incoming"];

impl ImageStore {
    /// Opens the store, makes its directories where they are missing, and clears away what a crash left.
    ///
    /// # Errors
    /// [`Error::Write`] where the directory cannot be made or read.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        Self::with_limits(directory, Limits::default())
    }

    /// The same with other bounds on what an image may unpack to.
    ///
    /// # Errors
    /// As [`ImageStore::open`].
    pub fn with_limits(directory: &Path, limits: Limits) -> Result<Self, Error> {
        let store = Self { directory: directory.to_owned(), limits };
        for place in PLACES {
            let path = store.directory.join(place);
            fs::create_dir_all(&path).map_err(|source| Error::Write { path, source })?;
        }
        store.clear_incoming()?;
        Ok(store)
    }

    /// Verifies the image that the reference names and takes it in. Importing again what is there is quick and
    /// changes nothing.
    ///
    /// # Errors
    /// Hopeless ones for an image that is absent, damaged or refused; the others may pass.
    pub fn import(&self, reference: &OciReference) -> Result<Digest, Error> {
        let layout = Layout::open(reference.path())?;
        let platform = Platform::here();
        let found = layout.find(reference, &platform)?;
        if self.has(&found.manifest) {
            return Ok(found.manifest);
        }
        let refused = |reason| Error::Refused { reason };
        let manifest = manifest::manifest(&found.bytes).map_err(refused)?;
        let config_bytes = layout.blob_document(&manifest.config)?;
        let config = config::parse(&config_bytes).map_err(refused)?;
        let layers = layers(&manifest, &config, &platform)?;
        let incoming = Incoming::new(&self.directory)?;
        let names = self.take_layers(&layout, &layers, &incoming)?;
        self.put_blob(&incoming, &found.manifest, &found.bytes)?;
        self.put_blob(&incoming, &manifest.config.digest, &config_bytes)?;
        self.put_record(&incoming, &found, &manifest.config.digest, names)?;
        Ok(found.manifest)
    }

    /// How to run an image that was imported, and from which directories.
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

    fn has(&self, manifest: &Digest) -> bool {
        self.image(manifest).is_ok()
    }

    /// The record of an image all of whose layers are there.
    fn record(&self, manifest: &Digest) -> Result<Record, Error> {
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

    /// Sees to it that every layer is in the store, base first, and answers their names, topmost first.
    fn take_layers(
        &self,
        layout: &Layout,
        layers: &[Layer],
        incoming: &Incoming,
    ) -> Result<Vec<String>, Error> {
        let mut limits = self.limits;
        let mut chain: Option<Digest> = None;
        let mut names: Vec<String> = Vec::new();
        for (index, layer) in layers.iter().enumerate() {
            let above = match &chain {
                None => layer.diff_id.clone(),
                Some(below) => digest::of(format!("{below} {}", layer.diff_id).as_bytes()),
            };
            let blamed = |source| Error::Layer { digest: layer.blob.digest.clone(), source };
            let blob = layout.blob(&layer.blob)?;
            let name = match self.layer_name(layer, &above) {
                Some(name) => {
                    layer::verify(layer, blob).map_err(blamed)?;
                    name
                }
                None => {
                    let below: Vec<_> = names.iter().map(|name| self.layer_path(name)).collect();
                    let lower = Lower::open(&below)
                        .map_err(|source| Error::Read { path: layout.path().into(), source })?;
                    let target = incoming.directory(&format!("layer-{index}"))?;
                    let (unpacked, bytes) =
                        layer::unpack(layer, blob, &target, &lower, &limits).map_err(blamed)?;
                    limits.image_bytes = limits.image_bytes.saturating_sub(bytes);
                    if unpacked.devices_skipped > 0 {
                        tracing::warn!(
                            layer = %layer.blob.digest,
                            "left {} device nodes out of a layer: a container's `/dev` is made by the runtime",
                            unpacked.devices_skipped
                        );
                    }
                    let name = match unpacked.depends_on_lower {
                        true => chained_name(&above),
                        false => digest::hex(&layer.diff_id).to_owned(),
                    };
                    self.put_layer(&target, &name)?;
                    name
                }
            };
            names.insert(0, name);
            chain = Some(above);
        }
        self.cut_below_opaque_root(names)
    }

    /// The name under which a layer is there already.
    fn layer_name(&self, layer: &Layer, chain: &Digest) -> Option<String> {
        [digest::hex(&layer.diff_id).to_owned(), chained_name(chain)]
            .into_iter()
            .find(|name| self.layer_path(name).is_dir())
    }

    /// Overlay does not look at the root of a lower layer, so one that hides everything below it is the last.
    fn cut_below_opaque_root(&self, mut names: Vec<String>) -> Result<Vec<String>, Error> {
        for index in 0..names.len() {
            let path = self.layer_path(&names[index]);
            let is_opaque = File::open(&path).and_then(|root| tree::is_opaque(&root));
            if is_opaque.map_err(|source| Error::Read { path, source })? {
                names.truncate(index + 1);
                break;
            }
        }
        Ok(names)
    }

    fn put_layer(&self, from: &Path, name: &str) -> Result<(), Error> {
        let path = self.layer_path(name);
        let write = |source| Error::Write { path: path.clone(), source };
        // All of it must be on disk before its name says that it is there.
        let root = File::open(from).map_err(write)?;
        rustix::fs::syncfs(&root).map_err(|errno| write(errno.into()))?;
        put(from, &path).map_err(write)
    }

    fn put_blob(&self, incoming: &Incoming, digest: &Digest, bytes: &[u8]) -> Result<(), Error> {
        let temporary = incoming.file(digest::hex(digest), bytes)?;
        replace(&temporary, self.blob_path(digest))
    }

    fn put_record(
        &self,
        incoming: &Incoming,
        found: &Found,
        config: &Digest,
        layers: Vec<String>,
    ) -> Result<(), Error> {
        let record = Record {
            version: RECORD_VERSION,
            manifest: found.manifest.clone(),
            config: config.clone(),
            indexes: found.indexes.clone(),
            layers,
        };
        let bytes = serde_json::to_vec(&record).expect("a record of texts is always JSON");
        let temporary = incoming.file("record", &bytes)?;
        replace(&temporary, self.record_path(&found.manifest))
    }

    /// Removes what imports left that are not running any more: each holds a lock on its directory for life.
    fn clear_incoming(&self) -> Result<(), Error> {
        let path = self.directory.join("incoming");
        let entries = fs::read_dir(&path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        for entry in entries.map_err(|source| Error::Write { path, source })? {
            let path = entry.path();
            let Ok(opened) = File::open(&path) else { continue };
            if rustix::fs::flock(&opened, FlockOperation::NonBlockingLockExclusive).is_ok() {
                match fs::remove_dir_all(&path) {
                    Err(source) if source.kind() != io::ErrorKind::NotFound => {
                        return Err(Error::Write { path, source });
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.directory.join("blobs/sha256").join(digest::hex(digest))
    }

    fn record_path(&self, manifest: &Digest) -> PathBuf {
        self.directory.join("images").join(digest::hex(manifest))
    }

    fn layer_path(&self, name: &str) -> PathBuf {
        self.directory.join("layers").join(name)
    }
}

/// The directory in which one import works; removed with it.
struct Incoming {
    directory: TempDir,
    /// Keeps others from taking the directory for what a crash left.
    _lock: File,
}

impl Incoming {
    fn new(store: &Path) -> Result<Self, Error> {
        let path = store.join("incoming");
        let write = |source| Error::Write { path: path.clone(), source };
        let directory = tempfile::Builder::new().prefix("import-").tempdir_in(&path).map_err(write)?;
        let lock = File::open(directory.path()).map_err(write)?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|errno| write(errno.into()))?;
        Ok(Self { directory, _lock: lock })
    }

    fn directory(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.directory.path().join(name);
        match fs::create_dir(&path) {
            Ok(()) => Ok(path),
            Err(source) => Err(Error::Write { path, source }),
        }
    }

    /// A synced file with these bytes.
    fn file(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, Error> {
        let path = self.directory.path().join(name);
        let written = File::create(&path).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        match written {
            Ok(()) => Ok(path),
            Err(source) => Err(Error::Write { path, source }),
        }
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

/// Names a layer whose directory is right only above the same layers.
fn chained_name(chain: &Digest) -> String {
    format!("above-{}", digest::hex(chain))
}

/// Gives a finished file its final name. What had it may have been damaged since, or name layers that are gone.
fn replace(from: &Path, to: PathBuf) -> Result<(), Error> {
    let renamed = fs::rename(from, &to).and_then(|()| sync_directory_of(&to));
    renamed.map_err(|source| Error::Write { path: to, source })
}

/// Gives a finished layer its final name; where another import was faster, its result stands.
fn put(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) | Err(Errno::EXIST) => sync_directory_of(to),
        Err(errno) => Err(errno.into()),
    }
}

fn sync_directory_of(path: &Path) -> io::Result<()> {
    let directory = path.parent().expect("every place of the store has a directory");
    File::open(directory)?.sync_all()
}

#[cfg(test)]
#[path = "tests/store.rs"]
mod tests;
