//! A hundred kills of the server, and of much else, in one bounded run: `make chaos` is the long one. In a test program
//! of its own, so that it has the machine's processors.

use ensemble_tests::chaos::clients::Appetite;
use ensemble_tests::chaos::{Settings, run};
use ensemble_tests::{containers_can_run, server};
use std::time::Duration;

const KILLS: u64 = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_kills_lose_double_and_leak_nothing() {
    if !containers_can_run() {
        return;
    }
    let target = server::image().parent().unwrap().to_owned();
    let settings = Settings {
        seed: 20_261_125,
        lasts: Duration::from_secs(50),
        kills: KILLS,
        second_servers: 1,
        sleeps: Duration::from_secs(2),
        disk_mib: 512,
        appetite: Appetite { applications: 2, instances: 3, timeout_seconds: 8 },
        shots: Duration::from_secs(2),
        floods: Duration::from_secs(12),
        converges_within: Duration::from_secs(90),
        directory: target.join("chaos/test"),
    };

    let outcome = run(&settings).await.unwrap();

    println!("{outcome:#?}");
    assert!(outcome.findings.is_empty(), "{}", outcome.stories.join("\n"));
    assert!(outcome.kills >= KILLS);
    for what in ["supervisors killed", "containers killed", "times the disk was full", "writes accepted: add"]
    {
        assert!(outcome.done[what] > 0, "{what}: {:#?}", outcome.done);
    }
}
