//! How many processes and threads instances may have. Pid numbers are one pool of the whole machine (`kernel.pid_max`,
//! often 32,768): without a bound of its own one runaway program, or four, leaves none to log in with.
//! Only the numbers; `mod` writes them into groups.

use std::fs;

/// What an instance gets where the machine has plenty: more than a spec's processors could ever serve.
const INSTANCE_AT_MOST: u32 = 8_192;

/// Less than this and a plain Java server does not start.
const INSTANCE_AT_LEAST: u32 = 512;

/// An instance's share of the machine's pid numbers.
const INSTANCE_SHARE: u32 = 32;

/// The kernel's own default, for a machine that does not say.
const DEFAULT_PID_MAX: u32 = 32_768;

/// Both bounds count processes and threads alike, as the kernel does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProcessBounds {
    /// For each instance.
    pub(super) instance: u32,
    /// For all instances and supervisors together: the rest stays the machine's.
    pub(super) all: u32,
}

impl ProcessBounds {
    /// By this machine's `kernel.pid_max`.
    pub(super) fn read() -> Self {
        let text = fs::read_to_string("/proc/sys/kernel/pid_max").unwrap_or_default();
        Self::of(text.trim().parse().unwrap_or(DEFAULT_PID_MAX))
    }

    pub(super) fn of(pid_max: u32) -> Self {
        Self {
            instance: (pid_max / INSTANCE_SHARE).clamp(INSTANCE_AT_LEAST, INSTANCE_AT_MOST),
            all: pid_max - pid_max / 4,
        }
    }
}

/// What a machine with so many pid numbers lets one instance have, and all of them together.
pub(crate) fn processes_for(pid_max: u32) -> (u32, u32) {
    let ProcessBounds { instance, all } = ProcessBounds::of(pid_max);
    (instance, all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_instance_and_not_all_of_them_together_can_take_every_pid() {
        let check = |pid_max, instance, all| {
            assert_eq!(ProcessBounds::of(pid_max), ProcessBounds { instance, all });
        };
        check(32_768, 1_024, 24_576);
        check(4_194_304, 8_192, 3_145_728);
        check(4_096, 512, 3_072);
    }
}
