//! What outlives what: containers their engine, records their supervisors. None lost, none doubled.

use crate::fixture::machine::Machine;
use crate::need_root;

#[tokio::test(flavor = "multi_thread")]
async fn a_new_engine_adopts_what_runs() {
    need_root!("a_new_engine_adopts_what_runs");
    let mut machine = Machine::new().await;
    let cell = machine.cell(&["polite"], &["i-a", "i-b"]);
    machine.converge(vec![cell.clone()]).await;
    machine.until_ready(2).await;
    let before = machine.programs();

    machine.close().await;
    assert_eq!(machine.programs(), before, "containers stay when their engine goes");
    machine.open().await;
    machine.converge(vec![cell]).await;
    machine.until_ready(2).await;

    assert_eq!(before.len(), 2);
    assert_eq!(machine.programs(), before, "none lost, none doubled");
    assert_eq!(machine.restarts(), [0, 0]);
    machine.converge(vec![machine.cell(&["polite"], &[])]).await;
    machine.until_gone(&["i-a", "i-b"]).await;
    assert!(machine.programs().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_while_no_engine_was_there_is_found_and_started_again() {
    need_root!("what_ended_while_no_engine_was_there_is_found_and_started_again");
    let mut machine = Machine::new().await;
    let cell = machine.cell(&["polite"], &["i-a"]);
    machine.converge(vec![cell.clone()]).await;
    machine.until_ready(1).await;
    let before = machine.programs();

    machine.close().await;
    machine.end_program(before[0]);
    machine.open().await;
    machine.converge(vec![cell]).await;
    machine.until_message("exited 0").await;
    machine.until_ready(1).await;

    assert_eq!(machine.restarts(), [1]);
    assert_ne!(machine.programs(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_whose_supervisor_was_killed_is_lost_and_replaced() {
    need_root!("a_container_whose_supervisor_was_killed_is_lost_and_replaced");
    let mut machine = Machine::new().await;
    machine.converge(vec![machine.cell(&["polite"], &["i-a"])]).await;
    machine.until_ready(1).await;
    let before = machine.programs();

    machine.kill_supervisors();
    machine.until_message("lost: its supervisor ended").await;
    machine.until_ready(1).await;

    let after = machine.programs();
    assert_eq!(after.len(), 1, "the old one does not run beside the new one");
    assert_ne!(after, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_another_boot_are_never_acted_on() {
    need_root!("records_of_another_boot_are_never_acted_on");
    let mut machine = Machine::new().await;
    let cell = machine.cell(&["polite"], &["i-a"]);
    machine.converge(vec![cell.clone()]).await;
    machine.until_ready(1).await;
    machine.close().await;
    // As after a power cut: no process, no exit record; and a stranger now has the pid of the record.
    machine.kill_supervisors();
    machine.kill_programs();
    let mut stranger = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    machine.forge_boot(stranger.id());

    machine.open().await;
    machine.converge(vec![cell]).await;
    machine.until_message("lost: the machine was restarted").await;
    machine.until_ready(1).await;
    let stranger_lives = stranger.try_wait().unwrap().is_none();
    stranger.kill().unwrap();
    stranger.wait().unwrap();

    assert!(stranger_lives);
    assert_eq!(machine.programs().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_record_knows_is_removed() {
    need_root!("what_no_record_knows_is_removed");
    let mut machine = Machine::new().await;
    machine.converge(vec![machine.cell(&["polite"], &["i-a", "i-b"])]).await;
    machine.until_ready(2).await;
    machine.close().await;
    // A crash of the disk took one record: its container, group, network and directory are strays.
    machine.lose_record("i-b");

    machine.open().await;
    machine.converge(vec![machine.cell(&["polite"], &["i-a"])]).await;
    machine.until_ready(1).await;
    machine.until_rest("i-b").await;

    assert_eq!(machine.group_names(), ["i-a"]);
    assert_eq!(machine.programs().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_runs_is_known_to_run_without_the_record_of_its_start() {
    need_root!("a_container_that_runs_is_known_to_run_without_the_record_of_its_start");
    let mut machine = Machine::new().await;
    let cell = machine.cell(&["polite"], &["i-a"]);
    machine.converge(vec![cell.clone()]).await;
    machine.until_ready(1).await;
    let before = machine.programs();
    machine.close().await;
    machine.empty_records("attempt.json");
    std::fs::write(machine.dir().join("instances").join("not-ours"), b"").unwrap();

    machine.open().await;
    machine.converge(vec![cell]).await;
    machine.until_ready(1).await;

    assert_eq!(machine.programs(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_whose_lock_names_nobody_is_stopped_with_its_container() {
    need_root!("a_supervisor_whose_lock_names_nobody_is_stopped_with_its_container");
    let mut machine = Machine::new().await;
    machine.converge(vec![machine.cell(&["polite"], &["i-a"])]).await;
    machine.until_ready(1).await;
    machine.empty_records("lock");

    machine.converge(vec![machine.cell(&["polite"], &[])]).await;
    machine.until_gone(&["i-a"]).await;

    assert!(machine.programs().is_empty() && machine.supervisors().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_writes_into_the_supervisors_program_through_a_supervisor() {
    need_root!("nobody_writes_into_the_supervisors_program_through_a_supervisor");
    let mut machine = Machine::new().await;
    machine.converge(vec![machine.cell(&["polite"], &["i-a"])]).await;
    machine.until_ready(1).await;

    // Opening it to write says no more: as long as it runs it is busy first, and read-only after.
    let program = std::fs::File::open(format!("/proc/{}/exe", machine.supervisors()[0])).unwrap();
    let seen_through = rustix::fs::fstatvfs(&program).unwrap();

    assert!(seen_through.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_engines_never_work_on_one_directory() {
    need_root!("two_engines_never_work_on_one_directory");
    let machine = Machine::new().await;

    let second = machine.try_open().await;

    assert!(matches!(second, Err(ensemble_engine::embedded::OpenError::InUse { .. })));
}

/// The directory that a child run of this test binary works on.
const CRASH_DIRECTORY: &str = "ENSEMBLE_TEST_CRASH_DIRECTORY";

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_killed_at_any_moment_is_repaired_by_the_next() {
    need_root!("an_engine_killed_at_any_moment_is_repaired_by_the_next");
    let ids = ["i-0", "i-1", "i-2", "i-3", "i-4", "i-5"];
    if let Some(directory) = std::env::var_os(CRASH_DIRECTORY) {
        // This is the one that is killed.
        return Machine::work_on(directory.into(), &ids).await;
    }
    let mut machine = Machine::new().await;
    machine.close().await;
    for moment_ms in [0, 15, 40, 80, 130, 200, 290, 400] {
        // A new one scales out from nothing, and dies in the middle of it.
        let child = machine
            .start_child(CRASH_DIRECTORY, "survival::an_engine_killed_at_any_moment_is_repaired_by_the_next");
        tokio::time::sleep(std::time::Duration::from_millis(moment_ms)).await;
        drop(child);

        machine.open().await;
        machine.converge(vec![machine.cell(&["polite"], &ids)]).await;
        machine.until_ready(ids.len()).await;
        assert_eq!(machine.group_names(), ids, "after {moment_ms} ms");
        assert_eq!(machine.programs().len(), ids.len(), "none lost, none doubled, after {moment_ms} ms");
        assert_eq!(machine.supervisors().len(), ids.len(), "after {moment_ms} ms");

        machine.converge(vec![machine.cell(&["polite"], &[])]).await;
        machine.until_gone(&ids).await;
        assert!(machine.programs().is_empty() && machine.supervisors().is_empty());
        machine.close().await;
    }
}
