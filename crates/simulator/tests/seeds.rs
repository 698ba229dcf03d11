//! CI's seeds: nothing breaks, every class of faults comes, and a seed gives the same run to the byte.

use ensemble_simulator::{Exercised, Fault, Options, Regret, Report, Tracing, run};
use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

const SEEDS: u64 = 1_200;

/// Invariants that every run is held against; a new one raises this, so that none is left out by mistake.
const INVARIANTS: usize = 85;

/// Shorter and smaller than a run by hand, so that many different ones fit into the time. Some fleets are so small that
/// all placements can be tried.
fn options(seed: u64) -> Options {
    let edge_nodes = [8, 5, 12, 3][(seed % 4) as usize];
    Options { minutes: 30, edge_nodes, applications: 5, ..Options::new(seed) }
}

fn run_all(seeds: u64) -> Vec<Report> {
    let next = AtomicU64::new(1);
    let (done, reports) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            let (done, next) = (done.clone(), &next);
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > seeds || done.send(run(&options(seed))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(done);
        reports.iter().collect()
    })
}

#[test]
fn no_seed_breaks_an_invariant_and_every_fault_comes() {
    let reports = run_all(SEEDS);

    let broken: Vec<String> = reports
        .iter()
        .filter_map(|report| {
            let violation = report.violation.as_ref()?;
            Some(format!("{violation}\n    {} --trace", options(report.seed).command()))
        })
        .collect();
    let mut came: BTreeMap<Fault, u64> = BTreeMap::new();
    for (fault, count) in reports.iter().flat_map(|report| &report.faults) {
        *came.entry(*fault).or_default() += count;
    }
    let never: Vec<Fault> = Fault::ALL.iter().copied().filter(|fault| !came.contains_key(fault)).collect();
    assert!(broken.is_empty(), "{} of {SEEDS} seeds:\n{}", broken.len(), broken.join("\n"));
    assert_eq!(never, [], "classes of faults that never came");
    check_that_nothing_is_vacuous(&reports);
    assert_eq!(reports.len() as u64, SEEDS);
}

/// Every invariant had something to look at, and placements were compared with the best there is.
fn check_that_nothing_is_vacuous(reports: &[Report]) {
    let (mut exercised, mut regret) = (Exercised::default(), Regret::default());
    for report in reports {
        exercised.merge(&report.exercised);
        regret.merge(report.regret);
    }
    let idle: Vec<&str> = exercised.iter().filter(|(_, looked)| *looked == 0).map(|(name, _)| name).collect();
    assert_eq!(idle, [""; 0], "invariants that never had anything to look at");
    assert_eq!(exercised.iter().count(), INVARIANTS);
    assert!(regret.none > 100, "{regret:?}");
}

#[test]
fn without_faults_nothing_breaks_and_much_is_done() {
    let options = Options { faults: "none".parse().expect("a known name"), ..options(1) };

    let report = run(&options);

    assert_eq!(report.violation, None);
    assert!(report.faults.is_empty(), "{:?}", report.faults);
    assert!(report.figures.accepted > 10 && report.figures.snapshots > 0, "{:?}", report.figures);
}

#[test]
fn a_seed_gives_the_same_run_to_the_byte() {
    for seed in 1..=12 {
        let traced = Options { tracing: Tracing::All, ..options(seed) };

        let (one, other) = (run(&traced), run(&traced));

        assert!(one.trace.len() > 50, "seed {seed} has {} lines", one.trace.len());
        assert_eq!(one.trace, other.trace, "seed {seed}");
        assert_eq!((one.steps, one.figures), (other.steps, other.figures), "seed {seed}");
    }
    assert_ne!(run(&options(1)).figures, run(&options(2)).figures);
}
