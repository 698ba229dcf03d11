//! What the machine itself shows of containers: processes of the example program, mounts, interfaces. Reads `/proc` and
//! `/sys` only, so that what a server claims is checked against something it did not say.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// One process of a container of ours. Pid and start time together are an identity: pids come round again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContainerProcess {
    pub instance_id: String,
    pub pid: u32,
    pub started_ticks: u64,
}

/// The processes of `hello-edge` that were started for this application.
pub fn container_processes(app_id: &str) -> BTreeSet<ContainerProcess> {
    let entries = std::fs::read_dir("/proc").expect("/proc is mounted");
    entries.filter_map(|entry| container_process(&entry.ok()?.path(), app_id)).collect()
}

/// Mount points and network interfaces of this machine that belong to a data directory.
pub fn left_behind(data_dir: &Path) -> Vec<String> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").expect("/proc is mounted");
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    let mut found: Vec<String> = points
        .filter(|point| Path::new(point).starts_with(data_dir))
        .map(|point| format!("mount {point}"))
        .collect();
    let interfaces = std::fs::read_dir("/sys/class/net").expect("/sys is mounted");
    for interface in interfaces.filter_map(|entry| Some(entry.ok()?.path())) {
        // The alias says to an operator whose interface it is.
        let alias = std::fs::read_to_string(interface.join("ifalias")).unwrap_or_default();
        if alias.contains(&data_dir.display().to_string()) {
            found.push(format!("interface {}", interface.display()));
        }
    }
    found
}

/// What a process has used of the processors so far, in and for it; in steps of 10 ms.
pub fn processor_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    let (_, tail) = stat.rsplit_once(") ").expect("a stat line names its process");
    // Fields 14 and 15 of the whole line, in hundredths of a second; the state is field 3.
    let ticks: u64 = tail.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// Memory of a process that is really there, in bytes.
pub fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a status tells the size");
    let kibibytes = line.split_whitespace().next().and_then(|word| word.parse::<u64>().ok());
    kibibytes.expect("a size is a number") * 1_024
}

/// Open files, sockets among them.
pub fn open_files(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).expect("the process runs").count()
}

/// The names of the variables of a process and of its parent, which is the supervisor where it is a container's first.
pub fn variables_of(pid: u32) -> BTreeSet<String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).expect("a process has a parent");
    let mut names = BTreeSet::new();
    for process in [pid.to_string(), parent.trim().to_owned()] {
        let environment = std::fs::read(format!("/proc/{process}/environ")).expect("root may read it");
        let environment = String::from_utf8_lossy(&environment).into_owned();
        names.extend(environment.split('\0').filter_map(|pair| Some(pair.split_once('=')?.0.to_owned())));
    }
    names
}

/// Who runs this test.
pub fn effective_user_id() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:")).expect("a status names its users");
    uids.split_whitespace()
        .nth(1)
        .and_then(|word| word.parse().ok())
        .expect("the second is the effective one")
}

/// A process may end while it is being looked at: then it is none.
fn container_process(process: &Path, app_id: &str) -> Option<ContainerProcess> {
    let pid = process.file_name()?.to_str()?.parse().ok()?;
    let stat = std::fs::read_to_string(process.join("stat")).ok()?;
    // The name stands in parentheses and may itself hold spaces.
    let (head, tail) = stat.rsplit_once(") ")?;
    if !head.ends_with("(hello-edge") || tail.starts_with('Z') {
        return None;
    }
    let environment = std::fs::read(process.join("environ")).ok()?;
    let environment = String::from_utf8_lossy(&environment);
    let variable =
        |name: &str| environment.split('\0').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    (variable("ENS_APP_ID")? == app_id).then_some(())?;
    // Field 22 of the whole line; the state is field 3.
    let started_ticks = tail.split(' ').nth(19)?.parse().ok()?;
    Some(ContainerProcess { instance_id: variable("ENS_INSTANCE_ID")?.to_owned(), pid, started_ticks })
}

#[cfg(test)]
mod tests {
    use super::container_processes;

    #[test]
    fn an_application_that_is_not_there_has_no_processes() {
        assert!(container_processes("00000000-0000-4000-8000-000000000000").is_empty());
    }
}
