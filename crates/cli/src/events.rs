//! Reads server-sent events from an open answer. Comments are skipped; a stream that ends is an end, not an error.

use crate::failure::{Exit, Failure};
use ensemble_wire::payload::event::PROGRESS;
use reqwest::Response;
use serde_json::{Value, json};

/// No event of ours is longer; a longer one ends the reading.
const EVENT_BYTES_AT_MOST: usize = 4 << 20;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    /// `operation`, `instance`, `application`, `resync`, `line`, …
    pub(crate) kind: String,
    /// Sequence in the log; only on the last event of one log entry.
    pub(crate) id: Option<String>,
    pub(crate) data: Value,
    /// It is in no log, and no entry of it is begun by this.
    pub(crate) is_progress: bool,
}

impl Event {
    /// As one document, for programs.
    pub(crate) fn to_json(&self) -> Value {
        json!({"event": self.kind, "id": self.id, "data": self.data})
    }
}

pub(crate) struct Events {
    response: Response,
    buffer: Vec<u8>,
}

impl Events {
    pub(crate) fn new(response: Response) -> Self {
        Self { response, buffer: Vec::new() }
    }

    /// The next event, or nothing once the server closed the stream.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, Failure> {
        loop {
            while let Some(end) = end_of_block(&self.buffer) {
                let block: Vec<u8> = self.buffer.drain(..end).collect();
                if let Some(event) = parse(&String::from_utf8_lossy(&block)) {
                    return Ok(Some(event));
                }
            }
            if self.buffer.len() > EVENT_BYTES_AT_MOST {
                return Err(Failure::new(Exit::Failed, "the server sent an event of more than 4 MiB"));
            }
            match self.response.chunk().await {
                Ok(Some(bytes)) => self.buffer.extend_from_slice(&bytes),
                Ok(None) => return Ok(None),
                Err(error) => {
                    let mut failure = Failure::from_error("the stream broke off", &error);
                    failure.exit = Exit::Unreachable;
                    return Err(failure);
                }
            }
        }
    }
}

/// Where the first block ends, behind its empty line.
fn end_of_block(buffer: &[u8]) -> Option<usize> {
    buffer.windows(2).position(|pair| pair == b"\n\n").map(|at| at + 2)
}

fn parse(block: &str) -> Option<Event> {
    let mut event = Event { kind: "message".into(), id: None, data: Value::Null, is_progress: false };
    let mut data = Vec::new();
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => event.kind = value.to_owned(),
            "id" => event.id = Some(value.to_owned()),
            "data" => data.push(value),
            // A comment.
            "" => event.is_progress |= value == PROGRESS,
            _ => {}
        }
    }
    if data.is_empty() {
        return None;
    }
    let text = data.join("\n");
    event.data = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Some(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_a_kind_an_id_and_json() {
        let event = parse("event: instance\nid: 7\ndata: {\"A\":\ndata: 1}\n\n").unwrap();

        let (kind, id, data) = ("instance".into(), Some("7".into()), json!({"A": 1}));
        assert_eq!(event, Event { kind, id, data, is_progress: false });
    }

    #[test]
    fn comments_are_no_events_and_one_marks_progress() {
        assert_eq!(parse(": keep-alive\n\n"), None);
        assert!(parse(": progress\nevent: instance\ndata: {}\n\n").unwrap().is_progress);
    }

    #[test]
    fn a_block_ends_at_an_empty_line() {
        assert_eq!(end_of_block(b"data: 1\n"), None);
        assert_eq!(end_of_block(b"data: 1\n\nrest"), Some(9));
    }
}
