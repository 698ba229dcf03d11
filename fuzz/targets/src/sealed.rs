//! Records and snapshots of the log around any payload, with every length, digest and checksum right: written here once
//! more from what the format says, so that fuzzing gets behind them and a change of the format is noticed.

use ring::digest::{Context, SHA256};
use serde_json::Value;

/// The digest of what stands before the first record.
pub(crate) const BEGINNING: [u8; 32] = [0; 32];

/// The `sequence` that a payload gives itself, or else `otherwise`.
pub(crate) fn sequence_of(payload: &[u8], otherwise: u64) -> u64 {
    let value: Option<Value> = serde_json::from_slice(payload).ok();
    value.and_then(|value| value.get("sequence")?.as_u64()).unwrap_or(otherwise)
}

/// A record, and the digest that the next one names.
pub(crate) fn record(payload: &[u8], sequence: u64, before: &[u8; 32]) -> (Vec<u8>, [u8; 32]) {
    let chain = sha256(&[before, &sequence.to_be_bytes(), payload]);
    let fields = format!("ensemble-log 1 {sequence} {} {} {}", payload.len(), hex(before), hex(&chain));
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(fields.as_bytes());
    checksum.update(payload);
    let mut record = format!("{fields} {:08x}\n", checksum.finalize()).into_bytes();
    record.extend_from_slice(payload);
    (record, chain)
}

/// A snapshot after the record with the digest `chain`.
pub(crate) fn snapshot(payload: &[u8], sequence: u64, chain: &[u8; 32]) -> Vec<u8> {
    let fields = format!("ensemble-snapshot 1 {sequence} {} {}", payload.len(), hex(chain));
    let digest = sha256(&[fields.as_bytes(), payload]);
    let mut snapshot = format!("{fields} {}\n", hex(&digest)).into_bytes();
    snapshot.extend_from_slice(payload);
    snapshot
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
