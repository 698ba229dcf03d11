//! Where everything lies that a run makes, and how all of it goes again: one directory, one subtree of control groups.
//! Every process that is started here runs in that subtree, so that a sweep finds it however the run ended.
//! Must not touch a process, group or file that is not below these two.

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Short: the path of a socket in it has 108 bytes. On a disk, since the log and overlays need a real one.
const DIRECTORY: &str = "/var/tmp/ensemble-bench";

/// Below the root of every hierarchy.
const GROUP: &str = "ensemble-bench";

/// Of every bridge that is made here in the machine's own network namespace.
pub(crate) const BRIDGE_PREFIX: &str = "ens-bench-";

const GONE_WITHIN: Duration = Duration::from_secs(30);
const PACE: Duration = Duration::from_millis(20);

/// The only run at the time.
pub(crate) struct Site {
    _lock: File,
}

impl Site {
    /// Takes the place for this run, after sweeping what an earlier one may have left.
    ///
    /// # Errors
    /// Another run is under way, or something of an earlier one cannot be removed.
    pub(crate) fn claim() -> Result<Self> {
        let path = format!("{DIRECTORY}.lock");
        let lock = File::create(&path).with_context(|| format!("`{path}`"))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).context("another benchmark runs")?;
        sweep()?;
        fs::create_dir_all(DIRECTORY)?;
        Ok(Self { _lock: lock })
    }

    /// A directory of this run, made if it is missing.
    pub(crate) fn directory(&self, name: &str) -> Result<PathBuf> {
        let path = Path::new(DIRECTORY).join(name);
        fs::create_dir_all(&path)?;
        Ok(path)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Err(error) = sweep() {
            eprintln!("error: not everything could be removed: {error:#}");
        }
    }
}

/// A control group of ours whose processor time is counted.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    name: String,
}

impl Group {
    pub(crate) fn make(name: &str) -> Result<Self> {
        let group = Self { name: format!("{GROUP}/{name}") };
        let path = group.path()?;
        fs::create_dir_all(&path).with_context(|| format!("`{}`", path.display()))?;
        Ok(group)
    }

    /// A group that somebody else made, by its name below the root of the hierarchy.
    pub(crate) fn of_others(name: &str) -> Self {
        Self { name: name.trim_start_matches('/').to_owned() }
    }

    /// `ensemble-bench/…`, as runtimes take it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A program that will run in this group, with all it starts.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Result<Command> {
        let mut command = Command::new("sh");
        // `exec` keeps the process id.
        command.arg("-c").arg(r#"echo $$ > "$0" && exec "$@""#);
        command.arg(self.path()?.join("cgroup.procs")).arg(program.as_ref());
        Ok(command)
    }

    /// Processor time of everything that ever ran in it or below.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let path = self.path()?;
        if let Ok(text) = fs::read_to_string(path.join("cpuacct.usage")) {
            return Ok(Duration::from_nanos(text.trim().parse()?));
        }
        let text =
            fs::read_to_string(path.join("cpu.stat")).with_context(|| format!("`{}`", path.display()))?;
        let usage = text.lines().find_map(|line| line.strip_prefix("usage_usec "));
        Ok(Duration::from_micros(usage.context("cpu.stat has no usage_usec")?.trim().parse()?))
    }

    /// Processes in the group itself.
    pub(crate) fn processes(&self) -> Result<Vec<u32>> {
        let path = self.path()?.join("cgroup.procs");
        let text = fs::read_to_string(&path).with_context(|| format!("`{}`", path.display()))?;
        Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
    }

    fn path(&self) -> Result<PathBuf> {
        Ok(counting_hierarchy()?.join(&self.name))
    }
}

/// The hierarchy that counts processor time: of version 1 where there is one, else the only one.
fn counting_hierarchy() -> Result<PathBuf> {
    let candidates = ["/sys/fs/cgroup/cpuacct", "/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup"];
    let counts = |path: &&str| Path::new(path).join("cgroup.procs").exists();
    candidates
        .into_iter()
        .find(counts)
        .map(PathBuf::from)
        .context("no control groups that count processor time")
}

/// Ends every process that a run started, and removes every group and file of it.
///
/// # Errors
/// Something does not go away.
pub(crate) fn sweep() -> Result<()> {
    let root = counting_hierarchy()?.join(GROUP);
    dismantle_servers()?;
    let began = Instant::now();
    loop {
        let processes = processes_below(&root);
        if processes.is_empty() {
            break;
        }
        if began.elapsed() > GONE_WITHIN {
            bail!("these processes do not end: {processes:?}");
        }
        for pid in processes {
            // One that has just ended is as good.
            let _ = kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(PACE);
    }
    for hierarchy in hierarchies() {
        remove_groups(&hierarchy.join(GROUP));
    }
    for bridge in
        fs::read_dir("/sys/class/net")?.flatten().filter_map(|entry| entry.file_name().into_string().ok())
    {
        if bridge.starts_with(BRIDGE_PREFIX) {
            // Its loop removes it, unless it was killed; gone in between is as good.
            let _ = Command::new("ip").args(["link", "delete", &bridge]).output()?;
        }
    }
    remove_directory(began)
}

/// A process that was killed lets go of its mounts only some time after it is in no group any more.
fn remove_directory(began: Instant) -> Result<()> {
    loop {
        match fs::remove_dir_all(DIRECTORY) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) if began.elapsed() > GONE_WITHIN => return Err(error).context(DIRECTORY),
            Err(_) => std::thread::sleep(PACE),
        }
    }
}

/// Containers outlive their server on purpose, so its own command takes them down.
fn dismantle_servers() -> Result<()> {
    for data_dir in subdirectories(Path::new(DIRECTORY)) {
        let Some(program) = fs::read_to_string(data_dir.join("dismantle-with")).ok() else { continue };
        let data_dir = data_dir.join("data");
        if data_dir.exists() {
            end_server(&data_dir)?;
            let ended = Command::new(&program)
                .arg("--data-dir")
                .arg(&data_dir)
                .args(["dismantle", "--yes"])
                .output()?;
            if !ended.status.success() {
                bail!("`{program} dismantle`: {}", String::from_utf8_lossy(&ended.stderr));
            }
        }
    }
    Ok(())
}

/// A run that was interrupted may have left its server, which `dismantle` would wait for.
fn end_server(data_dir: &Path) -> Result<()> {
    let began = Instant::now();
    while let Some(pid) = processes_below(&counting_hierarchy()?.join(GROUP)).into_iter().find(|pid| {
        command_line(*pid).is_some_and(|line| line.contains(&format!("{}\0", data_dir.display())))
    }) {
        if began.elapsed() > GONE_WITHIN {
            bail!("the server {pid:?} does not end");
        }
        let _ = kill_process(pid, Signal::KILL);
        std::thread::sleep(PACE);
    }
    Ok(())
}

fn command_line(pid: Pid) -> Option<String> {
    fs::read_to_string(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).ok()
}

fn processes_below(group: &Path) -> Vec<Pid> {
    let mut found: Vec<Pid> = fs::read_to_string(group.join("cgroup.procs"))
        .unwrap_or_default()
        .lines()
        .filter_map(|line| Pid::from_raw(line.parse().ok()?))
        .collect();
    found.extend(subdirectories(group).iter().flat_map(|child| processes_below(child)));
    found
}

/// Deepest first; what still holds a dying process is tried again by the next sweep.
fn remove_groups(group: &Path) {
    for child in subdirectories(group) {
        remove_groups(&child);
    }
    let _ = fs::remove_dir(group);
}

fn hierarchies() -> Vec<PathBuf> {
    let root = PathBuf::from("/sys/fs/cgroup");
    let mut all = subdirectories(&root);
    all.push(root);
    all
}

fn subdirectories(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}
