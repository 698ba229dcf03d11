//! A snapshot: the state after one record, and that record's place in the chain, so that the log before it can be
//! cut. Made from a shared state, so it can be encoded away from the control loop.

use super::Fault;
use super::format::{Chain, MAJOR};
use crate::state::State;
use crate::state::image::Image;
use ring::digest;
use std::sync::Arc;

const MAGIC: &str = "ensemble-snapshot";

/// The state as of `sequence`, and the chain that the next record has to follow.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub state: Arc<State>,
    pub chain: Chain,
}

impl Snapshot {
    /// Of the last record in it.
    pub fn sequence(&self) -> u64 {
        self.state.sequence()
    }

    /// A line with format, sequence, length, chain and SHA-256 of line and payload, then the state as JSON.
    pub fn encode(&self) -> Vec<u8> {
        let image = Image::of(&self.state);
        let payload = serde_json::to_vec(&image).expect("the image is lists of types with string keys");
        let mut bytes = header(self.sequence(), &self.chain, &payload).into_bytes();
        bytes.extend_from_slice(&payload);
        bytes
    }

    /// # Errors
    /// [`Fault::ForeignVersion`] for one of another major version, else [`Fault::Snapshot`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        let fault = |reason: &str| Fault::Snapshot { reason: reason.to_owned() };
        let end = bytes.iter().position(|byte| *byte == b'\n').ok_or_else(|| fault("it is cut short"))?;
        let (line, payload) = (&bytes[..end], &bytes[end + 1..]);
        let line = std::str::from_utf8(line).map_err(|_| fault("its first line is no text"))?;
        let fields: Vec<&str> = line.split(' ').collect();
        let Some((&MAGIC, fields)) = fields.split_first() else { return Err(fault("it is no snapshot")) };
        let major: u32 =
            fields.first().and_then(|major| major.parse().ok()).ok_or_else(|| fault("it names no format"))?;
        if major != MAJOR {
            return Err(Fault::ForeignVersion { found: major });
        }
        let &[_, sequence, length, chain, _] = fields else { return Err(fault("its first line is damaged")) };
        let sequence: u64 = sequence.parse().map_err(|_| fault("its sequence is damaged"))?;
        let chain = Chain::parse(chain).ok_or_else(|| fault("its chain is damaged"))?;
        if length.parse().is_ok_and(|length: usize| payload.len() < length) {
            return Err(fault("it is cut short"));
        }
        if format!("{line}\n") != header(sequence, &chain, payload) {
            return Err(fault("its digest does not match"));
        }
        let image: Image = serde_json::from_slice(payload).map_err(|error| fault(&error.to_string()))?;
        let state = image.into_state();
        if state.sequence() != sequence {
            return Err(fault("its payload has another sequence"));
        }
        Ok(Self { state: Arc::new(state), chain })
    }
}

fn header(sequence: u64, chain: &Chain, payload: &[u8]) -> String {
    let fields = format!("{MAGIC} {MAJOR} {sequence} {} {chain}", payload.len());
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(fields.as_bytes());
    context.update(payload);
    format!("{fields} {}\n", Chain::from_digest(&context.finish()))
}
