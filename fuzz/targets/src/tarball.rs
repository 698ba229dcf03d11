//! Tar archives under mutation: their headers' checksums are written anew, since fuzzing would find little behind them.
//! Reads no more of an archive than it takes to find the next header.

const BLOCK: usize = 512;
const SIZE: std::ops::Range<usize> = 124..136;
const CHECKSUM: std::ops::Range<usize> = 148..156;

/// Gives every header that can be found its right checksum.
pub(crate) fn mend(archive: &mut [u8]) {
    let mut at = 0;
    while let Some(header) = archive.get_mut(at..).and_then(|rest| rest.get_mut(..BLOCK)) {
        at += BLOCK;
        if header.iter().all(|byte| *byte == 0) {
            continue;
        }
        header[CHECKSUM].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let Some(size) = size(&header[SIZE]) else { return };
        at = at.saturating_add(size.next_multiple_of(BLOCK));
    }
}

/// Octal digits, perhaps with blanks around; nothing for more than an archive under mutation has.
fn size(field: &[u8]) -> Option<usize> {
    let text = str::from_utf8(field).ok()?.trim_matches([' ', '\0']);
    let size = usize::from_str_radix(if text.is_empty() { "0" } else { text }, 8).ok()?;
    (size < 1 << 30).then_some(size)
}
