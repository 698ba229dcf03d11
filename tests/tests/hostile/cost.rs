//! What one bad request costs: processor time as the kernel counts it, for half the largest size and for the whole,
//! and memory and open files after all of them. Bounds hold for a build without optimization on a busy machine; what
//! is quadratic, or echoes without bound, breaks them by orders of magnitude.

use crate::stage::Stage;
use ensemble_tests::costly::{COSTLY, Costly, Target};
use ensemble_tests::machine;
use std::time::Duration;

/// Of the request as it is sent; the largest body is 1 MiB.
const BYTES: usize = 900_000;
const TIMES: u32 = 4;
/// The cheapest round counts: what others do on the machine only ever adds.
const ROUNDS: usize = 3;

/// Twice the bytes may cost this many times as much, and ten milliseconds for the clock's own steps.
const GROWTH_AT_MOST: u32 = 3;
const STEP: Duration = Duration::from_millis(10);

const TIME_AT_MOST: Duration = Duration::from_secs(1);
const ANSWER_BYTES_AT_MOST: usize = 300 << 10;
/// What the allocator may keep of the first round, and what a second one like it may add.
const MEMORY_KEPT_AT_MOST: u64 = 192 << 20;
const MEMORY_GROWTH_AT_MOST: u64 = 48 << 20;

#[test]
fn what_a_bad_request_costs_is_bounded_and_grows_with_its_size_only() {
    let stage = Stage::set();
    let target = Target { key: stage.key.clone(), host: stage.address.clone(), app_id: stage.app_id.clone() };
    let pid = stage.site.server().pid();
    let (memory, files) = (machine::resident_bytes(pid), machine::open_files(pid));
    let mut wrong = Vec::new();

    for costly in COSTLY {
        let half = cost(&stage, &target, costly, BYTES / 2);
        let whole = cost(&stage, &target, costly, BYTES);
        println!("{:45} {half:?} for half, {whole:?}", costly.name);
        if whole > TIME_AT_MOST || whole > half * GROWTH_AT_MOST + STEP {
            wrong.push(format!("{}: {half:?} for half, {whole:?} for the whole", costly.name));
        }
    }

    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let kept = machine::resident_bytes(pid);
    for costly in COSTLY {
        stage.exchange(&(costly.request)(&target, BYTES).bytes()).unwrap();
    }
    let grown = machine::resident_bytes(pid).saturating_sub(kept);
    println!("{} MiB kept, {} MiB more after another round", (kept - memory) >> 20, grown >> 20);
    assert!(kept - memory < MEMORY_KEPT_AT_MOST, "{kept} bytes, {memory} before");
    assert!(grown < MEMORY_GROWTH_AT_MOST, "{grown} bytes more");
    assert!(machine::open_files(pid) <= files + 2, "{} files, {files} before", machine::open_files(pid));
    stage.ask(&stage.describe());
}

/// Processor time of the server for one such request.
fn cost(stage: &Stage, target: &Target, costly: &Costly, bytes: usize) -> Duration {
    let pid = stage.site.server().pid();
    let round = |_| {
        let requests: Vec<_> = (0..TIMES).map(|_| (costly.request)(target, bytes).bytes()).collect();
        let before = machine::processor_time(pid);
        for request in &requests {
            let answer = stage.exchange(request).unwrap();
            assert!((400..500).contains(&answer.status), "{}: {}", costly.name, answer.status);
            assert!(
                answer.body.len() <= ANSWER_BYTES_AT_MOST,
                "{}: {} bytes",
                costly.name,
                answer.body.len()
            );
        }
        (machine::processor_time(pid) - before) / TIMES
    };
    (0..ROUNDS).map(round).min().expect("there is more than one round")
}
