//! Control groups: one subtree of ours, `/ensemble-<hash>`, at the root of every hierarchy of this machine (v1,
//! hybrid or v2), in it a group per instance that holds the spec's limits, and in that one per container. At the
//! root also under systemd: a unit's own group would bound all containers by the unit's limits, and could not take
//! the server's process again while containers have groups in it. systemd leaves alone what it did not make.
//! `hierarchy` finds what the kernel has, `group` kills and removes; this file makes the subtree.

mod bounds;
mod devices;
pub mod group;
pub mod hierarchy;

pub(crate) use bounds::processes_for;
pub use group::ContainerGroup;
pub use hierarchy::Hierarchies;

use bounds::ProcessBounds;
use devices::DeviceRules;
use ensemble_model::spec::Resources;
use ensemble_supervision::kernel::Groups;
use hierarchy::{Hierarchy, Version};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The group that the supervisors live in: apart from the control plane's, so that its end is not theirs.
const SUPERVISORS: &str = "supervisors";

/// The period over which a CPU limit is counted, in microseconds.
pub const CPU_PERIOD_US: u64 = 100_000;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no control group hierarchy with the controller `memory` is mounted")]
    NoHierarchy,
    #[error("could not read the mount table")]
    MountTable(#[source] io::Error),
    #[error("could not make the control group `{path}`")]
    Make {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("could not write `{content}` to `{path}`")]
    Write {
        path: PathBuf,
        content: String,
        #[source]
        source: io::Error,
    },
    #[error("could not read `{path}`")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("could not put rules for devices on the control group `{path}`")]
    Devices {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("could not remove the control group `{path}`")]
    Remove {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{count} processes in `{path}` did not die")]
    Survivors { path: PathBuf, count: usize },
}

/// Our part of all hierarchies.
#[derive(Clone, Debug)]
pub struct Subtree {
    hierarchies: Hierarchies,
    name: String,
    processes: ProcessBounds,
    /// Where no hierarchy of version 1 has the controller.
    devices: Option<Arc<DeviceRules>>,
}

/// What the programs of a container can read of the limits that they are under, at `/sys/fs/cgroup`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupView {
    /// Version 1 has a mount for each controller, and each would cost every start of a container.
    Nothing,
    /// The container's own group, which says the same limits as its instance's: runtimes like Java's and Go's take
    /// the size of their heap and thread pools from there.
    OwnGroup(Bounds),
}

/// The limits of an instance, as groups know them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub memory_bytes: u64,
    /// Microseconds of processor time in a period of [`CPU_PERIOD_US`].
    pub cpu_quota_us: u64,
    pub processes: u32,
}

impl Subtree {
    /// Makes `/name` in every hierarchy and, on v2, hands the controllers down to it. Making it twice is no error.
    ///
    /// # Errors
    /// No usable hierarchy, or no right to write there.
    pub fn open(hierarchies: Hierarchies, name: &str) -> Result<Self, Error> {
        let processes = ProcessBounds::read();
        let devices = load_device_rules(&hierarchies);
        let subtree = Self { hierarchies, name: name.to_owned(), processes, devices };
        for hierarchy in &subtree.hierarchies.all {
            hierarchy.hand_down(&hierarchy.mount)?;
            let root = hierarchy.mount.join(name);
            hierarchy.make(&root)?;
            if hierarchy.has("pids") {
                write_limit(&root.join("pids.max"), &processes.all.to_string(), Need::Must)?;
            }
            hierarchy.hand_down(&root)?;
            hierarchy.make(&root.join(SUPERVISORS))?;
        }
        Ok(subtree)
    }

    /// Makes the instance's group with its limits. Called again it sets the limits anew.
    fn set_up_instance(&self, instance: &str, limits: Resources) -> Result<(), Error> {
        for hierarchy in &self.hierarchies.all {
            let path = hierarchy.mount.join(&self.name).join(instance);
            hierarchy.make(&path)?;
            for limit in limit_files(hierarchy, self.bounds(limits)) {
                write_limit(&path.join(limit.file), &limit.content, limit.need)?;
            }
            hierarchy.hand_down(&path)?;
            if let Some(rules) = self.devices.as_ref().filter(|_| hierarchy.version == Version::Two) {
                rules.attach(&path)?;
            }
        }
        Ok(())
    }

    /// What containers of an instance with these limits get to see.
    pub fn view(&self, limits: Resources) -> GroupView {
        match self.hierarchies.all.iter().all(|hierarchy| hierarchy.version == Version::Two) {
            true => GroupView::OwnGroup(self.bounds(limits)),
            false => GroupView::Nothing,
        }
    }

    fn bounds(&self, limits: Resources) -> Bounds {
        Bounds {
            memory_bytes: limits.memory_mib.max(1).saturating_mul(1 << 20),
            cpu_quota_us: u64::from(limits.vcpu.max(1)) * CPU_PERIOD_US,
            processes: self.processes.instance,
        }
    }

    /// One container's group; nothing is made.
    pub fn container(&self, instance: &str, container: &str) -> ContainerGroup {
        self.group(&Path::new(&self.name).join(instance).join(container))
    }

    /// The path below every hierarchy's root, as an OCI spec wants it.
    pub fn container_path(&self, instance: &str, container: &str) -> PathBuf {
        Path::new("/").join(&self.name).join(instance).join(container)
    }

    /// Where a supervisor writes itself to, to be out of the control plane's groups.
    pub fn supervisor_files(&self) -> Vec<PathBuf> {
        let root = |hierarchy: &Hierarchy| hierarchy.mount.join(&self.name).join(SUPERVISORS);
        self.hierarchies.all.iter().map(|hierarchy| root(hierarchy).join("cgroup.procs")).collect()
    }

    /// Removes the whole subtree, whatever is in it dies. For tests and for taking an installation down.
    pub fn remove(&self) -> Result<(), Error> {
        self.group(Path::new(&self.name)).kill_and_remove()
    }

    fn group(&self, below: &Path) -> ContainerGroup {
        ContainerGroup::new(&self.hierarchies, below)
    }
}

impl Groups for Subtree {
    /// In whatever hierarchy they are.
    fn instances(&self) -> io::Result<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        for hierarchy in &self.hierarchies.all {
            let root = hierarchy.mount.join(&self.name);
            let children = group::children(&root);
            for path in children.map_err(|source| Error::Read { path: root.clone(), source })? {
                names.extend(path.file_name().and_then(|name| name.to_str()).map(str::to_owned));
            }
        }
        names.remove(SUPERVISORS);
        Ok(names)
    }

    /// In every hierarchy.
    fn has_instance(&self, instance: &str) -> bool {
        self.hierarchies.all.iter().all(|hierarchy| hierarchy.mount.join(&self.name).join(instance).is_dir())
    }

    fn make_instance(&self, instance: &str, limits: Resources) -> io::Result<()> {
        Ok(self.set_up_instance(instance, limits)?)
    }

    fn remove_instance(&self, instance: &str) -> io::Result<()> {
        Ok(self.group(&Path::new(&self.name).join(instance)).kill_and_remove()?)
    }

    fn kill_container(&self, instance: &str, container: &str) -> io::Result<()> {
        Ok(self.container(instance, container).kill()?)
    }

    fn remove_container(&self, instance: &str, container: &str) -> io::Result<()> {
        Ok(self.container(instance, container).kill_and_remove()?)
    }
}

/// Over the kernel seam; what it says and what it came from stay.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::other(error)
    }
}

/// A kernel that takes no such program is told of and no more: containers cannot make device nodes anyway.
fn load_device_rules(hierarchies: &Hierarchies) -> Option<Arc<DeviceRules>> {
    if hierarchies.all.iter().any(|hierarchy| hierarchy.has("devices")) {
        return None;
    }
    DeviceRules::load()
        .inspect_err(|error| tracing::warn!("no rules for devices, the kernel takes none: {error}"))
        .ok()
        .map(Arc::new)
}

/// Whether a machine without the file can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Must,
    /// Swap accounting may be off.
    IfThere,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Limit {
    file: &'static str,
    content: String,
    need: Need,
}

/// What is written into an instance's group of one hierarchy for these limits.
fn limit_files(hierarchy: &Hierarchy, bounds: Bounds) -> Vec<Limit> {
    let Bounds { memory_bytes, cpu_quota_us, processes } = bounds;
    let mut files = Vec::new();
    let mut must = |controller: &str, file: &'static str, content: String| {
        if hierarchy.has(controller) {
            files.push(Limit { file, content, need: Need::Must });
        }
    };
    match hierarchy.version {
        Version::One => {
            must("cpu", "cpu.cfs_period_us", CPU_PERIOD_US.to_string());
            must("cpu", "cpu.cfs_quota_us", cpu_quota_us.to_string());
            must("memory", "memory.limit_in_bytes", memory_bytes.to_string());
            must("pids", "pids.max", processes.to_string());
            if hierarchy.has("memory") {
                let content = memory_bytes.to_string();
                files.push(Limit { file: "memory.memsw.limit_in_bytes", content, need: Need::IfThere });
            }
        }
        Version::Two => {
            must("cpu", "cpu.max", format!("{cpu_quota_us} {CPU_PERIOD_US}"));
            must("memory", "memory.max", memory_bytes.to_string());
            must("pids", "pids.max", processes.to_string());
            if hierarchy.has("memory") {
                files.push(Limit { file: "memory.swap.max", content: "0".to_owned(), need: Need::IfThere });
            }
        }
    }
    files
}

fn write_limit(path: &Path, content: &str, need: Need) -> Result<(), Error> {
    match fs::write(path, content) {
        Err(_) if need == Need::IfThere => Ok(()),
        Err(source) => Err(Error::Write { path: path.to_owned(), content: content.to_owned(), source }),
        Ok(()) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hierarchy(version: Version, controllers: &[&str]) -> Hierarchy {
        let controllers = controllers.iter().map(|name| (*name).to_owned()).collect();
        Hierarchy { mount: PathBuf::from("/sys/fs/cgroup"), version, controllers }
    }

    #[test]
    fn limits_become_the_files_of_each_version() {
        let check = |version, controllers: &[&str], expected: &[(&str, &str)]| {
            let bounds = Bounds { memory_bytes: 4096 << 20, cpu_quota_us: 200_000, processes: 1_024 };
            let files = limit_files(&hierarchy(version, controllers), bounds);
            let files: Vec<(&str, &str)> =
                files.iter().map(|limit| (limit.file, limit.content.as_str())).collect();
            assert_eq!(files, expected);
        };
        check(
            Version::Two,
            &["cpu", "memory", "pids"],
            &[
                ("cpu.max", "200000 100000"),
                ("memory.max", "4294967296"),
                ("pids.max", "1024"),
                ("memory.swap.max", "0"),
            ],
        );
        check(
            Version::One,
            &["cpu", "cpuacct"],
            &[("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "200000")],
        );
        check(
            Version::One,
            &["memory"],
            &[("memory.limit_in_bytes", "4294967296"), ("memory.memsw.limit_in_bytes", "4294967296")],
        );
        check(Version::One, &["freezer"], &[]);
        check(Version::Two, &[], &[]);
    }

    #[test]
    fn programs_see_their_limits_where_that_takes_one_mount() {
        let subtree = |all: Vec<Hierarchy>| Subtree {
            hierarchies: Hierarchies { all },
            name: "ensemble-1".to_owned(),
            processes: ProcessBounds::of(32_768),
            devices: None,
        };
        let limits = Resources { vcpu: 2, memory_mib: 4096 };
        let bounds = Bounds { memory_bytes: 4096 << 20, cpu_quota_us: 200_000, processes: 1_024 };

        let on_two = subtree(vec![hierarchy(Version::Two, &["memory"])]).view(limits);
        let on_hybrid = subtree(vec![hierarchy(Version::One, &["memory"]), hierarchy(Version::Two, &[])]);

        assert_eq!(on_two, GroupView::OwnGroup(bounds));
        assert_eq!(on_hybrid.view(limits), GroupView::Nothing);
    }

    #[test]
    fn a_container_lies_in_its_instance_in_our_subtree() {
        let all = vec![hierarchy(Version::Two, &["memory"])];
        let processes = ProcessBounds::of(32_768);
        let subtree = Subtree {
            hierarchies: Hierarchies { all },
            name: "ensemble-1".to_owned(),
            processes,
            devices: None,
        };

        assert_eq!(subtree.container_path("i-a", "web.0.main"), Path::new("/ensemble-1/i-a/web.0.main"));
        assert_eq!(
            subtree.supervisor_files(),
            [Path::new("/sys/fs/cgroup/ensemble-1/supervisors/cgroup.procs")]
        );
    }
}
