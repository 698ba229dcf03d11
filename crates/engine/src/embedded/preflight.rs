//! Says before anything starts what this machine lacks for real containers, and the command that mends it; for
//! `ensemble doctor` and the start of `ensemble serve` (`decisions.md` §6.8). Tries things where a try is the only
//! proof, in namespaces that end with the thread that made them; must leave nothing behind and change nothing.

mod certificates;
mod cgroups;
mod kernel;
mod network;
mod rights;
mod storage;

use std::io;
use std::path::PathBuf;

use ipnet::Ipv4Net;
use nix::sched::CloneFlags;

/// What the checks are about.
#[derive(Clone, Debug)]
pub struct PreflightInput {
    /// Need not exist yet.
    pub data_dir: PathBuf,
    /// The range that pods get their addresses from.
    pub pod_network: Ipv4Net,
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// At most 18 characters.
    pub name: &'static str,
    pub severity: Severity,
    /// One sentence for people, without a full stop.
    pub text: String,
    /// The command that mends it, to be typed by root.
    pub mend: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Fine,
    /// Containers run, but something will not be as wished.
    Warning,
    /// No containers without it.
    Missing,
}

impl Finding {
    fn fine(name: &'static str, text: impl Into<String>) -> Self {
        Self { name, severity: Severity::Fine, text: text.into(), mend: None }
    }

    fn warning(name: &'static str, text: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name, severity: Severity::Warning, text: text.into(), mend: Some(mend.into()) }
    }

    fn missing(name: &'static str, text: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name, severity: Severity::Missing, text: text.into(), mend: Some(mend.into()) }
    }

    /// For a trial that says nothing about the machine while the rights are missing.
    fn untried(name: &'static str) -> Self {
        Self {
            name,
            severity: Severity::Warning,
            text: "was not tried: that needs the rights that are missing".to_owned(),
            mend: None,
        }
    }
}

/// The command for a kernel that was built without something.
const STOCK_KERNEL: &str = "apt-get install -y linux-image-amd64 && reboot";

/// Checks the machine. Blocking; takes well under a second.
pub fn check(input: &PreflightInput) -> Vec<Finding> {
    let rights = rights::check_rights(&input.data_dir);
    let are_there = rights.severity != Severity::Missing;
    let mut findings = vec![rights, rights::check_namespaces(are_there), rights::check_seccomp()];
    findings.push(cgroups::check());
    findings.extend(kernel::check());
    findings.extend(storage::check(&input.data_dir, are_there));
    findings.extend(network::check(input.pod_network, are_there));
    findings.push(certificates::check());
    findings
}

/// Runs `body` in a thread with namespaces of its own, which the kernel takes away with the thread.
fn apart<T: Send>(namespaces: CloneFlags, body: impl FnOnce() -> T + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("preflight".to_owned()).spawn_scoped(scope, || {
            nix::sched::unshare(namespaces)?;
            Ok(body())
        })?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the trial ended early")))
    })
}

/// An error with its causes in one line; of a program's complaint the first line says it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::image::sample::is_root_or_skipped;
    use std::fs;
    use std::path::Path;

    /// Mounts, interfaces and cgroups of this machine, whatever they are. Only what a trial would make: other tests
    /// make others at the same time.
    fn traces(directory: &Path) -> Vec<String> {
        let mut found = Vec::new();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let here = directory.to_str().unwrap();
        found.extend(mounts.lines().filter(|line| line.contains(here)).map(str::to_owned));
        let links = fs::read_dir("/sys/class/net").unwrap();
        let names = links.map(|link| link.unwrap().file_name().into_string().unwrap());
        found.extend(names.filter(|name| name.ends_with("trial")));
        let files = fs::read_dir(directory).unwrap();
        found.extend(files.map(|file| file.unwrap().path().display().to_string()));
        found
    }

    #[test]
    fn a_machine_that_runs_containers_lacks_nothing_and_nothing_is_left_of_the_trials() {
        if !is_root_or_skipped(
            "a_machine_that_runs_containers_lacks_nothing_and_nothing_is_left_of_the_trials",
        ) {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let data_dir = directory.path().join("not/yet/there");
        let input = PreflightInput { data_dir, pod_network: "10.80.0.0/16".parse().unwrap() };

        let findings = check(&input);

        let missing: Vec<_> =
            findings.iter().filter(|finding| finding.severity == Severity::Missing).collect();
        assert!(missing.is_empty(), "{missing:#?}");
        assert!(findings.iter().all(|finding| finding.name.len() <= 18 && !finding.text.ends_with('.')));
        assert_eq!(traces(directory.path()), Vec::<String>::new());
        assert_eq!(std::env::current_dir().unwrap(), Path::new(env!("CARGO_MANIFEST_DIR")));
    }

    #[test]
    fn what_is_missing_comes_with_a_command() {
        let input = PreflightInput {
            data_dir: PathBuf::from("/proc/ensemble"),
            pod_network: "10.80.0.0/30".parse().unwrap(),
        };

        let findings = check(&input);

        let missing: Vec<_> =
            findings.iter().filter(|finding| finding.severity == Severity::Missing).collect();
        assert!(missing.iter().any(|finding| finding.name == "data directory"), "{missing:#?}");
        assert!(missing.iter().any(|finding| finding.name == "pod network"), "{missing:#?}");
        assert!(missing.iter().all(|finding| finding.mend.is_some()), "{missing:#?}");
    }
}
