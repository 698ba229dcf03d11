//! Faults that a simulated engine is asked for when it starts: `cn-shanghai-cmcc:pull=0.2`. What they mean for one
//! instance is drawn from a seed, so the same requests in the same order meet the same faults.
//! Values only: when something happens is `life`'s, who hears of it `site`'s.

use super::life::{Doom, Fate};
use ensemble_model::id::EdgeNodeId;
use std::collections::HashMap;
use std::str::FromStr;

/// Longest duration of a fault: a week.
const LONGEST_MS: i64 = 7 * 24 * 60 * 60 * 1_000;

/// One fault: which edge nodes, what of their instances, how likely or how long.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// `None` stands for all of them, and yields to one that is named.
    pub node: Option<EdgeNodeId>,
    pub kind: FaultKind,
    pub measure: Measure,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The image cannot be pulled, or takes so long.
    Pull,
    /// The program cannot be started, or takes so long.
    Start,
    /// It runs and never becomes ready, or takes so long.
    Ready,
    /// It exits with 1: as soon as it would be ready, or after so long.
    Crash,
    /// The edge node is cut off: for good, or for so long.
    Unreachable,
}

/// How much of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// From 0 to 1.
    Chance(f64),
    Milliseconds(i64),
}

/// Why a text is no fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    #[error("`{text}` is not NODE:KIND=HOW-MUCH, such as `cn-shanghai-cmcc:pull=0.2` or `*:ready=5s`")]
    Form { text: String },
    #[error("`{kind}` is no kind of fault; pull, start, ready, crash and unreachable are")]
    Kind { kind: String },
    #[error(
        "`{measure}` is neither a probability from 0 to 1 nor a duration from 1ms to 168h, such as `0.2` or `5s`"
    )]
    Measure { measure: String },
}

impl FaultKind {
    const ALL: [(&'static str, Self); 5] = [
        ("pull", Self::Pull),
        ("start", Self::Start),
        ("ready", Self::Ready),
        ("crash", Self::Crash),
        ("unreachable", Self::Unreachable),
    ];

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("", |(word, _)| word)
    }
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let form = || FaultError::Form { text: text.to_owned() };
        let (node, rest) = text.split_once(':').ok_or_else(form)?;
        let (kind, measure) = rest.split_once('=').ok_or_else(form)?;
        if node.is_empty() {
            return Err(form());
        }
        let found = FaultKind::ALL.iter().find(|(word, _)| *word == kind);
        let (_, kind) = *found.ok_or_else(|| FaultError::Kind { kind: kind.to_owned() })?;
        let measure =
            read_measure(measure).ok_or_else(|| FaultError::Measure { measure: measure.to_owned() })?;
        Ok(Self { node: (node != "*").then(|| EdgeNodeId::new(node)), kind, measure })
    }
}

fn read_measure(text: &str) -> Option<Measure> {
    // The longest unit first: `ms` ends as `s` does.
    for (unit, unit_ms) in [("ms", 1.0), ("s", 1_000.0), ("m", 60_000.0), ("h", 3_600_000.0)] {
        if let Some(count) = text.strip_suffix(unit) {
            let count: f64 = count.parse().ok()?;
            let milliseconds = (count * unit_ms).round();
            let fits = (1.0..=LONGEST_MS as f64).contains(&milliseconds);
            return fits.then_some(Measure::Milliseconds(milliseconds as i64));
        }
    }
    let chance: f64 = text.parse().ok()?;
    (0.0..=1.0).contains(&chance).then_some(Measure::Chance(chance))
}

/// Deals out fates, one instance after the other.
#[derive(Debug)]
pub struct Fates {
    faults: Vec<Fault>,
    seed: u64,
    /// From starting to ready where no fault says otherwise.
    ready_after_ms: i64,
    /// How many instances each edge node has had.
    dealt: HashMap<EdgeNodeId, u64>,
}

/// What the faults say of one kind on one edge node.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Asked {
    chance: Option<f64>,
    milliseconds: Option<i64>,
}

impl Fates {
    pub fn new(faults: Vec<Fault>, seed: u64, ready_after_ms: i64) -> Self {
        Self { faults, seed, ready_after_ms, dealt: HashMap::new() }
    }

    /// Nothing goes wrong.
    pub fn fair(ready_after_ms: i64) -> Self {
        Self::new(Vec::new(), 0, ready_after_ms)
    }

    /// What the next instance on `node` is in for.
    pub(super) fn deal(&mut self, node: &EdgeNodeId) -> Fate {
        let mut fate = Fate { start_ms: self.ready_after_ms, ..Fate::default() };
        if self.faults.is_empty() {
            return fate;
        }
        let dealt = self.dealt.entry(node.clone()).or_default();
        *dealt += 1;
        let turn = *dealt;
        let (pull, start) = (self.asked(node, FaultKind::Pull), self.asked(node, FaultKind::Start));
        let (ready, crash) = (self.asked(node, FaultKind::Ready), self.asked(node, FaultKind::Crash));
        fate.pull_ms = pull.milliseconds.unwrap_or_default();
        fate.start_ms = start.milliseconds.unwrap_or(fate.start_ms);
        fate.ready_ms = ready.milliseconds.unwrap_or_default();
        let fails =
            |kind, asked: Asked| asked.chance.is_some_and(|chance| self.draw(node, kind, turn) < chance);
        fate.doom = if fails(FaultKind::Pull, pull) {
            Some(Doom::Pull)
        } else if fails(FaultKind::Start, start) {
            Some(Doom::Start)
        } else if fails(FaultKind::Ready, ready) {
            Some(Doom::NeverReady)
        } else {
            None
        };
        if crash != Asked::default() && self.draw(node, FaultKind::Crash, turn) < crash.chance.unwrap_or(1.0)
        {
            fate.crash_after_ms = Some(crash.milliseconds.unwrap_or_default());
        }
        fate
    }

    /// Until when `node` is cut off, counted from the start: `i64::MAX` for good, `None` if it is not.
    pub(super) fn cut_off_until_ms(&self, node: &EdgeNodeId) -> Option<i64> {
        let asked = self.asked(node, FaultKind::Unreachable);
        let is_hit = asked != Asked::default()
            && self.draw(node, FaultKind::Unreachable, 0) < asked.chance.unwrap_or(1.0);
        is_hit.then(|| asked.milliseconds.unwrap_or(i64::MAX))
    }

    fn asked(&self, node: &EdgeNodeId, kind: FaultKind) -> Asked {
        let mut asked = Asked::default();
        let of = |named: bool| {
            let is_meant = move |fault: &&Fault| fault.kind == kind && fault.node.is_some() == named;
            self.faults.iter().filter(is_meant)
        };
        let meant = of(false).chain(of(true).filter(|fault| fault.node.as_ref() == Some(node)));
        for fault in meant {
            match fault.measure {
                Measure::Chance(chance) => asked.chance = Some(chance),
                Measure::Milliseconds(milliseconds) => asked.milliseconds = Some(milliseconds),
            }
        }
        asked
    }

    /// From 0 up to 1, the same for the same seed, edge node, kind and turn.
    fn draw(&self, node: &EdgeNodeId, kind: FaultKind, turn: u64) -> f64 {
        let mut state = mix(self.seed ^ mix(turn));
        for byte in node.as_str().bytes().chain([0]).chain(kind.word().bytes()) {
            state = mix(state ^ u64::from(byte));
        }
        // As many bits as the number holds.
        (state >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// SplitMix64's step: every bit of what comes out hangs on every bit of what goes in.
fn mix(value: u64) -> u64 {
    let mut mixed = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fates(faults: &[&str], seed: u64) -> Fates {
        Fates::new(faults.iter().map(|text| text.parse().expect("a fault")).collect(), seed, 0)
    }

    #[test]
    fn a_fault_is_read_or_told_what_is_wrong_with_it() {
        let node = Some(EdgeNodeId::new("cn-a"));
        let fault = |node, kind, measure| Fault { node, kind, measure };
        for (text, expected) in [
            ("cn-a:pull=0.2", fault(node.clone(), FaultKind::Pull, Measure::Chance(0.2))),
            ("cn-a:start=1.5s", fault(node.clone(), FaultKind::Start, Measure::Milliseconds(1_500))),
            ("*:ready=250ms", fault(None, FaultKind::Ready, Measure::Milliseconds(250))),
            ("*:crash=1", fault(None, FaultKind::Crash, Measure::Chance(1.0))),
            ("cn-a:unreachable=2m", fault(node, FaultKind::Unreachable, Measure::Milliseconds(120_000))),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for (text, part) in [
            ("", "is not NODE:KIND"),
            ("cn-a", "is not NODE:KIND"),
            ("cn-a:pull", "is not NODE:KIND"),
            (":pull=1", "is not NODE:KIND"),
            ("cn-a:pul=1", "`pul` is no kind"),
            ("cn-a:pull=", "`` is neither"),
            ("cn-a:pull=1.1", "`1.1` is neither"),
            ("cn-a:pull=-0.1", "`-0.1` is neither"),
            ("cn-a:pull=NaN", "`NaN` is neither"),
            ("cn-a:pull=NaNs", "`NaNs` is neither"),
            ("cn-a:pull=0s", "`0s` is neither"),
            ("cn-a:pull=169h", "`169h` is neither"),
            ("cn-a:pull=5 parsecs", "`5 parsecs` is neither"),
        ] {
            let error = text.parse::<Fault>().expect_err(text).to_string();

            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_chance_hits_about_as_many_as_it_says_and_the_same_ones_for_the_same_seed() {
        let node = EdgeNodeId::new("cn-a");
        let dooms = |seed| -> Vec<bool> {
            let mut fates = fates(&["*:pull=0.2"], seed);
            (0..1_000).map(|_| fates.deal(&node).doom == Some(Doom::Pull)).collect()
        };

        let hit = dooms(7).iter().filter(|doomed| **doomed).count();

        assert!((150..250).contains(&hit), "{hit} of 1000");
        assert_eq!(dooms(7), dooms(7));
        assert_ne!(dooms(7), dooms(8));
    }

    #[test]
    fn a_named_edge_node_comes_before_all_of_them_and_the_last_word_counts() {
        let mut fates = fates(&["cn-a:ready=3s", "*:ready=1s", "*:ready=2s", "cn-b:pull=1"], 1);

        assert_eq!(fates.deal(&EdgeNodeId::new("cn-a")).ready_ms, 3_000);
        let other = fates.deal(&EdgeNodeId::new("cn-b"));
        assert_eq!((other.ready_ms, other.doom), (2_000, Some(Doom::Pull)));
        assert_eq!(fates.deal(&EdgeNodeId::new("cn-c")).doom, None);
    }

    #[test]
    fn an_edge_node_is_cut_off_for_good_or_for_as_long_as_was_said() {
        let until = |fault: &str| fates(&[fault], 1).cut_off_until_ms(&EdgeNodeId::new("cn-a"));

        assert_eq!(until("cn-a:unreachable=1"), Some(i64::MAX));
        assert_eq!(until("*:unreachable=2s"), Some(2_000));
        assert_eq!(until("*:unreachable=0"), None);
        assert_eq!(until("cn-b:unreachable=1"), None);
    }
}
