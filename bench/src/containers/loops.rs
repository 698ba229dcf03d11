//! A runtime loop as one of the systems compared: the process that `runtime_loop` is, told what to do by lines.

use super::{MARK, System};
use crate::site::{BRIDGE_PREFIX, Group, Site};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use std::time::Duration;

/// How long all containers may take, and the worker at its end.
const ANSWER_WITHIN: Duration = Duration::from_secs(180);

pub(super) struct RuntimeLoop {
    runtime: &'static str,
    mark: String,
    group: Group,
    worker: Child,
    orders: Option<ChildStdin>,
    answers: Receiver<String>,
}

impl RuntimeLoop {
    /// `spec` is of a container of Ensemble; it is given the same limits, on the container instead of around it.
    pub(super) fn start(
        site: &Site,
        (runtime, subnet): (&'static str, u8),
        spec: &Value,
        root: &Path,
        at_once: usize,
    ) -> Result<Self> {
        let directory = site.directory(runtime)?;
        let group = Group::make(runtime)?;
        let mark = format!("{MARK}={runtime}-{}", uuid::Uuid::new_v4().simple());
        let plan = json!({
            "runtime": runtime,
            "root_file_system": root,
            "spec": spec_of(spec, &mark)?,
            "group": format!("{}/containers", group.name()),
            "bridge": format!("{BRIDGE_PREFIX}{runtime}"),
            "subnet": subnet,
            "at_once": at_once,
        });
        let path = directory.join("plan.json");
        fs::write(&path, serde_json::to_vec(&plan)?)?;
        // Once around the loop: what it mounts is gone with it, and crun is spared the second cgroup version.
        let mut worker = Group::make(&format!("{runtime}/loop"))?
            .command("unshare")?
            .args(["--mount", "--propagation", "private"])
            .arg(std::env::current_exe()?)
            .arg("loop")
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (sender, answers) = channel();
        let lines = BufReader::new(worker.stdout.take().context("stdout is piped")?).lines();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // Whoever listened may be gone.
                let _ = sender.send(line);
            }
        });
        let orders = worker.stdin.take();
        let mut system = Self { runtime, mark, group, worker, orders, answers };
        system.wait("ready")?;
        Ok(system)
    }

    fn order(&mut self, line: &str) -> Result<()> {
        let orders = self.orders.as_mut().context("the worker listens")?;
        Ok(writeln!(orders, "{line}")?)
    }

    fn wait(&mut self, expected: &str) -> Result<()> {
        match self.answers.recv_timeout(ANSWER_WITHIN) {
            Ok(answer) if answer == expected => Ok(()),
            Ok(answer) => bail!("{}: {answer}", self.runtime),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                bail!("{} is silent", self.runtime)
            }
        }
    }
}

impl System for RuntimeLoop {
    fn name(&self) -> &'static str {
        self.runtime
    }

    fn mark(&self) -> &str {
        &self.mark
    }

    fn network_of(&self) -> Option<u32> {
        None
    }

    fn up(&mut self, count: usize) -> Result<()> {
        self.order(&format!("up {count}"))
    }

    fn finish_up(&mut self) -> Result<()> {
        self.wait("ok")
    }

    fn down(&mut self) -> Result<()> {
        self.order("down")
    }

    /// The loop has deleted and unmounted everything, and no interface is left on its bridge.
    fn is_gone(&mut self) -> Result<bool> {
        match self.answers.try_recv() {
            Ok(answer) if answer == "ok" => {}
            Ok(answer) => bail!("{}: {answer}", self.runtime),
            Err(TryRecvError::Empty) => return Ok(false),
            Err(TryRecvError::Disconnected) => bail!("{} is gone", self.runtime),
        }
        // The kernel removes the wire of a namespace some milliseconds after the namespace.
        while fs::read_dir(format!("/sys/class/net/{BRIDGE_PREFIX}{}/brif", self.runtime))?.next().is_some() {
            std::thread::sleep(super::PACE);
        }
        Ok(true)
    }

    fn cpu(&self) -> Result<Duration> {
        self.group.cpu()
    }
}

impl Drop for RuntimeLoop {
    fn drop(&mut self) {
        // The end of its orders ends the worker, which then removes its bridge.
        drop(self.orders.take());
        let _ = self.worker.wait();
    }
}

/// The limits of `ens.sn1.stiny`, and the loop's own mark.
fn spec_of(spec: &Value, mark: &str) -> Result<Value> {
    let mut spec = spec.clone();
    let environment = spec["process"]["env"].as_array_mut().context("a spec has an environment")?;
    environment.retain(|variable| !variable.as_str().is_some_and(|text| text.starts_with(MARK)));
    environment.push(json!(mark));
    spec["linux"]["resources"] = json!({
        "memory": {"limit": 2_u64 << 30},
        "cpu": {"quota": 100_000, "period": 100_000},
        "pids": {"limit": 8_192},
    });
    Ok(spec)
}
