//! A layer's stream: the bounds on it, the faults in it, and the reader that decompresses it within both.
//! Knows nothing of what the bytes mean; `layer.rs` hashes them and `unpack.rs` reads the entries.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use super::manifest::Compression;

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
    /// The same of all layers of one image.
    pub image_entries: u64,
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
            image_entries: 2_000_000,
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

/// A fault of ours within an `io::Error` that passed through a decoder.
#[derive(Debug)]
enum StreamFault {
    /// The blob could not be read; nothing is known about what it holds.
    Source(io::Error),
    TooLarge {
        limit: u64,
    },
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

pub(super) fn decoder<'a>(
    compression: Compression,
    packed: impl Read + 'a,
) -> Result<Box<dyn Read + 'a>, Error> {
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
pub(super) struct Tagged<R>(pub(super) R);

impl<R: Read> Read for Tagged<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            kind => io::Error::new(kind, StreamFault::Source(error)),
        })
    }
}

/// Ends in an error when more comes than may.
pub(super) struct Bounded<R> {
    inner: R,
    left: u64,
    limit: u64,
}

impl<R: Read> Bounded<R> {
    pub(super) fn new(inner: R, limit: u64) -> Self {
        Self { inner, left: limit, limit }
    }
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

impl fmt::Display for StreamFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(_) => formatter.write_str("the blob could not be read"),
            Self::TooLarge { limit } => write!(formatter, "more than {limit} bytes"),
        }
    }
}

impl std::error::Error for StreamFault {}
