//! `ensemble simulate`: the core, the control loop and the engines' supervision under a seed's faults. Runs seeds side by side,
//! says what broke and how to see it again. Knows nothing of what is simulated.

use crate::context::{Context, Outcome};
use crate::failure::{Exit, Failure};
use crate::output;
use clap::Args;
use ensemble_simulator::{
    APPLICATIONS, CALM_S, Choice, EDGE_NODES, Fault, Options, Report, Shrunk, Tracing, Without,
    run as run_seed, shrink,
};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::num::NonZero;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Lines of the story that are shown of a failing run.
const STORY_LINES: usize = 60;

/// Between two words about how far it is.
const PROGRESS: Duration = Duration::from_secs(2);

/// Run the core in a simulated world and watch a month of failures in seconds
///
/// The real control loop, log, recovery and supervision run on one thread; clock, store, kernel and link are simulated.
/// Each seed switches some classes of faults on; invariants are checked at every step, and at the end, when faults have
/// stopped, everything wanted must run and nothing else. The same seed gives the same run on every machine.
/// Needs no server. Exits 0 when nothing broke, 1 when an invariant did.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ensemble simulate --seed 7
  ensemble simulate --seeds 1..500
  ensemble simulate --seed 1 --until-failure --hours 24 --edge-nodes 50 --applications 20
  ensemble simulate --seed 7 --faults disk,killed-in-append --trace
  ensemble simulate --seed 7 --shrink")]
pub(crate) struct Arguments {
    /// The seed, or the first one with --until-failure
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Several seeds, both ends included, as many side by side as there are processors
    #[arg(long, value_name = "A..B", conflicts_with = "seed", value_parser = seeds)]
    seeds: Option<RangeInclusive<u64>>,
    /// One seed after the other, until one breaks an invariant or you stop it
    #[arg(long, conflicts_with = "seeds")]
    until_failure: bool,
    /// Simulated hours during which faults and clients go on; the calm at the end comes on top
    #[arg(long, value_name = "H", default_value = "1", value_parser = minutes)]
    hours: u32,
    /// Edge nodes of the fleet
    #[arg(long, value_name = "N", default_value_t = EDGE_NODES, value_parser = at_most::<1_000>)]
    edge_nodes: usize,
    /// Applications at the most, over all accounts
    #[arg(long, value_name = "N", default_value_t = APPLICATIONS, value_parser = at_most::<1_000>)]
    applications: usize,
    /// `none`, `all`, or names of classes and groups (engine, node, link, process, disk, clock, clients) joined by commas
    /// [default: drawn from the seed]
    #[arg(long, value_name = "LIST")]
    faults: Option<Choice>,
    /// Simulated seconds after the last fault within which everything wanted must run, and nothing else
    #[arg(long, value_name = "SECONDS", default_value_t = CALM_S)]
    calm: u32,
    /// Deeds that are left out, as `3,5-9`: what --shrink prints
    #[arg(long, value_name = "LIST")]
    without: Option<Without>,
    /// Print everything that happens
    #[arg(long, conflicts_with_all = ["seeds", "until_failure"])]
    trace: bool,
    /// Make a failing run shorter, and tell it as a story
    #[arg(long)]
    shrink: bool,
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> Outcome {
    let seeds = match (&arguments.seeds, arguments.until_failure) {
        (Some(seeds), _) => seeds.clone(),
        (None, true) => arguments.seed..=u64::MAX,
        (None, false) => arguments.seed..=arguments.seed,
    };
    let began = Instant::now();
    let total = run_all(context, arguments, seeds);
    let failed = total.failed.clone();
    if context.form().is_json() {
        output::print_document(context.form(), &to_json(&total));
    } else {
        print_total(&total, began.elapsed());
    }
    let Some(report) = failed else { return Ok(Exit::Done) };
    let violation = report.violation.as_ref().map(ToString::to_string).unwrap_or_default();
    if !context.form().is_json() {
        print_failure(arguments, &report);
    }
    Err(Failure::new(Exit::Failed, format!("seed {} broke {violation}", report.seed))
        .hint(format!("see it again: {} --trace", arguments.options(report.seed).command())))
}

impl Arguments {
    fn options(&self, seed: u64) -> Options {
        let mut options = Options::new(seed);
        options.minutes = self.hours;
        options.edge_nodes = self.edge_nodes;
        options.applications = self.applications;
        options.faults = self.faults.clone().unwrap_or_default();
        options.calm_s = self.calm;
        options.without = self.without.clone().unwrap_or_default();
        options.tracing = if self.trace { Tracing::All } else { Tracing::Off };
        options
    }
}

/// What all runs came to.
#[derive(Default)]
struct Total {
    runs: u64,
    steps: u64,
    simulated_ms: i64,
    accepted: u64,
    refused: u64,
    entries: u64,
    starts: u64,
    faults: BTreeMap<Fault, u64>,
    broken: Vec<u64>,
    /// The first one by its seed.
    failed: Option<Report>,
}

impl Total {
    fn add(&mut self, report: Report) {
        self.runs += 1;
        self.steps += report.steps;
        self.simulated_ms += report.simulated_ms;
        self.accepted += report.figures.accepted;
        self.refused += report.figures.refused;
        self.entries += report.figures.entries;
        self.starts += report.figures.starts;
        for (fault, count) in &report.faults {
            *self.faults.entry(*fault).or_default() += count;
        }
        if report.violation.is_some() {
            self.broken.push(report.seed);
            if self.failed.as_ref().is_none_or(|first| report.seed < first.seed) {
                self.failed = Some(report);
            }
        }
    }
}

/// Runs seeds on all processors. With a failure found, those under way are finished and none begun.
fn run_all(context: &Context, arguments: &Arguments, seeds: RangeInclusive<u64>) -> Total {
    let many = seeds.start() != seeds.end();
    let workers = if many { thread::available_parallelism().map_or(1, NonZero::get) } else { 1 };
    let (next, stop) = (AtomicU64::new(*seeds.start()), AtomicBool::new(false));
    let (done, reports) = mpsc::channel();
    let mut total = Total::default();
    thread::scope(|scope| {
        for _ in 0..workers {
            let (done, next, stop, seeds) = (done.clone(), &next, &stop, &seeds);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if !seeds.contains(&seed) || done.send(run_seed(&arguments.options(seed))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(done);
        let mut told = Instant::now();
        for mut report in reports {
            for line in report.trace.drain(..) {
                output::line(&line);
            }
            if report.violation.is_some() && (arguments.until_failure || arguments.shrink) {
                stop.store(true, Ordering::Relaxed);
            }
            total.add(report);
            if many && told.elapsed() >= PROGRESS {
                told = Instant::now();
                context.say(&format!("{} seeds, {} broke something", total.runs, total.broken.len()));
            }
        }
    });
    total
}

fn print_total(total: &Total, took: Duration) {
    let hours = total.simulated_ms as f64 / 3_600_000.0;
    let per_second = total.simulated_ms as f64 / 1_000.0 / processor_time().as_secs_f64().max(0.001);
    output::line(&format!(
        "{} seeds, {hours:.1} simulated hours in {:.1} s ({per_second:.0} simulated seconds a processor second): {} accepted, \
         {} refused, {} log entries, {} starts, {} events",
        total.runs,
        took.as_secs_f64(),
        total.accepted,
        total.refused,
        total.entries,
        total.starts,
        total.steps
    ));
    let faults: Vec<String> = total.faults.iter().map(|(fault, count)| format!("{fault} {count}")).collect();
    output::line(&format!(
        "faults: {}",
        if faults.is_empty() { "none".to_owned() } else { faults.join(", ") }
    ));
    match total.broken.len() {
        0 => output::line("no invariant was broken"),
        broken => {
            let seeds: Vec<String> = total.broken.iter().take(20).map(ToString::to_string).collect();
            output::line(&format!("{broken} seeds broke an invariant: {}", seeds.join(", ")));
        }
    }
}

/// What this process has used of all processors: nearly all of it went into runs.
fn processor_time() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec.unsigned_abs(), u32::try_from(used.tv_nsec).unwrap_or(0))
}

/// What broke, how to run it again, and the story of it.
fn print_failure(arguments: &Arguments, report: &Report) {
    let Some(violation) = &report.violation else { return };
    let options = arguments.options(report.seed);
    output::line(&format!("\nseed {} breaks {violation}", report.seed));
    output::line(&format!("run it again: {}", options.command()));
    let shortest = match arguments.shrink.then(|| shrink(&options, report)).flatten() {
        Some(Shrunk { options, report, tries }) => {
            output::line(&format!(
                "shortest of {tries} tries: {} ({} events)",
                options.command(),
                report.steps
            ));
            options
        }
        None => options,
    };
    let told = run_seed(&Options { tracing: Tracing::Last, ..shortest });
    output::line("\nwhat led to it:");
    let first = told.trace.len().saturating_sub(STORY_LINES);
    told.trace[first..].iter().for_each(|line| output::line(&format!("  {line}")));
}

fn to_json(total: &Total) -> Value {
    let faults: BTreeMap<&str, u64> =
        total.faults.iter().map(|(fault, count)| (fault.name(), *count)).collect();
    let violation = total
        .failed
        .as_ref()
        .and_then(|report| report.violation.as_ref().map(|violation| (report, violation)));
    let violation = violation.map(|(report, violation)| {
        json!({"seed": report.seed, "invariant": violation.invariant, "detail": violation.detail,
            "step": violation.step, "at_ms": violation.at.0})
    });
    json!({"runs": total.runs, "simulated_ms": total.simulated_ms, "events": total.steps, "accepted": total.accepted,
        "refused": total.refused, "entries": total.entries, "starts": total.starts, "faults": faults,
        "broken": total.broken, "violation": violation})
}

/// `1..500`, both included.
fn seeds(text: &str) -> Result<RangeInclusive<u64>, String> {
    let fault = || format!("`{text}` is no range of seeds like `1..500`");
    let (first, last) = text.split_once("..").ok_or_else(fault)?;
    let (first, last) = (first.parse().map_err(|_| fault())?, last.parse().map_err(|_| fault())?);
    if first > last { Err(fault()) } else { Ok(first..=last) }
}

/// Hours, whole or not, as whole minutes.
fn minutes(text: &str) -> Result<u32, String> {
    /// A year.
    const MOST: f64 = 366.0 * 24.0;
    let hours: f64 = text.parse().map_err(|_| format!("`{text}` is no number of hours"))?;
    if !(1.0 / 60.0..=MOST).contains(&hours) {
        return Err(format!("`{text}` is not between a minute (0.0167) and a year ({MOST})"));
    }
    Ok((hours * 60.0) as u32)
}

fn at_most<const MOST: usize>(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (1..=MOST).contains(&number) => Ok(number),
        Ok(_) | Err(_) => Err(format!("`{text}` is not a number from 1 to {MOST}")),
    }
}
