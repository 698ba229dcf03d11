//! Plain lines where there is no terminal: one line per change, at most one a second per edge node, and a
//! heartbeat every 30 s (cli.md §3).

use super::{Display, node_line, summary};
use crate::output;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const NODE_PACE: Duration = Duration::from_secs(1);
const HEARTBEAT: Duration = Duration::from_secs(30);

pub(super) struct Lines {
    started: Instant,
    last_line: Instant,
    /// What was last said of each edge node, and when.
    said: BTreeMap<String, (Instant, String)>,
}

impl Lines {
    pub(super) fn new(now: Instant) -> Self {
        Self { started: now, last_line: now, said: BTreeMap::new() }
    }

    /// The lines to print now.
    fn lines(&mut self, operation: &Value, now: Instant) -> Vec<String> {
        let mut lines = Vec::new();
        let ended = operation["Status"] != "Running";
        for node in operation["Nodes"].as_array().into_iter().flatten() {
            let (ready, wanted, states) = node_line(node);
            let name = format!(
                "{} {}",
                node["EnsRegionId"].as_str().unwrap_or_default(),
                node["IspCode"].as_str().unwrap_or_default()
            );
            let text = format!("  {name}  {ready}/{wanted}  {states}").trim_end().to_owned();
            let due = match self.said.get(&name) {
                None => true,
                Some((at, said)) => *said != text && (ended || now.duration_since(*at) >= NODE_PACE),
            };
            if due {
                self.said.insert(name, (now, text.clone()));
                lines.push(text);
            }
        }
        if lines.is_empty() && !ended && now.duration_since(self.last_line) >= HEARTBEAT {
            lines.push(format!("  {}", summary(operation, now.duration_since(self.started))));
        }
        if !lines.is_empty() {
            self.last_line = now;
        }
        lines
    }
}

impl Display for Lines {
    fn show(&mut self, operation: &Value) {
        for line in self.lines(operation, Instant::now()) {
            output::say(&line);
        }
    }

    fn close(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn operation(status: &str, ready: u64) -> Value {
        json!({"Status": status, "Wanted": 2, "Ready": ready, "Nodes": [{"EnsRegionId": "cn-x", "IspCode": "cmcc",
            "Wanted": 2, "Ready": ready, "States": {"Starting": 2 - ready, "Running": ready}}]})
    }

    #[test]
    fn a_change_is_a_line_and_at_most_one_a_second() {
        let start = Instant::now();
        let mut lines = Lines::new(start);

        assert_eq!(lines.lines(&operation("Running", 0), start), ["  cn-x cmcc  0/2  2 starting"]);
        assert!(lines.lines(&operation("Running", 0), start + Duration::from_secs(2)).is_empty());
        let early = start + Duration::from_millis(500);
        assert!(lines.lines(&operation("Running", 1), early).is_empty());
        assert_eq!(lines.lines(&operation("Running", 1), start + Duration::from_secs(1)).len(), 1);
    }

    #[test]
    fn the_end_is_told_at_once() {
        let start = Instant::now();
        let mut lines = Lines::new(start);
        lines.lines(&operation("Running", 0), start);

        let told = lines.lines(&operation("Succeeded", 2), start + Duration::from_millis(10));

        assert_eq!(told, ["  cn-x cmcc  2/2"]);
    }

    #[test]
    fn a_quiet_operation_has_a_heartbeat() {
        let start = Instant::now();
        let mut lines = Lines::new(start);
        lines.lines(&operation("Running", 0), start);

        assert!(lines.lines(&operation("Running", 0), start + Duration::from_secs(29)).is_empty());
        let beat = lines.lines(&operation("Running", 0), start + Duration::from_secs(30));
        assert_eq!(beat.len(), 1);
        assert!(beat[0].contains("0 of 2 ready"), "{beat:?}");
    }
}
