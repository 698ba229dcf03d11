//! What must hold at every step, each a function with a name and one sentence. `entry` is about what was decided, `answer`
//! about what was said of it, `state` about what is believed, `watch` about what watchers are told, `world` about what
//! really runs, `deadline` about time, `calm` about the end. None of them asks the core what it wants.
//! A check answers how much it had to look at: one that never has anything proves nothing.

pub(crate) mod answer;
pub(crate) mod calm;
pub(crate) mod deadline;
pub(crate) mod entry;
#[cfg(test)]
pub(crate) mod house;
pub(crate) mod state;
pub(crate) mod watch;
pub(crate) mod world;

use std::collections::BTreeMap;

/// A rule that does not hold: the name of its function, and what was seen.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) invariant: &'static str,
    pub(crate) detail: String,
}

/// What a check says: how many things it looked at, or what is wrong.
pub(crate) type Verdict = Result<u64, String>;

/// How many things each check looked at, by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exercised(BTreeMap<&'static str, u64>);

impl Exercised {
    /// Takes note of what a check said.
    pub(crate) fn note(&mut self, invariant: &'static str, verdict: Verdict) -> Result<(), Broken> {
        match verdict {
            Ok(looked) => {
                *self.0.entry(invariant).or_default() += looked;
                Ok(())
            }
            Err(detail) => Err(Broken { invariant, detail }),
        }
    }

    /// In the order of their names; those that never had anything to look at are there with 0.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.0.iter().map(|(name, looked)| (*name, *looked))
    }

    pub fn merge(&mut self, other: &Self) {
        for (name, looked) in other.iter() {
            *self.0.entry(name).or_default() += looked;
        }
    }
}

/// Runs each check of a list by its name, and answers the first that does not hold.
macro_rules! check_all {
    ($seen:expr, $exercised:expr; $($($path:ident)::+),+ $(,)?) => {{
        $($exercised.note($crate::invariant::name_of(stringify!($($path)::+)), $($path)::+($seen))?;)+
        Ok(())
    }};
}
pub(crate) use check_all;

/// The function's own name, without its module.
pub(crate) fn name_of(path: &'static str) -> &'static str {
    path.rsplit(':').next().map_or(path, str::trim)
}
