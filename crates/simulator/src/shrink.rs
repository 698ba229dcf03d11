//! Makes a failing run shorter: less time, fewer classes of faults, fewer deeds, as long as the same invariant breaks.
//! Every try is a whole run; how many there are is bounded.

use crate::faults::{Choice, Fault};
use crate::options::Options;
use crate::report::{Report, Violation};
use crate::simulation::run;
use std::collections::BTreeSet;

/// Runs that may be spent on one failure.
const TRIES: usize = 400;

/// The shortest failing run that was found, and what it is made of.
pub struct Shrunk {
    pub options: Options,
    pub report: Report,
    pub tries: usize,
}

/// Looks for a shorter run that breaks what `report`, which came of `options`, broke. `None` when nothing was broken.
pub fn shrink(options: &Options, report: &Report) -> Option<Shrunk> {
    let violation = report.violation.clone()?;
    let mut search = Search { options: options.clone(), report: report.clone(), violation, tries: 0 };
    search.cut_time();
    search.drop_faults();
    search.drop_deeds();
    search.cut_time();
    let Search { options, report, tries, .. } = search;
    Some(Shrunk { options, report, tries })
}

struct Search {
    options: Options,
    report: Report,
    violation: Violation,
    tries: usize,
}

impl Search {
    /// Whether it still breaks with these options, which are kept then.
    fn still_breaks(&mut self, options: Options) -> bool {
        if self.tries >= TRIES {
            return false;
        }
        self.tries += 1;
        let report = run(&options);
        let breaks =
            report.violation.as_ref().is_some_and(|other| other.invariant == self.violation.invariant);
        if breaks {
            self.options = options;
            self.report = report;
        }
        breaks
    }

    /// Nothing after the violation is needed; and perhaps the calm could begin before.
    fn cut_time(&mut self) {
        let at = self.report.violation.as_ref().map_or(0, |violation| violation.at.0);
        let needed = u32::try_from(at / 60_000 + 1).unwrap_or(u32::MAX);
        if needed < self.options.minutes {
            self.still_breaks(Options { minutes: needed, ..self.options.clone() });
        }
        let mut low = 0;
        while low + 1 < self.options.minutes {
            let minutes = low + (self.options.minutes - low) / 2;
            if !self.still_breaks(Options { minutes, ..self.options.clone() }) {
                low = minutes;
            }
        }
    }

    fn drop_faults(&mut self) {
        let came: Vec<Fault> = self.report.faults.keys().copied().collect();
        self.still_breaks(Options { faults: Choice::These(came.clone()), ..self.options.clone() });
        let mut kept = came.clone();
        for fault in came {
            let fewer: Vec<Fault> = kept.iter().copied().filter(|other| *other != fault).collect();
            if self.still_breaks(Options { faults: Choice::These(fewer.clone()), ..self.options.clone() }) {
                kept = fewer;
            }
        }
    }

    /// Leaves out halves, quarters, … of the deeds that are left.
    fn drop_deeds(&mut self) {
        let mut chunk = self.report.deeds.div_ceil(2).max(1);
        while self.tries < TRIES {
            let mut first = 1;
            while first <= self.report.deeds {
                let range: BTreeSet<u64> = (first..first + chunk).collect();
                first += chunk;
                if range.is_subset(&self.options.without.0) {
                    continue;
                }
                let mut without = self.options.without.clone();
                without.0.extend(range);
                self.still_breaks(Options { without, ..self.options.clone() });
            }
            if chunk == 1 {
                return;
            }
            chunk = chunk.div_ceil(2);
        }
    }
}
