//! An Ensemble server under measurement: the release binary as an operator starts it, in a control group of its own,
//! and what the kernel says of its memory. Containers are not ended with it; `site` sees to that.

use crate::client::Client;
use crate::site::{Group, Site};
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const STOP_AT_MOST: Duration = Duration::from_secs(30);

/// What is measured: the binary, and the example image.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    pub(crate) ensemble: PathBuf,
    pub(crate) image: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Embedded,
    Simulated,
}

pub(crate) struct Server {
    process: Child,
    address: String,
    directory: PathBuf,
    group: Group,
    /// From starting the process to its `ready` line.
    pub(crate) ready_after: Duration,
}

impl Server {
    /// Starts on the data directory `name`, with what an earlier one of that name left there.
    pub(crate) fn start(site: &Site, programs: &Programs, name: &str, fleet: Fleet) -> Result<Self> {
        Self::start_under(&[], site, programs, name, fleet)
    }

    /// The same, with the words `under` before the program.
    pub(crate) fn start_under(
        under: &[String],
        site: &Site,
        programs: &Programs,
        name: &str,
        fleet: Fleet,
    ) -> Result<Self> {
        let directory = site.directory(name)?;
        let group = Group::make(name)?;
        if fleet.engine == Engine::Embedded {
            fs::write(directory.join("dismantle-with"), programs.ensemble.display().to_string())?;
        }
        let words: Vec<&Path> = under.iter().map(Path::new).chain([programs.ensemble.as_path()]).collect();
        let (program, rest) = words.split_first().context("there is at least the program")?;
        let mut command = group.command(program)?;
        command
            .args(rest)
            .arg("serve")
            .arg("--data-dir")
            .arg(directory.join("data"))
            .args(["--listen", "127.0.0.1:0"]);
        match fleet.text() {
            None => command.args(["--engine", fleet.engine.name()]),
            Some(text) => {
                let path = directory.join("fleet.toml");
                fs::write(&path, text)?;
                command.arg("--fleet").arg(path)
            }
        };
        for (variable, _) in std::env::vars().filter(|(name, _)| name.starts_with("ENSEMBLE_")) {
            command.env_remove(variable);
        }
        let log = File::options().create(true).append(true).open(directory.join("server.log"))?;
        let began = Instant::now();
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("stdout is piped")?).read_line(&mut line)?;
        let ready_after = began.elapsed();
        let Some(address) = line.trim().strip_prefix("ready http://") else {
            let _ = process.kill();
            let _ = process.wait();
            bail!("the server did not start:\n{}", fs::read_to_string(directory.join("server.log"))?);
        };
        Ok(Self { process, address: address.to_owned(), directory, group, ready_after })
    }

    pub(crate) fn client(&self) -> Result<Client> {
        Client::of(&self.directory.join("data"), &self.address)
    }

    /// What it counts of itself.
    pub(crate) fn metrics(&self) -> Result<Metrics> {
        let mut stream = TcpStream::connect(&self.address)?;
        write!(stream, "GET /metrics HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.address)?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(Metrics(text))
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// Its own processor time, without that of containers and their supervisors.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        self.group.cpu()
    }

    /// Memory of the process that is resident, in KiB.
    pub(crate) fn resident_kib(&self) -> Result<u64> {
        memory_kib(self.process.id(), "status", &["VmRSS:"])
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(mut self) -> Result<()> {
        rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.process),
            rustix::process::Signal::TERM,
        )?;
        let began = Instant::now();
        while self.process.try_wait()?.is_none() {
            if began.elapsed() > STOP_AT_MOST {
                bail!("the server does not end");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

/// A page of metrics.
pub(crate) struct Metrics(String);

impl Metrics {
    /// Of a metric without labels.
    pub(crate) fn value(&self, name: &str) -> Result<f64> {
        let mut values = self.0.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(values.next().with_context(|| format!("no metric {name}"))?.trim().parse()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already ended is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Sums some lines of `/proc/PID/<file>`, each `Name:   123 kB`.
pub(crate) fn memory_kib(pid: u32, file: &str, names: &[&str]) -> Result<u64> {
    let path = Path::new("/proc").join(pid.to_string()).join(file);
    let text = fs::read_to_string(&path).with_context(|| format!("`{}`", path.display()))?;
    let values = text.lines().filter_map(|line| {
        let value = names.iter().find_map(|name| line.strip_prefix(name))?;
        value.split_whitespace().next()?.parse::<u64>().ok()
    });
    Ok(values.sum())
}

impl Engine {
    fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Simulated => "simulated",
        }
    }
}

/// The edge nodes to serve: the built-in ones, or `nodes` generated ones of `vcpu` each, spread over ten districts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fleet {
    pub(crate) engine: Engine,
    generated: Option<(usize, usize)>,
}

/// Codes of cities that the built-in table of districts knows.
pub(crate) const DISTRICTS: [&str; 10] =
    ["110100", "120100", "310100", "320100", "330100", "350100", "420100", "430100", "440100", "510100"];

impl Fleet {
    pub(crate) fn built_in(engine: Engine) -> Self {
        Self { engine, generated: None }
    }

    pub(crate) fn generated(engine: Engine, nodes: usize, vcpu: usize) -> Self {
        Self { engine, generated: Some((nodes, vcpu)) }
    }

    /// The fleet file; none for the built-in fleet.
    pub(crate) fn text(self) -> Option<String> {
        let (nodes, vcpu) = self.generated?;
        let engine = self.engine.name();
        let mut text = format!("version = 1\n[engines.here]\nkind = \"{engine}\"\n");
        for index in 0..nodes {
            let district = DISTRICTS[index % DISTRICTS.len()];
            text.push_str(&format!(
                "[[edge_nodes]]\nid = \"edge-{index}\"\ndistrict = \"{district}\"\nisps = [\"cmcc\"]\n\
                 capacity = {{ vcpu = {vcpu}, memory_gib = {} }}\nengine = \"here\"\n",
                4 * vcpu
            ));
        }
        Some(text)
    }
}
