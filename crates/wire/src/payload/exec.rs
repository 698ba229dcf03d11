//! What goes over a connection that ExecInstance has turned into one of its own (`decisions.md` §9.12): frames of one
//! byte that says what it is, four that say how long, big-endian, and so many bytes. Bytes in and out only; who sends
//! what, and when, is the server's and the client's.

use serde::{Deserialize, Serialize};

/// The protocol's name in the header `Upgrade`.
pub const PROTOCOL: &str = "ensemble-exec";

/// Longest payload of a frame; whoever sends a longer one is not understood any more.
pub const PAYLOAD_BYTES_AT_MOST: usize = 64 << 10;

const HEAD_BYTES: usize = 5;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const RESIZE: u8 = 3;
const EXIT: u8 = 4;
const CLOSING: u8 = 5;
const ALIVE: u8 = 6;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// To the command; an empty one is the end of its input.
    Stdin(Vec<u8>),
    /// From the command; on a terminal everything it writes.
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
    /// The client's terminal has this size now.
    Resize {
        rows: u16,
        columns: u16,
    },
    /// The command has ended, and this is the last frame.
    Exit(Exit),
    /// The server ends the command, and this is the last frame.
    Closing(Closing),
    /// Nothing happened; the other side is still there.
    Alive,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Exit {
    /// As a shell tells it: 128 + signal for a command that was killed.
    pub code: u8,
    /// Where there is more to say than a code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Closing {
    pub reason: String,
}

/// Bytes that are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("a frame of {0} bytes is too long")]
    TooLong(usize),
    #[error("there are no frames of kind {0}")]
    Kind(u8),
    #[error("a frame of kind {0} does not hold what such frames hold")]
    Payload(u8),
}

impl Frame {
    /// The bytes of the frame. A payload must not be longer than [`PAYLOAD_BYTES_AT_MOST`].
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Stdin(bytes) => framed(STDIN, bytes),
            Self::Stdout(bytes) => framed(STDOUT, bytes),
            Self::Stderr(bytes) => framed(STDERR, bytes),
            Self::Resize { rows, columns } => {
                framed(RESIZE, &[rows.to_be_bytes(), columns.to_be_bytes()].concat())
            }
            Self::Exit(exit) => framed(EXIT, super::to_text(exit).as_bytes()),
            Self::Closing(closing) => framed(CLOSING, super::to_text(closing).as_bytes()),
            Self::Alive => framed(ALIVE, &[]),
        }
    }

    /// The first frame of `bytes` and how many of them it takes; `None` while it is not whole.
    ///
    /// # Errors
    /// What comes is no frame: there is no way to find the next one.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, Malformed> {
        let [kind, a, b, c, d, rest @ ..] = bytes else { return Ok(None) };
        let (kind, length) = (*kind, u32::from_be_bytes([*a, *b, *c, *d]));
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > PAYLOAD_BYTES_AT_MOST {
            return Err(Malformed::TooLong(length));
        }
        let Some(payload) = rest.get(..length) else { return Ok(None) };
        Ok(Some((parse(kind, payload)?, HEAD_BYTES + length)))
    }
}

fn framed(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let mut frame = Vec::with_capacity(HEAD_BYTES + payload.len());
    frame.push(kind);
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

fn parse(kind: u8, payload: &[u8]) -> Result<Frame, Malformed> {
    let wrong = |_| Malformed::Payload(kind);
    match kind {
        STDIN => Ok(Frame::Stdin(payload.to_vec())),
        STDOUT => Ok(Frame::Stdout(payload.to_vec())),
        STDERR => Ok(Frame::Stderr(payload.to_vec())),
        RESIZE => match payload {
            [a, b, c, d] => Ok(Frame::Resize {
                rows: u16::from_be_bytes([*a, *b]),
                columns: u16::from_be_bytes([*c, *d]),
            }),
            _ => Err(Malformed::Payload(kind)),
        },
        EXIT => serde_json::from_slice(payload).map(Frame::Exit).map_err(wrong),
        CLOSING => serde_json::from_slice(payload).map(Frame::Closing).map_err(wrong),
        ALIVE if payload.is_empty() => Ok(Frame::Alive),
        ALIVE => Err(Malformed::Payload(kind)),
        other => Err(Malformed::Kind(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frames() -> Vec<Frame> {
        vec![
            Frame::Stdin(b"ls\n".to_vec()),
            Frame::Stdin(Vec::new()),
            Frame::Stdout(vec![0, 255]),
            Frame::Stderr(vec![b'x'; PAYLOAD_BYTES_AT_MOST]),
            Frame::Resize { rows: 50, columns: 300 },
            Frame::Exit(Exit { code: 137, cause: Some("killed by signal 9".to_owned()) }),
            Frame::Exit(Exit { code: 0, cause: None }),
            Frame::Closing(Closing { reason: "the server is stopping".to_owned() }),
            Frame::Alive,
        ]
    }

    #[test]
    fn a_frame_reads_back_as_it_was_written_and_not_before_it_is_whole() {
        for frame in frames() {
            let bytes = frame.encode();

            assert_eq!(Frame::decode(&bytes), Ok(Some((frame, bytes.len()))));
            for cut in [0, 1, HEAD_BYTES - 1, bytes.len() - 1] {
                assert_eq!(Frame::decode(&bytes[..cut.min(bytes.len() - 1)]), Ok(None));
            }
        }
    }

    #[test]
    fn what_is_no_frame_is_told() {
        let check = |bytes: &[u8], expected| assert_eq!(Frame::decode(bytes), Err(expected), "{bytes:?}");
        check(&[0, 0, 1, 0, 1], Malformed::TooLong(65_537));
        check(&[9, 0, 0, 0, 0], Malformed::Kind(9));
        check(&[3, 0, 0, 0, 2, 0, 1], Malformed::Payload(3));
        check(&[4, 0, 0, 0, 2, b'{', b'}'], Malformed::Payload(4));
        check(&[6, 0, 0, 0, 1, 0], Malformed::Payload(6));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_take_more_than_there_is(bytes: Vec<u8>) {
            if let Ok(Some((_, taken))) = Frame::decode(&bytes) {
                prop_assert!(taken <= bytes.len());
            }
        }
    }
}
