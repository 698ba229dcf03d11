//! What the kernel says of this process: CPU time, memory, descriptors, start. Read when metrics are asked for.

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};
use std::fs;

/// Of this process, now. What the kernel does not say is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Process {
    pub(super) cpu_seconds: f64,
    pub(super) resident_bytes: u64,
    pub(super) open_descriptors: u64,
    pub(super) most_descriptors: u64,
    /// Since 1970.
    pub(super) started_seconds: f64,
}

impl Process {
    pub(super) fn look() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let stat = read("/proc/self/stat");
        // The name stands in parentheses and may itself hold spaces; what follows begins with field 3.
        let fields: Vec<&str> = stat.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ').collect();
        let field =
            |number: usize| fields.get(number - 3).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        let ticks = clock_ticks_per_second() as f64;
        let booted = read("/proc/stat")
            .lines()
            .find_map(|line| line.strip_prefix("btime ")?.trim().parse::<f64>().ok())
            .unwrap_or(0.0);
        Self {
            cpu_seconds: (field(14) + field(15)) as f64 / ticks,
            resident_bytes: field(24) * page_size() as u64,
            open_descriptors: fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64),
            most_descriptors: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
            started_seconds: booted + field(22) as f64 / ticks,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{SystemTime, UNIX_EPOCH};

    #[test]
    fn the_kernel_says_something_believable() {
        let process = Process::look();

        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        assert!(process.resident_bytes > 1 << 20, "{process:?}");
        assert!(
            process.open_descriptors > 2 && process.open_descriptors <= process.most_descriptors,
            "{process:?}"
        );
        assert!(process.started_seconds <= now + 1.0 && process.started_seconds > 1e9, "{process:?}");
    }
}
