//! Which control group hierarchies this machine has, read from its mount table: several of version 1, one of
//! version 2, or both side by side. Makes single groups in them; knows nothing of instances.

use super::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What we hand down on v2, where the kernel has it.
const CONTROLLERS: [&str; 4] = ["cpu", "cpuset", "memory", "pids"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    One,
    Two,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    pub mount: PathBuf,
    pub version: Version,
    /// The controllers bound to it; a named v1 hierarchy and the v2 side of a hybrid have none of ours.
    pub controllers: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchies {
    pub all: Vec<Hierarchy>,
}

impl Hierarchies {
    /// Reads what this machine has.
    ///
    /// # Errors
    /// There is none that can limit memory.
    pub fn find() -> Result<Self, Error> {
        let table = fs::read_to_string("/proc/self/mountinfo").map_err(Error::MountTable)?;
        let mut found = parse(&table);
        for hierarchy in found.iter_mut().filter(|hierarchy| hierarchy.version == Version::Two) {
            let path = hierarchy.mount.join("cgroup.controllers");
            let text = fs::read_to_string(&path).map_err(|source| Error::Read { path, source })?;
            hierarchy.controllers = text.split_ascii_whitespace().map(str::to_owned).collect();
        }
        if !found.iter().any(|hierarchy| hierarchy.has("memory")) {
            return Err(Error::NoHierarchy);
        }
        Ok(Self { all: found })
    }
}

impl Hierarchy {
    pub fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|name| name == controller)
    }

    /// Makes one group; one that is there is left as it is.
    pub(super) fn make(&self, path: &Path) -> Result<(), Error> {
        match fs::create_dir(path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(Error::Make { path: path.to_owned(), source }),
        }
        if self.version == Version::One && self.has("cpuset") { inherit_cpuset(path) } else { Ok(()) }
    }

    /// Lets the groups below `path` have our controllers (v2 only).
    pub(super) fn hand_down(&self, path: &Path) -> Result<(), Error> {
        if self.version == Version::One {
            return Ok(());
        }
        let wanted = handed_down(&self.controllers);
        if wanted.is_empty() {
            return Ok(());
        }
        let file = path.join("cgroup.subtree_control");
        fs::write(&file, &wanted).map_err(|source| Error::Write { path: file, content: wanted, source })
    }
}

/// A new v1 group takes no process until both are set (runtime.md §0.6).
fn inherit_cpuset(path: &Path) -> Result<(), Error> {
    let Some(parent) = path.parent() else { return Ok(()) };
    for name in ["cpuset.cpus", "cpuset.mems"] {
        let (from, to) = (parent.join(name), path.join(name));
        let own = fs::read_to_string(&to).map_err(|source| Error::Read { path: to.clone(), source })?;
        if own.trim().is_empty() {
            let content =
                fs::read_to_string(&from).map_err(|source| Error::Read { path: from.clone(), source })?;
            fs::write(&to, &content).map_err(|source| Error::Write { path: to, content, source })?;
        }
    }
    Ok(())
}

fn handed_down(available: &[String]) -> String {
    let ours = CONTROLLERS.iter().filter(|name| available.iter().any(|other| other == *name));
    ours.map(|name| format!("+{name}")).collect::<Vec<_>>().join(" ")
}

/// Finds the hierarchies in the text of `/proc/self/mountinfo`. One mounted twice counts once; one of which only a
/// part is mounted does not count, since our subtree lies at the root.
fn parse(table: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in table.lines() {
        let Some((before, after)) = line.split_once(" - ") else { continue };
        let mut before = before.split(' ').skip(3);
        let (Some(root), Some(mount)) = (before.next(), before.next()) else { continue };
        let mut after = after.split(' ');
        let (Some(kind), Some(_), Some(options)) = (after.next(), after.next(), after.next()) else {
            continue;
        };
        if root != "/" {
            continue;
        }
        let mount = PathBuf::from(mount.replace("\\040", " "));
        let hierarchy = match kind {
            "cgroup2" => Hierarchy { mount, version: Version::Two, controllers: Vec::new() },
            "cgroup" => Hierarchy { mount, version: Version::One, controllers: v1_controllers(options) },
            _ => continue,
        };
        let twice = found
            .iter()
            .any(|other| other.version == hierarchy.version && other.controllers == hierarchy.controllers);
        if !twice {
            found.push(hierarchy);
        }
    }
    found
}

/// The super options of a v1 hierarchy are its controllers beside flags; a named one keeps its name.
fn v1_controllers(options: &str) -> Vec<String> {
    let flags = ["rw", "ro", "xattr", "noprefix", "clone_children", "favordynmods"];
    let controllers = options.split(',').filter(|option| !flags.contains(option));
    controllers.filter(|option| !option.starts_with("release_agent=")).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_machine_is_understood() {
        let check = |table: &str, expected: &[(&str, Version, &[&str])]| {
            let found = parse(table);
            let found: Vec<_> = found
                .iter()
                .map(|one| {
                    let controllers: Vec<&str> = one.controllers.iter().map(String::as_str).collect();
                    (one.mount.to_str().unwrap(), one.version, controllers)
                })
                .collect();
            let expected: Vec<_> =
                expected.iter().map(|(mount, version, names)| (*mount, *version, names.to_vec())).collect();
            assert_eq!(found, expected);
        };
        check(
            "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate",
            &[("/sys/fs/cgroup", Version::Two, &[])],
        );
        check(
            "1 2 0:3 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
             2 1 0:4 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
             3 1 0:5 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
             4 1 0:6 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
             5 1 0:4 / /elsewhere rw - cgroup cgroup rw,cpu,cpuacct\n\
             6 1 0:7 /part /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory",
            &[
                ("/sys/fs/cgroup/cpu,cpuacct", Version::One, &["cpu", "cpuacct"]),
                ("/sys/fs/cgroup/systemd", Version::One, &["name=systemd"]),
                ("/sys/fs/cgroup/unified", Version::Two, &[]),
            ],
        );
        check("nonsense", &[]);
    }

    #[test]
    fn only_our_controllers_are_handed_down() {
        let available: Vec<String> = ["io", "memory", "cpu", "hugetlb"].map(str::to_owned).to_vec();

        assert_eq!(handed_down(&available), "+cpu +memory");
        assert_eq!(handed_down(&[]), "");
    }
}
