//! Reads a tar stream entry by entry, with every header bounded before it is read: the `tar` crate takes a
//! whole PAX or GNU header into memory, however long it says it is. Knows nothing of files on disk.

use std::io::{self, Read};

use tar::{EntryType, Header};

const BLOCK: usize = 512;
/// Longest PAX header, in bytes.
const PAX_LIMIT: u64 = 1 << 20;
/// Longest path or link target, in bytes; also what Linux takes.
pub(super) const PATH_LIMIT: u64 = 4096;
/// Extension headers before one entry.
const EXTENSIONS_AT_MOST: usize = 8;

/// Something that can be read, and moved on in.
pub(super) trait Source: Read {
    fn skip(&mut self, bytes: u64) -> io::Result<()>
    where
        Self: Sized,
    {
        let skipped = io::copy(&mut Read::take(&mut *self, bytes), &mut io::sink())?;
        if skipped == bytes { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

#[derive(Debug)]
pub(super) enum Fault {
    Read(io::Error),
    Malformed(&'static str),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Regular,
    Directory,
    Symlink,
    HardLink,
    Fifo,
    /// A block device, or a character device other than 0/0.
    Device,
    /// Character device 0/0: in a layer directory this is a whiteout.
    WhiteoutDevice,
}

/// One entry as the archive states it, names unchecked.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) path: Vec<u8>,
    pub(super) link: Vec<u8>,
    /// Permission bits with setuid, setgid and sticky.
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
    /// Seconds since 1970.
    pub(super) modified: i64,
    /// Bytes of data that follow; 0 for all but regular files.
    pub(super) size: u64,
    /// Where the data begins in the stream.
    pub(super) position: u64,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

pub(super) struct Tarball<S> {
    source: S,
    position: u64,
    data_left: u64,
    padding: u64,
}

/// What PAX and GNU headers say about the entry that follows them.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    modified: Option<i64>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl<S: Source> Tarball<S> {
    pub(super) fn new(source: S) -> Self {
        Self { source, position: 0, data_left: 0, padding: 0 }
    }

    /// The next entry; what was not read of the last one's data is passed over.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, Fault> {
        let mut extensions = Extensions::default();
        for _ in 0..=EXTENSIONS_AT_MOST {
            self.skip_data()?;
            let Some(header) = self.header()? else { return Ok(None) };
            let size = header.entry_size().map_err(|_| Fault::Malformed("a size is no number"))?;
            match header.entry_type() {
                EntryType::XHeader => {
                    let records = self.extension(size, PAX_LIMIT)?;
                    read_pax(&records, &mut extensions)?;
                }
                EntryType::XGlobalHeader => {
                    // Go's reader, which all the others follow, does not apply these either.
                    self.extension(size, PAX_LIMIT)?;
                }
                EntryType::GNULongName => {
                    extensions.path = Some(until_nul(self.extension(size, PATH_LIMIT + 1)?));
                }
                EntryType::GNULongLink => {
                    extensions.link = Some(until_nul(self.extension(size, PATH_LIMIT + 1)?));
                }
                kind => return self.entry(&header, kind, size, extensions).map(Some),
            }
        }
        Err(Fault::Malformed("an entry has too many extension headers"))
    }

    fn entry(
        &mut self,
        header: &Header,
        entry_type: EntryType,
        size: u64,
        extensions: Extensions,
    ) -> Result<Entry, Fault> {
        let path = extensions.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let link = extensions.link.unwrap_or_else(|| {
            header.link_name_bytes().map(std::borrow::Cow::into_owned).unwrap_or_default()
        });
        let kind = kind_of(header, entry_type, &path)?;
        // Entries without data may state the size of what they stand for.
        let size = if kind == Kind::Regular { extensions.size.unwrap_or(size) } else { 0 };
        let number =
            |field: io::Result<u64>| field.map_err(|_| Fault::Malformed("a header field is no number"));
        let modified = match extensions.modified {
            Some(seconds) => seconds,
            None => i64::try_from(number(header.mtime())?).unwrap_or(0),
        };
        self.data_left = size;
        self.padding = padding(size);
        Ok(Entry {
            kind,
            path,
            link,
            mode: header.mode().map_err(|_| Fault::Malformed("a mode is no number"))? & 0o7777,
            uid: extensions.uid.map_or_else(|| number(header.uid()), Ok)?,
            gid: extensions.gid.map_or_else(|| number(header.gid()), Ok)?,
            modified,
            size,
            position: self.position,
            xattrs: extensions.xattrs,
        })
    }

    fn header(&mut self) -> Result<Option<Header>, Fault> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.source.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(Fault::Malformed("it ends within a header")),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.position += BLOCK as u64;
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let header = Header::from_byte_slice(&block).clone();
        // The checksum is taken as if its own field were spaces.
        let sum: u32 = block
            .iter()
            .enumerate()
            .map(|(index, byte)| if (148..156).contains(&index) { u32::from(b' ') } else { u32::from(*byte) })
            .sum();
        match header.cksum() {
            Ok(stated) if stated == sum => Ok(Some(header)),
            _ => Err(Fault::Malformed("a header's checksum is wrong")),
        }
    }

    fn extension(&mut self, size: u64, limit: u64) -> Result<Vec<u8>, Fault> {
        if size > limit {
            return Err(Fault::Malformed("an extension header is too long"));
        }
        self.data_left = size;
        self.padding = padding(size);
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn skip_data(&mut self) -> Result<(), Fault> {
        let bytes = self
            .data_left
            .checked_add(self.padding)
            .ok_or(Fault::Malformed("an entry is larger than any archive"))?;
        if bytes > 0 {
            self.source.skip(bytes).map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => Fault::Malformed("it ends within an entry"),
                _ => Fault::Read(error),
            })?;
            self.position = self.position.saturating_add(bytes);
            self.data_left = 0;
            self.padding = 0;
        }
        Ok(())
    }
}

/// The data of the entry that [`Tarball::next`] answered last.
impl<S: Source> Read for Tarball<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.data_left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let count = self.source.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.data_left -= count as u64;
        self.position += count as u64;
        Ok(count)
    }
}

/// Bytes from the end of an entry's data to the next block.
fn padding(size: u64) -> u64 {
    (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64
}

fn kind_of(header: &Header, entry_type: EntryType, path: &[u8]) -> Result<Kind, Fault> {
    Ok(match entry_type {
        // Archives older than POSIX mark a directory by its last slash alone.
        EntryType::Regular | EntryType::Continuous if path.last() == Some(&b'/') => Kind::Directory,
        EntryType::Regular | EntryType::Continuous => Kind::Regular,
        EntryType::Directory => Kind::Directory,
        EntryType::Symlink => Kind::Symlink,
        EntryType::Link => Kind::HardLink,
        EntryType::Fifo => Kind::Fifo,
        EntryType::Block => Kind::Device,
        EntryType::Char => {
            let wrong = |_| Fault::Malformed("a device number is no number");
            let major = header.device_major().map_err(wrong)?.unwrap_or_default();
            let minor = header.device_minor().map_err(wrong)?.unwrap_or_default();
            if (major, minor) == (0, 0) { Kind::WhiteoutDevice } else { Kind::Device }
        }
        EntryType::GNUSparse => return Err(Fault::Malformed("it has a sparse file")),
        _ => return Err(Fault::Malformed("it has an entry of an unknown type")),
    })
}

/// `LENGTH KEY=VALUE\n`, where the length counts the whole record and values may hold anything.
fn read_pax(mut records: &[u8], extensions: &mut Extensions) -> Result<(), Fault> {
    const WRONG: Fault = Fault::Malformed("a PAX record is wrong");
    while !records.is_empty() {
        let space = records.iter().take(20).position(|byte| *byte == b' ').ok_or(WRONG)?;
        let length =
            decimal(&records[..space]).and_then(|length| usize::try_from(length).ok()).ok_or(WRONG)?;
        if length <= space + 1 || length > records.len() || records[length - 1] != b'\n' {
            return Err(WRONG);
        }
        let record = &records[space + 1..length - 1];
        let equals = record.iter().position(|byte| *byte == b'=').ok_or(WRONG)?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        match key {
            b"path" => extensions.path = Some(value.to_vec()),
            b"linkpath" => extensions.link = Some(value.to_vec()),
            b"size" => extensions.size = Some(decimal(value).ok_or(WRONG)?),
            b"uid" => extensions.uid = Some(decimal(value).ok_or(WRONG)?),
            b"gid" => extensions.gid = Some(decimal(value).ok_or(WRONG)?),
            b"mtime" => extensions.modified = Some(seconds(value).ok_or(WRONG)?),
            key if key.starts_with(b"GNU.sparse.") => return Err(Fault::Malformed("it has a sparse file")),
            key => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    extensions.xattrs.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        records = &records[length..];
    }
    Ok(())
}

fn decimal(text: &[u8]) -> Option<u64> {
    let plain = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    plain.then(|| std::str::from_utf8(text).ok()?.parse().ok())?
}

/// Whole seconds of `1700000000.123`, which may be negative.
fn seconds(text: &[u8]) -> Option<i64> {
    let whole = text.split(|byte| *byte == b'.').next()?;
    std::str::from_utf8(whole).ok()?.parse().ok()
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
        bytes.truncate(end);
    }
    bytes
}
