//! Reads an OCI layout, from a directory or an archive, and finds the one image that a reference names.
//! Read-only: regular files within the layout, each with a bound on its size. Must not quote what it reads.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use ensemble_model::id::Digest;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::archive::{Archive, ScanFault};
use super::manifest::{self, DOCUMENT_LIMIT, Descriptor, DocumentKind};
use super::platform::{self, Platform};
use super::{Error, OciReference, digest};

/// An index may list indexes; deeper than this none is followed.
pub(super) const INDEX_DEPTH: usize = 4;
/// Tags or platforms that a message lists.
const SHOWN_AT_MOST: usize = 10;

pub(super) struct Layout {
    path: PathBuf,
    source: Source,
}

enum Source {
    Directory(OwnedFd),
    Archive(Archive),
}

/// A file of a layout, and its size in bytes.
type OpenFile = (Box<dyn Read>, u64);

/// The manifest that a reference leads to, verified.
pub(super) struct Found {
    pub(super) manifest: Digest,
    pub(super) bytes: Vec<u8>,
    /// The indexes below `index.json` on the way to it, outermost first.
    pub(super) indexes: Vec<Digest>,
}

impl Layout {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let read = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                Error::NoSuchPath { path: path.to_owned() }
            }
            _ => Error::Read { path: path.to_owned(), source },
        };
        let not_an_image = |reason| Error::NotAnImage { path: path.to_owned(), reason };
        // Without waiting, or a fifo of that name would hold us for ever.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| read(errno.into()))?;
        let stat = rustix::fs::fstat(&opened).map_err(|errno| read(errno.into()))?;
        let source = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Source::Directory(opened),
            FileType::RegularFile => match Archive::scan(File::from(opened)) {
                Ok(archive) => Source::Archive(archive),
                Err(ScanFault::Read(source)) => return Err(read(source)),
                Err(ScanFault::NotAnArchive) => {
                    return Err(not_an_image("the file is no tar archive, or a compressed one"));
                }
            },
            _ => return Err(not_an_image("it is neither a directory nor a regular file")),
        };
        let layout = Self { path: path.to_owned(), source };
        match layout.file("oci-layout")? {
            Some(_) => Ok(layout),
            None => Err(not_an_image(
                "it has no `oci-layout`; `skopeo copy docker-archive:FILE oci:DIRECTORY:TAG` converts what `docker save` wrote",
            )),
        }
    }

    /// Follows tag and platform to one manifest.
    pub(super) fn find(&self, reference: &OciReference, wanted: &Platform) -> Result<Found, Error> {
        let bytes = self.document("index.json")?;
        let entries = manifest::index(&bytes).map_err(|reason| self.not_an_image(reason))?;
        let entries = self.tagged(entries, reference.tag())?;
        let mut indexes = Vec::new();
        let mut chosen = choose(entries, wanted)?;
        for _ in 0..INDEX_DEPTH {
            let bytes = self.blob_document(&chosen)?;
            match chosen.document_kind() {
                Some(DocumentKind::Manifest) => {
                    return Ok(Found { manifest: chosen.digest, bytes, indexes });
                }
                Some(DocumentKind::Index) => {
                    let entries = manifest::index(&bytes).map_err(|reason| Error::Refused { reason })?;
                    indexes.push(chosen.digest);
                    chosen = choose(entries, wanted)?;
                }
                None => {
                    return Err(Error::Refused {
                        reason: "what it lists is neither a manifest nor an index",
                    });
                }
            }
        }
        Err(Error::Refused { reason: "its indexes are nested too deep" })
    }

    /// A whole document of at most 4 MiB, its size and digest verified.
    pub(super) fn blob_document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
        let damaged = |reason| Error::Damaged { digest: descriptor.digest.clone(), reason };
        if descriptor.size > DOCUMENT_LIMIT {
            return Err(Error::Refused { reason: "a document of it is larger than 4 MiB" });
        }
        let mut bytes = Vec::new();
        let reader = self.blob(descriptor)?;
        reader
            .take(DOCUMENT_LIMIT + 1)
            .read_to_end(&mut bytes)
            .map_err(|source| Error::Read { path: self.path.clone(), source })?;
        if bytes.len() as u64 != descriptor.size {
            return Err(damaged("its size is not what its descriptor says"));
        }
        if digest::of(&bytes) != descriptor.digest {
            return Err(damaged("its bytes do not have this digest"));
        }
        Ok(bytes)
    }

    /// A blob whose size is as stated; whoever reads it checks the digest.
    pub(super) fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read>, Error> {
        let name = format!("blobs/sha256/{}", digest::hex(&descriptor.digest));
        let (reader, size) =
            self.file(&name)?.ok_or_else(|| Error::NoSuchBlob { digest: descriptor.digest.clone() })?;
        if size != descriptor.size {
            let reason = "its size is not what its descriptor says";
            return Err(Error::Damaged { digest: descriptor.digest.clone(), reason });
        }
        Ok(reader)
    }

    fn document(&self, name: &'static str) -> Result<Vec<u8>, Error> {
        let (reader, size) = self.file(name)?.ok_or_else(|| self.not_an_image("it has no `index.json`"))?;
        if size > DOCUMENT_LIMIT {
            return Err(self.not_an_image("its `index.json` is larger than 4 MiB"));
        }
        let mut bytes = Vec::new();
        reader
            .take(DOCUMENT_LIMIT)
            .read_to_end(&mut bytes)
            .map_err(|source| Error::Read { path: self.path.clone(), source })?;
        Ok(bytes)
    }

    /// A regular file of the layout with its size; nothing where there is none.
    fn file(&self, name: &str) -> Result<Option<OpenFile>, Error> {
        let read = |source: io::Error| Error::Read { path: self.path.join(name), source };
        match &self.source {
            Source::Archive(archive) => Ok(archive
                .open(name)
                .map_err(read)?
                .map(|(section, size)| (Box::new(section) as Box<dyn Read>, size))),
            Source::Directory(directory) => {
                let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
                // Links within the layout are followed, out of it they are refused by the kernel.
                let inside = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
                let opened = match rustix::fs::openat2(directory, name, flags, Mode::empty(), inside) {
                    Ok(opened) => opened,
                    Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
                    Err(Errno::XDEV | Errno::LOOP) => {
                        return Err(self.not_an_image("a link in it leads outside"));
                    }
                    Err(errno) => return Err(read(errno.into())),
                };
                let stat = rustix::fs::fstat(&opened).map_err(|errno| read(errno.into()))?;
                if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                    return Err(self.not_an_image("a file in it is no regular file"));
                }
                let size = u64::try_from(stat.st_size).unwrap_or_default();
                Ok(Some((Box::new(File::from(opened)), size)))
            }
        }
    }

    /// The entries of `index.json` that bear the tag; without one, all must be the same image.
    fn tagged(&self, entries: Vec<Descriptor>, tag: Option<&str>) -> Result<Vec<Descriptor>, Error> {
        let mut tags: Vec<_> = entries.iter().filter_map(|entry| entry.tag.as_deref()).collect();
        tags.sort_unstable();
        tags.dedup();
        let offered = list(tags.iter().map(|tag| format!("`{}`", printable(tag))));
        let Some(tag) = tag else {
            let platforms = entries.iter().filter(|entry| entry.platform.is_some()).count();
            let is_one = entries.len() <= 1 || (tags.len() <= 1 && platforms == entries.len());
            return if is_one {
                Ok(entries)
            } else {
                Err(Error::TagNeeded { path: self.path.clone(), offered })
            };
        };
        let bears_it = |entry: &Descriptor| entry.tag.as_deref() == Some(tag);
        if !entries.iter().any(bears_it) {
            return Err(Error::NoSuchTag { path: self.path.clone(), tag: tag.to_owned(), offered });
        }
        Ok(entries.into_iter().filter(bears_it).collect())
    }

    fn not_an_image(&self, reason: &'static str) -> Error {
        Error::NotAnImage { path: self.path.clone(), reason }
    }
}

/// The entry for the platform. One that states none may be for any; its config is asked later.
pub(super) fn choose(mut entries: Vec<Descriptor>, wanted: &Platform) -> Result<Descriptor, Error> {
    let stated: Vec<_> =
        entries.iter().map(|entry| entry.platform.clone().unwrap_or_else(|| wanted.clone())).collect();
    match platform::choose(stated.iter(), wanted) {
        Some(index) => Ok(entries.swap_remove(index)),
        None => Err(Error::NoSuchPlatform {
            wanted: wanted.shown(),
            offered: list(stated.iter().map(|platform| format!("`{}`", platform.shown()))),
        }),
    }
}

fn list(names: impl Iterator<Item = String>) -> String {
    let names: Vec<_> = names.collect();
    match names.len() {
        0 => "none".to_owned(),
        1..=SHOWN_AT_MOST => names.join(", "),
        more => format!("{} and {} more", names[..SHOWN_AT_MOST].join(", "), more - SHOWN_AT_MOST),
    }
}

/// A tag of the file, cut to the characters that a tag may have.
fn printable(tag: &str) -> String {
    tag.chars()
        .filter(|character| character.is_ascii_alphanumeric() || "_.-/:@".contains(*character))
        .take(128)
        .collect()
}
