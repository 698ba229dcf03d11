//! One load generator for durable writes, whoever keeps them: a closed loop over connections, each of which sends its
//! next write when the last is answered. Reads a plan from standard input, prints what came of it, both as JSON.
//! One thread, and an ordinary client for either: `etcd-client`, and HTTP signed by `ensemble-wire`.

mod ensemble;
mod etcd;

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

#[derive(Deserialize)]
struct Plan {
    connections: usize,
    /// Not counted.
    warm_up_ms: u64,
    measured_ms: u64,
    target: Target,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Target {
    Etcd(etcd::Target),
    Ensemble(ensemble::Target),
}

/// Of the measured time.
#[derive(Serialize)]
struct Outcome {
    writes: usize,
    refused: usize,
    /// Accepted outside of the measured time.
    unmeasured: usize,
    elapsed_s: f64,
    median_us: u32,
    p99_us: u32,
    /// Of this process.
    cpu_s: f64,
    /// Of Ensemble's applications, in the order of the plan: where the next plan goes on.
    has_instance: Vec<bool>,
}

/// What stands at the end of one connection.
trait Writer {
    /// One write; whether it was accepted.
    async fn write(&mut self) -> Result<Answer>;

    /// Of its applications, in their order.
    fn has_instance(&self) -> Vec<bool>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Durable,
    Refused,
}

/// What one connection counted.
#[derive(Default)]
struct Tally {
    connection: usize,
    latencies_us: Vec<u32>,
    refused: usize,
    unmeasured: usize,
    has_instance: Vec<bool>,
}

fn main() -> Result<()> {
    let plan: Plan = serde_json::from_reader(std::io::stdin().lock()).context("the plan")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(tokio::task::LocalSet::new().run_until(run(plan)))?;
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}

async fn run(plan: Plan) -> Result<Outcome> {
    let mut connections = JoinSet::new();
    match &plan.target {
        Target::Etcd(target) => {
            let mut writers = Vec::new();
            for index in 0..plan.connections {
                writers.push(etcd::Puts::connect(target, index, plan.connections).await?);
            }
            let clock = Clock::of(&plan);
            for (index, writer) in writers.into_iter().enumerate() {
                connections.spawn_local(keep_writing(index, writer, clock));
            }
            finish(connections, clock).await
        }
        Target::Ensemble(target) => {
            let mut writers = Vec::new();
            for index in 0..plan.connections {
                writers.push(ensemble::Rescales::connect(target, index, plan.connections).await?);
            }
            let clock = Clock::of(&plan);
            for (index, writer) in writers.into_iter().enumerate() {
                connections.spawn_local(keep_writing(index, writer, clock));
            }
            finish(connections, clock).await
        }
    }
}

/// What is counted: answers between the two.
#[derive(Clone, Copy)]
struct Clock {
    from: Instant,
    until: Instant,
}

impl Clock {
    fn of(plan: &Plan) -> Self {
        let from = Instant::now() + Duration::from_millis(plan.warm_up_ms);
        Self { from, until: from + Duration::from_millis(plan.measured_ms) }
    }
}

async fn keep_writing(connection: usize, mut writer: impl Writer, clock: Clock) -> Result<Tally> {
    let mut tally = Tally { connection, ..Tally::default() };
    let mut sent = Instant::now();
    while sent < clock.until {
        let answer = writer.write().await?;
        let now = Instant::now();
        match answer {
            Answer::Refused => tally.refused += 1,
            Answer::Durable if !(clock.from..clock.until).contains(&now) => tally.unmeasured += 1,
            Answer::Durable => {
                let took = now.duration_since(sent).as_micros();
                tally.latencies_us.push(u32::try_from(took).unwrap_or(u32::MAX));
            }
        }
        sent = now;
    }
    tally.has_instance = writer.has_instance();
    Ok(tally)
}

async fn finish(mut connections: JoinSet<Result<Tally>>, clock: Clock) -> Result<Outcome> {
    tokio::time::sleep_until(clock.from.into()).await;
    let before = cpu_s();
    tokio::time::sleep_until(clock.until.into()).await;
    let spent = cpu_s() - before;
    let mut tallies = Vec::new();
    while let Some(tally) = connections.join_next().await {
        tallies.push(tally.context("a connection's task")??);
    }
    Ok(summed(tallies, clock, spent))
}

fn summed(mut tallies: Vec<Tally>, clock: Clock, cpu_s: f64) -> Outcome {
    tallies.sort_by_key(|tally| tally.connection);
    // Connections took every so many-th application, the first ones one more where they do not come out even.
    let longest = tallies.iter().map(|tally| tally.has_instance.len()).max().unwrap_or_default();
    let turn = |at: usize| tallies.iter().filter_map(move |tally| tally.has_instance.get(at).copied());
    let has_instance = (0..longest).flat_map(turn).collect();
    let mut all = Tally::default();
    for tally in tallies {
        all.latencies_us.extend(tally.latencies_us);
        all.refused += tally.refused;
        all.unmeasured += tally.unmeasured;
    }
    all.latencies_us.sort_unstable();
    let at = |share: f64| {
        let rank = (all.latencies_us.len() as f64 * share) as usize;
        all.latencies_us.get(rank.min(all.latencies_us.len().saturating_sub(1))).copied().unwrap_or_default()
    };
    Outcome {
        writes: all.latencies_us.len(),
        refused: all.refused,
        unmeasured: all.unmeasured,
        elapsed_s: (clock.until - clock.from).as_secs_f64(),
        median_us: at(0.5),
        p99_us: at(0.99),
        cpu_s,
        has_instance,
    }
}

fn cpu_s() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
