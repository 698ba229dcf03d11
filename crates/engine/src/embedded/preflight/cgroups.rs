//! Whether control groups can hold instances to their limits: which versions, which controllers, writable or not.

use rustix::fs::Access;

use super::{Finding, chain};
use crate::embedded::cgroup::Hierarchies;
use crate::embedded::cgroup::hierarchy::{Hierarchy, Version};

const NAME: &str = "control groups";

/// Without these an instance's limits do not hold.
const NEEDED: [&str; 3] = ["cpu", "memory", "pids"];

const ENABLE_MEMORY: &str = "sed -i 's/^GRUB_CMDLINE_LINUX=\"/&cgroup_enable=memory /' /etc/default/grub \
                             && update-grub && reboot";

pub(super) fn check() -> Finding {
    let hierarchies = match Hierarchies::find() {
        Ok(hierarchies) => hierarchies.all,
        // None that can limit memory.
        Err(error) => {
            return match std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
                true => Finding::missing(NAME, chain(&error), ENABLE_MEMORY),
                false => Finding::missing(NAME, chain(&error), "mount -t cgroup2 cgroup2 /sys/fs/cgroup"),
            };
        }
    };
    let is_writable = |hierarchy: &Hierarchy| {
        rustix::fs::access(&hierarchy.mount, Access::WRITE_OK).is_ok()
            || !rustix::process::geteuid().is_root()
    };
    let read_only = hierarchies.iter().find(|hierarchy| !is_writable(hierarchy));
    judge(&hierarchies, read_only)
}

fn judge(hierarchies: &[Hierarchy], read_only: Option<&Hierarchy>) -> Finding {
    let has = |name: &str| hierarchies.iter().any(|hierarchy| hierarchy.has(name));
    let absent: Vec<_> = NEEDED.into_iter().filter(|name| !has(name)).collect();
    let layout = describe(hierarchies);
    if !absent.is_empty() {
        let mend = if absent.contains(&"memory") {
            ENABLE_MEMORY.to_owned()
        } else {
            let mounts = absent.iter().map(|name| {
                format!(
                    "mkdir -p /sys/fs/cgroup/{name} && mount -t cgroup -o {name} {name} /sys/fs/cgroup/{name}"
                )
            });
            mounts.collect::<Vec<_>>().join(" && ")
        };
        return Finding::missing(NAME, format!("{layout}, without {}", absent.join(", ")), mend);
    }
    let is_pure_two = hierarchies.iter().all(|hierarchy| hierarchy.version == Version::Two);
    if !is_pure_two && !has("devices") {
        let mend =
            "mkdir -p /sys/fs/cgroup/devices && mount -t cgroup -o devices devices /sys/fs/cgroup/devices";
        return Finding::missing(NAME, format!("{layout}, without devices"), mend);
    }
    if let Some(hierarchy) = read_only {
        let mount = hierarchy.mount.display();
        return Finding::missing(
            NAME,
            format!("{layout}, but `{mount}` is read-only"),
            format!("mount -o remount,rw '{mount}'"),
        );
    }
    Finding::fine(NAME, layout)
}

fn describe(hierarchies: &[Hierarchy]) -> String {
    let of = |version: Version| -> Vec<&str> {
        let some = hierarchies.iter().filter(|hierarchy| hierarchy.version == version);
        let names = some.flat_map(|hierarchy| hierarchy.controllers.iter().map(String::as_str));
        // A named hierarchy, like systemd's, controls nothing.
        names.filter(|name| !name.contains('=')).collect()
    };
    let there = |version: Version| hierarchies.iter().any(|hierarchy| hierarchy.version == version);
    match (there(Version::One), there(Version::Two)) {
        (true, true) => format!(
            "hybrid: version 1 with {}, version 2 beside it with {}",
            list(&of(Version::One)),
            list(&of(Version::Two))
        ),
        (true, false) => format!("version 1 with {}", list(&of(Version::One))),
        (false, _) => format!("version 2 with {}", list(&of(Version::Two))),
    }
}

fn list(controllers: &[&str]) -> String {
    if controllers.is_empty() { "no controller".to_owned() } else { controllers.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::preflight::Severity;
    use std::path::PathBuf;

    fn hierarchy(version: Version, controllers: &str) -> Hierarchy {
        Hierarchy {
            mount: PathBuf::from("/sys/fs/cgroup"),
            version,
            controllers: controllers.split_ascii_whitespace().map(str::to_owned).collect(),
        }
    }

    #[test]
    fn every_layout_is_told_by_what_it_can_limit() {
        let one = |text: &str| hierarchy(Version::One, text);
        let two = |text: &str| hierarchy(Version::Two, text);
        for (hierarchies, severity, text) in [
            (
                vec![two("cpuset cpu io memory pids")],
                Severity::Fine,
                "version 2 with cpuset, cpu, io, memory, pids",
            ),
            (
                vec![
                    one("cpu"),
                    one("memory"),
                    one("pids"),
                    one("devices"),
                    one("name=systemd"),
                    two("hugetlb"),
                ],
                Severity::Fine,
                "hybrid: version 1 with cpu, memory, pids, devices, version 2 beside it with hugetlb",
            ),
            (
                vec![one("cpu"), one("memory"), one("pids")],
                Severity::Missing,
                "version 1 with cpu, memory, pids, without devices",
            ),
            (vec![two("cpu pids")], Severity::Missing, "version 2 with cpu, pids, without memory"),
            (
                vec![one("memory"), one("devices"), two("")],
                Severity::Missing,
                "hybrid: version 1 with memory, devices, version 2 beside it with no controller, without cpu, pids",
            ),
        ] {
            let finding = judge(&hierarchies, None);

            assert_eq!((finding.severity, finding.text.as_str()), (severity, text));
            assert_eq!(finding.mend.is_some(), severity == Severity::Missing);
        }
    }

    #[test]
    fn a_read_only_mount_is_remounted() {
        let hierarchies = [hierarchy(Version::Two, "cpu memory pids")];

        let finding = judge(&hierarchies, hierarchies.first());

        assert_eq!(finding.mend.as_deref(), Some("mount -o remount,rw '/sys/fs/cgroup'"));
    }
}
