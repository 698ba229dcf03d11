//! One supervisor and one container, for real: what the container may do, how it ends, and what is left.

use crate::fixture::{Bench, until};
use crate::need_root;
use ensemble_engine::embedded::kernel::Linux;
use ensemble_engine::embedded::shim::order::LogBounds;
use ensemble_supervision::record::{self, End, Exit, KillCause, Prospect};

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

#[test]
fn the_images_stop_signal_is_what_a_container_gets() {
    need_root!("the_images_stop_signal_is_what_a_container_gets");
    let mut bench = Bench::new("usr1", &["polite-usr1"]);
    bench.order.stop_signal = libc::SIGUSR1;

    bench.start();
    bench.wait_for_line("stdout F ready");
    bench.stop();

    assert_eq!(bench.ended().end, End::Exited { code: 0 });
}

#[test]
fn a_container_that_ignores_the_stop_is_killed_after_its_grace() {
    need_root!("a_container_that_ignores_the_stop_is_killed_after_its_grace");
    let mut bench = Bench::new("deaf", &["deaf"]);
    bench.order.grace_ms = 300;

    bench.start();
    bench.wait_for_line("stdout F ready");
    bench.stop();
    let exit = bench.ended();

    assert_eq!(exit.end, End::Killed { signal: 9, cause: KillCause::Signal });
    assert!((300..10_000).contains(&exit.up_ms), "{} ms", exit.up_ms);
}

#[test]
fn a_frozen_container_can_be_stopped() {
    need_root!("a_frozen_container_can_be_stopped");
    let mut bench = Bench::new("frozen", &["deaf"]);
    bench.order.grace_ms = 100;
    bench.start();
    bench.wait_for_line("stdout F ready");

    bench.freeze();
    bench.stop();

    assert_eq!(bench.ended().end, End::Killed { signal: 9, cause: KillCause::Signal });
}

#[test]
fn a_container_sees_only_what_it_may() {
    need_root!("a_container_sees_only_what_it_may");
    let mut bench = Bench::new("look", &["look"]);
    bench.order.user = "1000:1001".to_owned();
    bench.spec.working_dir = "/made/for/it".to_owned();

    bench.start();
    bench.ended();

    let seen: Vec<String> =
        bench.log().iter().map(|line| line.trim_start_matches("stdout F ").to_owned()).collect();
    let expected = [
        "user 1000 1001",
        "cwd /made/for/it",
        "env ENS_APP_NAME=shop HOME=/ PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "NSpid: 1",
        "SigBlk: 0000000000000000",
        "SigIgn: 0000000000001000",
        "CapEff: 0000000000000000",
        // CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, NET_BIND_SERVICE, SYS_CHROOT.
        "CapBnd: 00000000000404fb",
        "NoNewPrivs: 1",
        "Seccomp: 2",
        "oom 0",
        // Standard streams, and the one that lists them.
        "descriptors 3",
        "hostname shop-web-0",
        "hosts 127.0.0.1 localhost",
        "sys writable false",
        "proc-sys writable false",
    ];
    assert_eq!(seen, expected);
}

#[test]
fn forbidden_calls_fail_and_threads_work() {
    need_root!("forbidden_calls_fail_and_threads_work");
    let mut blocked = Bench::new("blocked", &["blocked"]);
    let mut threads = Bench::new("threads", &["threads"]);

    blocked.start();
    blocked.ended();
    threads.start();
    threads.ended();

    // clone3 says that there is no such call, so that glibc falls back; the others that it may not.
    let calls = ["clone3 -1 38", "mount -1 1", "bpf -1 1", "keyctl -1 1", "unshare -1 1"];
    assert_eq!(blocked.log(), calls.map(|call| format!("stdout F {call}")));
    assert_eq!(threads.log(), ["stdout F sum 28"]);
}

#[test]
fn threads_work_on_debians_own_library() {
    need_root!("threads_work_on_debians_own_library");
    let mut threads = Bench::new("debian", &["threads"]);
    threads.on_debians_library();

    threads.start();
    threads.ended();

    assert_eq!(threads.log(), ["stdout F sum 28"]);
}

/// A container has no way to a node of another device; whoever gets one in is refused all the same.
#[test]
fn no_device_but_the_harmless_ones_opens_in_a_containers_group() {
    need_root!("no_device_but_the_harmless_ones_opens_in_a_containers_group");
    let mut bench = Bench::new("devices", &["polite"]);
    bench.start();
    bench.wait_for_line("stdout F ready");

    let outcomes = ["/dev/null", "/dev/urandom", "/dev/kmsg"].map(|device| bench.opens_in_group(device));
    bench.stop();
    bench.ended();

    assert_eq!(outcomes, [true, true, false]);
}

#[test]
fn everything_written_before_the_end_is_in_the_log() {
    need_root!("everything_written_before_the_end_is_in_the_log");
    let mut bench = Bench::new("print", &["print", "2000"]);

    bench.start();
    bench.ended();

    let log = bench.log();
    let lines = (0..2000).map(|number| format!("stdout F line {number}"));
    assert!(lines.into_iter().all(|line| log.contains(&line)), "{} lines", log.len());
    assert!(log.contains(&"stderr F to stderr".to_owned()));
}

#[test]
fn a_flood_neither_fills_the_disk_nor_blocks_the_stop() {
    need_root!("a_flood_neither_fills_the_disk_nor_blocks_the_stop");
    let mut bench = Bench::new("flood", &["flood"]);
    bench.order.log = LogBounds { bytes: 256 * 1024, bytes_per_second: 1 << 30 };
    bench.order.grace_ms = 100;

    bench.start();
    until("both halves", || bench.directory.older_log().exists().then_some(()));
    bench.stop();
    bench.ended();

    let size = |path: std::path::PathBuf| std::fs::metadata(path).unwrap().len();
    assert!(size(bench.directory.log()) + size(bench.directory.older_log()) < 300 * 1024);
}

#[test]
fn a_second_supervisor_of_one_container_refuses() {
    need_root!("a_second_supervisor_of_one_container_refuses");
    let mut bench = Bench::new("second", &["polite"]);
    bench.start();
    bench.wait_for_line("stdout F ready");

    let second = bench.run_second();

    assert!(!second.success());
    bench.stop();
    assert_eq!(bench.ended().end, End::Exited { code: 0 }, "the first is unharmed");
}

#[test]
fn a_supervisor_that_begins_after_its_attempt_was_given_up_starts_nothing() {
    need_root!("a_supervisor_that_begins_after_its_attempt_was_given_up_starts_nothing");
    let mut bench = Bench::new("late", &["exit", "7"]);
    bench.start();
    let given_up = bench.ended();

    let late = bench.run_second();

    assert!(!late.success());
    assert_eq!(record::read::<Exit>(&Linux, &bench.directory.exit()).unwrap(), Some(given_up));
}

#[test]
fn an_exit_is_told_though_the_disk_is_full() {
    need_root!("an_exit_is_told_though_the_disk_is_full");
    let mut bench = Bench::new("full", &["fill"]);
    let small = bench.on_small_disk();

    bench.start();
    let exit = bench.ended();

    drop(small);
    assert_eq!(exit.end, End::Exited { code: 5 });
}

#[test]
fn a_flood_on_a_full_disk_blocks_nobody() {
    need_root!("a_flood_on_a_full_disk_blocks_nobody");
    // Sixteen times what fits, and more than a pipe holds: a program that nobody reads would never come to its end.
    let mut bench = Bench::new("flood-full", &["flood-of", "32768"]);
    bench.order.log = LogBounds { bytes: 64 << 20, bytes_per_second: 1 << 30 };
    let small = bench.on_small_disk();

    bench.start();
    let exit = bench.ended();

    drop(small);
    assert_eq!(exit.end, End::Exited { code: 0 });
}

#[test]
fn what_a_program_left_behind_ends_with_it() {
    need_root!("what_a_program_left_behind_ends_with_it");
    let mut bench = Bench::new("orphan", &["orphan"]);

    bench.start();
    let exit = bench.ended();

    assert_eq!(exit.end, End::Exited { code: 4 });
    assert_eq!(bench.log(), ["stdout F left"]);
    assert!(!bench.order.group.exists(), "the grandchild went with its group");
}

/// Most of it are relocations of the executable: an executable at a fixed address (`-no-pie`) has none.
#[test]
fn a_supervisor_needs_less_than_a_mebibyte_of_its_own() {
    need_root!("a_supervisor_needs_less_than_a_mebibyte_of_its_own");
    let mut bench = Bench::new("memory", &["polite"]);

    bench.start();
    bench.wait_for_line("stdout F ready");
    let private_kib = bench.private_kib();
    bench.stop();
    bench.ended();

    assert!((1..1024).contains(&private_kib), "{private_kib} KiB");
}
