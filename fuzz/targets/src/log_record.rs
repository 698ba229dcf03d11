//! One record of the log: it is read as it was written, and as nothing at all once a byte of it is another.

use crate::sealed;
use ensemble_model::log::Fault;
use ensemble_model::log::format::{Chain, decode, encode, inspect};

/// A record as it is, and the payload of one whose checksums are right.
pub fn check(input: &[u8]) {
    round(input);

    let (record, _) = sealed::record(input, sealed::sequence_of(input, 1), &sealed::BEGINNING);
    let understood = round(&record);
    let is_sound = matches!(inspect(&record, 0), Ok(_) | Err(Fault::Undecodable { .. }));
    assert!(is_sound, "what was written right is called damaged: {:?}", inspect(&record, 0));
    assert_eq!(understood, inspect(&record, 0).is_ok());
    let place = input.iter().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    damaged(&record, place);
}

/// Whether it is a record; then it is the same once more.
fn round(bytes: &[u8]) -> bool {
    let Ok(record) = inspect(bytes, 0) else { return false };
    let after = record.entry.sequence.wrapping_sub(1);
    let (written, chain) = encode(&record.entry, &record.before);
    let again = inspect(&written, after).expect("what we write we read");
    assert_eq!(again.entry, record.entry, "read differently");
    assert_eq!((again.before, again.chain), (record.before, chain));
    if record.entry.sequence > 0 {
        let follows = decode(&written, after, &record.before);
        assert_eq!(follows.as_ref(), Ok(&again), "it follows the one that it names");
        let gap = decode(&written, after.wrapping_sub(1), &record.before);
        assert!(matches!(gap, Err(Fault::Gap { .. })), "a record is missing before it, and nobody noticed");
    }
    let other = decode(&written, after, &chain);
    assert!(other.is_err() || record.before != Chain::default() && chain == record.before);
    true
}

/// Cut, flipped or continued, at a place that the input says.
fn damaged(record: &[u8], place: usize) {
    let at = place % record.len();
    assert!(inspect(&record[..at], 0).is_err(), "cut at {at}");
    let mut flipped = record.to_vec();
    flipped[at] ^= 1 << (place % 8);
    assert!(
        !matches!(inspect(&flipped, 0), Ok(_) | Err(Fault::Undecodable { .. })),
        "a bit flipped in byte {at}, and nobody noticed"
    );
    let mut longer = record.to_vec();
    longer.push(b' ');
    let longer = inspect(&longer, 0);
    assert!(!matches!(longer, Ok(_) | Err(Fault::Undecodable { .. })), "more came, and nobody noticed");
}
