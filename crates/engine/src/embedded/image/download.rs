//! One blob from a registry into the store: written to `partial/` as it comes, gone on with where it was cut off, also by
//! a restart, and given its name once size and digest are right. Whoever needs the same blob waits for the same copy.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use ensemble_model::id::Digest;
use ring::digest::{Context, SHA256};

use super::incoming;
use super::manifest::Descriptor;
use super::progress::Transfer;
use super::reference::RegistryReference;
use super::registry::{BlobStream, Error as RegistryError, Registry};
use super::store::ImageStore;
use super::{Error, digest};

/// Bytes that are written and hashed at once.
const PIECE: usize = 1 << 20;
/// Broken connections in a row, without a single byte more, before the pull fails and backs off.
const CUTS_AT_MOST: u32 = 4;
/// Slower than this over a whole window is stalled: others wait for the place.
const WINDOW: Duration = Duration::from_secs(60);
const WINDOW_BYTES_AT_LEAST: u64 = 16 << 10;

/// Nobody else fetches the blob for as long as this lives.
type Turn = tokio::sync::OwnedMutexGuard<()>;

/// Sees to it that a blob is fetched by one at a time.
#[derive(Debug, Default)]
pub(super) struct Gates(Mutex<HashMap<Digest, Weak<tokio::sync::Mutex<()>>>>);

impl Gates {
    fn of(&self, blob: &Digest) -> Arc<tokio::sync::Mutex<()>> {
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gates.retain(|_, gate| gate.strong_count() > 0);
        if let Some(gate) = gates.get(blob).and_then(Weak::upgrade) {
            return gate;
        }
        let gate = Arc::default();
        gates.insert(blob.clone(), Arc::downgrade(&gate));
        gate
    }
}

/// Where a blob comes from.
pub(super) struct Origin<'a> {
    pub(super) registry: &'a Registry,
    pub(super) image: &'a RegistryReference,
    /// Before the first try to go on; it doubles.
    pub(super) first_pause: Duration,
}

/// Fetches a blob unless it is there, and says whether it did.
///
/// # Errors
/// Those of the registry, once it broke off too often; [`Error::Damaged`] for a blob that came wrong twice.
pub(super) async fn fetch(
    store: &ImageStore,
    gates: &Gates,
    origin: &Origin<'_>,
    blob: &Descriptor,
    transfer: &Transfer,
) -> Result<bool, Error> {
    let gate = gates.of(&blob.digest);
    let turn = Arc::new(gate.lock_owned().await);
    if store.has_blob(blob) {
        transfer.advance(blob.size);
        return Ok(false);
    }
    // A bit that falls over on the way does not fall over twice.
    for _ in 0..2 {
        let mut download = Download::open(store, origin, blob, transfer, &turn).await?;
        download.receive().await?;
        if download.finish(store).await? {
            return Ok(true);
        }
        transfer.fall_back(blob.size);
    }
    Err(Error::Damaged { digest: blob.digest.clone(), reason: "its bytes do not have this digest" })
}

struct Download<'a> {
    origin: &'a Origin<'a>,
    blob: &'a Descriptor,
    transfer: &'a Transfer,
    partial: Arc<Mutex<Partial>>,
    /// Bytes that are in the file.
    length: u64,
    pace: Pace,
}

impl<'a> Download<'a> {
    async fn open(
        store: &ImageStore,
        origin: &'a Origin<'a>,
        blob: &'a Descriptor,
        transfer: &'a Transfer,
        turn: &Arc<Turn>,
    ) -> Result<Self, Error> {
        let (path, size) = (store.partial_path(&blob.digest), blob.size);
        let turn = Arc::clone(turn);
        let partial = blocking(move || Partial::open(path, size, turn)).await?;
        let length = partial.length;
        transfer.advance(length);
        let partial = Arc::new(Mutex::new(partial));
        Ok(Self { origin, blob, transfer, partial, length, pace: Pace::new(Instant::now()) })
    }

    /// Until all bytes are there.
    async fn receive(&mut self) -> Result<(), Error> {
        let (mut cuts, mut furthest) = (0, self.length);
        while self.length < self.blob.size {
            let outcome = self.stream().await;
            // What comes a second time is no progress.
            if self.length > furthest {
                (cuts, furthest) = (0, self.length);
            }
            let error = match outcome {
                Ok(()) if self.length == self.blob.size => return Ok(()),
                Ok(()) => self.protocol("a blob ended early").into(),
                // It does not have as much as we believe to have.
                Err(Error::Registry(RegistryError::Status { status: 416, .. })) => {
                    self.start_over().await?;
                    self.protocol("a blob is shorter than it was").into()
                }
                Err(Error::Registry(error)) if !error.is_hopeless() => Error::Registry(error),
                Err(error) => return Err(error),
            };
            cuts += 1;
            if cuts > CUTS_AT_MOST || self.pace.is_stalled() {
                return Err(error);
            }
            tracing::debug!(blob = %self.blob.digest, at = self.length, "a download is gone on with: {error}");
            tokio::time::sleep(self.origin.first_pause * (1 << cuts)).await;
        }
        Ok(())
    }

    /// One answer, up to its end or its fault; what came of it is kept either way.
    async fn stream(&mut self) -> Result<(), Error> {
        let Origin { registry, image, .. } = self.origin;
        let BlobStream { start, mut response } = registry.blob(image, &self.blob.digest, self.length).await?;
        if start < self.length {
            self.start_over().await?;
        }
        let mut piece = Vec::with_capacity(PIECE);
        let fault = loop {
            match response.chunk().await {
                Ok(None) => break None,
                Ok(Some(bytes)) => {
                    if self.length + (piece.len() + bytes.len()) as u64 > self.blob.size {
                        let (digest, reason) =
                            (self.blob.digest.clone(), "it is larger than its descriptor says");
                        return Err(Error::Damaged { digest, reason });
                    }
                    piece.extend_from_slice(&bytes);
                    self.transfer.receive(bytes.len() as u64);
                    self.pace.advance(bytes.len() as u64, Instant::now());
                    if self.pace.is_stalled() {
                        break Some(RegistryError::Stalled { registry: image.registry().to_owned() });
                    }
                    if piece.len() >= PIECE {
                        piece = self.write(piece).await?;
                    }
                }
                Err(error) => break Some(RegistryError::of(image.registry(), error)),
            }
        };
        self.write(piece).await?;
        fault.map_or(Ok(()), |fault| Err(fault.into()))
    }

    /// Gives the buffer back, empty.
    async fn write(&mut self, piece: Vec<u8>) -> Result<Vec<u8>, Error> {
        let partial = Arc::clone(&self.partial);
        self.length += piece.len() as u64;
        blocking(move || lock(&partial).write(piece)).await
    }

    async fn start_over(&mut self) -> Result<(), Error> {
        self.transfer.fall_back(std::mem::take(&mut self.length));
        let partial = Arc::clone(&self.partial);
        blocking(move || lock(&partial).start_over()).await
    }

    /// Gives the blob its name if it is the right one, and throws it away otherwise.
    async fn finish(self, store: &ImageStore) -> Result<bool, Error> {
        let (wanted, name) = (self.blob.digest.clone(), store.blob_path(&self.blob.digest));
        blocking(move || lock(&self.partial).finish(&wanted, name)).await
    }

    fn protocol(&self, reason: &'static str) -> RegistryError {
        RegistryError::Protocol { registry: self.origin.image.registry().to_owned(), reason }
    }
}

/// The bytes that have come so far, on disk, and what they hash to.
struct Partial {
    path: PathBuf,
    file: File,
    context: Context,
    length: u64,
    /// A fetch that is given up leaves its last write or emptying to a thread: the next begins after that.
    _turn: Arc<Turn>,
}

impl Partial {
    /// Goes on with what an earlier try left.
    fn open(path: PathBuf, size: u64, turn: Arc<Turn>) -> Result<Self, Error> {
        let opened = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = opened.map_err(|source| Error::Write { path: path.clone(), source })?;
        let mut partial = Self { path, file, context: Context::new(&SHA256), length: 0, _turn: turn };
        let mut buffer = vec![0; PIECE];
        loop {
            match partial.file.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => {
                    partial.context.update(&buffer[..count]);
                    partial.length += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(Error::Read { path: partial.path, source }),
            }
            if partial.length > size {
                partial.start_over()?;
                break;
            }
        }
        Ok(partial)
    }

    fn write(&mut self, mut piece: Vec<u8>) -> Result<Vec<u8>, Error> {
        self.file.write_all(&piece).map_err(|source| Error::Write { path: self.path.clone(), source })?;
        self.context.update(&piece);
        self.length += piece.len() as u64;
        piece.clear();
        Ok(piece)
    }

    fn start_over(&mut self) -> Result<(), Error> {
        let emptied = File::options().read(true).write(true).create(true).truncate(true).open(&self.path);
        self.file = emptied.map_err(|source| Error::Write { path: self.path.clone(), source })?;
        self.context = Context::new(&SHA256);
        self.length = 0;
        Ok(())
    }

    fn finish(&mut self, wanted: &Digest, name: PathBuf) -> Result<bool, Error> {
        let write = |source| Error::Write { path: self.path.clone(), source };
        if digest::finish(self.context.clone()) != *wanted {
            std::fs::remove_file(&self.path).map_err(write)?;
            return Ok(false);
        }
        self.file.sync_all().map_err(write)?;
        incoming::replace(&self.path, name)?;
        Ok(true)
    }
}

/// How much came in the last window.
struct Pace {
    since: Instant,
    bytes: u64,
    stalled: bool,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { since: now, bytes: 0, stalled: false }
    }

    fn advance(&mut self, bytes: u64, now: Instant) {
        self.bytes += bytes;
        if now.duration_since(self.since) >= WINDOW {
            self.stalled = self.bytes < WINDOW_BYTES_AT_LEAST;
            (self.since, self.bytes) = (now, 0);
        }
    }

    fn is_stalled(&self) -> bool {
        self.stalled
    }
}

fn lock(partial: &Mutex<Partial>) -> MutexGuard<'_, Partial> {
    partial.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("writing a file does not panic")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trickle_is_stalled_at_the_end_of_its_window() {
        let start = Instant::now();
        let mut pace = Pace::new(start);

        pace.advance(WINDOW_BYTES_AT_LEAST, start + WINDOW);
        assert!(!pace.is_stalled());
        pace.advance(WINDOW_BYTES_AT_LEAST - 1, start + WINDOW + WINDOW / 2);
        assert!(!pace.is_stalled(), "the window is not over");
        pace.advance(0, start + WINDOW * 2);
        assert!(pace.is_stalled());
    }

    fn turn() -> Arc<Turn> {
        Arc::new(Arc::<tokio::sync::Mutex<()>>::default().try_lock_owned().unwrap())
    }

    #[test]
    fn the_gate_stays_shut_until_the_last_thread_lets_go_of_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let gates = Gates::default();
        let blob = Digest::new("sha256:one");
        let turn = Arc::new(gates.of(&blob).try_lock_owned().unwrap());

        let partial = Partial::open(directory.path().join("partial"), 1, Arc::clone(&turn)).unwrap();
        drop(turn);
        assert!(gates.of(&blob).try_lock_owned().is_err());
        drop(partial);
        assert!(gates.of(&blob).try_lock_owned().is_ok());
    }

    #[test]
    fn a_partial_file_is_gone_on_with_and_one_that_is_too_long_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("partial");
        std::fs::write(&path, b"hello ").unwrap();

        let mut partial = Partial::open(path.clone(), 11, turn()).unwrap();
        partial.write(b"world".to_vec()).unwrap();
        assert!(partial.finish(&digest::of(b"hello world"), directory.path().join("blob")).unwrap());

        std::fs::write(&path, b"hello world and more").unwrap();
        assert_eq!(Partial::open(path, 11, turn()).unwrap().length, 0);
    }
}
