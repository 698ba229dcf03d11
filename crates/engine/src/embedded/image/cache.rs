//! What the store holds and what of it can go: images that nothing pins, the least recently used first, and whatever no
//! image needs. Must not remove what somebody relies on right now: `claims.rs` is asked at every single removal.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use ensemble_model::id::Digest;
use ensemble_model::time::WallTime;

use super::incoming::Incoming;
use super::store::{ImageStore, Record};
use super::{Error, digest, manifest};

/// How long what no image needs is kept for a pull that is tried again.
const LEFTOVERS_KEPT: Duration = Duration::from_secs(3_600);

/// One image of the store, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredImage {
    pub manifest: Digest,
    /// The references it was asked for by, the latest last.
    pub names: Vec<String>,
    /// What it takes on disk, with layers that it shares.
    pub bytes: u64,
    pub last_used: WallTime,
}

/// How much is pruned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Until the store takes at most this many bytes.
    ToBytes(u64),
    /// Every image that is not kept.
    AllUnpinned,
}

/// What pruning did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    pub images: Vec<StoredImage>,
    /// Freed on disk.
    pub bytes: u64,
    /// What the store takes now.
    pub left_bytes: u64,
}

/// What layers take on disk. They never change, so each is looked at once.
#[derive(Debug, Default)]
pub(super) struct Sizes(Mutex<BTreeMap<String, u64>>);

/// What may be removed beside records.
enum Sweepable {
    Everything,
    Nothing,
}

/// What one record keeps in the store.
struct Kept {
    image: StoredImage,
    layers: BTreeSet<String>,
    blobs: BTreeSet<String>,
}

impl ImageStore {
    /// Every image there is, the latest used first.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn list(&self) -> Result<Vec<StoredImage>, Error> {
        let mut images: Vec<StoredImage> = self.kept()?.into_iter().map(|kept| kept.image).collect();
        images.sort_by_key(|image| std::cmp::Reverse(image.last_used.0));
        Ok(images)
    }

    /// What all of it takes on disk, in bytes.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn bytes(&self) -> Result<u64, Error> {
        let layers: u64 = self.names_in("layers")?.iter().map(|name| self.layer_bytes(name)).sum();
        let files = ["blobs/sha256", "partial"].map(|place| self.files_in(place));
        files
            .into_iter()
            .try_fold(layers, |sum, files| Ok(sum + files?.iter().map(|(_, bytes)| bytes).sum::<u64>()))
    }

    /// Removes images, the least recently used first, then what no image needs. `keep` is asked for the images that must
    /// stay once claims are watched, so that one pinned since then is safe as well.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Write`]; what could go is gone then.
    pub fn prune(
        &self,
        extent: Extent,
        keep: impl FnOnce() -> Result<BTreeSet<Digest>, Error>,
    ) -> Result<Pruned, Error> {
        // Two at once would each forget what the other watches.
        let _alone = self.pruning.lock().unwrap_or_else(PoisonError::into_inner);
        self.claims().begin_sweep();
        let keep = keep()?;
        let before = self.bytes()?;
        let trash = Incoming::new(self.directory())?;
        let mut records = self.kept()?;
        let known: BTreeSet<&Digest> = records.iter().map(|kept| &kept.image.manifest).collect();
        let unknown = keep.iter().filter(|pinned| !known.contains(pinned));
        // What it runs from is not known then, so no layer can be told to be needed by nobody.
        let sweepable = match unknown.filter(|pinned| self.has_record(pinned)).count() {
            0 => Sweepable::Everything,
            _ => Sweepable::Nothing,
        };
        records.sort_by_key(|kept| kept.image.last_used.0);
        let mut pruned = Pruned::default();
        let (mut left, mut gone) = (Vec::new(), Vec::new());
        let mut excess = match extent {
            Extent::AllUnpinned => u64::MAX,
            Extent::ToBytes(bytes) => before.saturating_sub(bytes),
        };
        let mut queue = records.into_iter();
        while let Some(kept) = queue.next() {
            if excess == 0 || keep.contains(&kept.image.manifest) {
                left.push(kept);
                continue;
            }
            let path = format!("images/{}", digest::hex(&kept.image.manifest));
            let recording = self.recording.lock().unwrap_or_else(PoisonError::into_inner);
            let is_gone = self.discard(&trash, &path)?;
            drop(recording);
            if !is_gone {
                left.push(kept);
                continue;
            }
            let others = left.iter().chain(queue.as_slice());
            let shared: BTreeSet<&String> = others.flat_map(|other| &other.layers).collect();
            let own = kept.layers.iter().filter(|name| !shared.contains(name));
            excess = excess.saturating_sub(own.map(|name| self.layer_bytes(name)).sum());
            gone.push(kept);
        }
        match sweepable {
            Sweepable::Everything => self.sweep(&trash, &left, &gone)?,
            Sweepable::Nothing => {
                tracing::warn!("an image that is kept cannot be read, so no layers are pruned");
            }
        }
        pruned.images = gone.into_iter().map(|kept| kept.image).collect();
        let path = trash.directory.path().to_owned();
        trash.directory.close().map_err(|source| Error::Write { path, source })?;
        pruned.left_bytes = self.bytes()?;
        pruned.bytes = before.saturating_sub(pruned.left_bytes);
        Ok(pruned)
    }

    /// Removes what none of the images needs: at once what only those that are gone needed, the rest once it is old. A pull
    /// that waits to be tried again goes on with what it has.
    fn sweep(&self, trash: &Incoming, images: &[Kept], gone: &[Kept]) -> Result<(), Error> {
        let layers: BTreeSet<&String> = images.iter().flat_map(|kept| &kept.layers).collect();
        let blobs: BTreeSet<&String> = images.iter().flat_map(|kept| &kept.blobs).collect();
        let orphaned: BTreeSet<&String> = gone.iter().flat_map(|kept| &kept.blobs).collect();
        for name in self.names_in("layers")?.iter().filter(|name| !layers.contains(name)) {
            if self.discard(trash, &format!("layers/{name}"))? {
                self.sizes.forget(name);
            }
        }
        for name in self.names_in("blobs/sha256")?.iter().filter(|name| !blobs.contains(name)) {
            let path = format!("blobs/sha256/{name}");
            if orphaned.contains(name) || self.is_old(&path) {
                self.discard(trash, &path)?;
            }
        }
        for name in self.names_in("partial")? {
            // A blob that is being fetched is claimed under its final name.
            let is_claimed = self.claims().unless_claimed(&format!("blobs/sha256/{name}"), || ()).is_none();
            let path = format!("partial/{name}");
            if !is_claimed && self.is_old(&path) {
                self.discard(trash, &path)?;
            }
        }
        Ok(())
    }

    fn is_old(&self, path: &str) -> bool {
        let modified = fs::metadata(self.directory().join(path)).and_then(|found| found.modified());
        modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age >= LEFTOVERS_KEPT))
    }

    /// Moves a part of the store away, to be removed with `trash`, unless somebody relies on it. Says whether it did.
    fn discard(&self, trash: &Incoming, path: &str) -> Result<bool, Error> {
        let from = self.directory().join(path);
        let to = trash.directory.path().join(path.replace('/', "-"));
        match self.claims().unless_claimed(path, || fs::rename(&from, &to)) {
            None => Ok(false),
            Some(Ok(())) => Ok(true),
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Some(Err(source)) => Err(Error::Write { path: from, source }),
        }
    }

    /// Whether there is a record of that image, sound or not.
    fn has_record(&self, manifest: &Digest) -> bool {
        let path = digest::parse(manifest.as_str()).map(|manifest| self.record_path(&manifest));
        path.is_some_and(|path| !matches!(path.try_exists(), Ok(false)))
    }

    /// What every sound record keeps. One that is not whole is no image; it goes when it is written anew. A fault of this
    /// machine is passed on: it says nothing about the record.
    fn kept(&self) -> Result<Vec<Kept>, Error> {
        let mut found = Vec::new();
        for (name, _) in self.files_in("images")? {
            let path = self.directory().join("images").join(&name);
            let Some(manifest) = digest::parse(&format!("sha256:{name}")) else { continue };
            let record = match self.record(&manifest) {
                Ok(record) => record,
                Err(error @ Error::Read { .. }) => return Err(error),
                Err(_) => continue,
            };
            let Ok(metadata) = fs::metadata(&path) else { continue };
            let used = metadata.modified().ok().and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
            let last_used =
                WallTime(used.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)));
            let layers: BTreeSet<String> = record.layers.iter().cloned().collect();
            let blobs = self.blobs_of(&record);
            let blob_bytes = |name: &String| {
                fs::metadata(self.directory().join("blobs/sha256").join(name)).map_or(0, |found| found.len())
            };
            let bytes = layers.iter().map(|name| self.layer_bytes(name)).sum::<u64>()
                + blobs.iter().map(blob_bytes).sum::<u64>();
            let image = StoredImage { manifest, names: record.names, bytes, last_used };
            found.push(Kept { image, layers, blobs });
        }
        Ok(found)
    }

    /// The blobs that an image keeps, by their hex digits. The layers of an image from a registry can be had again.
    fn blobs_of(&self, record: &Record) -> BTreeSet<String> {
        let mut blobs: BTreeSet<String> =
            record.indexes.iter().map(|index| digest::hex(index).to_owned()).collect();
        blobs.insert(digest::hex(&record.manifest).to_owned());
        blobs.insert(digest::hex(&record.config).to_owned());
        if record.is_local()
            && let Ok(bytes) = fs::read(self.blob_path(&record.manifest))
            && let Ok(manifest) = manifest::manifest(&bytes)
        {
            blobs.extend(manifest.layers.iter().map(|(blob, _)| digest::hex(&blob.digest).to_owned()));
        }
        blobs
    }

    /// Whether an image that cannot be had again from a registry has this blob.
    pub(super) fn is_kept_locally(&self, blob: &Digest) -> Result<bool, Error> {
        for name in self.names_in("images")? {
            let Some(manifest) = digest::parse(&format!("sha256:{name}")) else { continue };
            let record = match self.record(&manifest) {
                Ok(record) => record,
                Err(error @ Error::Read { .. }) => return Err(error),
                Err(_) => continue,
            };
            if record.is_local() && self.blobs_of(&record).contains(digest::hex(blob)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn layer_bytes(&self, name: &str) -> u64 {
        self.sizes.of(name, &self.layer_path(name))
    }

    fn names_in(&self, place: &str) -> Result<Vec<String>, Error> {
        let path = self.directory().join(place);
        let entries = fs::read_dir(&path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let entries = entries.map_err(|source| Error::Read { path, source })?;
        Ok(entries.iter().filter_map(|entry| entry.file_name().into_string().ok()).collect())
    }

    fn files_in(&self, place: &str) -> Result<Vec<(String, u64)>, Error> {
        let path = self.directory().join(place);
        let sized = |name: String| {
            let bytes = fs::metadata(path.join(&name)).map_or(0, |found| found.len());
            (name, bytes)
        };
        Ok(self.names_in(place)?.into_iter().map(sized).collect())
    }
}

impl Sizes {
    fn of(&self, name: &str, path: &Path) -> u64 {
        if let Some(known) = self.lock().get(name) {
            return *known;
        }
        let bytes = tree_bytes(path, 0);
        self.lock().insert(name.to_owned(), bytes);
        bytes
    }

    fn forget(&self, name: &str) {
        self.lock().remove(name);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes on disk of a directory and all in it; links are counted, not followed. What vanishes meanwhile counts nothing.
fn tree_bytes(path: &Path, depth: usize) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else { return 0 };
    let mut bytes = metadata.blocks() * 512;
    if metadata.is_dir() && depth <= super::tree::DEPTH_LIMIT {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        bytes += entries.map(|entry| tree_bytes(&entry.path(), depth + 1)).sum::<u64>();
    }
    bytes
}

#[cfg(test)]
#[path = "tests/cache.rs"]
mod tests;
