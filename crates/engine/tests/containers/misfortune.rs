//! What goes wrong on real machines, provoked: the engine is killed at random points, pids come round again, steps of a
//! removal fail, disks fill, `/run` is emptied (the table of runtime.md §7; other rows are in `shim` and `survival`).

use crate::fixture::machine::{Machine, send_kill};
use crate::fixture::{Bench, until, zombies};
use crate::need_root;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, SystemTime};

/// The directory that a child run of this test binary works on.
const CHILD_DIRECTORY: &str = "ENSEMBLE_TEST_CHILD_DIRECTORY";

const FORTY: usize = 40;
const KILLS: u64 = 100;

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("i-{number}")).collect()
}

/// Every other one scales out, the others in; each dies somewhere in the middle of it.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_killed_at_a_hundred_random_points_leaves_what_its_records_say() {
    const NAME: &str = "an_engine_killed_at_a_hundred_random_points_leaves_what_its_records_say";
    need_root!("an_engine_killed_at_a_hundred_random_points_leaves_what_its_records_say");
    if let Some(directory) = std::env::var_os(CHILD_DIRECTORY) {
        return Machine::work_on_until_killed(directory.into(), FORTY).await;
    }
    let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    println!("seed {seed}");
    let mut moments = std::iter::successors(Some(seed | 1), |random| {
        let random = random ^ (random << 13);
        let random = random ^ (random >> 7);
        Some(random ^ (random << 17))
    });
    let mut machine = Machine::new().await;
    machine.close().await;

    for _ in 0..KILLS {
        let child = machine.start_child(CHILD_DIRECTORY, &format!("misfortune::{NAME}"));
        tokio::time::sleep(Duration::from_millis(20 + moments.next().unwrap() % 300)).await;
        drop(child);
    }
    machine.open().await;
    let all = names(FORTY);
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    machine.converge(vec![machine.cell(&["polite"], &all)]).await;
    machine.until_ready(FORTY).await;

    assert_eq!(machine.group_names().len(), FORTY, "seed {seed}");
    assert_eq!(machine.programs().len(), FORTY, "none lost, none doubled, seed {seed}");
    assert_eq!(machine.supervisors().len(), FORTY, "seed {seed}");
    assert_eq!(machine.network_traces(), (FORTY, FORTY), "namespaces and interfaces, seed {seed}");
    assert_eq!(machine.mounts_below_instances(), 0, "seed {seed}");
    machine.converge(vec![machine.cell(&["polite"], &[])]).await;
    machine.until_gone(&all).await;
    assert!(machine.programs().is_empty() && machine.supervisors().is_empty(), "seed {seed}");
    assert_eq!(machine.network_traces(), (0, 0), "seed {seed}");
    assert_eq!(machine.group_names(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_with_the_pid_of_a_dead_container_is_left_alone() {
    need_root!("a_stranger_with_the_pid_of_a_dead_container_is_left_alone");
    let mut machine = Machine::new().await;
    let cell = machine.cell(&["polite"], &["i-a"]);
    machine.converge(vec![cell.clone()]).await;
    machine.until_ready(1).await;
    let (program, supervisor) = (machine.programs()[0], machine.supervisors()[0]);
    machine.close().await;
    machine.kill_supervisors();
    machine.kill_programs();

    // Both pids of the records come round again, in this very boot.
    let strangers = [Stranger::with_pid(program), Stranger::with_pid(supervisor)];
    machine.open().await;
    machine.converge(vec![cell]).await;
    machine.until_ready(1).await;
    machine.converge(vec![machine.cell(&["polite"], &[])]).await;
    machine.until_gone(&["i-a"]).await;

    for mut stranger in strangers {
        assert!(stranger.0.try_wait().unwrap().is_none(), "a stranger was signalled");
    }
}

/// Supervisors that were started for a directory.
fn processes_of(directory: &Path) -> Vec<PathBuf> {
    let processes =
        std::fs::read_dir("/proc").expect("/proc is mounted").flatten().map(|process| process.path());
    let is_for = |process: &PathBuf| {
        let words = std::fs::read(process.join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&words).contains(directory.to_str().expect("the name is plain"))
    };
    processes.filter(is_for).collect()
}

/// A `sleep` that ends with the test.
struct Stranger(Child);

impl Stranger {
    /// The next pid is the one after the last that was given away; others may be faster, so it is tried again.
    fn with_pid(pid: i32) -> Self {
        until("a stranger to get the pid", || {
            std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string())
                .expect("root may say which pid was last");
            let stranger = Self(Command::new("sleep").arg("600").spawn().expect("sleep is there"));
            (i32::try_from(stranger.0.id()) == Ok(pid)).then_some(stranger)
        })
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        // Already gone is what the test tells.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_whose_supervisor_was_killed_can_be_released() {
    need_root!("an_instance_whose_supervisor_was_killed_can_be_released");
    let mut machine = Machine::new().await;
    machine.converge(vec![machine.cell(&["deaf"], &["i-a"])]).await;
    machine.until_ready(1).await;
    machine.close().await;
    machine.kill_supervisors();

    machine.open().await;
    machine.converge(vec![machine.cell(&["deaf"], &[])]).await;
    machine.until_gone(&["i-a"]).await;

    assert!(machine.programs().is_empty());
    assert_eq!(machine.group_names(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_fails_in_one_step_is_done_whole_by_a_later_one() {
    need_root!("a_removal_that_fails_in_one_step_is_done_whole_by_a_later_one");
    let mut machine = Machine::new().await;
    machine.converge(vec![machine.cell(&["polite"], &["i-a"])]).await;
    machine.until_ready(1).await;
    let container = machine.container_directory("i-a");
    // Held open from outside; and a file that nobody can remove for now.
    let held = std::fs::File::open(format!("/proc/{}/root/program", machine.programs()[0])).unwrap();
    let stubborn = Immutable::make(container.join("work/upper/stubborn"));

    machine.converge(vec![machine.cell(&["polite"], &[])]).await;
    until("everything else to be gone", || {
        let is_gone = machine.programs().is_empty() && machine.supervisors().is_empty();
        is_gone.then_some(())
    });
    assert!(container.exists(), "the removal cannot have been whole");
    drop(stubborn);
    machine.until_gone(&["i-a"]).await;

    drop(held);
    assert_eq!(machine.group_names(), Vec::<String>::new());
    assert_eq!(machine.network_traces(), (0, 0));
    assert!(!machine.dir().join("instances/i-a").exists());
}

/// A file that even root cannot remove, until this is dropped.
struct Immutable(PathBuf);

impl Immutable {
    fn make(path: PathBuf) -> Self {
        std::fs::write(&path, b"").expect("the directory is ours");
        change_attribute("+i", &path);
        Self(path)
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        change_attribute("-i", &self.0);
    }
}

fn change_attribute(change: &str, path: &Path) {
    assert!(Command::new("chattr").arg(change).arg(path).status().expect("chattr is there").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_delays_a_start_and_spoils_nothing() {
    need_root!("a_full_disk_delays_a_start_and_spoils_nothing");
    let mut machine = Machine::on_small_disk().await;
    let filler = machine.dir().join("filler");
    std::fs::write(&filler, vec![0; 16 << 20]).unwrap_err();

    machine.converge(vec![machine.cell(&["polite"], &["i-a"])]).await;
    machine.until_trouble("No space left on device").await;
    std::fs::remove_file(&filler).unwrap();
    machine.until_ready(1).await;

    assert_eq!(machine.programs().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_reboot_instances_come_back_with_their_addresses() {
    need_root!("after_a_reboot_instances_come_back_with_their_addresses");
    let mut machine = Machine::new().await;
    let cell = machine.cell(&["polite"], &["i-a", "i-b"]);
    machine.converge(vec![cell.clone()]).await;
    machine.until_ready(2).await;
    let before = machine.addresses();
    machine.close().await;

    // What a reboot takes: processes, interfaces, namespaces, all of `/run`. What it leaves: records of another boot.
    machine.kill_supervisors();
    machine.kill_programs();
    machine.take_down_network();
    machine.forge_boot(1);
    machine.open().await;
    machine.converge(vec![cell]).await;
    machine.until_ready(2).await;

    assert_eq!(machine.addresses(), before);
    assert_eq!(machine.network_traces(), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_that_dies_before_it_gets_to_work_leaves_no_zombie() {
    const NAME: &str = "a_supervisor_that_dies_before_it_gets_to_work_leaves_no_zombie";
    need_root!("a_supervisor_that_dies_before_it_gets_to_work_leaves_no_zombie");
    // In a process of its own: other tests leave children behind when they play a server that is gone.
    if let Some(directory) = std::env::var_os(CHILD_DIRECTORY) {
        let mut machine = Machine::at(directory.into());
        machine.supervise_with("/bin/false");
        machine.open().await;
        machine.converge(vec![machine.cell(&["polite"], &["i-a"])]).await;
        machine.until_pod("a second restart", |pod| pod.restarts == 2).await;
        machine.converge(vec![machine.cell(&["polite"], &[])]).await;
        machine.until_gone(&["i-a"]).await;
        return until("all children to be reaped", || zombies().is_empty().then_some(()));
    }
    let mut machine = Machine::new().await;
    machine.close().await;

    let mut child = machine.start_child(CHILD_DIRECTORY, &format!("misfortune::{NAME}"));

    assert!(child.wait().success());
}

/// Of the tests themselves: one that fails takes with it what it started.
#[test]
fn a_test_that_fails_leaves_no_container_and_no_supervisor() {
    need_root!("a_test_that_fails_leaves_no_container_and_no_supervisor");
    let (told, directories) = std::sync::mpsc::channel();
    let tell = told.clone();
    let bench = std::thread::spawn(move || {
        let mut bench = Bench::new("failing", &["polite"]);
        bench.start();
        tell.send(bench.temporary.path().to_owned()).unwrap();
        panic!("on purpose");
    });
    let machine = std::thread::spawn(move || {
        tokio::runtime::Runtime::new().unwrap().block_on(async move {
            let mut machine = Machine::new().await;
            machine.converge(vec![machine.cell(&["polite"], &["i-a"])]).await;
            machine.until_ready(1).await;
            told.send(machine.dir()).unwrap();
            panic!("on purpose");
        });
    });

    assert!(bench.join().is_err() && machine.join().is_err());

    for directory in directories {
        assert!(!directory.exists());
        assert_eq!(processes_of(&directory), Vec::<PathBuf>::new());
    }
}

/// In a container of its own the server is process 1: whatever loses its parent becomes its child.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_process_1_leaves_no_zombies() {
    const NAME: &str = "an_engine_that_is_process_1_leaves_no_zombies";
    need_root!("an_engine_that_is_process_1_leaves_no_zombies");
    if let Some(directory) = std::env::var_os(CHILD_DIRECTORY) {
        let mut machine = Machine::at(directory.into());
        machine.open().await;
        machine.converge(vec![machine.cell(&["polite"], &["i-a"])]).await;
        machine.until_ready(1).await;
        assert_eq!(std::process::id(), 1);
        send_kill(machine.supervisors()[0]);
        machine.until_message("lost: its supervisor ended").await;
        machine.until_ready(1).await;
        machine.converge(vec![machine.cell(&["polite"], &[])]).await;
        machine.until_gone(&["i-a"]).await;
        assert_eq!(zombies(), Vec::<String>::new());
        return;
    }
    let mut machine = Machine::new().await;
    machine.close().await;

    let mut child = machine.start_child_as_process_1(CHILD_DIRECTORY, &format!("misfortune::{NAME}"));

    assert!(child.wait().success());
}
