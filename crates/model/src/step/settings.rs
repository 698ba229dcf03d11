//! What a control loop is started with: under which epoch, deciding or only looking on, and its bounds.

use crate::wanted::Epoch;

/// Whether the loop decides, or only looks on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Deciding,
    /// The log comes from a backup, and nobody has said yet that it is to be acted on (`decisions.md` §9.9): commands
    /// are refused, nothing becomes due, engines are told nothing, and how instances are counts as unknown.
    Observing,
}

#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The leader's, as the store fenced it.
    pub epoch: Epoch,
    pub mode: Mode,
    /// Entries from one snapshot to the next.
    pub snapshot_every: u64,
    /// Events from which on a batch is appended without waiting for a flush.
    pub batch_events: usize,
    /// Answers that may wait for an append; a command beyond them is refused as [`Refusal::Overloaded`].
    pub waiting_answers: usize,
}

impl Settings {
    pub fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            mode: Mode::Deciding,
            snapshot_every: 10_000,
            batch_events: 4_096,
            waiting_answers: 10_000,
        }
    }
}
