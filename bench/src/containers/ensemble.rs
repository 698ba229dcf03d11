//! Ensemble as one of the systems compared: RescaleApplication over the API, then what remains of it on the machine,
//! looked at from outside.

use super::observer::Observer;
use super::{MARK, System};
use crate::client::Client;
use crate::server::{Engine, Fleet, Programs, Server};
use crate::site::{Group, Site};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const DISTRICT: &str = "310100";
const NAME: &str = "ensemble";

pub(crate) struct Ensemble {
    pub(crate) server: Server,
    client: Client,
    app: String,
    mark: String,
    /// What containers and their supervisors run in.
    containers: Group,
    supervisors: Group,
    /// As the engine wrote it for a container: what the other runtimes are given, too.
    pub(crate) spec: Value,
    up: usize,
    operation: Option<String>,
}

impl Ensemble {
    /// A server on a new data directory with one application that runs the example image, which is in the image store once this returns.
    pub(crate) fn start(site: &Site, programs: &Programs, directory: &str) -> Result<Self> {
        let fleet = Fleet::generated(Engine::Embedded, 10, 1_000);
        let server = Server::start(site, programs, directory, fleet)?;
        let client = server.client()?;
        let mark = format!("{MARK}={NAME}-{}", uuid::Uuid::new_v4().simple());
        let variable = mark.split_once('=').context("a mark has a name")?;
        let app = client.create("hello", &format!("oci:{}", programs.image.display()), &[variable])?;
        // One container is started first: it says where the engine puts things.
        let mut observer = Observer::new(&mark, None);
        client.wait_for(&client.rescale(&app, "Add", DISTRICT, 1)?)?;
        observer.all_answer(1, Instant::now())?;
        let pid = observer.pids().next().context("a container runs")?;
        let subtree = subtree_of(pid)?;
        let spec = find(&server.data_dir(), "spec.json").context("the engine wrote a spec")?;
        let spec = serde_json::from_slice(&fs::read(spec)?)?;
        client.wait_for(&client.rescale(&app, "Del", DISTRICT, 1)?)?;
        observer.all_gone(Instant::now())?;
        Ok(Self {
            server,
            client,
            app,
            mark,
            containers: Group::of_others(&subtree),
            supervisors: Group::of_others(&format!("{subtree}/supervisors")),
            spec,
            up: 0,
            operation: None,
        })
    }

    /// The kernel's list of supervisors.
    pub(crate) fn supervisors(&self) -> Result<Vec<u32>> {
        self.supervisors.processes()
    }

    /// From the answer that says accepted, to the answer of the container.
    pub(super) fn first_answers_after(&mut self) -> Result<Duration> {
        let mut observer = Observer::new(&self.mark, None);
        self.up(1)?;
        let took = observer.all_answer(1, Instant::now())?;
        self.finish_up()?;
        let began = Instant::now();
        self.down()?;
        super::wait_until_gone(self, &mut observer, began)?;
        Ok(took)
    }

    fn finish(&mut self) -> Result<()> {
        self.operation.take().map_or(Ok(()), |operation| self.client.wait_for(&operation))
    }
}

impl System for Ensemble {
    fn name(&self) -> &'static str {
        NAME
    }

    fn mark(&self) -> &str {
        &self.mark
    }

    fn network_of(&self) -> Option<u32> {
        None
    }

    fn up(&mut self, count: usize) -> Result<()> {
        self.operation = Some(self.client.rescale(&self.app, "Add", DISTRICT, count)?);
        self.up = count;
        Ok(())
    }

    fn finish_up(&mut self) -> Result<()> {
        self.finish()
    }

    fn down(&mut self) -> Result<()> {
        self.operation = Some(self.client.rescale(&self.app, "Del", DISTRICT, self.up)?);
        Ok(())
    }

    /// No supervisor, no interface, no directory of an instance.
    fn is_gone(&mut self) -> Result<bool> {
        let instances = find(&self.server.data_dir(), "instances");
        let is_empty = |path: &PathBuf| fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
        let gone = self.supervisors()?.is_empty()
            && instances.as_ref().is_some_and(is_empty)
            && !has_interface(&self.server.data_dir())?;
        if gone {
            self.finish()?;
        }
        Ok(gone)
    }

    fn cpu(&self) -> Result<Duration> {
        Ok(self.server.cpu()? + self.containers.cpu()?)
    }
}

/// The first component of the control group that the process is in: `ensemble-<hash>`.
fn subtree_of(pid: u32) -> Result<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let paths = text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let subtree = paths.filter_map(|path| path.split('/').nth(1)).find(|name| name.starts_with("ensemble-"));
    let subtree = subtree.context("a container is in no group of the engine")?;
    ensure!(subtree.len() > "ensemble-".len(), "the engine's group has no name of its own");
    Ok(subtree.to_owned())
}

/// Whether a bridge of the server on that data directory has a port. Other servers may be on the machine.
fn has_interface(data_dir: &Path) -> Result<bool> {
    let data_dir = data_dir.display().to_string();
    for interface in fs::read_dir("/sys/class/net")? {
        let interface = interface?.path();
        let alias = fs::read_to_string(interface.join("ifalias")).unwrap_or_default();
        let is_ours = alias.contains(&data_dir);
        if is_ours && fs::read_dir(interface.join("brif")).is_ok_and(|mut ports| ports.next().is_some()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The first entry of that name below a directory.
fn find(directory: &Path, name: &str) -> Option<PathBuf> {
    for entry in fs::read_dir(directory).ok()?.flatten() {
        if entry.file_name() == name {
            return Some(entry.path());
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir())
            && let Some(found) = find(&entry.path(), name)
        {
            return Some(found);
        }
    }
    None
}
