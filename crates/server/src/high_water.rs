//! The high-water mark: the last sequence known to be durable, kept in a file apart from the log, so that a log
//! whose tail was cut short is noticed at start instead of being answered from.
//! Must not be ahead of the log: it is raised after an append returned, never before.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Twenty digits and a line feed: always the same length, so a rewrite in place never leaves an old tail.
const LENGTH: usize = 21;

/// An open mark.
pub struct HighWater {
    path: PathBuf,
    file: File,
    sequence: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("could not {action} the high-water mark `{path}`")]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "the high-water mark `{path}` is not readable; `--accept-truncated-log` goes on with the log as it is"
    )]
    Malformed { path: PathBuf },
    #[error(
        "the log ends at sequence {found}, but sequence {mark} was durable once: its tail has been cut off \
         (an older copy put back, or a disk that lost what it had confirmed); `--accept-truncated-log` goes on \
         from {found} and forgets what came after"
    )]
    Truncated { found: u64, mark: u64 },
}

/// What a start does about a log that ends before its mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnTruncation {
    Refuse,
    /// The operator knows, and goes on with what is there.
    Accept,
}

impl HighWater {
    /// Opens the mark at `path` and holds it against `log_end`, the last sequence of the log (0 = empty).
    ///
    /// # Errors
    /// [`Error::Truncated`] when the log ends before the mark and that is not accepted.
    pub fn open(path: &Path, log_end: u64, on_truncation: OnTruncation) -> Result<Self, Error> {
        let failed = |action| move |source| Error::Io { action, path: path.to_owned(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(failed("open"))?;
        let mut text = Vec::new();
        Read::by_ref(&mut file).take(LENGTH as u64 + 1).read_to_end(&mut text).map_err(failed("read"))?;
        let mark = parse(&text).ok_or_else(|| Error::Malformed { path: path.to_owned() });
        match (mark, on_truncation) {
            (Ok(mark), OnTruncation::Refuse) if mark > log_end => {
                return Err(Error::Truncated { found: log_end, mark });
            }
            (Err(error), OnTruncation::Refuse) => return Err(error),
            (Ok(_) | Err(_), OnTruncation::Refuse | OnTruncation::Accept) => {}
        }
        let mut mark = Self { path: path.to_owned(), file, sequence: 0 };
        mark.raise(log_end)?;
        mark.file.set_len(LENGTH as u64).map_err(failed("write"))?;
        mark.sync()?;
        Ok(mark)
    }

    /// Notes that `sequence` is durable. Not synced: a mark that lags behind after a power cut notices less, and
    /// claims nothing false.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written.
    pub fn raise(&mut self, sequence: u64) -> Result<(), Error> {
        let text = format!("{sequence:020}\n");
        self.file.write_all_at(text.as_bytes(), 0).map_err(|source| self.failed("write", source))?;
        self.sequence = sequence;
        Ok(())
    }

    /// The sequence last noted.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Makes the mark durable.
    ///
    /// # Errors
    /// [`Error::Io`] when the disk refuses.
    pub fn sync(&self) -> Result<(), Error> {
        self.file.sync_data().map_err(|source| self.failed("sync", source))
    }

    fn failed(&self, action: &'static str, source: io::Error) -> Error {
        Error::Io { action, path: self.path.clone(), source }
    }
}

/// An empty file is a mark of 0: the server that made it ended before its first append.
fn parse(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return Some(0);
    }
    let digits = std::str::from_utf8(text).ok()?.strip_suffix('\n')?;
    let whole = digits.len() == LENGTH - 1 && digits.bytes().all(|byte| byte.is_ascii_digit());
    whole.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark_of(sequence: u64) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("high-water");
        let mut mark = HighWater::open(&path, 0, OnTruncation::Refuse).unwrap();
        mark.raise(sequence).unwrap();
        (dir, path)
    }

    #[test]
    fn a_log_that_reaches_the_mark_is_accepted() {
        for log_end in [7, 8, 1_000_000] {
            let (_dir, path) = mark_of(7);

            let mark = HighWater::open(&path, log_end, OnTruncation::Refuse).unwrap();

            assert_eq!(mark.sequence(), log_end);
        }
    }

    #[test]
    fn a_log_that_ends_before_the_mark_is_refused_naming_both() {
        let (_dir, path) = mark_of(7);

        let Err(error) = HighWater::open(&path, 5, OnTruncation::Refuse) else { panic!("accepted") };

        assert!(matches!(error, Error::Truncated { found: 5, mark: 7 }));
        assert!(error.to_string().contains("sequence 5") && error.to_string().contains("sequence 7"));
        assert!(HighWater::open(&path, 5, OnTruncation::Refuse).is_err(), "refusing must not lower the mark");
    }

    #[test]
    fn an_accepted_truncation_lowers_the_mark() {
        let (_dir, path) = mark_of(7);

        HighWater::open(&path, 5, OnTruncation::Accept).unwrap();

        assert_eq!(HighWater::open(&path, 5, OnTruncation::Refuse).unwrap().sequence(), 5);
    }

    #[test]
    fn a_damaged_mark_is_refused_unless_accepted() {
        for damage in ["x", "0000000000000000000", "00000000000000000007", "-0000000000000000007\n"] {
            let (_dir, path) = mark_of(7);
            std::fs::write(&path, damage).unwrap();

            let refused = HighWater::open(&path, 9, OnTruncation::Refuse);

            assert!(matches!(refused, Err(Error::Malformed { .. })), "{damage}");
            assert!(HighWater::open(&path, 9, OnTruncation::Accept).is_ok(), "{damage}");
        }
    }
}
