//! What a run is asked to be. Everything that changes a run is here, so that a failing one can be named in one line.

use crate::faults::Choice;
use crate::trace::Tracing;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// Simulated minutes of a run when nobody says otherwise.
pub const MINUTES: u32 = 60;
pub const EDGE_NODES: usize = 12;
pub const APPLICATIONS: usize = 6;
/// Simulated seconds of calm: the longest pause after a crash, twice, since an image may have to be waited for as long
/// before. Machines look around once in it and never again.
pub const CALM_S: u32 = 150;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub seed: u64,
    /// How long faults and clients go on, in simulated minutes; the calm at the end comes on top.
    pub minutes: u32,
    pub edge_nodes: usize,
    /// At the most, over all accounts.
    pub applications: usize,
    pub faults: Choice,
    /// Simulated seconds after the last fault within which the world has to be as it should be.
    pub calm_s: u32,
    /// Deeds that do not happen: how a failing run is made shorter.
    pub without: Without,
    pub tracing: Tracing,
}

impl Options {
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            minutes: MINUTES,
            edge_nodes: EDGE_NODES,
            applications: APPLICATIONS,
            faults: Choice::Drawn,
            calm_s: CALM_S,
            without: Without::default(),
            tracing: Tracing::Off,
        }
    }

    /// The command that runs exactly this.
    pub fn command(&self) -> String {
        let mut command = format!("ensemble simulate --seed {}", self.seed);
        let mut add = |differs: bool, option: String| {
            if differs {
                command.push(' ');
                command.push_str(&option);
            }
        };
        add(self.minutes != MINUTES, format!("--hours {}", Hours(self.minutes)));
        add(self.edge_nodes != EDGE_NODES, format!("--edge-nodes {}", self.edge_nodes));
        add(self.applications != APPLICATIONS, format!("--applications {}", self.applications));
        add(self.faults != Choice::Drawn, format!("--faults {}", self.faults));
        add(self.calm_s != CALM_S, format!("--calm {}", self.calm_s));
        add(!self.without.0.is_empty(), format!("--without {}", self.without));
        command
    }
}

/// Minutes as hours: `1`, `0.5`, `0.0167`.
struct Hours(u32);

impl fmt::Display for Hours {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Ten-thousandths, rounded up: read back, they give the same minutes.
        let parts = (u64::from(self.0) * 10_000).div_ceil(60);
        let text = format!("{}.{:04}", parts / 10_000, parts % 10_000);
        formatter.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// Numbers of deeds (what a client does at once, what breaks at once, in the order in which they come), as `3,5-9`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Without(pub BTreeSet<u64>);

/// Not numbers and ranges.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is neither a number nor a range like `5-9`")]
pub struct NoRange {
    pub text: String,
}

impl FromStr for Without {
    type Err = NoRange;

    fn from_str(text: &str) -> Result<Self, NoRange> {
        /// No run has so many; a range beyond is a slip.
        const MOST: u64 = 1_000_000;
        let mut all = BTreeSet::new();
        for part in text.split(',').map(str::trim) {
            let fault = || NoRange { text: part.to_owned() };
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (u64, u64) =
                (first.parse().map_err(|_| fault())?, last.parse().map_err(|_| fault())?);
            if last > MOST {
                return Err(fault());
            }
            all.extend(first..=last);
        }
        Ok(Self(all))
    }
}

impl fmt::Display for Without {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for number in &self.0 {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == *number => *last = *number,
                Some(_) | None => ranges.push((*number, *number)),
            }
        }
        let texts = ranges.into_iter().map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        });
        formatter.write_str(&texts.collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deeds_are_left_out_by_number_and_range() {
        let without: Without = "3, 5-7,9".parse().unwrap();

        assert_eq!(without.0, BTreeSet::from([3, 5, 6, 7, 9]));
        assert_eq!(without.to_string(), "3,5-7,9");
        for text in ["", "x", "5-", "1-9999999999"] {
            assert!(text.parse::<Without>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_command_names_only_what_is_unusual() {
        let mut options = Options::new(7);
        assert_eq!(options.command(), "ensemble simulate --seed 7");

        options.minutes = 7;
        options.faults = "power-cut".parse().unwrap();
        options.without = "1-3".parse().unwrap();

        assert_eq!(
            options.command(),
            "ensemble simulate --seed 7 --hours 0.1167 --faults power-cut --without 1-3"
        );
    }
}
