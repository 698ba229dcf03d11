//! An answer as JSON: compact, members in the order they were given.

use serde_json::Value;

pub(super) fn render(answer: &Value) -> Vec<u8> {
    answer.to_string().into_bytes()
}
