//! Starts the generator (`bench/generator`), gives it its plan and reads what it found.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Built by `scripts/bench`.
const PROGRAM: &str = "target/generator/release/ensemble-bench-generator";

const WARM_UP: Duration = Duration::from_secs(1);

/// To whom, and as whom.
pub(super) struct Target<'a>(pub(super) &'a Value);

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Outcome {
    pub(super) writes: usize,
    pub(super) refused: usize,
    /// Accepted outside of the measured time.
    unmeasured: usize,
    pub(super) elapsed_s: f64,
    pub(super) median_us: u32,
    pub(super) p99_us: u32,
    /// Of the generator, in the measured time.
    pub(super) cpu_s: f64,
    /// Of each application of the plan, in its order.
    pub(super) has_instance: Vec<bool>,
}

impl Outcome {
    pub(super) fn rate(&self) -> f64 {
        self.writes as f64 / self.elapsed_s
    }

    /// All writes that were accepted, so that what the system did can be divided by them.
    pub(super) fn with_warm_up(&self) -> f64 {
        (self.writes + self.unmeasured).max(1) as f64
    }
}

pub(super) fn run(target: &Target<'_>, connections: usize, measured: Duration) -> Result<Outcome> {
    ensure!(Path::new(PROGRAM).exists(), "`{PROGRAM}` is not built: scripts/bench does it");
    let plan = json!({
        "connections": connections,
        "warm_up_ms": WARM_UP.as_millis() as u64,
        "measured_ms": measured.as_millis() as u64,
        "target": target.0,
    });
    let mut process = Command::new(PROGRAM).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    process.stdin.take().context("stdin is piped")?.write_all(plan.to_string().as_bytes())?;
    let output = process.wait_with_output()?;
    ensure!(output.status.success(), "the generator ended with {}", output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}
