//! Looks for the first of some seeds that breaks an invariant: what `make mutants` asks of a program with a planted bug.
//! Prints one line, `<seed> <invariant> <what was seen>`, or nothing; a panic counts as broken. Runs what CI's seeds run.

use ensemble_simulator::{Options, run};
use std::num::NonZero;
use std::panic;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// As in `tests/seeds.rs`.
fn options(seed: u64) -> Options {
    let edge_nodes = [8, 5, 12, 3][(seed % 4) as usize];
    Options { minutes: 30, edge_nodes, applications: 5, ..Options::new(seed) }
}

fn main() -> ExitCode {
    let range = std::env::args().nth(1).unwrap_or_default();
    let bounds =
        range.split_once("..").and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
    let Some((first, last)) = bounds else {
        eprintln!("usage: first_violation FIRST..LAST, both included");
        return ExitCode::from(2);
    };
    if let Some((seed, broken)) = first_violation(first, last) {
        println!("{seed} {broken}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// The lowest seed that breaks something, whoever finds it first.
fn first_violation(first: u64, last: u64) -> Option<(u64, String)> {
    let (next, lowest) = (AtomicU64::new(first), AtomicU64::new(u64::MAX));
    let search = || {
        let mut found = None;
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > last || seed > lowest.load(Ordering::Relaxed) {
                return found;
            }
            if let Some(broken) = violation(seed) {
                lowest.fetch_min(seed, Ordering::Relaxed);
                // Seeds are taken in their order, so the first one found here is this thread's lowest.
                found = found.or(Some((seed, broken)));
            }
        }
    };
    thread::scope(|scope| {
        let workers = thread::available_parallelism().map_or(1, NonZero::get);
        let searches: Vec<_> = (0..workers).map(|_| scope.spawn(search)).collect();
        searches.into_iter().filter_map(|search| search.join().ok().flatten()).min()
    })
}

fn violation(seed: u64) -> Option<String> {
    match panic::catch_unwind(|| run(&options(seed))) {
        Ok(report) => {
            let violation = report.violation?;
            Some(format!("{} {}", violation.invariant, violation.detail))
        }
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
            Some(format!("nothing_panics {text}"))
        }
    }
}
