//! Reads what containers wrote: the two files in CRI format that `shim::output` writes, from the end, as many lines as
//! asked for. Bounded in lines and bytes; never fails on a line that is not one.

use crate::{LogLine, LogStream};
use ensemble_model::time::WallTime;
use ensemble_supervision::directory::Directory;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// However much is asked for.
const LINES_AT_MOST: usize = 10_000;

/// Read from the end of both files together, at the most.
const BYTES_AT_MOST: u64 = 16 << 20;

/// A line put together from pieces is cut here.
const JOINED_BYTES_AT_MOST: usize = 256 * 1024;

/// The last `tail` lines written at or after `since`, oldest first.
///
/// # Errors
/// A file is there and cannot be read. Files that are not there hold no lines.
pub(crate) fn read(directory: &Directory, since: Option<WallTime>, tail: usize) -> io::Result<Vec<LogLine>> {
    let tail = tail.min(LINES_AT_MOST);
    let newer = read_end(&directory.log(), BYTES_AT_MOST)?;
    // A rename in between shows the same file under both names at worst; lines twice are better than lines lost,
    // and are told apart by being equal as a whole.
    let older = read_end(&directory.older_log(), BYTES_AT_MOST.saturating_sub(newer.len() as u64))?;
    let mut lines = Lines { since, tail, kept: VecDeque::new(), open: [None, None] };
    if older != newer {
        lines.take(&older);
    }
    lines.take(&newer);
    Ok(lines.finish())
}

fn read_end(path: &Path, at_most: u64) -> io::Result<Vec<u8>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let size = file.metadata()?.len();
    let skipped = size.saturating_sub(at_most);
    file.seek(SeekFrom::Start(skipped))?;
    let mut bytes = Vec::new();
    file.take(at_most).read_to_end(&mut bytes)?;
    if skipped > 0 {
        // The first line is half a one.
        let first_end = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| end + 1);
        bytes.drain(..first_end);
    }
    Ok(bytes)
}

struct Lines {
    since: Option<WallTime>,
    tail: usize,
    kept: VecDeque<LogLine>,
    /// A line of each stream whose end has not come yet.
    open: [Option<LogLine>; 2],
}

impl Lines {
    fn take(&mut self, bytes: &[u8]) {
        // What follows the last line end is still being written.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        for line in bytes[..whole].split(|byte| *byte == b'\n') {
            if let Some((line, is_end)) = parse(line) {
                self.add(line, is_end);
            }
        }
    }

    fn add(&mut self, piece: LogLine, is_end: bool) {
        let slot = &mut self.open[piece.stream as usize];
        let line = match slot.take() {
            None => piece,
            Some(mut line) => {
                let room = JOINED_BYTES_AT_MOST.saturating_sub(line.text.len());
                line.text.extend(piece.text.chars().take(room));
                line
            }
        };
        if is_end {
            self.keep(line);
        } else {
            *slot = Some(line);
        }
    }

    fn keep(&mut self, line: LogLine) {
        let at = line.at.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_millisecond);
        if self.since.is_some_and(|since| at.is_ok_and(|at| at < since.0)) {
            return;
        }
        self.kept.push_back(line);
        if self.kept.len() > self.tail {
            self.kept.pop_front();
        }
    }

    fn finish(mut self) -> Vec<LogLine> {
        for line in std::mem::take(&mut self.open).into_iter().flatten() {
            self.keep(line);
        }
        self.kept.into()
    }
}

/// One line of the file, and whether it is the end of a line of the program.
fn parse(line: &[u8]) -> Option<(LogLine, bool)> {
    let mut parts = line.splitn(4, |byte| *byte == b' ');
    let at = std::str::from_utf8(parts.next()?).ok()?.to_owned();
    let stream = match parts.next()? {
        b"stdout" => LogStream::Stdout,
        b"stderr" => LogStream::Stderr,
        _ => return None,
    };
    let is_end = match parts.next()? {
        b"F" => true,
        b"P" => false,
        _ => return None,
    };
    let text = String::from_utf8_lossy(parts.next()?).into_owned();
    Some((LogLine { at, stream, text }, is_end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(older: &str, newer: &str) -> (tempfile::TempDir, Directory) {
        let temporary = tempfile::tempdir().unwrap();
        let directory = Directory::new(temporary.path());
        std::fs::write(directory.older_log(), older).unwrap();
        std::fs::write(directory.log(), newer).unwrap();
        (temporary, directory)
    }

    fn texts(directory: &Directory, since: Option<i64>, tail: usize) -> Vec<String> {
        let lines = read(directory, since.map(WallTime), tail).unwrap();
        lines.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn the_last_lines_come_from_both_halves_oldest_first() {
        let (_temporary, directory) = directory(
            "1970-01-01T00:00:01.000000000Z stdout F one\n1970-01-01T00:00:02.000000000Z stderr F two\n",
            "1970-01-01T00:00:03.000000000Z stdout F three four\n1970-01-01T00:00:04.000000000Z stdout F \n",
        );

        assert_eq!(texts(&directory, None, 100), ["one", "two", "three four", ""]);
        assert_eq!(texts(&directory, None, 2), ["three four", ""]);
        assert_eq!(texts(&directory, None, 0), [""; 0]);
        assert_eq!(texts(&directory, Some(2_000), 100), ["two", "three four", ""]);
        assert_eq!(texts(&directory, Some(2_001), 100), ["three four", ""]);
    }

    #[test]
    fn pieces_of_one_stream_become_one_line() {
        let (_temporary, directory) = directory(
            "1970-01-01T00:00:01.000000000Z stdout P one \n1970-01-01T00:00:02.000000000Z stderr F between\n",
            "1970-01-01T00:00:03.000000000Z stdout F two\n1970-01-01T00:00:04.000000000Z stdout P open",
        );

        assert_eq!(texts(&directory, None, 100), ["between", "one two"]);
    }

    #[test]
    fn what_is_no_line_is_passed_over() {
        let (_temporary, directory) =
            directory("", "nonsense\n\n1970 stdin F x\n1970 stdout X x\nx stdout F good\n");

        assert_eq!(texts(&directory, None, 100), ["good"]);
        let nowhere = Directory::new("/nonexistent");
        assert_eq!(read(&nowhere, None, 10).unwrap(), []);
    }
}
