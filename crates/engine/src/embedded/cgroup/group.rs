//! One container's group, in every hierarchy at once: who is in it, killing all of it, telling out-of-memory from
//! a kill, removing it. The supervisor uses it for its own container, the engine for what a dead one left.

use super::hierarchy::Version;
use super::{Error, Hierarchies};
use crate::embedded::kernel::Linux;
use ensemble_supervision::kernel::{Kernel, Signal};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A kill is looked after this often, at most this many times: 5 s together.
const ROUND: Duration = Duration::from_millis(5);
const ROUNDS: usize = 1_000;

/// Groups below a container's group: more than a program in it could be given.
const DEPTH_AT_MOST: usize = 16;

/// Paths of one group. Plain data, so that it can be handed to a supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerGroup {
    /// Below every hierarchy's root, without a leading slash.
    below: PathBuf,
    paths: Vec<PathBuf>,
    freezer: Option<PathBuf>,
    memory: Option<(MemoryFiles, PathBuf)>,
    unified: Option<PathBuf>,
    /// The processes are put into the v2 group by us: on a hybrid the runtime only knows v1.
    unified_is_ours: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum MemoryFiles {
    One,
    Two,
}

impl ContainerGroup {
    pub(super) fn new(hierarchies: &Hierarchies, below: &Path) -> Self {
        let mut group = Self {
            below: below.to_owned(),
            paths: Vec::new(),
            freezer: None,
            memory: None,
            unified: None,
            unified_is_ours: false,
        };
        for hierarchy in &hierarchies.all {
            let path = hierarchy.mount.join(below);
            match hierarchy.version {
                Version::One => {
                    group.unified_is_ours = true;
                    if hierarchy.has("freezer") {
                        group.freezer = Some(path.clone());
                    }
                    if hierarchy.has("memory") {
                        group.memory = Some((MemoryFiles::One, path.clone()));
                    }
                }
                Version::Two => {
                    group.unified = Some(path.clone());
                    if hierarchy.has("memory") {
                        group.memory = Some((MemoryFiles::Two, path.clone()));
                    }
                }
            }
            group.paths.push(path);
        }
        group
    }

    /// Puts a process into the v2 side of a hybrid, so that one write can kill its whole family.
    pub fn join_unified(&self, pid: i32) -> io::Result<()> {
        let Some(unified) = self.unified.as_ref().filter(|_| self.unified_is_ours) else { return Ok(()) };
        match fs::create_dir(unified) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Err(_) | Ok(()) => {}
        }
        fs::write(unified.join("cgroup.procs"), pid.to_string())
    }

    /// Makes a group below this one, of one hierarchy only: nothing is limited by it, its processes are killed together.
    /// None where there is no hierarchy for that.
    pub fn branch(&self, name: &str) -> io::Result<Option<Self>> {
        let Some(parent) = self.unified.as_ref().or(self.freezer.as_ref()) else { return Ok(None) };
        let path = parent.join(name);
        fs::create_dir(&path)?;
        let unified = self.unified.is_some().then(|| path.clone());
        let below = self.below.join(name);
        let paths = vec![path];
        Ok(Some(Self { below, paths, freezer: None, memory: None, unified, unified_is_ours: false }))
    }

    /// Where a process writes itself to, to become a member; the right to is that of whoever opens it.
    pub fn open_members(&self) -> io::Result<fs::File> {
        let path = self.paths.first().ok_or(io::ErrorKind::NotFound)?;
        fs::File::options().write(true).open(path.join("cgroup.procs"))
    }

    /// Hands its processes to the group above it, and removes it.
    ///
    /// # Errors
    /// It keeps getting new ones.
    pub fn dissolve(&self) -> Result<(), Error> {
        const TRIES: usize = 20;
        for path in &self.paths {
            let Some(parent) = path.parent() else { continue };
            for _ in 0..TRIES {
                let mut members = BTreeSet::new();
                collect_processes(path, 0, &mut members);
                if members.is_empty() {
                    break;
                }
                for pid in members {
                    // One that has ended meanwhile need not go anywhere.
                    let _ = fs::write(parent.join("cgroup.procs"), pid.to_string());
                }
            }
            match fs::remove_dir(path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::Remove { path: path.clone(), source });
                }
                Err(_) | Ok(()) => {}
            }
        }
        Ok(())
    }

    /// How many processes of the group the kernel killed for want of memory. Gone with the group.
    pub fn out_of_memory_kills(&self) -> u64 {
        let Some((files, path)) = &self.memory else { return 0 };
        let file = match files {
            MemoryFiles::One => "memory.oom_control",
            MemoryFiles::Two => "memory.events",
        };
        fs::read_to_string(path.join(file)).map(|text| parse_kills(&text)).unwrap_or(0)
    }

    /// Kills every process in the group and the groups below it, and waits until none is left.
    ///
    /// # Errors
    /// Some did not die within 5 s (a process in an uninterruptible wait).
    pub fn kill(&self) -> Result<(), Error> {
        for round in 0..ROUNDS {
            let alive = self.processes();
            if alive.is_empty() {
                return Ok(());
            }
            // A frozen process of v1 dies only when it is thawed (runtime.md §0.4); again in every round, since a
            // process may be forking while we look.
            self.thaw();
            if let Some(unified) = &self.unified {
                // Best effort: kernels before 5.14 have no such file, and the loop below does it one by one.
                let _ = fs::write(unified.join("cgroup.kill"), "1");
            }
            for pid in &alive {
                self.kill_one(*pid);
            }
            if round > 0 {
                std::thread::sleep(ROUND);
            }
        }
        let path = self.paths.first().cloned().unwrap_or_default();
        match self.processes().len() {
            0 => Ok(()),
            count => Err(Error::Survivors { path, count }),
        }
    }

    /// Removes the group from every hierarchy. What is not there is no error; a failure in one does not spare the
    /// others.
    pub fn remove(&self) -> Result<(), Error> {
        let mut outcome = Ok(());
        for path in &self.paths {
            let removed = remove_tree(path, 0).map_err(|source| Error::Remove { path: path.clone(), source });
            outcome = outcome.and(removed);
        }
        outcome
    }

    /// Both of the above.
    pub fn kill_and_remove(&self) -> Result<(), Error> {
        let killed = self.kill();
        killed.and(self.remove())
    }

    /// Whether any hierarchy still has the group.
    pub fn exists(&self) -> bool {
        self.paths.iter().any(|path| path.exists())
    }

    fn thaw(&self) {
        if let Some(freezer) = &self.freezer {
            // Best effort: the group may be gone from this hierarchy already.
            let _ = fs::write(freezer.join("freezer.state"), "THAWED");
        }
        if let Some(unified) = &self.unified {
            let _ = fs::write(unified.join("cgroup.freeze"), "0");
        }
    }

    fn processes(&self) -> BTreeSet<i32> {
        let mut found = BTreeSet::new();
        for path in &self.paths {
            collect_processes(path, 0, &mut found);
        }
        found
    }

    /// Kills `pid` if it is still in the group once a descriptor of it is held: a number alone could have gone to
    /// a stranger meanwhile.
    fn kill_one(&self, pid: i32) {
        let Some(descriptor) = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
        else {
            return;
        };
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        if lies_in(&groups, &self.below) {
            // Best effort: `kill` counts who is left.
            let _ = Linux.signal(&descriptor, Signal::Kill);
        }
    }
}

/// The group's child directories; none when it is not there.
pub(super) fn children(path: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn collect_processes(path: &Path, depth: usize, found: &mut BTreeSet<i32>) {
    let listed = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
    found.extend(listed.lines().filter_map(|line| line.parse::<i32>().ok()));
    if depth < DEPTH_AT_MOST {
        for child in children(path).unwrap_or_default() {
            collect_processes(&child, depth + 1, found);
        }
    }
}

fn remove_tree(path: &Path, depth: usize) -> io::Result<()> {
    if depth < DEPTH_AT_MOST {
        for child in children(path)? {
            remove_tree(&child, depth + 1)?;
        }
    }
    // Page cache of removed files would pin a dead memory group (runtime.md §6). Only v1 has the file.
    let force_empty = path.join("memory.force_empty");
    if force_empty.exists() {
        let _ = fs::write(force_empty, "0");
    }
    for round in 0..ROUNDS {
        match fs::remove_dir(path) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            // The last process is dead, its group a moment later.
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) && round + 1 < ROUNDS => {
                std::thread::sleep(ROUND);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether a process with this `/proc/PID/cgroup` is in the group or below it, in any hierarchy.
fn lies_in(groups: &str, below: &Path) -> bool {
    let paths = groups.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    paths.map(|path| Path::new(path.trim_start_matches('/'))).any(|path| path.starts_with(below))
}

/// Both versions say `oom_kill N` on a line of its own.
fn parse_kills(text: &str) -> u64 {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::hierarchy::Hierarchy;
    use super::*;

    #[test]
    fn out_of_memory_kills_are_read_in_both_versions() {
        let check = |text: &str, expected: u64| assert_eq!(parse_kills(text), expected, "{text:?}");
        check("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n", 2);
        check("low 0\nhigh 0\nmax 18\noom 3\noom_kill 1\noom_group_kill 0\n", 1);
        check("oom_kill_disable 0\nunder_oom 1\n", 0);
        check("", 0);
    }

    #[test]
    fn a_hybrid_is_killed_through_its_unified_side() {
        let one = |mount: &str, version, controllers: &[&str]| Hierarchy {
            mount: PathBuf::from(mount),
            version,
            controllers: controllers.iter().map(|name| (*name).to_owned()).collect(),
        };
        let hybrid = Hierarchies {
            all: vec![
                one("/c/memory", Version::One, &["memory"]),
                one("/c/freezer", Version::One, &["freezer"]),
                one("/c/unified", Version::Two, &[]),
            ],
        };
        let unified = Hierarchies { all: vec![one("/c", Version::Two, &["memory"])] };

        let on_hybrid = ContainerGroup::new(&hybrid, Path::new("e/i/c"));
        let on_unified = ContainerGroup::new(&unified, Path::new("e/i/c"));

        assert_eq!(on_hybrid.memory, Some((MemoryFiles::One, PathBuf::from("/c/memory/e/i/c"))));
        assert_eq!(on_hybrid.freezer, Some(PathBuf::from("/c/freezer/e/i/c")));
        assert_eq!((on_hybrid.unified_is_ours, on_unified.unified_is_ours), (true, false));
        assert_eq!(on_hybrid.unified, Some(PathBuf::from("/c/unified/e/i/c")));
        assert_eq!(on_unified.memory, Some((MemoryFiles::Two, PathBuf::from("/c/e/i/c"))));
    }

    #[test]
    fn a_process_is_in_a_group_by_whole_names_only() {
        let check = |groups: &str, expected: bool| assert_eq!(lies_in(groups, Path::new("e/i/c")), expected);
        check("4:memory:/e/i/c\n0::/", true);
        check("0::/e/i/c/deeper", true);
        check("0::/e/i/cc\n4:memory:/e/i", false);
        check("0::/x:/e/i/c", false);
        check("", false);
    }

    #[test]
    fn removing_what_is_not_there_is_no_error() {
        let directory = tempfile::tempdir().unwrap();
        let all = vec![Hierarchy {
            mount: directory.path().to_owned(),
            version: Version::Two,
            controllers: Vec::new(),
        }];
        let group = ContainerGroup::new(&Hierarchies { all }, Path::new("e/i/c"));

        assert!(!group.exists());
        group.kill_and_remove().unwrap();
    }
}
