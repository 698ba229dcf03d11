//! Docker Swarm as one of the systems compared: Debian's `dockerd` started by hand on directories, a socket, a network
//! namespace and a mount namespace of its own, one service, `docker service scale`. Nothing of the machine's own Docker
//! is touched. Its default bridge is the quickest of its networks that give an address to each container.

use super::{MARK, System};
use crate::site::{Group, Site};
use anyhow::{Result, bail, ensure};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const NAME: &str = "swarm";
const SERVICE: &str = "hello";
const READY_WITHIN: Duration = Duration::from_secs(60);
const STOPPED_WITHIN: Duration = Duration::from_secs(30);

pub(super) struct Swarm {
    daemon: Child,
    directory: PathBuf,
    mark: String,
    /// Around daemons, command line and containers.
    group: Group,
    daemons: Group,
    /// Swarm has one of its own, towards its ingress network.
    interfaces_before: usize,
}

impl Swarm {
    /// `root` is the image's root file system as a tar archive.
    pub(super) fn start(site: &Site, root: &Path) -> Result<Self> {
        let directory = site.directory(NAME)?;
        let group = Group::make(NAME)?;
        let daemons = Group::make(&format!("{NAME}/daemons"))?;
        let at = |name: &str| directory.join(name).display().to_string();
        let daemon = daemons
            .command("unshare")?
            .args(["--net", "--mount", "--propagation", "private", "sh", "-c"])
            .args(["ip link set lo up && exec \"$@\"", "sh", "dockerd"])
            .args(["--data-root", &at("data"), "--exec-root", &at("x"), "--pidfile", &at("pid")])
            .args(["--host", &format!("unix://{}", at("s")), "--storage-driver", "overlay2"])
            .args(["--exec-opt", "native.cgroupdriver=cgroupfs"])
            .args(["--cgroup-parent", &format!("/{}/containers", group.name())])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(directory.join("log"))?)
            .spawn()?;
        let mark = format!("{MARK}={NAME}-{}", uuid::Uuid::new_v4().simple());
        let mut swarm = Self { daemon, directory, mark, group, daemons, interfaces_before: 0 };
        swarm.wait_until_ready()?;
        let root = root.display().to_string();
        swarm.docker(&["swarm", "init", "--advertise-addr", "127.0.0.1"])?;
        swarm.docker(&["import", "--change", r#"ENTRYPOINT ["/hello-edge"]"#, &root, "hello:bench"])?;
        swarm.docker(&[
            "service",
            "create",
            "--detach",
            "--name",
            SERVICE,
            "--replicas",
            "0",
            "--no-resolve-image",
            "--limit-memory",
            "2g",
            "--limit-cpu",
            "1",
            "--limit-pids",
            "8192",
            "--env",
            &swarm.mark,
            "hello:bench",
        ])?;
        Ok(swarm)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let began = Instant::now();
        loop {
            if self.ask("/_ping").is_ok_and(|answer| answer.ends_with("OK")) {
                return Ok(());
            }
            if self.daemon.try_wait()?.is_some() || began.elapsed() > READY_WITHIN {
                let log = fs::read_to_string(self.directory.join("log"))?;
                let lines: Vec<&str> = log.lines().rev().take(5).collect();
                bail!("dockerd does not answer; the end of its log, last line first: {}", lines.join(" / "));
            }
            std::thread::sleep(super::PACE);
        }
    }

    fn docker(&self, arguments: &[&str]) -> Result<()> {
        let mut command = self.daemons.command("docker")?;
        command.arg("--host").arg(format!("unix://{}", self.directory.join("s").display())).args(arguments);
        let ended = command.stdin(Stdio::null()).output()?;
        let said = String::from_utf8_lossy(&ended.stderr);
        ensure!(ended.status.success(), "docker {}: {said}", arguments.join(" "));
        Ok(())
    }

    fn scale(&self, count: usize) -> Result<()> {
        self.docker(&["service", "scale", "--detach", &format!("{SERVICE}={count}")])
    }

    fn interfaces(&self) -> Result<usize> {
        Ok(fs::read_to_string(format!("/proc/{}/net/dev", self.daemon.id()))?.lines().count())
    }

    /// A GET on the daemon's socket, which costs it less than a command line would.
    fn ask(&self, path: &str) -> Result<String> {
        let mut stream = UnixStream::connect(self.directory.join("s"))?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

impl System for Swarm {
    fn name(&self) -> &'static str {
        NAME
    }

    fn mark(&self) -> &str {
        &self.mark
    }

    fn network_of(&self) -> Option<u32> {
        Some(self.daemon.id())
    }

    fn up(&mut self, count: usize) -> Result<()> {
        self.interfaces_before = self.interfaces()?;
        self.scale(count)
    }

    fn finish_up(&mut self) -> Result<()> {
        Ok(())
    }

    fn down(&mut self) -> Result<()> {
        self.scale(0)
    }

    /// No container is left in the daemon, also none that has ended, and no interface on its bridge.
    fn is_gone(&mut self) -> Result<bool> {
        Ok(self.interfaces()? <= self.interfaces_before
            && self.ask("/containers/json?all=1")?.trim_end().ends_with("\r\n[]"))
    }

    fn cpu(&self) -> Result<Duration> {
        self.group.cpu()
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        // What this does not end is ended by the sweep: all of it runs in one control group.
        let _ = self.docker(&["service", "rm", SERVICE]);
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.daemon),
            rustix::process::Signal::TERM,
        );
        let began = Instant::now();
        while self.daemon.try_wait().is_ok_and(|ended| ended.is_none()) && began.elapsed() < STOPPED_WITHIN {
            std::thread::sleep(super::PACE);
        }
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

/// The context of an error that means: Swarm cannot be had here.
pub(super) fn unavailable(error: &anyhow::Error) -> String {
    let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    format!("Docker Swarm could not be started: {}", causes.join(": ").replace('\n', " "))
}
