//! One record per batch: a line that a person can read, then the entry as JSON.
//!
//! ```text
//! ensemble-log 1 <sequence> <length of the payload> <SHA-256 of the record before> <its own> <CRC-32>
//! {"sequence":1,"now":{…},"epoch":1,"events":[…]}
//! ```
//!
//! The chain of digests shows a record that is missing, doubled or from another log; the checksum names plain
//! damage. All of it is compared as text, so no bit of a record can flip unnoticed.

use super::Fault;
use crate::event::Entry;
use ring::digest;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A log of another major version is not read.
pub const MAJOR: u32 = 1;

const MAGIC: &str = "ensemble-log";

/// The digest of a record, which covers all records before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain([u8; 32]);

/// A record whose checksum and digest are right; whether it follows the one before is for the caller to compare.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub entry: Entry,
    /// Of the record before.
    pub before: Chain,
    /// Its own.
    pub chain: Chain,
}

/// Writes `entry` as the record that follows `before`, and says what the next one has to follow.
pub fn encode(entry: &Entry, before: &Chain) -> (Vec<u8>, Chain) {
    let payload = serde_json::to_vec(entry).expect("events have string keys only and no failing serializers");
    let chain = digest_of(entry.sequence, before, &payload);
    let mut record = header(entry.sequence, &payload, before, &chain).into_bytes();
    record.extend_from_slice(&payload);
    (record, chain)
}

/// Reads the record that follows the one with `before` and `sequence`.
///
/// # Errors
/// The [`Fault`] that it has; a record that is merely too short is [`Fault::TornTail`].
pub fn decode(record: &[u8], after: u64, before: &Chain) -> Result<Record, Fault> {
    let record = inspect(record, after)?;
    let found = record.entry.sequence;
    match after.checked_add(1) {
        Some(expected) if expected == found => {}
        Some(_) | None => return Err(Fault::Gap { expected: after.saturating_add(1), found }),
    }
    if record.before != *before {
        return Err(Fault::BrokenChain { sequence: found });
    }
    Ok(record)
}

/// Reads a record by itself; `after` is only what faults say of its place.
///
/// # Errors
/// The [`Fault`] that it has in itself.
pub fn inspect(record: &[u8], after: u64) -> Result<Record, Fault> {
    let Some(end) = record.iter().position(|byte| *byte == b'\n') else {
        let start = format!("{MAGIC} ");
        let shared = record.len().min(start.len());
        let torn = record[..shared] == start.as_bytes()[..shared];
        return Err(if torn { Fault::TornTail { after } } else { Fault::NotARecord });
    };
    let (line, payload) = (&record[..end], &record[end + 1..]);
    let line = std::str::from_utf8(line).map_err(|_| Fault::NotARecord)?;
    let fields: Vec<&str> = line.split(' ').collect();
    let Some((&MAGIC, fields)) = fields.split_first() else { return Err(Fault::NotARecord) };
    let damaged = || Fault::BadChecksum { after };
    let major: u32 = fields.first().and_then(|major| major.parse().ok()).ok_or_else(damaged)?;
    if major != MAJOR {
        return Err(Fault::ForeignVersion { found: major });
    }
    let &[_, sequence, length, before, chain, _] = fields else { return Err(damaged()) };
    let sequence: u64 = sequence.parse().map_err(|_| damaged())?;
    let length: usize = length.parse().map_err(|_| damaged())?;
    if payload.len() < length {
        return Err(Fault::TornTail { after });
    }
    let before = Chain::parse(before).ok_or_else(damaged)?;
    let stated = Chain::parse(chain).ok_or_else(damaged)?;
    // Comparing the line as text also covers how its numbers are written.
    if payload.len() != length || format!("{line}\n") != header(sequence, payload, &before, &stated) {
        return Err(damaged());
    }
    let chain = digest_of(sequence, &before, payload);
    if chain != stated {
        return Err(damaged());
    }
    let undecodable = |reason: String| Fault::Undecodable { sequence, reason };
    let entry: Entry = serde_json::from_slice(payload).map_err(|error| undecodable(error.to_string()))?;
    if entry.sequence != sequence {
        return Err(undecodable(format!("its payload says sequence {}", entry.sequence)));
    }
    Ok(Record { entry, before, chain })
}

fn header(sequence: u64, payload: &[u8], before: &Chain, chain: &Chain) -> String {
    let fields = format!("{MAGIC} {MAJOR} {sequence} {} {before} {chain}", payload.len());
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(fields.as_bytes());
    checksum.update(payload);
    format!("{fields} {:08x}\n", checksum.finalize())
}

fn digest_of(sequence: u64, before: &Chain, payload: &[u8]) -> Chain {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&before.0);
    context.update(&sequence.to_be_bytes());
    context.update(payload);
    Chain::from_digest(&context.finish())
}

impl Chain {
    pub(super) fn from_digest(digest: &digest::Digest) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        Self(bytes)
    }

    /// Reads the 64 hex digits that `Display` writes.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}
