//! One layer's blob: decompressed, hashed on both sides and bounded while it is unpacked. Decides what kind of
//! fault a failed read was. The entries themselves are `unpack.rs`'s.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use ensemble_model::id::Digest;
use flate2::bufread::MultiGzDecoder;

use super::digest::Hashing;
use super::lower::Lower;
use super::manifest::{Compression, Descriptor};
use super::tarball::Source;
use super::unpack::{self, Unpacked};

const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const BUFFER: usize = 128 << 10;
/// Largest window of a zstd stream, as a power of two: memory that the stream can make us take.
const ZSTD_WINDOW_LOG: u32 = 27;

/// Bounds on what an image may unpack to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one layer's tar stream.
    pub layer_bytes: u64,
    /// Bytes of all layers of one image.
    pub image_bytes: u64,
    /// Files and directories of one layer, those that it only implies included.
    pub entries: u64,
    /// Unpacked bytes for each packed one, once a layer is larger than [`Limits::ratio_from`].
    pub ratio: u64,
    /// Unpacked bytes below which the ratio does not matter.
    pub ratio_from: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            layer_bytes: 16 << 30,
            image_bytes: 32 << 30,
            entries: 1_000_000,
            ratio: 400,
            ratio_from: 64 << 20,
        }
    }
}

/// Why a layer was not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("it is no sound archive: {0}")]
    Malformed(&'static str),
    #[error("entry {number} of it is refused: {reason}")]
    Refused { number: u64, reason: &'static str },
    #[error("it unpacks to more than {limit} {unit}")]
    TooLarge { limit: u64, unit: &'static str },
    #[error("could not read it")]
    Read(#[source] io::Error),
    #[error("could not write what it holds")]
    Write(#[source] io::Error),
}

impl Error {
    /// See [`super::Error::is_hopeless`].
    pub fn is_hopeless(&self) -> bool {
        match self {
            Self::Malformed(_) | Self::Refused { .. } | Self::TooLarge { .. } => true,
            Self::Read(_) | Self::Write(_) => false,
        }
    }
}

/// A layer as manifest and config describe it together.
pub(super) struct Layer {
    pub(super) blob: Descriptor,
    pub(super) compression: Compression,
    /// Digest of the uncompressed stream.
    pub(super) diff_id: Digest,
}

/// A fault of ours within an `io::Error` that passed through a decoder.
#[derive(Debug)]
enum StreamFault {
    /// The blob could not be read; nothing is known about what it holds.
    Source(io::Error),
    TooLarge {
        limit: u64,
    },
}

/// Unpacks the blob into the empty directory `target`, and answers the bytes of its tar stream as well. Only
/// after this has answered is what is in `target` known to be the layer.
pub(super) fn unpack(
    layer: &Layer,
    blob: impl Read,
    target: &Path,
    lower: &Lower,
    limits: &Limits,
) -> Result<(Unpacked, u64), Error> {
    let mut packed = Hashing::new(Tagged(blob).take(layer.blob.size));
    let limit = limits
        .layer_bytes
        .min(limits.image_bytes)
        .min(layer.blob.size.saturating_mul(limits.ratio).max(limits.ratio_from));
    let (unpacked, diff_id, bytes) = {
        let decoder = decoder(layer.compression, &mut packed)?;
        let mut stream = Hashing::new(Bounded { inner: decoder, left: limit, limit });
        let unpacked = unpack::unpack(&mut stream, target, lower, limits)?;
        // Padding after the last entry belongs to the digest.
        let (diff_id, bytes) = stream.finish().map_err(read_error)?;
        (unpacked, diff_id, bytes)
    };
    check_blob(layer, packed)?;
    if diff_id != layer.diff_id {
        return Err(Error::Malformed("its unpacked bytes are not those that the config names"));
    }
    Ok((unpacked, bytes))
}

/// Verifies a blob whose layer is in the store already.
pub(super) fn verify(layer: &Layer, blob: impl Read) -> Result<(), Error> {
    check_blob(layer, Hashing::new(Tagged(blob).take(layer.blob.size)))
}

fn check_blob(layer: &Layer, packed: Hashing<impl Read>) -> Result<(), Error> {
    let (digest, bytes) = packed.finish().map_err(read_error)?;
    if bytes != layer.blob.size {
        return Err(Error::Malformed("its blob is shorter than its descriptor says"));
    }
    if digest != layer.blob.digest {
        return Err(Error::Malformed("its blob's bytes do not have this digest"));
    }
    Ok(())
}

/// What a failed read of a layer's stream means.
pub(super) fn read_error(error: io::Error) -> Error {
    let is_end = error.kind() == io::ErrorKind::UnexpectedEof;
    match error.into_inner().map(|inner| inner.downcast::<StreamFault>()) {
        Some(Ok(fault)) => match *fault {
            StreamFault::Source(source) => Error::Read(source),
            StreamFault::TooLarge { limit } => Error::TooLarge { limit, unit: "bytes" },
        },
        // Everything else comes out of a decoder or the tar reader, which see nothing but the bytes.
        Some(Err(_)) | None if is_end => Error::Malformed("it ends too early"),
        Some(Err(_)) | None => Error::Malformed("its compression is broken"),
    }
}

fn decoder<'a>(compression: Compression, packed: impl Read + 'a) -> Result<Box<dyn Read + 'a>, Error> {
    let mut packed = BufReader::with_capacity(BUFFER, packed);
    let head = packed.fill_buf().map_err(read_error)?;
    let fits = match compression {
        Compression::None => !head.starts_with(GZIP_MAGIC) && !head.starts_with(ZSTD_MAGIC),
        Compression::Gzip => head.starts_with(GZIP_MAGIC),
        Compression::Zstd => head.starts_with(ZSTD_MAGIC),
    };
    if !fits {
        return Err(Error::Malformed("its compression is not the one that its media type says"));
    }
    Ok(match compression {
        Compression::None => Box::new(packed),
        // A gzip file of several members is one stream.
        Compression::Gzip => Box::new(MultiGzDecoder::new(packed)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(packed).map_err(read_error)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(read_error)?;
            Box::new(decoder)
        }
    })
}

/// Marks the faults of the source, so that they are known again behind a decoder.
struct Tagged<R>(R);

impl<R: Read> Read for Tagged<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            kind => io::Error::new(kind, StreamFault::Source(error)),
        })
    }
}

/// Ends in an error when more comes than may.
struct Bounded<R> {
    inner: R,
    left: u64,
    limit: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        match self.left.checked_sub(count as u64) {
            Some(left) => self.left = left,
            None => return Err(io::Error::other(StreamFault::TooLarge { limit: self.limit })),
        }
        Ok(count)
    }
}

impl<R: Read> Source for &mut Hashing<R> {}

impl fmt::Display for StreamFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(_) => formatter.write_str("the blob could not be read"),
            Self::TooLarge { limit } => write!(formatter, "more than {limit} bytes"),
        }
    }
}

impl std::error::Error for StreamFault {}
