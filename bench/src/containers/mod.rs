//! N containers from nothing to all answering, and back to none: Ensemble beside loops over `runc` and `crun` and beside
//! Docker Swarm, on the same work, in turn, seen by one outside observer (`observer`). What makes it fair is listed in
//! `bench/README.md`.

pub(crate) mod ensemble;
mod image;
mod loops;
mod network;
pub(crate) mod observer;
pub(crate) mod runtime_loop;
mod swarm;

use crate::report::{Bound, Section, Table, number};
use crate::server::Programs;
use crate::site::Site;
use crate::statistics::median;
use anyhow::{Context, Result, ensure};
use ensemble::Ensemble;
use image::Layer;
use loops::RuntimeLoop;
use observer::Observer;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use swarm::Swarm;

/// The variable by which containers of a run are known.
pub(crate) const MARK: &str = "ENSEMBLE_BENCH";

const PACE: Duration = Duration::from_millis(5);
const GONE_WITHIN: Duration = Duration::from_secs(120);

/// What is compared.
pub(crate) trait System {
    fn name(&self) -> &'static str;

    /// `NAME=value` in the environment of its containers.
    fn mark(&self) -> &str;

    /// A process whose network namespace reaches its containers; `None` = ours does.
    fn network_of(&self) -> Option<u32>;

    /// Asks for containers where there are none.
    fn up(&mut self, count: usize) -> Result<()>;

    /// Waits until it has itself noticed that they run. Not part of the time.
    fn finish_up(&mut self) -> Result<()>;

    /// Asks for none.
    fn down(&mut self) -> Result<()>;

    /// Whether, once no process of a container is left, nothing else is either.
    fn is_gone(&mut self) -> Result<bool>;

    /// Processor time of all that belongs to it, children and containers included.
    fn cpu(&self) -> Result<Duration>;
}

#[derive(Clone, Debug)]
pub(crate) struct Effort {
    /// How many containers, how often.
    pub(crate) runs: Vec<(usize, usize)>,
    pub(crate) first_runs: usize,
}

/// One run of one system.
#[derive(Clone, Copy, Debug)]
struct Sample {
    up: Duration,
    up_cpu: Duration,
    down: Duration,
    down_cpu: Duration,
}

type Samples = BTreeMap<(usize, &'static str), Vec<Sample>>;

pub(crate) fn run(site: &Site, programs: &Programs, effort: &Effort) -> Result<Section> {
    let mut section = Section::default();
    let layer = Layer::unpack(&programs.image, &site.directory("image")?)?;
    // As the engine: no more starts at once help.
    let at_once = 2 * std::thread::available_parallelism().map_or(1, usize::from);
    let mut ensemble = Ensemble::start(site, programs, "ensemble")?;
    let mut first = Vec::new();
    for _ in 0..effort.first_runs {
        first.push(ensemble.first_answers_after()?.as_secs_f64() * 1000.0);
    }
    let spec = ensemble.spec.clone();
    let mut systems: Vec<Box<dyn System>> = vec![Box::new(ensemble)];
    for runtime in [("runc", 96), ("crun", 97)] {
        systems.push(Box::new(RuntimeLoop::start(site, runtime, &spec, &layer.directory, at_once)?));
    }
    match Swarm::start(site, &layer.archive) {
        Ok(swarm) => systems.push(Box::new(swarm)),
        Err(error) => section.notes.push(swarm::unavailable(&error)),
    }

    let mut samples = Samples::new();
    for (count, runs) in &effort.runs {
        for run in 1..=*runs {
            for system in &mut systems {
                let sample = measure(system.as_mut(), *count).with_context(|| system.name().to_owned())?;
                let (name, up, down) = (system.name(), sample.up.as_secs_f64(), sample.down.as_secs_f64());
                eprintln!("containers: {count}, run {run} of {runs}: {name} up {up:.2} s, down {down:.2} s");
                samples.entry((*count, name)).or_default().push(sample);
            }
        }
    }
    for (count, runs) in &effort.runs {
        report(&mut section, &samples, *count, *runs);
    }
    section.aim("first container answering after acceptance", "ms", Bound::AtMost(60.0), median(&first));
    section.notes.push(format!("First container: median of {} single starts, image cached.", first.len()));
    Ok(section)
}

fn measure(system: &mut dyn System, count: usize) -> Result<Sample> {
    let mut observer = Observer::new(system.mark(), system.network_of());
    let (cpu, began) = (system.cpu()?, Instant::now());
    system.up(count)?;
    let up = observer.all_answer(count, began)?;
    system.finish_up()?;
    let up_cpu = system.cpu()?.saturating_sub(cpu);

    let (cpu, began) = (system.cpu()?, Instant::now());
    system.down()?;
    let down = wait_until_gone(system, &mut observer, began)?;
    let down_cpu = system.cpu()?.saturating_sub(cpu);
    Ok(Sample { up, up_cpu, down, down_cpu })
}

/// Processes first, then the rest.
fn wait_until_gone(system: &mut dyn System, observer: &mut Observer, began: Instant) -> Result<Duration> {
    observer.all_gone(began)?;
    while !system.is_gone()? {
        ensure!(began.elapsed() < GONE_WITHIN, "something of its containers remains");
        std::thread::sleep(PACE);
    }
    Ok(began.elapsed())
}

/// Medians of one system for one count.
#[derive(Clone, Copy, Debug)]
struct Medians {
    up_s: f64,
    down_s: f64,
    up_cpu_ms: f64,
    down_cpu_ms: f64,
}

impl Medians {
    fn of(samples: &Samples, count: usize, name: &'static str) -> Option<Self> {
        let samples = samples.get(&(count, name))?;
        let middle = |value: fn(&Sample) -> Duration| {
            median(&samples.iter().map(|sample| value(sample).as_secs_f64()).collect::<Vec<_>>())
        };
        let each_ms = 1000.0 / count as f64;
        Some(Self {
            up_s: middle(|sample| sample.up),
            down_s: middle(|sample| sample.down),
            up_cpu_ms: middle(|sample| sample.up_cpu) * each_ms,
            down_cpu_ms: middle(|sample| sample.down_cpu) * each_ms,
        })
    }
}

fn report(section: &mut Section, samples: &Samples, count: usize, runs: usize) {
    let Some(ours) = Medians::of(samples, count, "ensemble") else { return };
    let head = [
        "",
        "up, s",
        "CPU up, ms each",
        "down, s",
        "CPU down, ms each",
        "Ensemble's up to its",
        "down to its",
    ];
    let mut table = Table::new(format!("{count} containers, medians of {runs}"), &head);
    let rows = [
        ("ensemble", "Ensemble"),
        ("runc", "loop over `runc`"),
        ("crun", "loop over `crun`"),
        ("swarm", "Docker Swarm"),
    ];
    for (name, title) in rows {
        let Some(theirs) = Medians::of(samples, count, name) else { continue };
        let mut cells = vec![title.to_owned()];
        cells.extend([theirs.up_s, theirs.up_cpu_ms, theirs.down_s, theirs.down_cpu_ms].map(number));
        cells.extend(
            [ours.up_s / theirs.up_s, ours.down_s / theirs.down_s].map(|ratio| format!("{ratio:.2}")),
        );
        table.row(cells);
    }
    section.tables.push(table);
    let mut ratio = |name, what: &str, bound: fn(&Medians, &Medians) -> (Bound, f64, f64)| {
        let Some(theirs) = Medians::of(samples, count, name) else { return };
        let (limit, up, down) = bound(&ours, &theirs);
        section.aim(format!("{count} up, {what}"), "", limit, up);
        section.aim(format!("{count} down, {what}"), "", limit, down);
    };
    ratio("runc", "time to that of the `runc` loop", |ours, theirs| {
        (Bound::AtMost(1.0), ours.up_s / theirs.up_s, ours.down_s / theirs.down_s)
    });
    ratio("crun", "time to that of the `crun` loop", |ours, theirs| {
        (Bound::AtMost(1.2), ours.up_s / theirs.up_s, ours.down_s / theirs.down_s)
    });
    ratio("swarm", "Swarm's time to ours", |ours, theirs| {
        (Bound::AtLeast(8.0), theirs.up_s / ours.up_s, theirs.down_s / ours.down_s)
    });
    section.aim(format!("{count} up, CPU each"), "ms", Bound::AtMost(30.0), ours.up_cpu_ms);
    section.aim(format!("{count} down, CPU each"), "ms", Bound::AtMost(10.0), ours.down_cpu_ms);
}
