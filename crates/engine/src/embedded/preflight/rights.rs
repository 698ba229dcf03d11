//! Whether this process may make containers, and the kernel knows what they are made of.

use std::fs;
use std::path::Path;

use nix::errno::Errno;
use nix::sched::CloneFlags;

use super::{Finding, STOCK_KERNEL, apart};

/// Capabilities that supervisor, images and network cannot do without (linux/capability.h).
const CAPABILITIES: [(u32, &str); 11] = [
    (0, "CAP_CHOWN"),
    (1, "CAP_DAC_OVERRIDE"),
    (3, "CAP_FOWNER"),
    (5, "CAP_KILL"),
    (6, "CAP_SETGID"),
    (7, "CAP_SETUID"),
    (8, "CAP_SETPCAP"),
    (12, "CAP_NET_ADMIN"),
    (18, "CAP_SYS_CHROOT"),
    (21, "CAP_SYS_ADMIN"),
    (27, "CAP_MKNOD"),
];

/// With the sysctl that bounds their number.
const NAMESPACES: [(CloneFlags, &str, &str); 6] = [
    (CloneFlags::CLONE_NEWNS, "mount", "user.max_mnt_namespaces"),
    (CloneFlags::CLONE_NEWNET, "network", "user.max_net_namespaces"),
    (CloneFlags::CLONE_NEWPID, "pid", "user.max_pid_namespaces"),
    (CloneFlags::CLONE_NEWIPC, "ipc", "user.max_ipc_namespaces"),
    (CloneFlags::CLONE_NEWUTS, "uts", "user.max_uts_namespaces"),
    (CloneFlags::CLONE_NEWCGROUP, "cgroup", "user.max_cgroup_namespaces"),
];

pub(super) fn check_rights(data_dir: &Path) -> Finding {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    judge_rights(rustix::process::geteuid().is_root(), &status, data_dir)
}

fn judge_rights(is_root: bool, status: &str, data_dir: &Path) -> Finding {
    const NAME: &str = "rights";
    if !is_root {
        let mend = format!("sudo ensemble serve --data-dir '{}'", data_dir.display());
        return Finding::missing(NAME, "containers need root, and this is another user", mend);
    }
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let Some(effective) = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()) else {
        return Finding::missing(
            NAME,
            "`/proc/self/status` does not say what we may",
            "mount -t proc proc /proc",
        );
    };
    let absent: Vec<_> =
        CAPABILITIES.iter().filter(|(bit, _)| effective & (1 << bit) == 0).map(|(_, name)| *name).collect();
    if absent.is_empty() {
        return Finding::fine(NAME, "root, with every capability that containers need");
    }
    Finding::missing(
        NAME,
        format!("root, but without {}: probably in a container itself", absent.join(", ")),
        "docker run --privileged --cgroupns host IMAGE ensemble serve",
    )
}

pub(super) fn check_namespaces(are_rights_there: bool) -> Finding {
    const NAME: &str = "namespaces";
    if !are_rights_there {
        return Finding::untried(NAME);
    }
    for (flag, kind, sysctl) in NAMESPACES {
        let Err(error) = apart(flag, || ()) else { continue };
        let errno = error.raw_os_error().map(Errno::from_raw);
        return match errno {
            Some(Errno::ENOSPC) => Finding::missing(
                NAME,
                format!("no more {kind} namespaces may be made here"),
                format!("sysctl -w {sysctl}=30000"),
            ),
            Some(Errno::EINVAL) => {
                Finding::missing(NAME, format!("the kernel has no {kind} namespaces"), STOCK_KERNEL)
            }
            _ => Finding::missing(
                NAME,
                format!("a {kind} namespace could not be made: {error}"),
                "docker run --privileged --cgroupns host IMAGE ensemble serve",
            ),
        };
    }
    Finding::fine(NAME, "mount, network, pid, ipc, uts and cgroup can be made")
}

pub(super) fn check_seccomp() -> Finding {
    judge_seccomp(fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail").ok().as_deref())
}

fn judge_seccomp(actions: Option<&str>) -> Finding {
    const NAME: &str = "seccomp";
    let has = |name: &str| actions.is_some_and(|text| text.split_ascii_whitespace().any(|word| word == name));
    if has("errno") && has("allow") {
        return Finding::fine(NAME, "system calls of containers can be filtered");
    }
    Finding::missing(NAME, "the kernel cannot filter the system calls of containers", STOCK_KERNEL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::preflight::Severity;

    #[test]
    fn a_capability_that_is_absent_is_named() {
        let data_dir = Path::new("/srv/my data");
        let all = "Name:\tx\nCapEff:\t000001ffffffffff\n";
        let docker = "CapEff:\t00000000a80425fb\n";

        assert_eq!(judge_rights(true, all, data_dir).severity, Severity::Fine);
        let in_docker = judge_rights(true, docker, data_dir);
        let user = judge_rights(false, all, data_dir);
        assert_eq!(
            in_docker.text,
            "root, but without CAP_NET_ADMIN, CAP_SYS_ADMIN: probably in a container itself"
        );
        assert_eq!(user.mend.as_deref(), Some("sudo ensemble serve --data-dir '/srv/my data'"));
        assert_eq!(judge_rights(true, "", data_dir).severity, Severity::Missing);
    }

    #[test]
    fn seccomp_needs_actions_that_refuse_and_allow() {
        for (actions, severity) in [
            (Some("kill_process errno user_notif log allow\n"), Severity::Fine),
            (Some("kill_process log allow\n"), Severity::Missing),
            (None, Severity::Missing),
        ] {
            assert_eq!(judge_seccomp(actions).severity, severity, "{actions:?}");
        }
    }

    #[test]
    fn without_rights_no_namespace_is_tried() {
        assert_eq!(check_namespaces(false), Finding::untried("namespaces"));
    }
}
