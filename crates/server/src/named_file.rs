//! Reads files that an operator names: no pipes, and nothing larger than any of them has reason to be, so that one in
//! their place is an error instead of a wait without end. `/dev/null` is an empty file to everybody.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// A fleet of 10,000 edge nodes takes about 2 MiB.
const BYTES_AT_MOST: u64 = 16 << 20;

/// # Errors
/// What the system says; `InvalidInput` for a pipe, a directory or what is too large.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    // Opening a pipe waits for its writer unless told not to.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let kind = file.metadata()?.file_type();
    if !kind.is_file() && !kind.is_char_device() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(BYTES_AT_MOST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > BYTES_AT_MOST {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is larger than 16 MiB"));
    }
    Ok(bytes)
}

/// # Errors
/// As [`read`]; `InvalidData` for what is not UTF-8.
pub(crate) fn read_to_string(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not text in UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, FileType, Mode};

    #[test]
    fn what_may_never_end_is_refused_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();

        for path in [pipe.as_path(), directory.path()] {
            let error = read(path).unwrap_err();

            assert_eq!(error.to_string(), "it is not a regular file", "{}", path.display());
        }
    }

    #[test]
    fn a_file_that_nobody_would_write_by_hand_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("large");
        std::fs::File::create(&path).unwrap().set_len(BYTES_AT_MOST + 1).unwrap();

        for path in [path.as_path(), Path::new("/dev/zero")] {
            assert_eq!(read(path).unwrap_err().to_string(), "it is larger than 16 MiB", "{}", path.display());
        }
        assert_eq!(read(Path::new("/dev/null")).unwrap(), b"");
    }
}
