//! What the numbers were taken on: processor, memory, kernel, disk, versions of the programs compared, date, commit.
//! Asks the programs themselves; one that is not there is left out.

use std::fs;
use std::process::Command;

/// One line of Markdown for a part of the document.
pub(crate) fn description(programs: &[(&str, &[&str])]) -> String {
    let mut facts = vec![
        format!("{} ({} cores)", processor(), std::thread::available_parallelism().map_or(1, usize::from)),
        format!("{:.0} GiB of memory", memory_gib()),
        format!("Linux {}", fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim()),
        format!("{} below /var/tmp", file_system()),
        control_groups().to_owned(),
    ];
    facts.extend(programs.iter().filter_map(|(program, arguments)| version(program, arguments)));
    let date = output("date", &["-u", "+%Y-%m-%d %H:%M UTC"]).unwrap_or_default();
    format!("{date}, commit {}. {}.\n", commit(), facts.join(", "))
}

fn commit() -> String {
    let commit = output("git", &["rev-parse", "--short", "HEAD"]).unwrap_or_else(|| "unknown".into());
    // The document itself is what a run changes.
    let changed =
        output("git", &["status", "--porcelain", "--", ".", ":!docs/benchmarks.md"]).unwrap_or_default();
    if changed.is_empty() { commit } else { format!("{commit} with changes") }
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or_else(|| "unknown processor".into(), |(_, name)| name.to_owned())
}

fn memory_gib() -> f64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total =
        text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok());
    total.unwrap_or(0.0) / f64::from(1 << 20)
}

fn file_system() -> String {
    output("stat", &["-f", "-c", "%T", "/var/tmp"]).unwrap_or_else(|| "unknown".into())
}

fn control_groups() -> &'static str {
    let is_there = |path: &str| fs::exists(path).unwrap_or(false);
    match (is_there("/sys/fs/cgroup/memory/tasks"), is_there("/sys/fs/cgroup/unified/cgroup.procs")) {
        (true, true) => "control groups hybrid",
        (true, false) => "control groups of version 1",
        (false, _) => "control groups of version 2",
    }
}

/// The first line that the program says of itself.
fn version(program: &str, arguments: &[&str]) -> Option<String> {
    output(program, arguments)?.lines().next().map(str::to_owned)
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
