//! A failing run is made shorter, and what is printed of it runs again. Fails on purpose: without any calm nothing has time
//! to become as it should be.

use ensemble_simulator::{Options, run, shrink};

/// A seed that breaks something when it is judged at once.
fn hasty() -> Options {
    let hasty = |seed| Options { minutes: 20, edge_nodes: 6, calm_s: 0, ..Options::new(seed) };
    (1..50).map(hasty).find(|options| run(options).violation.is_some()).expect("nothing is instantaneous")
}

#[test]
fn a_failing_run_becomes_shorter_and_breaks_the_same_invariant() {
    let options = hasty();
    let report = run(&options);
    let violation = report.violation.clone().expect("it was chosen for that");

    let shrunk = shrink(&options, &report).expect("there is a violation to look for");

    let found = shrunk.report.violation.expect("only failing runs are kept");
    assert_eq!(found.invariant, violation.invariant);
    assert!(shrunk.report.steps < report.steps, "{} of {} events", shrunk.report.steps, report.steps);
    let again = run(&shrunk.options).violation;
    assert_eq!(again, Some(found), "{}", shrunk.options.command());
}

#[test]
fn a_sound_run_is_not_made_shorter() {
    let options = Options { minutes: 5, ..Options::new(1) };
    let report = run(&options);

    assert_eq!(report.violation, None);
    assert!(shrink(&options, &report).is_none());
}
