//! A bar per edge node on a terminal, redrawn in place, and a line that sums up.

use super::{Display, node_line, summary};
use crate::words::shortened;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Instant;

/// More edge nodes than this are summed up in the last line only: a screen has so many rows.
const BARS_AT_MOST: usize = 24;

pub(super) struct Bars {
    drawn: MultiProgress,
    nodes: BTreeMap<String, ProgressBar>,
    sum: ProgressBar,
    started: Instant,
}

impl Bars {
    pub(super) fn new() -> Self {
        let drawn = MultiProgress::new();
        let sum = drawn.add(ProgressBar::new_spinner());
        sum.set_style(ProgressStyle::with_template("  {msg}").expect("a fixed template"));
        Self { drawn, nodes: BTreeMap::new(), sum, started: Instant::now() }
    }

    fn bar(&mut self, name: &str, isp: &str, wanted: u64) -> Option<&ProgressBar> {
        let key = format!("{name}/{isp}");
        if !self.nodes.contains_key(&key) {
            if self.nodes.len() >= BARS_AT_MOST {
                return None;
            }
            let bar = self.drawn.insert_before(&self.sum, ProgressBar::new(wanted));
            let style = ProgressStyle::with_template("  {prefix} {bar:20} {pos}/{len}  {msg}")
                .expect("a fixed template");
            bar.set_style(style.progress_chars("█▓░"));
            bar.set_prefix(format!("{:<28} {isp:<8}", shortened(name, 28)));
            self.nodes.insert(key.clone(), bar);
        }
        self.nodes.get(&key)
    }
}

impl Display for Bars {
    fn show(&mut self, operation: &Value) {
        for node in operation["Nodes"].as_array().into_iter().flatten() {
            let name = node["EnsRegionId"].as_str().unwrap_or_default();
            let isp = node["IspCode"].as_str().unwrap_or_default();
            let (ready, wanted, states) = node_line(node);
            if let Some(bar) = self.bar(name, isp, wanted) {
                bar.set_position(ready);
                bar.set_message(states);
            }
        }
        self.sum.set_message(summary(operation, self.started.elapsed()));
        self.sum.tick();
    }

    fn close(&mut self) {
        for bar in self.nodes.values() {
            bar.abandon();
        }
        self.sum.finish_and_clear();
    }
}
