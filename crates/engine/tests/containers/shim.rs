//! One supervisor and one container, for real: what the container may do, how it ends, and what is left.

use crate::fixture::Bench;
use crate::need_root;
use ensemble_engine::embedded::record::{End, KillCause, Prospect};

#[test]
fn a_container_starts_and_stops_and_leaves_only_its_records() {
    need_root!("a_container_starts_and_stops_and_leaves_only_its_records");
    let mut bench = Bench::new("starts", &["polite"]);

    bench.start();
    bench.wait_for_line("stdout F ready");
    let group = bench.order.group.clone();
    assert!(group.exists());
    bench.stop();
    let exit = bench.ended();

    assert_eq!(exit.end, End::Exited { code: 0 });
    assert!(!group.exists());
    assert!(!bench.directory.work().exists());
    assert!(
        !std::fs::read_to_string("/proc/mounts").unwrap().contains(bench.temporary.path().to_str().unwrap())
    );
}

#[test]
fn the_exit_code_is_kept() {
    need_root!("the_exit_code_is_kept");
    let mut bench = Bench::new("code", &["exit", "7"]);

    bench.start();

    assert_eq!(bench.ended().end, End::Exited { code: 7 });
}

#[test]
fn a_container_without_an_executable_is_hopeless() {
    need_root!("a_container_without_an_executable_is_hopeless");
    let mut bench = Bench::new("hopeless", &[]);
    bench.spec.program = vec!["absent".to_owned()];

    bench.start();

    let reason = "the image has no executable `absent`".to_owned();
    assert_eq!(bench.ended().end, End::NotStarted { reason, prospect: Prospect::Hopeless });
}

#[test]
fn out_of_memory_is_told_from_a_kill() {
    need_root!("out_of_memory_is_told_from_a_kill");
    let mut bench = Bench::new("oom", &["eat", "200"]);

    bench.start();

    assert_eq!(bench.ended().end, End::Killed { signal: 9, cause: KillCause::OutOfMemory });
}
