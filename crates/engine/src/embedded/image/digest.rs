//! SHA-256 digests: their written form, and a reader that computes one while it passes bytes on.
//! Only `sha256` is known; another algorithm is refused by whoever parses.

use std::io::{self, Read};

use ensemble_model::id::Digest;
use ring::digest::{Context, SHA256};

const PREFIX: &str = "sha256:";

/// Takes `sha256:` and 64 lower-case hex digits, and nothing else.
pub(super) fn parse(text: &str) -> Option<Digest> {
    let hex = text.strip_prefix(PREFIX)?;
    let plain = hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    plain.then(|| Digest::new(text))
}

/// The hex digits of a digest, safe as a file name once [`parse`] has seen the digest.
pub(super) fn hex(digest: &Digest) -> &str {
    digest.as_str().strip_prefix(PREFIX).unwrap_or_default()
}

pub(super) fn of(bytes: &[u8]) -> Digest {
    let mut context = Context::new(&SHA256);
    context.update(bytes);
    finish(context)
}

pub(super) fn finish(context: Context) -> Digest {
    let mut text = String::from(PREFIX);
    for byte in context.finish().as_ref() {
        text.push(char::from_digit(u32::from(byte >> 4), 16).expect("four bits are a hex digit"));
        text.push(char::from_digit(u32::from(byte & 15), 16).expect("four bits are a hex digit"));
    }
    Digest::new(text)
}

/// Counts and hashes what is read through it.
pub(super) struct Hashing<R> {
    inner: R,
    context: Context,
    bytes: u64,
}

impl<R: Read> Hashing<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, context: Context::new(&SHA256), bytes: 0 }
    }

    /// Reads what is left, and says what all of it was.
    pub(super) fn finish(mut self) -> io::Result<(Digest, u64)> {
        io::copy(&mut self, &mut io::sink())?;
        Ok((finish(self.context), self.bytes))
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.context.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lower_case_sha256_is_a_digest() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

        assert_eq!(parse(empty), Some(of(b"")));
        for wrong in [
            "",
            "sha256:",
            "sha256:../../../../etc/passwd",
            &empty.to_uppercase(),
            &empty.replace("sha256", "sha512"),
            &empty[..70],
            &format!("{empty}0"),
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_hashing_reader_counts_what_nobody_read() {
        let mut reader = Hashing::new(&b"hello world"[..]);
        reader.read_exact(&mut [0; 5]).unwrap();

        assert_eq!(reader.finish().unwrap(), (of(b"hello world"), 11));
    }
}
