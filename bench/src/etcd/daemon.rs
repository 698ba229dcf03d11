//! One member of `etcd` on the disk of everything else here, in a control group of its own. Its settings are the default
//! ones but for its quota, which a benchmark would fill, and its log, which is kept to warnings.

use crate::site::{Group, Site};
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const ANSWERS_WITHIN: Duration = Duration::from_secs(20);

pub(super) struct Daemon {
    process: Child,
    group: Group,
    /// `127.0.0.1:PORT`.
    pub(super) address: String,
}

impl Daemon {
    /// Starts one on an empty directory, with `under` before the program.
    pub(super) fn start(site: &Site, name: &str, under: &[String]) -> Result<Self> {
        let directory = site.directory(name)?;
        let group = Group::make(name)?;
        let (address, peers) = (free_address()?, free_address()?);
        let words: Vec<&str> = under.iter().map(String::as_str).chain(["etcd"]).collect();
        let (program, rest) = words.split_first().context("there is at least the program")?;
        let mut command = group.command(program)?;
        command.args(rest).arg("--data-dir").arg(directory.join("data"));
        for (option, url) in [
            ("--listen-client-urls", &address),
            ("--advertise-client-urls", &address),
            ("--listen-peer-urls", &peers),
            ("--initial-advertise-peer-urls", &peers),
        ] {
            command.arg(option).arg(format!("http://{url}"));
        }
        command.arg("--initial-cluster").arg(format!("default=http://{peers}"));
        command.args(["--quota-backend-bytes", "8589934592", "--log-level", "warn"]);
        for (variable, _) in std::env::vars().filter(|(name, _)| name.starts_with("ETCD_")) {
            command.env_remove(variable);
        }
        let log = File::create(directory.join("log"))?;
        let process = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        let mut daemon = Self { process, group, address };
        daemon.wait_until_it_answers().with_context(|| format!("see `{}`", directory.display()))?;
        Ok(daemon)
    }

    pub(super) fn cpu(&self) -> Result<Duration> {
        self.group.cpu()
    }

    fn wait_until_it_answers(&mut self) -> Result<()> {
        let began = Instant::now();
        while TcpStream::connect(&self.address).is_err() {
            if let Some(status) = self.process.try_wait()? {
                bail!("etcd ended with {status}");
            }
            if began.elapsed() > ANSWERS_WITHIN {
                bail!("etcd does not answer");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Already ended is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One that nobody listens on at the moment.
fn free_address() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}
