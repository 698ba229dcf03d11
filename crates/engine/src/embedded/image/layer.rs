//! One layer's blob: verified while it is copied, hashed on both sides and bounded while it is unpacked.
//! The entries themselves are `unpack.rs`'s.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use ensemble_model::id::Digest;

use super::digest::Hashing;
use super::lower::Lower;
use super::manifest::{Compression, Descriptor};
use super::stream::{self, Bounded, Error, Limits, Tagged};
use super::tarball::Source;
use super::unpack::{self, Unpacked};

/// A layer as manifest and config describe it together.
pub(super) struct Layer {
    pub(super) blob: Descriptor,
    pub(super) compression: Compression,
    /// Digest of the uncompressed stream.
    pub(super) diff_id: Digest,
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
    let limits = Limits { layer_bytes: limit, entries: limits.entries.min(limits.image_entries), ..*limits };
    let stream = unpack_stream(&mut packed, layer.compression, target, lower, &limits)?;
    check_blob(&layer.blob, packed)?;
    if stream.diff_id != layer.diff_id {
        return Err(Error::Malformed("its unpacked bytes are not those that the config names"));
    }
    Ok((stream.unpacked, stream.bytes))
}

/// A layer's tar stream after it was unpacked.
pub(super) struct Stream {
    pub(super) unpacked: Unpacked,
    pub(super) diff_id: Digest,
    pub(super) bytes: u64,
}

/// Unpacks a packed stream of which nothing is known, within `limits.layer_bytes` and `limits.entries`.
pub(super) fn unpack_stream(
    packed: impl Read,
    compression: Compression,
    target: &Path,
    lower: &Lower,
    limits: &Limits,
) -> Result<Stream, Error> {
    let decoder = stream::decoder(compression, packed)?;
    let mut stream = Hashing::new(Bounded::new(decoder, limits.layer_bytes));
    let unpacked = unpack::unpack(&mut stream, target, lower, limits)?;
    // Padding after the last entry belongs to the digest.
    let (diff_id, bytes) = stream.finish().map_err(stream::read_error)?;
    Ok(Stream { unpacked, diff_id, bytes })
}

/// Copies a blob, and verifies it on the way: after an error what was written is to be thrown away.
pub(super) fn copy(blob: &Descriptor, from: impl Read, mut to: &File) -> Result<(), Error> {
    let mut packed = Hashing::new(Tagged(from).take(blob.size));
    let mut buffer = vec![0; 256 << 10];
    loop {
        match packed.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => to.write_all(&buffer[..count]).map_err(Error::Write)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(stream::read_error(error)),
        }
    }
    check_blob(blob, packed)
}

fn check_blob(blob: &Descriptor, packed: Hashing<impl Read>) -> Result<(), Error> {
    let (digest, bytes) = packed.finish().map_err(stream::read_error)?;
    if bytes != blob.size {
        return Err(Error::Malformed("its blob is shorter than its descriptor says"));
    }
    if digest != blob.digest {
        return Err(Error::Malformed("its blob's bytes do not have this digest"));
    }
    Ok(())
}

impl<R: Read> Source for &mut Hashing<R> {}
