//! An OCI layout inside one tar archive: where each of its files lies. The archive is read in place, never
//! unpacked; must not follow anything, since only the names of a layout are looked up.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;

use super::tarball::{Fault, Kind, Source, Tarball};

/// Entries of an archive that are looked at.
const ENTRIES_AT_MOST: usize = 100_000;

/// The regular files of an archive.
pub(super) struct Archive {
    file: File,
    /// Name without a leading `./` → where its bytes begin, and how many there are.
    files: HashMap<Vec<u8>, (u64, u64)>,
}

#[derive(Debug)]
pub(super) enum ScanFault {
    Read(io::Error),
    NotAnArchive,
}

/// A part of a file, read by position, so that several readers can share the file.
pub(super) struct Section {
    file: File,
    position: u64,
    left: u64,
}

impl Archive {
    pub(super) fn scan(file: File) -> Result<Self, ScanFault> {
        let length = file.metadata().map_err(ScanFault::Read)?.len();
        let duplicate = file.try_clone().map_err(ScanFault::Read)?;
        let mut tarball = Tarball::new(SeekingSource { reader: BufReader::new(duplicate), length });
        let mut files = HashMap::new();
        loop {
            match tarball.next() {
                Ok(Some(entry)) if entry.kind == Kind::Regular => {
                    // Whatever reaches beyond the end is cut off: it was not in the archive.
                    if entry.position.checked_add(entry.size).is_some_and(|end| end <= length) {
                        let name = entry.path.strip_prefix(b"./").unwrap_or(&entry.path);
                        files.insert(name.to_vec(), (entry.position, entry.size));
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(Fault::Read(error)) => return Err(ScanFault::Read(error)),
                Err(Fault::Malformed(_)) => return Err(ScanFault::NotAnArchive),
            }
            if files.len() > ENTRIES_AT_MOST {
                return Err(ScanFault::NotAnArchive);
            }
        }
        Ok(Self { file, files })
    }

    /// The file of that name, and its size in bytes.
    pub(super) fn open(&self, name: &str) -> io::Result<Option<(Section, u64)>> {
        let Some((position, size)) = self.files.get(name.as_bytes()).copied() else { return Ok(None) };
        Ok(Some((Section { file: self.file.try_clone()?, position, left: size }, size)))
    }
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(&mut buffer[..most], self.position)?;
        self.position += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

struct SeekingSource {
    reader: BufReader<File>,
    /// Of the whole file: no skip needs to go further.
    length: u64,
}

impl Read for SeekingSource {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

impl Source for SeekingSource {
    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        match i64::try_from(bytes.min(self.length)) {
            Ok(bytes) => self.reader.seek_relative(bytes),
            Err(_) => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}
