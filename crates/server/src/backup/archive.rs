//! The file of a backup: a tar archive whose last entry is the SHA-256 of everything before it, so that `tar` can list
//! it and a cut or a flipped bit anywhere is noticed before anything is believed. Knows nothing of what is in it.

use super::Error;
use crate::file_error::FileError;
use ring::digest;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use tar::{EntryType, Header};

const CHECKSUM: &str = "sha256";

/// Header and content of the checksum's entry, and two empty blocks.
const TAIL_BYTES: u64 = 4 * BLOCK;

/// What archives are made of.
const BLOCK: u64 = 512;

/// Read and hashed in one go.
const PIECE: usize = 1 << 20;

/// Hashes what goes through.
struct Hashing {
    file: File,
    context: digest::Context,
    written: u64,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.context.update(&bytes[..written]);
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// An archive that is being written, mode 0600.
pub(super) struct Writer {
    out: Hashing,
}

impl Writer {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let context = digest::Context::new(&digest::SHA256);
        Ok(Self { out: Hashing { file, context, written: 0 } })
    }

    pub(super) fn add(&mut self, name: &str, size: u64, content: impl Read) -> io::Result<()> {
        put(&mut self.out, name, size, content)
    }

    /// The same under a name that [`Self::add`] refuses: what somebody else may have written.
    #[cfg(test)]
    pub(super) fn add_raw(&mut self, name: &[u8], content: &[u8]) -> io::Result<()> {
        let mut header = Header::new_ustar();
        header.as_ustar_mut().expect("it was made so").name[..name.len()].copy_from_slice(name);
        put_behind(&mut self.out, header, content.len() as u64, content)
    }

    pub(super) fn written(&self) -> u64 {
        self.out.written
    }

    /// Writes the checksum; on return the file survives a power cut under its name of now.
    pub(super) fn finish(self) -> io::Result<()> {
        let Hashing { mut file, context, .. } = self.out;
        file.write_all(&tail(&context.finish())?)?;
        file.sync_all()
    }
}

/// One entry. By hand: the crate's builder writes an end when it is dropped, and ours stands behind the checksum.
fn put(out: &mut impl Write, name: &str, size: u64, content: impl Read) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_path(name)?;
    put_behind(out, header, size, content)
}

/// Completes a header that has its name, and writes it with its content.
fn put_behind(out: &mut impl Write, mut header: Header, size: u64, content: impl Read) -> io::Result<()> {
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o600);
    header.set_size(size);
    header.set_cksum();
    out.write_all(header.as_bytes())?;
    if io::copy(&mut content.take(size), out)? != size {
        // The header has promised more.
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
    }
    let padding = (BLOCK - size % BLOCK) % BLOCK;
    io::copy(&mut io::repeat(0).take(padding), out)?;
    Ok(())
}

/// Reads all of `file`, from where it stands, and holds it against its checksum; tells how far it is. `path` is for the
/// message.
pub(super) fn verify(path: &Path, mut file: &File, mut progress: impl FnMut(u64)) -> Result<(), Error> {
    let read = FileError::on("read", path);
    let damaged = |what: &str| Error::Damaged { path: path.to_owned(), what: what.to_owned() };
    let length = file.metadata().map_err(read)?.len();
    let body = length.checked_sub(TAIL_BYTES).ok_or_else(|| damaged("it is too short"))?;
    let mut context = digest::Context::new(&digest::SHA256);
    let mut piece = vec![0; PIECE];
    let mut left = body;
    while left > 0 {
        let want = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        file.read_exact(&mut piece[..want]).map_err(read)?;
        context.update(&piece[..want]);
        left -= want as u64;
        progress(body - left);
    }
    let mut found = Vec::new();
    file.read_to_end(&mut found).map_err(read)?;
    let expected = tail(&context.finish()).map_err(read)?;
    if found != expected {
        return Err(damaged("its checksum is another one"));
    }
    Ok(())
}

/// The entries in their order, the checksum's left out. Only after [`verify`], of the same open file put back to its
/// start: what lies at `path` may be another by then.
pub(super) fn entries(
    path: &Path,
    file: &File,
    mut each: impl FnMut(&str, &mut dyn Read) -> Result<(), Error>,
) -> Result<(), Error> {
    let read = FileError::on("read", path);
    let mut archive = tar::Archive::new(file);
    for entry in archive.entries().map_err(read)? {
        let mut entry = entry.map_err(read)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if name != CHECKSUM {
            each(&name, &mut entry)?;
        }
    }
    Ok(())
}

/// The last entry and the end of the archive, to the byte.
fn tail(digest: &digest::Digest) -> io::Result<Vec<u8>> {
    let text: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut tail = Vec::new();
    put(&mut tail, CHECKSUM, text.len() as u64, text.as_bytes())?;
    tail.resize(tail.len() + 2 * BLOCK as usize, 0);
    Ok(tail)
}
