//! What it takes to plan and to decide, by the pure core alone: no server, no log, no engine. At a large size and at a
//! hundredth of it, so that growth is seen. Looks at `ensemble-model` through its public functions only.

pub(crate) mod probe;
mod world;

use crate::report::{Bound, Section, Table, number};
use anyhow::{Context, Result, ensure};
use probe::Found;
use std::process::Command;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) nodes: usize,
    pub(crate) instances: usize,
}

/// What the small size is of the large one.
const HUNDREDTH: usize = 100;

pub(crate) fn run(effort: Effort) -> Result<Section> {
    let small = found(effort.nodes / HUNDREDTH, effort.instances / HUNDREDTH)?;
    let large = found(effort.nodes, effort.instances)?;
    let mut section = Section::default();
    section.tables.push(decisions(&small, &large));
    section.tables.push(rates(&small, &large));
    let slowest = large.decisions.iter().max_by(|one, other| one.median_us.total_cmp(&other.median_us));
    let slowest = slowest.context("at least one kind of decision was measured")?;
    let what = format!("a rescale decision at the large size, the slowest kind: {}", slowest.what);
    section.aim(what, "ms", Bound::AtMost(1.0), slowest.median_us / 1000.0);
    section.aim("placements decided, one core", "/s", Bound::AtLeast(100_000.0), large.decided_per_s);
    section.aim("state, each instance", "bytes", Bound::AtMost(500.0), large.bytes_per_instance);
    section.notes.push(format!(
        "A tenth of all instances is one application's, all over the country; the rest are of applications with 100 in \
         a district of theirs. Each decision is about another application. The state was made by commands and reports \
         in {:.0} s.",
        large.built_s
    ));
    section.notes.push(
        "Placements: one Add of 1,000 in the country, planned only, and decided (ids drawn, events made and applied). \
         State: `RssAnon` of the process, less that before the first instance."
            .into(),
    );
    Ok(section)
}

/// Measures in a process of its own, whose memory is then the state's.
fn found(nodes: usize, instances: usize) -> Result<Found> {
    eprintln!("decide: {instances} instances on {nodes} edge nodes");
    let own = std::env::current_exe()?;
    let arguments = ["decide".to_owned(), nodes.to_string(), instances.to_string()];
    let output = Command::new(own).args(arguments).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn heading(found: &Found) -> String {
    format!("{} on {} nodes", number(found.instances as f64), number(found.nodes as f64))
}

fn decisions(small: &Found, large: &Found) -> Table {
    let (small_head, large_head) = (heading(small), heading(large));
    let head = [
        "one decision, µs",
        &format!("{small_head}, median"),
        "p99",
        &format!("{large_head}, median"),
        "p99",
        "growth",
    ];
    let mut table = Table::new("Decisions", &head);
    for (few, many) in small.decisions.iter().zip(&large.decisions) {
        let times = [few.median_us, few.p99_us, many.median_us, many.p99_us].map(number);
        let growth = number(many.median_us / few.median_us);
        table.row([vec![many.what.clone()], times.to_vec(), vec![growth]].concat());
    }
    table
}

fn rates(small: &Found, large: &Found) -> Table {
    let mut table = Table::new("Placements and state", &["", &heading(small), &heading(large)]);
    for (what, value) in [
        ("placements planned, /s", (|found: &Found| found.planned_per_s) as fn(&Found) -> f64),
        ("placements decided, /s", |found| found.decided_per_s),
        ("bytes of state for each instance", |found| found.bytes_per_instance),
    ] {
        table.row([what.to_owned(), number(value(small)), number(value(large))]);
    }
    table
}
