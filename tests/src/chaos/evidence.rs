//! What really runs and lies about on this machine for one run, read from the kernel: processes by the variables in
//! their environment, control groups, network namespaces, interfaces, packet filter. Nothing is asked of a server, and
//! no record of its is read.

use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// The variable that tells containers of this run from all others on the machine; templates set it.
pub const RUN_VARIABLE: &str = "CHAOS_RUN";
/// The variable that names the container within its pod; templates set it.
pub const CONTAINER_VARIABLE: &str = "CHAOS_CONTAINER";

const GROUPS: &str = "/sys/fs/cgroup";
const INTERFACES: &str = "/sys/class/net";

/// A process by its pid and its start: pids come round again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    pub pid: u32,
    pub started_ticks: u64,
}

/// What should have one process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub instance: String,
    pub pod: String,
    pub container: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    pub process: Process,
    pub place: Place,
    pub app: String,
    /// Of its network namespace.
    pub namespace: u64,
    pub addresses: BTreeSet<String>,
}

/// Everything of one run at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    pub containers: Vec<Container>,
    pub supervisors: Vec<Process>,
    /// In our control groups, and neither a container nor a supervisor.
    pub strangers: Vec<Process>,
    /// Names of control groups of instances.
    pub groups: BTreeSet<String>,
    /// Namespaces that are kept by a mount.
    pub namespaces: BTreeSet<u64>,
    /// Mount points below the data directory.
    pub mounts: Vec<String>,
    /// Interfaces of pods on our bridges.
    pub links: usize,
    /// Addresses in the packet filter's map.
    pub elements: BTreeSet<String>,
}

/// Looks at one run. What the kernel calls its groups and bridges is learnt from containers while they run, because
/// afterwards nothing but the name tells whose they were.
pub struct Witness {
    run: String,
    data_dir: PathBuf,
    names: Mutex<Names>,
}

#[derive(Clone, Debug, Default)]
struct Names {
    /// `ensemble-…`, below each hierarchy's root and in `/run`.
    groups: BTreeSet<String>,
    /// Interfaces that say in their alias whose they are.
    bridges: BTreeSet<String>,
}

impl Witness {
    pub fn new(run: &str, data_dir: &Path) -> Self {
        Self { run: run.to_owned(), data_dir: data_dir.to_owned(), names: Mutex::new(Names::default()) }
    }

    /// The containers of the run. One that ends while it is looked at is none.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn containers(&self) -> Result<Vec<Container>> {
        let processes = std::fs::read_dir("/proc").context("`/proc`")?;
        let found: Vec<Container> =
            processes.filter_map(|entry| self.container(&entry.ok()?.path())).collect();
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        for container in &found {
            names.groups.extend(group_of(container.process.pid));
        }
        Ok(found)
    }

    /// The supervisors of the run's containers: they are told the directory to work on.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn supervisors(&self) -> Result<Vec<Process>> {
        let engine = self.data_dir.join("engine");
        let engine = engine.to_string_lossy();
        let processes = std::fs::read_dir("/proc").context("`/proc`")?;
        Ok(processes
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let command_line = std::fs::read(path.join("cmdline")).ok()?;
                String::from_utf8_lossy(&command_line).contains(&*engine).then_some(())?;
                identity(&path)
            })
            .collect())
    }

    /// Everything at once. Takes a moment, in which things may change: what does not last is no evidence.
    ///
    /// # Errors
    /// When the kernel cannot be read.
    pub fn look(&self) -> Result<Evidence> {
        let containers = self.containers()?;
        let supervisors = self.supervisors()?;
        self.learn_bridges()?;
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let known: BTreeSet<u32> = containers
            .iter()
            .map(|one| one.process.pid)
            .chain(supervisors.iter().map(|one| one.pid))
            .collect();
        let mut evidence = Evidence { containers, supervisors, ..Evidence::default() };
        for group in &names.groups {
            for hierarchy in directories(Path::new(GROUPS)) {
                look_at_group(&hierarchy.join(group), &known, &mut evidence);
            }
            look_at_namespaces(&Path::new("/run").join(group).join("netns"), &mut evidence);
        }
        for bridge in &names.bridges {
            let ports = std::fs::read_dir(Path::new(INTERFACES).join(bridge).join("brif"));
            evidence.links += ports.map_or(0, Iterator::count);
            evidence.elements.extend(elements_of(bridge)?);
        }
        let mounts = std::fs::read_to_string("/proc/self/mounts")?;
        let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        let ours = points.filter(|point| Path::new(point).starts_with(&self.data_dir));
        evidence.mounts = ours.map(str::to_owned).collect();
        Ok(evidence)
    }

    /// What is there under a name that was seen in use: after everything was dismantled, nothing.
    pub fn left_behind(&self) -> Vec<String> {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut found = Vec::new();
        for group in &names.groups {
            let hierarchies = directories(Path::new(GROUPS)).into_iter();
            let places = hierarchies.chain([PathBuf::from("/run")]).map(|parent| parent.join(group));
            found.extend(places.filter(|path| path.exists()).map(|path| path.display().to_string()));
        }
        for bridge in &names.bridges {
            if Path::new(INTERFACES).join(bridge).exists() {
                found.push(format!("interface {bridge}"));
            }
            if table_of(bridge).is_some_and(|table| is_table(&table)) {
                found.push(format!("the packet filter's table of {bridge}"));
            }
        }
        found
    }

    /// Whether a container was ever seen: a run without one shows nothing.
    pub fn saw_containers(&self) -> bool {
        !self.names.lock().unwrap_or_else(PoisonError::into_inner).groups.is_empty()
    }

    fn container(&self, process: &Path) -> Option<Container> {
        let environment = std::fs::read(process.join("environ")).ok()?;
        let variables: BTreeMap<String, String> = String::from_utf8_lossy(&environment)
            .split('\0')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let variable = |name: &str| variables.get(name).cloned();
        (variable(RUN_VARIABLE)? == self.run).then_some(())?;
        let place = Place {
            instance: variable("ENS_INSTANCE_ID")?,
            pod: variable("ENS_POD_NAME")?,
            container: variable(CONTAINER_VARIABLE)?,
        };
        Some(Container {
            process: identity(process)?,
            place,
            app: variable("ENS_APP_ID")?,
            namespace: std::fs::metadata(process.join("ns/net")).ok()?.ino(),
            addresses: addresses_of(&std::fs::read_to_string(process.join("net/fib_trie")).ok()?),
        })
    }

    fn learn_bridges(&self) -> Result<()> {
        let data_dir = self.data_dir.display().to_string();
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in std::fs::read_dir(INTERFACES).context("`/sys` is mounted")? {
            let path = entry?.path();
            let alias = std::fs::read_to_string(path.join("ifalias")).unwrap_or_default();
            if alias.contains(&data_dir) {
                names.bridges.extend(path.file_name().map(|name| name.to_string_lossy().into_owned()));
            }
        }
        Ok(())
    }
}

/// Who a process is now, unless it has ended.
pub fn identity_of(pid: u32) -> Option<Process> {
    identity(&Path::new("/proc").join(pid.to_string()))
}

fn identity(process: &Path) -> Option<Process> {
    let pid = process.file_name()?.to_str()?.parse().ok()?;
    let stat = std::fs::read_to_string(process.join("stat")).ok()?;
    // The name stands in parentheses and may itself hold spaces. Field 22 of the whole line; the state is field 3.
    let (_, tail) = stat.rsplit_once(") ")?;
    (!tail.starts_with(['Z', 'X'])).then_some(())?;
    Some(Process { pid, started_ticks: tail.split(' ').nth(19)?.parse().ok()? })
}

/// The part of our control groups that a process lies in.
fn group_of(pid: u32) -> Option<String> {
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let paths = groups.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let mut first_names = paths.filter_map(|path| path.split('/').nth(1));
    first_names.find(|name| name.starts_with("ensemble-")).map(str::to_owned)
}

fn directories(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(path) else { return Vec::new() };
    entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect()
}

fn look_at_group(group: &Path, known: &BTreeSet<u32>, evidence: &mut Evidence) {
    for instance in directories(group) {
        let name = instance.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // Where the supervisors live stays as long as the engine.
        if name != "supervisors" {
            evidence.groups.insert(name);
        }
        let inner = directories(&instance);
        for path in inner.iter().chain([&instance]) {
            let processes = std::fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
            let pids = processes.lines().filter_map(|line| line.parse::<u32>().ok());
            let strangers = pids.filter(|pid| !known.contains(pid)).filter_map(identity_of);
            for stranger in strangers {
                if !evidence.strangers.contains(&stranger) {
                    evidence.strangers.push(stranger);
                }
            }
        }
    }
}

fn look_at_namespaces(directory: &Path, evidence: &mut Evidence) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        evidence.namespaces.extend(std::fs::metadata(entry.path()).ok().map(|metadata| metadata.ino()));
    }
}

/// `eb0a1b2c3d0` is the first bridge of `ensemble_0a1b2c3d`.
fn table_of(bridge: &str) -> Option<String> {
    Some(format!("ensemble_{}", bridge.strip_prefix("eb")?.get(..8)?))
}

fn is_table(table: &str) -> bool {
    let listed = Command::new("nft").args(["list", "table", "ip", table]).output();
    listed.is_ok_and(|listed| listed.status.success())
}

fn elements_of(bridge: &str) -> Result<BTreeSet<String>> {
    let Some(table) = table_of(bridge) else { return Ok(BTreeSet::new()) };
    let listed = Command::new("nft").args(["list", "map", "ip", &table, "application_of"]).output()?;
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let words: Vec<&str> = text.split([' ', ',', '\t', '\n']).filter(|word| !word.is_empty()).collect();
    let pairs = words.windows(2).filter(|pair| pair[1] == ":");
    Ok(pairs.map(|pair| pair[0]).filter(|word| is_address(word)).map(str::to_owned).collect())
}

fn is_address(word: &str) -> bool {
    word.parse::<std::net::Ipv4Addr>().is_ok()
}

/// The addresses of a namespace beside the loopback ones, from the kernel's routing table as text.
fn addresses_of(table: &str) -> BTreeSet<String> {
    let lines: Vec<&str> = table.lines().map(str::trim).collect();
    let pairs = lines.windows(2).filter(|pair| pair[1].starts_with("/32 host LOCAL"));
    pairs
        .filter_map(|pair| pair[0].strip_prefix("|-- "))
        .filter(|address| !address.starts_with("127."))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Witness, addresses_of, table_of};
    use std::path::Path;

    #[test]
    fn own_addresses_are_told_from_loopback_and_networks() {
        let table = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.80.0.0\n        /20 link UNICAST\n     |-- 10.80.0.7\n        /32 host LOCAL\n     |-- 127.0.0.1\n        /32 host LOCAL\n";

        assert_eq!(addresses_of(table).into_iter().collect::<Vec<_>>(), ["10.80.0.7"]);
    }

    #[test]
    fn a_table_is_named_like_its_bridges() {
        assert_eq!(table_of("eb0a1b2c3d0").as_deref(), Some("ensemble_0a1b2c3d"));
        assert_eq!(table_of("eth0"), None);
    }

    #[test]
    fn a_run_that_never_was_has_left_nothing() {
        let witness = Witness::new("no such run", Path::new("/no/such/directory"));

        let seen = witness.look().unwrap();

        assert_eq!(seen, super::Evidence::default());
        assert!(witness.left_behind().is_empty() && !witness.saw_containers());
    }
}
