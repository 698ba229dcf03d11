//! The log as bytes: records, snapshots, and what they say together. A pure format over a dumb store
//! (`decisions.md` §7.7): nothing here reads a file, and nothing that is damaged is guessed at or repaired.

pub mod format;
pub mod recovery;
pub mod snapshot;

/// Why bytes are not the log they should be. Each is named, because each has another remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("this is no log record")]
    NotARecord,
    #[error(
        "the log has format {found}, this program reads format {}: it was written by another version",
        format::MAJOR
    )]
    ForeignVersion { found: u32 },
    #[error("the last record after sequence {after} is cut short")]
    TornTail { after: u64 },
    #[error("the record after sequence {after} is damaged: its checksum does not match")]
    BadChecksum { after: u64 },
    #[error("sequence {found} follows where {expected} should: records are missing or doubled")]
    Gap { expected: u64, found: u64 },
    #[error("record {sequence} does not belong to the one before it: the log was mixed with another")]
    BrokenChain { sequence: u64 },
    #[error("record {sequence} is intact but cannot be understood: {reason}")]
    Undecodable { sequence: u64, reason: String },
    #[error("the snapshot is damaged: {reason}")]
    Snapshot { reason: String },
}
