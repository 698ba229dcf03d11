//! A place to run servers one after the other: a data directory, the server on it at the moment, and the promise
//! that a test, however it ends, leaves no container, mount or file behind.

use crate::client::Client;
use crate::machine;
use crate::server::{self, Engine, Server};
use anyhow::{Context, Result};
use serde_json::json;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

pub struct Site {
    // Declared before the directory: it ends first.
    server: Option<Server>,
    engine: Engine,
    /// Whether a server was ever ready here: before that there is nothing to clean up.
    was_used: bool,
    /// The configuration file, where there is one.
    configuration: Option<PathBuf>,
    directory: TempDir,
}

impl Site {
    /// A new data directory, and a server on it.
    pub fn start(engine: Engine) -> Result<Self> {
        let mut site = Self::empty(engine)?;
        site.restart()?;
        Ok(site)
    }

    /// A new data directory without a server.
    pub fn empty(engine: Engine) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("ensemble-test-").tempdir()?;
        Ok(Self { server: None, engine, was_used: false, configuration: None, directory })
    }

    /// A new data directory, and a server on it with this configuration file.
    pub fn configured(engine: Engine, configuration: &str) -> Result<Self> {
        let mut site = Self::empty(engine)?;
        let path = site.directory.path().join("ensemble.toml");
        std::fs::write(&path, configuration)?;
        site.configuration = Some(path);
        site.restart()?;
        Ok(site)
    }

    pub fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The running server.
    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("a server was started and not taken")
    }

    /// Hands the server out, to be ended in one way or another.
    pub fn take_server(&mut self) -> Server {
        self.server.take().expect("a server was started and not taken")
    }

    /// Starts a server on what the last one left.
    pub fn restart(&mut self) -> Result<()> {
        let mut command = server::command(&self.data_dir(), self.engine);
        if let Some(path) = &self.configuration {
            command.arg("--config").arg(path);
        }
        self.server = Some(Server::start_by(command, &self.data_dir())?);
        self.was_used = true;
        Ok(())
    }

    /// As [`Self::restart`], on a command line and an environment that `adjust` changed.
    pub fn restart_with(&mut self, adjust: impl FnOnce(&mut Command)) -> Result<()> {
        let mut command = server::command(&self.data_dir(), self.engine);
        adjust(&mut command);
        self.restart_by(command)
    }

    /// As [`Self::restart`], on a command line of the caller's own.
    pub fn restart_by(&mut self, command: Command) -> Result<()> {
        self.server = Some(Server::start_by(command, &self.data_dir())?);
        self.was_used = true;
        Ok(())
    }

    /// A path beside the data directory, gone with the site.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A client of the running server.
    pub fn client(&self) -> Result<Client> {
        Client::of(&self.data_dir(), &self.server().url)
    }

    /// Creates an application without instances whose container runs `hello-edge` with these arguments.
    pub async fn create(&self, arguments: &[&str]) -> Result<String> {
        self.create_of(&format!("oci:{}", server::image().display()), arguments).await
    }

    /// The same with another image.
    pub async fn create_of(&self, image: &str, arguments: &[&str]) -> Result<String> {
        let template = json!({
            "appMetaData": {"appName": format!("hello-{}", &uuid::Uuid::new_v4().simple().to_string()[..8])},
            "resourceAttribute": {"instanceSpec": "ens.sn1.tiny"},
            "resourceSelector": [],
            "workload": [{"name": "web", "podSpec": {"containers": [{
                "name": "web",
                "image": image,
                "args": arguments,
            }]}}],
        });
        let answer = self.client()?.ask("CreateApplication", &[("Template", &template.to_string())]).await?;
        answer["AppId"].as_str().map(str::to_owned).context("an AppId is a string")
    }

    /// Ends what this site still runs and looks whether anything is left on the machine. Called when dropped, too; a
    /// test that means to end clean calls it itself.
    pub fn clean(&mut self) -> Result<()> {
        self.server = None;
        if self.engine == Engine::Simulated || !self.was_used {
            return Ok(());
        }
        self.ensemble(&["dismantle", "--yes"])?;
        let left = machine::left_behind(&self.data_dir());
        anyhow::ensure!(left.is_empty(), "left behind: {left:?}");
        self.was_used = false;
        Ok(())
    }

    /// The command line against this site's server, not yet run.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(server::binary());
        server::without_key(&mut command);
        command.arg("--data-dir").arg(self.data_dir()).args(arguments);
        command
    }

    /// Runs the command line against this site's server and returns its stdout.
    pub fn ensemble(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(server::binary());
        server::without_key(&mut command);
        let output = command.arg("--data-dir").arg(self.data_dir()).args(arguments).output()?;
        anyhow::ensure!(
            output.status.success(),
            "`ensemble {}` ended with {}: {}",
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Err(error) = self.clean() {
            eprintln!("could not clean up `{}`: {error:#}", self.data_dir().display());
        }
    }
}
