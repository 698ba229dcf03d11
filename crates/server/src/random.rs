//! The one place where randomness comes from: the operating system. What decides takes it as an argument.

use ring::rand::{SecureRandom, SystemRandom};
use std::sync::atomic::{AtomicU64, Ordering};

/// `count` characters drawn evenly from `alphabet` (at most 256 characters, ASCII).
pub(crate) fn text(alphabet: &[u8], count: usize) -> String {
    // Bytes at or above the largest multiple of the alphabet's length would make its first letters likelier.
    let fair = 256 - 256 % alphabet.len();
    let mut text = String::with_capacity(count);
    while text.len() < count {
        for byte in bytes::<64>() {
            let drawn = usize::from(byte);
            if drawn < fair && text.len() < count {
                text.push(char::from(alphabet[drawn % alphabet.len()]));
            }
        }
    }
    text
}

/// A seed for what decides, or for what is drawn in an emulator that was given none.
pub(crate) fn seed() -> u64 {
    u64::from_le_bytes(bytes())
}

/// Where the seeds of decisions come from.
pub(crate) enum Seeds {
    Random,
    /// The same ones in the same order for the same number: for a server that keeps nothing, since what they are made of,
    /// such as ids, may never come again in one log.
    From(AtomicU64),
}

impl Seeds {
    pub(crate) fn next(&self) -> u64 {
        match self {
            Self::Random => seed(),
            Self::From(next) => next.fetch_add(1, Ordering::Relaxed),
        }
    }
}

fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("the kernel's random source answers once it is seeded");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_the_length_and_the_letters_asked_for() {
        let drawn = text(b"abc", 1_000);

        assert_eq!(drawn.len(), 1_000);
        for letter in ['a', 'b', 'c'] {
            let times = drawn.chars().filter(|found| *found == letter).count();
            assert!((200..500).contains(&times), "{letter} came {times} times");
        }
    }
}
