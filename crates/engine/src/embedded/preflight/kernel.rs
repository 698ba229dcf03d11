//! What the kernel brings or lacks beside groups and namespaces, and does not stop containers by itself: a security
//! module, enough pid numbers, a clock that can be right.

use std::fs;

use ensemble_model::time::WallTime;

use super::Finding;
use crate::embedded::cgroup::processes_for;
use crate::embedded::kernel;

const CONFINEMENT: &str = "security module";
const PIDS: &str = "pid numbers";
const CLOCK: &str = "clock";

/// The kernel's own default; with fewer a few dozen containers of programs with threads fill it.
const PIDS_WISHED: u32 = 32_768;

/// 2026-01-01. Nothing of ours is older, so a clock that says less has not been set.
const CLOCK_AT_LEAST: WallTime = WallTime(1_767_225_600_000);

pub(super) fn check() -> Vec<Finding> {
    let read = |path: &str| fs::read_to_string(path).ok();
    vec![
        judge_confinement(
            read("/sys/module/apparmor/parameters/enabled").as_deref(),
            read("/sys/fs/selinux/enforce").as_deref(),
        ),
        judge_pids(read("/proc/sys/kernel/pid_max").as_deref()),
        judge_clock(kernel::clocks().wall),
    ]
}

/// Containers get no profile or label of ours: capabilities, seccomp and namespaces confine them. SELinux then lets them
/// run with the server's label, or not at all.
fn judge_confinement(apparmor: Option<&str>, selinux: Option<&str>) -> Finding {
    if selinux.map(str::trim) == Some("1") {
        let text = "SELinux enforces its policy, which knows nothing of our containers: some may be refused";
        return Finding::warning(CONFINEMENT, text, "setenforce 0");
    }
    let text = match apparmor.map(str::trim) {
        Some("Y") => {
            "AppArmor is on; containers run beside its profiles, confined by seccomp and capabilities"
        }
        _ => "neither AppArmor nor SELinux; containers are confined by seccomp and capabilities",
    };
    Finding::fine(CONFINEMENT, text)
}

fn judge_pids(pid_max: Option<&str>) -> Finding {
    let Some(pid_max) = pid_max.and_then(|text| text.trim().parse::<u32>().ok()) else {
        return Finding::warning(PIDS, "the kernel does not say how many there are", "sysctl kernel.pid_max");
    };
    let (instance, all) = processes_for(pid_max);
    let text = format!("{pid_max} on this machine: {instance} for an instance, {all} for all together");
    if pid_max < PIDS_WISHED {
        return Finding::warning(PIDS, format!("only {text}"), "sysctl -w kernel.pid_max=4194304");
    }
    Finding::fine(PIDS, text)
}

fn judge_clock(now: WallTime) -> Finding {
    if now < CLOCK_AT_LEAST {
        let text = "is years behind: clients with the right time are refused";
        return Finding::warning(
            CLOCK,
            text,
            "apt-get install -y systemd-timesyncd && timedatectl set-ntp true",
        );
    }
    Finding::fine(CLOCK, "can be right; a client's may be 15 minutes off")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::preflight::Severity;

    #[test]
    fn security_modules_are_told_apart() {
        for (apparmor, selinux, severity, word) in [
            (Some("Y\n"), None, Severity::Fine, "AppArmor is on"),
            (Some("N\n"), None, Severity::Fine, "neither"),
            (None, None, Severity::Fine, "neither"),
            (None, Some("0"), Severity::Fine, "neither"),
            (None, Some("1"), Severity::Warning, "SELinux"),
        ] {
            let finding = judge_confinement(apparmor, selinux);

            assert_eq!(finding.severity, severity, "{finding:?}");
            assert!(finding.text.contains(word), "{finding:?}");
        }
    }

    #[test]
    fn few_pid_numbers_come_with_the_command_for_more() {
        for (pid_max, severity) in [
            (Some("4194304\n"), Severity::Fine),
            (Some("32768\n"), Severity::Fine),
            (Some("4096\n"), Severity::Warning),
            (Some("many"), Severity::Warning),
            (None, Severity::Warning),
        ] {
            let finding = judge_pids(pid_max);

            assert_eq!(finding.severity, severity, "{finding:?}");
            assert_eq!(finding.mend.is_some(), severity == Severity::Warning);
        }
    }

    #[test]
    fn a_clock_that_was_never_set_is_told() {
        assert_eq!(judge_clock(WallTime(86_400_000)).severity, Severity::Warning);
        assert_eq!(judge_clock(CLOCK_AT_LEAST).severity, Severity::Fine);
    }
}
