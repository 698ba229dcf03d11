//! How the inside of a JSON parameter is told: its members by path, with type, default, example and meaning. Tells
//! only; `selector` and `template` read, and their tests hold both together.

use super::Presence;

/// A member of the value of a JSON parameter.
#[derive(Clone, Copy, Debug)]
pub struct JsonField {
    /// From the value itself: `[].count`, `workload[].podSpec.containers[].name`.
    pub path: &'static str,
    /// For people: `text`, `1 to 1,000`, `TCP, UDP`.
    pub kind: &'static str,
    pub presence: Presence,
    /// What its absence means; empty = nothing.
    pub default: &'static str,
    /// JSON.
    pub example: &'static str,
    pub description: &'static str,
}

impl JsonField {
    pub const fn of(
        path: &'static str,
        kind: &'static str,
        example: &'static str,
        description: &'static str,
    ) -> Self {
        Self { path, kind, presence: Presence::Optional, default: "", example, description }
    }

    pub const fn required(mut self) -> Self {
        self.presence = Presence::Required;
        self
    }

    pub const fn or(mut self, default: &'static str) -> Self {
        self.default = default;
        self
    }
}
