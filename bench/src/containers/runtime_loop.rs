//! A loop over one of Debian's container runtimes, as somebody would write it who needs no more than that: prepare the
//! bundle, `RUNTIME run --detach`, later `kill`, wait, `delete`, remove everything. As many at once as Ensemble's engine
//! has, the same spec, the same root file system with an overlay on top, one network helper.
//! Runs as a process of its own (`ensemble-bench loop`), in its own mount namespace, told by lines on its stdin.

use super::network::Network;
use anyhow::{Context, Result, ensure};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, set_child_subreaper, waitid};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::BufRead;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// What the loop needs to know, as JSON in the file `plan.json` of its directory.
pub(crate) struct Plan {
    directory: PathBuf,
    runtime: String,
    root_file_system: PathBuf,
    /// The spec of every container, but for what is its own.
    spec: Value,
    /// The control group below which containers go.
    group: String,
    bridge: String,
    /// Of its addresses, `10.x.0.0/16`.
    subnet: u8,
    at_once: usize,
}

/// Serves `up COUNT` and `down` until its stdin ends; answers each with `ok` or `error …`.
pub(crate) fn serve(plan: &Path) -> Result<()> {
    let plan = Plan::read(plan)?;
    // The runtime's own process ends when the container runs: then the container is ours to wait for.
    set_child_subreaper(Pid::from_raw(1))?;
    if fs::exists("/sys/fs/cgroup/unified")? {
        // crun refuses a machine with both versions of control groups, unless it does not see the second.
        unmount("/sys/fs/cgroup/unified", UnmountFlags::DETACH)?;
    }
    let network = Network::make(&plan.bridge, plan.subnet)?;
    let mut running = 0;
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let done = match line.split_once(' ') {
            Some(("up", count)) => {
                running = count.parse()?;
                plan.each(running, |index| plan.up(index, &network))
            }
            _ => plan.each(running, |index| plan.down(index)),
        };
        match done {
            Ok(()) => println!("ok"),
            Err(error) => println!("error {error:#}"),
        }
    }
    network.remove()
}

impl Plan {
    fn read(path: &Path) -> Result<Self> {
        let plan: Value =
            serde_json::from_slice(&fs::read(path).with_context(|| format!("`{}`", path.display()))?)?;
        let text =
            |name: &str| plan[name].as_str().map(str::to_owned).with_context(|| format!("no `{name}`"));
        Ok(Self {
            directory: path.parent().context("a plan lies in a directory")?.to_owned(),
            runtime: text("runtime")?,
            root_file_system: text("root_file_system")?.into(),
            spec: plan["spec"].clone(),
            group: text("group")?,
            bridge: text("bridge")?,
            subnet: u8::try_from(plan["subnet"].as_u64().context("no `subnet`")?)?,
            at_once: plan["at_once"].as_u64().context("no `at_once`")? as usize,
        })
    }

    /// Does it for 0 to `count`, as many at once as the plan says.
    fn each(&self, count: usize, work: impl Fn(usize) -> Result<()> + Sync) -> Result<()> {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let worker = || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        return Ok(());
                    }
                    work(index).with_context(|| format!("container {index}"))?;
                }
            };
            let workers: Vec<_> = (0..self.at_once).map(|_| scope.spawn(worker)).collect();
            let ended = workers
                .into_iter()
                .map(|one| one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            ended.collect::<Result<Vec<()>>>().map(drop)
        })
    }

    fn up(&self, index: usize, network: &Network) -> Result<()> {
        let bundle = self.bundle(index);
        let root = bundle.join("root");
        for name in ["root", "upper", "scratch"] {
            fs::create_dir_all(bundle.join(name))?;
        }
        let layers = format!(
            "lowerdir={},upperdir={},workdir={}",
            self.root_file_system.display(),
            bundle.join("upper").display(),
            bundle.join("scratch").display()
        );
        let layers = std::ffi::CString::new(layers)?;
        mount("overlay", &root, "overlay", MountFlags::empty(), Some(layers.as_c_str()))
            .context("overlay")?;
        let namespace = bundle.join("netns");
        let address = network.connect(index, &namespace)?;
        self.write_spec(index, &bundle, &namespace, &address.to_string())?;
        let log = File::create(bundle.join("log"))?;
        let mut command = self.command();
        command.args(["run", "--detach", "--pid-file"]).arg(bundle.join("pid")).arg("--bundle").arg(&bundle);
        // Not a pipe: the container keeps it open.
        let ended =
            command.arg(name(index)).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).status()?;
        ensure!(ended.success(), "{} run: {}", self.runtime, fs::read_to_string(bundle.join("log"))?);
        Ok(())
    }

    fn write_spec(&self, index: usize, bundle: &Path, namespace: &Path, address: &str) -> Result<()> {
        let mut spec = self.spec.clone();
        let hostname = name(index);
        spec["root"] = json!({"path": bundle.join("root"), "readonly": false});
        spec["hostname"] = json!(hostname);
        spec["linux"]["cgroupsPath"] = json!(format!("/{}/{hostname}", self.group));
        let namespaces = spec["linux"]["namespaces"].as_array_mut().context("a spec has namespaces")?;
        namespaces.retain(|other| other["type"] != "network");
        namespaces.push(json!({"type": "network", "path": namespace}));
        let contents = [
            ("resolv.conf", "nameserver 127.0.0.1\n".to_owned()),
            ("hosts", format!("127.0.0.1 localhost\n{address} {hostname}\n")),
            ("hostname", format!("{hostname}\n")),
        ];
        let mounts = spec["mounts"].as_array_mut().context("a spec has mounts")?;
        for (file, content) in contents {
            fs::write(bundle.join(file), content)?;
            let destination = format!("/etc/{file}");
            for mount in mounts.iter_mut().filter(|mount| mount["destination"] == destination) {
                mount["source"] = json!(bundle.join(file));
            }
        }
        Ok(fs::write(bundle.join("config.json"), serde_json::to_vec(&spec)?)?)
    }

    fn down(&self, index: usize) -> Result<()> {
        let bundle = self.bundle(index);
        let pid: i32 = fs::read_to_string(bundle.join("pid"))?.trim().parse()?;
        let process = pidfd_open(Pid::from_raw(pid).context("a process id")?, PidfdFlags::empty())?;
        let ended = self.command().args(["kill", &name(index), "TERM"]).status()?;
        ensure!(ended.success(), "{} kill: {ended}", self.runtime);
        waitid(WaitId::PidFd(process.as_fd()), WaitIdOptions::EXITED)?;
        let ended = self.command().args(["delete", &name(index)]).status()?;
        ensure!(ended.success(), "{} delete: {ended}", self.runtime);
        unmount(bundle.join("netns"), UnmountFlags::DETACH)?;
        unmount(bundle.join("root"), UnmountFlags::DETACH)?;
        Ok(fs::remove_dir_all(&bundle)?)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.runtime);
        command.arg("--root").arg(self.directory.join("state"));
        command
    }

    fn bundle(&self, index: usize) -> PathBuf {
        self.directory.join(name(index))
    }
}

fn name(index: usize) -> String {
    format!("c{index}")
}
