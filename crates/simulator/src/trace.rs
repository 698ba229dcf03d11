//! What happened, line by line: for people to read, and for comparing two runs. Lines that nobody wants are not made.

use crate::agenda::Moment;
use std::fmt;

/// Lines kept for the story of a failure.
const LAST_LINES: usize = 200;

/// What is done with lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tracing {
    #[default]
    Off,
    /// The last lines are kept.
    Last,
    /// All lines are kept.
    All,
}

#[derive(Debug, Default)]
pub(crate) struct Trace {
    tracing: Tracing,
    lines: Vec<String>,
}

impl Trace {
    pub(crate) fn new(tracing: Tracing) -> Self {
        Self { tracing, lines: Vec::new() }
    }

    pub(crate) fn say(&mut self, now: Moment, line: impl FnOnce() -> String) {
        match self.tracing {
            Tracing::Off => return,
            Tracing::All => {}
            Tracing::Last => {
                if self.lines.len() >= 2 * LAST_LINES {
                    self.lines.drain(..LAST_LINES);
                }
            }
        }
        self.lines.push(format!("{} {}", Shown(now), line()));
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines
    }
}

/// A moment as people read it: `2d 03:04:05.678`.
pub(crate) struct Shown(pub(crate) Moment);

impl fmt::Display for Shown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.0;
        let (days, hours, minutes) = (ms / 86_400_000, ms / 3_600_000 % 24, ms / 60_000 % 60);
        let (seconds, ms) = (ms / 1_000 % 60, ms % 1_000);
        write!(formatter, "{days}d {hours:02}:{minutes:02}:{seconds:02}.{ms:03}")
    }
}
