//! Steps of the engine over the real kernel: the n-th call of each fails, for every n until the step passes, and then it
//! is done again. In the end nothing is left: no directory, no control group, no process, no lock. The same with every
//! step and more mischief is told of a simulated machine, in `ensemble-simulator`.

#![expect(clippy::unwrap_used, reason = "what is staged for a test fails by panicking")]

use crate::fixture::Groups as TestGroups;
use crate::need_root;
use ensemble_engine::embedded::cgroup::Subtree;
use ensemble_engine::embedded::kernel::Linux;
use ensemble_model::id::{AppId, EdgeNodeId, InstanceId, Isp, VersionName};
use ensemble_model::spec::Resources;
use ensemble_model::wanted::{CellKey, CellTemplate};
use ensemble_supervision::host::Host;
use ensemble_supervision::kernel::{
    Clocks, Durability, Entry, Groups, Kernel, LockState, ProcessIdentity, Signal,
};
use ensemble_supervision::layout::{self, ContainerKey, Layout};
use ensemble_supervision::pod::PodKey;
use ensemble_supervision::reconcile::state::Loss;
use ensemble_supervision::record::{Attempt, InstanceRecord};
use ensemble_supervision::supervisor::steps::Error;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Result;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command};

/// No step makes more calls.
const CALLS_AT_MOST: u64 = 60;

/// Which call fails, counted from 1; 0 is none.
#[derive(Default)]
struct Count {
    nth: u64,
    calls: Cell<u64>,
}

impl Count {
    fn pass(&self) -> Result<()> {
        self.calls.set(self.calls.get() + 1);
        if self.calls.get() == self.nth { Err(rustix::io::Errno::IO.into()) } else { Ok(()) }
    }

    fn has_struck(&self) -> bool {
        self.nth > 0 && self.calls.get() >= self.nth
    }
}

/// A half of the kernel seam of which one call fails.
struct Failing<'a, T> {
    inner: &'a T,
    count: &'a Count,
}

impl Kernel for Failing<'_, Linux> {
    type Process = OwnedFd;
    type Lock = <Linux as Kernel>::Lock;

    fn clocks(&self) -> Clocks {
        self.inner.clocks()
    }

    fn boot_id(&self) -> Result<String> {
        self.count.pass().and_then(|()| self.inner.boot_id())
    }

    fn make_directory(&self, path: &Path) -> Result<()> {
        self.count.pass().and_then(|()| self.inner.make_directory(path))
    }

    fn list(&self, path: &Path) -> Result<Vec<Entry>> {
        self.count.pass().and_then(|()| self.inner.list(path))
    }

    fn read(&self, path: &Path, at_most: u64) -> Result<Vec<u8>> {
        self.count.pass().and_then(|()| self.inner.read(path, at_most))
    }

    fn write(&self, path: &Path, content: &[u8], durability: Durability) -> Result<()> {
        self.count.pass().and_then(|()| self.inner.write(path, content, durability))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.count.pass().and_then(|()| self.inner.rename(from, to))
    }

    fn sync_directory(&self, path: &Path) -> Result<()> {
        self.count.pass().and_then(|()| self.inner.sync_directory(path))
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        self.count.pass().and_then(|()| self.inner.remove_file(path))
    }

    fn remove_tree(&self, path: &Path) -> Result<()> {
        self.count.pass().and_then(|()| self.inner.remove_tree(path))
    }

    fn probe_lock(&self, path: &Path) -> Result<LockState> {
        self.count.pass().and_then(|()| self.inner.probe_lock(path))
    }

    fn take_lock(&self, path: &Path) -> Result<Option<Self::Lock>> {
        self.count.pass().and_then(|()| self.inner.take_lock(path))
    }

    fn write_lock(&self, lock: &Self::Lock, content: &[u8]) -> Result<()> {
        self.count.pass().and_then(|()| self.inner.write_lock(lock, content))
    }

    fn release_lock(&self, lock: Self::Lock) {
        self.inner.release_lock(lock);
    }

    fn own_process(&self) -> Result<ProcessIdentity> {
        self.count.pass().and_then(|()| self.inner.own_process())
    }

    fn open_pid(&self, pid: i32) -> Result<Option<OwnedFd>> {
        self.count.pass().and_then(|()| self.inner.open_pid(pid))
    }

    fn start_ticks(&self, pid: i32) -> Result<Option<u64>> {
        self.count.pass().and_then(|()| self.inner.start_ticks(pid))
    }

    fn signal(&self, process: &OwnedFd, signal: Signal) -> Result<()> {
        self.count.pass().and_then(|()| self.inner.signal(process, signal))
    }

    fn reap(&self, process: &OwnedFd) {
        self.inner.reap(process);
    }
}

impl Groups for Failing<'_, Subtree> {
    fn instances(&self) -> Result<BTreeSet<String>> {
        self.count.pass().and_then(|()| self.inner.instances())
    }

    fn has_instance(&self, instance: &str) -> bool {
        self.inner.has_instance(instance)
    }

    fn make_instance(&self, instance: &str, limits: Resources) -> Result<()> {
        self.count.pass().and_then(|()| self.inner.make_instance(instance, limits))
    }

    fn remove_instance(&self, instance: &str) -> Result<()> {
        self.count.pass().and_then(|()| self.inner.remove_instance(instance))
    }

    fn kill_container(&self, instance: &str, container: &str) -> Result<()> {
        self.count.pass().and_then(|()| self.inner.kill_container(instance, container))
    }

    fn remove_container(&self, instance: &str, container: &str) -> Result<()> {
        self.count.pass().and_then(|()| self.inner.remove_container(instance, container))
    }
}

type TheHost<'a> = Host<'a, Failing<'a, Linux>, Failing<'a, Subtree>>;

/// A step, and what is staged for it.
struct Step {
    name: &'static str,
    run: fn(TheHost<'_>) -> std::result::Result<(), Error>,
}

const STEPS: [Step; 7] = [
    Step { name: "prepare", run: |host| host.prepare(&record()) },
    Step {
        name: "collect",
        run: |host| host.collect(&container(), Attempt { number: 1, streak: 0 }, Loss::SupervisorEnded),
    },
    // Nobody holds the lock: whoever is to be stopped is killed, and that is said.
    Step {
        name: "stop",
        run: |host| match host.stop(&container()) {
            Err(Error::NoSupervisor { .. }) => Ok(()),
            stopped => stopped,
        },
    },
    Step { name: "kill", run: |host| host.kill(&container()) },
    Step { name: "retire", run: |host| host.retire(&record().id) },
    Step { name: "sweep a directory", run: |host| host.sweep_directory(record().id.as_str()) },
    Step { name: "sweep a group", run: |host| host.sweep_group(record().id.as_str()) },
];

fn record() -> InstanceRecord {
    InstanceRecord {
        id: InstanceId::new("i-a"),
        cell: CellKey {
            app: AppId::new("shop"),
            version: VersionName::new("v1"),
            node: EdgeNodeId::new("cn-shanghai-cmcc"),
            isp: Isp::new("cmcc"),
        },
        deployment: "abcdefgh".to_owned(),
        host: None,
        template: CellTemplate {
            app_name: "shop".to_owned(),
            limits: Resources { vcpu: 1, memory_mib: 64 },
            workloads: Vec::new(),
            pins: BTreeMap::new(),
        },
    }
}

fn container() -> ContainerKey {
    ContainerKey { pod: PodKey::new(record().id, "web", 0), container: "main".to_owned() }
}

/// A process in the container's group, in every hierarchy that takes it.
fn living(subtree: &Subtree) -> Child {
    let child = Command::new("sleep").arg("600").spawn().unwrap();
    let group = Path::new(&layout::instance_group(&record().id)).join(layout::container_group(&container()));
    let joined = subtree.supervisor_files().into_iter().filter(|file| {
        let tree = file.ancestors().nth(2).unwrap();
        let path = tree.join(&group);
        // A hierarchy with rules of its own, as for processors, may refuse.
        std::fs::create_dir_all(&path).is_ok()
            && std::fs::write(path.join("cgroup.procs"), child.id().to_string()).is_ok()
    });
    assert!(joined.count() > 0, "no hierarchy takes a process");
    child
}

fn host<'a>(
    kernel: &'a Failing<'a, Linux>,
    groups: &'a Failing<'a, Subtree>,
    layout: &'a Layout,
) -> TheHost<'a> {
    Host { kernel, groups, layout }
}

/// Does `step` with its n-th call failing, then again, then takes everything down. Says whether a call failed.
fn check(step: &Step, nth: u64, subtree: &Subtree) -> bool {
    let case = format!("{}, call {nth}", step.name);
    let temporary = tempfile::tempdir().unwrap();
    let layout = Layout::new(temporary.path());
    let (sound, failing) = (Count::default(), Count { nth, ..Count::default() });
    let (kernel, groups) =
        (Failing { inner: &Linux, count: &sound }, Failing { inner: subtree, count: &sound });
    let (bad_kernel, bad_groups) =
        (Failing { inner: &Linux, count: &failing }, Failing { inner: subtree, count: &failing });
    std::fs::create_dir_all(layout.instances()).unwrap();
    if step.name != "prepare" {
        host(&kernel, &groups, &layout).prepare(&record()).unwrap();
        std::fs::create_dir_all(layout.container(&container()).upper()).unwrap();
    }
    let mut child = living(subtree);

    let done = (step.run)(host(&bad_kernel, &bad_groups, &layout));
    if !failing.has_struck() {
        done.unwrap_or_else(|error| panic!("{case}: {}", error.sentence()));
    }
    let again = (step.run)(host(&kernel, &groups, &layout));
    again.unwrap_or_else(|error| panic!("{case}, again: {}", error.sentence()));

    let down = host(&kernel, &groups, &layout);
    down.retire(&record().id).unwrap_or_else(|error| panic!("{case}, retired: {}", error.sentence()));
    let status = child.wait().unwrap();
    assert_eq!(status.signal(), Some(9), "{case}: what was in the group lives");
    assert_eq!(subtree.instances().unwrap(), BTreeSet::new(), "{case}");
    assert_eq!(std::fs::read_dir(layout.instances()).unwrap().count(), 0, "{case}");
    let kept = std::fs::read_dir(layout.released()).map_or(0, Iterator::count);
    assert!(kept <= 1, "{case}: {kept} kept of one instance");
    failing.has_struck()
}

#[test]
fn whichever_call_of_a_step_fails_it_can_be_done_again_and_nothing_is_left() {
    need_root!("whichever_call_of_a_step_fails_it_can_be_done_again_and_nothing_is_left");
    let subtree = TestGroups::open("nth-failure");

    for step in &STEPS {
        let passes = (1..=CALLS_AT_MOST).find(|nth| !check(step, *nth, &subtree));

        assert!(passes.is_some_and(|nth| nth > 1), "{}: passes with {passes:?}", step.name);
    }
}
