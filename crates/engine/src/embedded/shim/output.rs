//! The container's log: lines in CRI format, in two files of half the bound each, never blocking the container.
//! `2026-11-24T18:47:30.123456789Z stdout F text`; `P` marks a piece of a longer line. What is over the rate, or
//! does not fit the disk, is dropped and counted. Reading is `logs`; the formats of both must agree.

use super::order::LogBounds;
use crate::embedded::kernel::clocks;
use ensemble_supervision::directory::Directory;
use ensemble_supervision::kernel::Clocks;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

/// Longer lines are cut into pieces of this size.
pub const LINE_BYTES_AT_MOST: usize = 16 * 1024;

/// How many seconds' worth of bytes may come at once.
const BURST_SECONDS: u64 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// Writes both streams of one container.
pub struct LogWriter {
    path: PathBuf,
    older: PathBuf,
    file: Option<File>,
    size: u64,
    bounds: LogBounds,
    allowance: Allowance,
    dropped: u64,
    partial: [Vec<u8>; 2],
}

/// A token bucket over bytes.
struct Allowance {
    bytes: u64,
    filled_at_ms: u64,
    per_second: u64,
}

impl Allowance {
    fn new(per_second: u64, now_ms: u64) -> Self {
        Self { bytes: per_second.saturating_mul(BURST_SECONDS), filled_at_ms: now_ms, per_second }
    }

    /// Takes `bytes`, or nothing.
    fn take(&mut self, bytes: u64, now_ms: u64) -> bool {
        let earned = self.per_second.saturating_mul(now_ms.saturating_sub(self.filled_at_ms)) / 1_000;
        if earned > 0 {
            self.bytes = self.bytes.saturating_add(earned).min(self.per_second.saturating_mul(BURST_SECONDS));
            self.filled_at_ms = now_ms;
        }
        let enough = self.bytes >= bytes;
        if enough {
            self.bytes -= bytes;
        }
        enough
    }
}

impl LogWriter {
    /// Goes on with the files that are there. One that cannot be opened now is tried again with every line.
    pub fn open(directory: &Directory, bounds: LogBounds) -> Self {
        let allowance = Allowance::new(bounds.bytes_per_second, clocks().boot_ms);
        let mut writer = Self {
            path: directory.log(),
            older: directory.older_log(),
            file: None,
            size: 0,
            bounds,
            allowance,
            dropped: 0,
            partial: [Vec::new(), Vec::new()],
        };
        writer.reopen();
        writer
    }

    /// Takes what the container wrote to `stream`.
    pub fn take(&mut self, stream: Stream, mut bytes: &[u8]) {
        let now = clocks();
        while !bytes.is_empty() {
            let partial = &mut self.partial[stream as usize];
            let room = LINE_BYTES_AT_MOST - partial.len();
            let end = bytes.iter().take(room).position(|byte| *byte == b'\n');
            let (piece, rest, tag) = match end {
                Some(end) => (&bytes[..end], &bytes[end + 1..], Some('F')),
                None if bytes.len() >= room => (&bytes[..room], &bytes[room..], Some('P')),
                None => (bytes, &bytes[bytes.len()..], None),
            };
            partial.extend_from_slice(piece);
            if let Some(tag) = tag {
                self.finish(stream, tag, now);
            }
            bytes = rest;
        }
    }

    /// Writes what stands without a line end, and how much was dropped at last.
    pub fn close(&mut self) {
        let now = clocks();
        for stream in [Stream::Stdout, Stream::Stderr] {
            if !self.partial[stream as usize].is_empty() {
                self.finish(stream, 'F', now);
            }
        }
        self.tell_dropped(now);
    }

    fn finish(&mut self, stream: Stream, tag: char, now: Clocks) {
        let text = std::mem::take(&mut self.partial[stream as usize]);
        if self.allowance.take(text.len() as u64, now.boot_ms) {
            self.tell_dropped(now);
            if self.write_line(stream, tag, &text, now).is_err() {
                self.dropped = self.dropped.saturating_add(text.len() as u64);
            }
        } else {
            self.dropped = self.dropped.saturating_add(text.len() as u64);
        }
        // Kept for the next line, unless a long one made it large: most containers say little.
        if text.capacity() <= 1024 {
            self.partial[stream as usize] = text;
            self.partial[stream as usize].clear();
        }
    }

    fn tell_dropped(&mut self, now: Clocks) {
        if self.dropped > 0 {
            let text = format!("[{} bytes dropped]", self.dropped);
            if self.write_line(Stream::Stderr, 'F', text.as_bytes(), now).is_ok() {
                self.dropped = 0;
            }
        }
    }

    fn write_line(&mut self, stream: Stream, tag: char, text: &[u8], now: Clocks) -> io::Result<()> {
        if self.size >= self.bounds.bytes / 2 {
            // Never copy and truncate: a reader would lose lines (runtime.md §9).
            self.file = None;
            std::fs::rename(&self.path, &self.older)?;
        }
        if self.file.is_none() {
            self.reopen();
        }
        let file = self.file.as_mut().ok_or_else(|| io::Error::other("the log cannot be opened"))?;
        let line = format_line(now, stream, tag, text);
        match file.write_all(&line) {
            Ok(()) => {
                self.size += line.len() as u64;
                Ok(())
            }
            Err(error) => {
                // A piece of a line may be there now: end it, so that the next one starts clean.
                let _ = file.write_all(b"\n");
                Err(error)
            }
        }
    }

    fn reopen(&mut self) {
        self.file = OpenOptions::new().create(true).append(true).open(&self.path).ok();
        let metadata = self.file.as_ref().and_then(|file| file.metadata().ok());
        self.size = metadata.map_or(0, |metadata| metadata.len());
    }
}

fn format_line(now: Clocks, stream: Stream, tag: char, text: &[u8]) -> Vec<u8> {
    let at = jiff::Timestamp::from_millisecond(now.wall.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let mut line = format!("{at:.9} {} {tag} ", stream.as_str()).into_bytes();
    line.extend_from_slice(text);
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use ensemble_model::time::WallTime;

    fn writer(bounds: LogBounds) -> (tempfile::TempDir, Directory, LogWriter) {
        let temporary = tempfile::tempdir().unwrap();
        let directory = Directory::new(temporary.path());
        let writer = LogWriter::open(&directory, bounds);
        (temporary, directory, writer)
    }

    /// The lines without their times.
    fn lines(path: PathBuf) -> Vec<String> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
    }

    #[test]
    fn a_line_is_written_as_cri_wants_it() {
        let now = Clocks { wall: WallTime(1_795_546_050_123), boot_ms: 0 };

        let line = format_line(now, Stream::Stdout, 'F', b"text");

        assert_eq!(line, b"2026-11-24T18:47:30.123000000Z stdout F text\n");
    }

    #[test]
    fn streams_are_kept_apart_and_unfinished_lines_come_at_the_end() {
        let (_temporary, directory, mut writer) = writer(LogBounds::default());

        writer.take(Stream::Stdout, b"one\ntw");
        writer.take(Stream::Stderr, b"err\n");
        writer.take(Stream::Stdout, b"o\n\nlast");
        writer.close();

        assert_eq!(
            lines(directory.log()),
            ["stdout F one", "stderr F err", "stdout F two", "stdout F ", "stdout F last"]
        );
    }

    #[test]
    fn a_long_line_is_cut_into_marked_pieces() {
        let (_temporary, directory, mut writer) = writer(LogBounds::default());
        let long = vec![b'x'; LINE_BYTES_AT_MOST * 2 + 5];

        for chunk in long.chunks(1_000) {
            writer.take(Stream::Stdout, chunk);
        }
        writer.take(Stream::Stdout, b"\n");

        let lines = lines(directory.log());
        let shape: Vec<_> = lines.iter().map(|line| (&line[..8], line.len() - 9)).collect();
        let whole = LINE_BYTES_AT_MOST;
        assert_eq!(shape, [("stdout P", whole), ("stdout P", whole), ("stdout F", 5)]);
    }

    #[test]
    fn both_files_together_stay_within_the_bound() {
        let bounds = LogBounds { bytes: 4_000, bytes_per_second: 1 << 30 };
        let (_temporary, directory, mut writer) = writer(bounds);

        for number in 0..1_000 {
            writer.take(Stream::Stdout, format!("line {number}\n").as_bytes());
        }

        let size = |path: PathBuf| std::fs::metadata(path).unwrap().len();
        let (newer, older) = (size(directory.log()), size(directory.older_log()));
        assert!(newer + older <= 4_000 + 200, "{newer} + {older}");
        assert_eq!(lines(directory.log()).last().unwrap(), "stdout F line 999");
        let first: u32 = lines(directory.older_log())[0].rsplit(' ').next().unwrap().parse().unwrap();
        let count = lines(directory.log()).len() + lines(directory.older_log()).len();
        assert_eq!(first as usize + count, 1_000, "no line is lost between the halves");
    }

    #[test]
    fn what_is_over_the_rate_is_dropped_and_counted() {
        let bounds = LogBounds { bytes: 1 << 20, bytes_per_second: 10 };
        let (_temporary, directory, mut writer) = writer(bounds);

        for _ in 0..10 {
            writer.take(Stream::Stdout, b"0123456789\n");
        }
        writer.close();

        let lines = lines(directory.log());
        assert_eq!(lines.iter().filter(|line| line.ends_with("0123456789")).count(), 4);
        assert_eq!(lines.last().unwrap(), "stderr F [60 bytes dropped]");
    }

    #[test]
    fn the_allowance_fills_with_time_up_to_its_burst() {
        let mut allowance = Allowance::new(100, 0);
        assert!(allowance.take(400, 0));
        assert!(!allowance.take(1, 0));
        assert!(allowance.take(50, 500));
        assert!(!allowance.take(401, 1_000_000));
        assert!(allowance.take(400, 1_000_000));
    }
}
