//! The house of one run: a data directory on a small disk of its own, two accounts, and servers that live on it one
//! after the other and end in one way or another. Clients wait at its door until a server of their account answers.

use super::disk::Disk;
use super::history::History;
use crate::server::{self, Engine};
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};
use tokio::sync::watch;

pub const ACCOUNTS: usize = 2;

/// Recovery and taking over of containers included, on two busy processors.
pub const READY_AT_MOST: Duration = Duration::from_secs(60);
/// Of a line of a server's log, what a story shows.
const WORD_CHARS: usize = 400;

/// Requests get 10 s at a TERM.
const STOP_AT_MOST: Duration = Duration::from_secs(30);

/// Where a server answers at the moment, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    pub url: String,
    pub account: usize,
}

pub struct House {
    directory: PathBuf,
    disk: Disk,
    door: watch::Sender<Option<Door>>,
    history: Arc<History>,
}

/// A server that was started; ends with its value.
pub struct Tenant {
    child: Child,
    pub pid: u32,
    pub account: usize,
    lines: Lines<BufReader<ChildStdout>>,
}

/// What came of waiting for a server.
#[derive(Debug)]
pub enum Waited {
    Ready(String),
    Ended(ExitStatus),
    /// Neither within the time.
    Starting,
}

impl House {
    /// Builds an empty one in `directory`.
    ///
    /// # Errors
    /// When no disk can be mounted.
    pub fn build(directory: &Path, disk_mib: u32, history: Arc<History>) -> Result<Self> {
        std::fs::create_dir_all(directory)?;
        // The kernel tells of real paths.
        let directory = directory.canonicalize()?;
        let disk = Disk::mount(directory.join("disk"), disk_mib)?;
        let house = Self { directory, disk, door: watch::Sender::new(None), history };
        for account in 0..ACCOUNTS {
            let key = format!(
                "access_key_id = \"LTAIchaos{account}\"\naccess_key_secret = \"{}\"\naccount_id = \"100000000000000{account}\"\n",
                uuid::Uuid::new_v4().simple()
            );
            private(&house.key(account), &key)?;
        }
        std::fs::DirBuilder::new().create(house.data_dir())?;
        std::fs::copy(house.key(0), house.data_dir().join("credentials.toml"))?;
        Ok(house)
    }

    pub fn data_dir(&self) -> PathBuf {
        self.disk.path().join("data")
    }

    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// The file with an account's key.
    pub fn key(&self, account: usize) -> PathBuf {
        self.disk.path().join(format!("account-{account}.toml"))
    }

    /// What all servers wrote to stderr.
    pub fn log(&self) -> PathBuf {
        self.directory.join("server.log")
    }

    /// The end of that, for a story.
    pub fn last_words(&self, lines: usize) -> Vec<String> {
        let log = std::fs::read(self.log()).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let shortened = |line: &str| line.chars().take(WORD_CHARS).collect();
        let mut last: Vec<String> = text.lines().rev().take(lines).map(shortened).collect();
        last.reverse();
        last
    }

    pub fn doors(&self) -> watch::Receiver<Option<Door>> {
        self.door.subscribe()
    }

    /// Lets clients in, or keeps them out.
    pub fn open(&self, door: Option<Door>) {
        self.door.send_replace(door);
    }

    /// Starts a server on whatever the last one left, for this account where the key can be put there.
    ///
    /// # Errors
    /// When no process can be started.
    pub fn start(&self, account: usize) -> Result<Tenant> {
        let in_place = self.data_dir().join("credentials.toml");
        let beside = self.disk.path().join("next.toml");
        let _ = std::fs::remove_file(&beside);
        let moved =
            std::fs::hard_link(self.key(account), &beside).and_then(|()| std::fs::rename(&beside, &in_place));
        // A full disk takes no new name: then it is the same account once more.
        let account = match moved {
            Ok(()) => account,
            Err(_) => self.account_in_place()?,
        };
        let log = std::fs::File::options().create(true).append(true).open(self.log())?;
        let mut command: tokio::process::Command = server::command(&self.data_dir(), Engine::Embedded).into();
        let mut child = command.stdout(Stdio::piped()).stderr(log).kill_on_drop(true).spawn()?;
        let pid = child.id().context("a child that nobody waited for has a pid")?;
        let stdout = child.stdout.take().context("stdout is piped")?;
        self.history.announce("server started", json!({"pid": pid, "account": account}));
        Ok(Tenant { child, pid, account, lines: BufReader::new(stdout).lines() })
    }

    /// Starts a server that is not disturbed, and opens its door.
    ///
    /// # Errors
    /// When it does not get ready.
    pub async fn start_in_peace(&self, account: usize) -> Result<Tenant> {
        let mut tenant = self.start(account)?;
        match tenant.wait(READY_AT_MOST).await? {
            Waited::Ready(url) => self.open(Some(Door { url, account: tenant.account })),
            Waited::Ended(status) => {
                bail!("an undisturbed server ended with {status}:\n{}", self.last_words(10).join("\n"))
            }
            Waited::Starting => bail!("an undisturbed server was not ready in {READY_AT_MOST:?}"),
        }
        Ok(tenant)
    }

    fn account_in_place(&self) -> Result<usize> {
        let in_place = std::fs::read(self.data_dir().join("credentials.toml"))?;
        let is_in_place =
            |account: &usize| std::fs::read(self.key(*account)).is_ok_and(|key| key == in_place);
        (0..ACCOUNTS).find(is_in_place).context("the key of an account is in place")
    }

    /// Takes away all that runs, with the binary's own means.
    ///
    /// # Errors
    /// When something would not go.
    pub fn dismantle(&self) -> Result<()> {
        let mut command = std::process::Command::new(server::binary());
        server::without_key(&mut command);
        let output = command.arg("--data-dir").arg(self.data_dir()).args(["dismantle", "--yes"]).output()?;
        if !output.status.success() {
            bail!("dismantle: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }
}

impl Tenant {
    /// Waits until it says that it is ready, or ends.
    ///
    /// # Errors
    /// When it says something else.
    pub async fn wait(&mut self, at_most: Duration) -> Result<Waited> {
        match tokio::time::timeout(at_most, self.lines.next_line()).await {
            Err(_) => Ok(Waited::Starting),
            Ok(line) => match line? {
                Some(line) => match line.strip_prefix("ready ") {
                    Some(url) => Ok(Waited::Ready(url.to_owned())),
                    None => bail!("a server says `{line}`"),
                },
                None => Ok(Waited::Ended(self.child.wait().await?)),
            },
        }
    }

    /// Waits until it has ended by itself; none when it has not.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub async fn ended(&mut self, at_most: Duration) -> Result<Option<ExitStatus>> {
        match tokio::time::timeout(at_most, self.child.wait()).await {
            Err(_) => Ok(None),
            Ok(status) => Ok(Some(status?)),
        }
    }

    /// Ends it without a warning, and waits until it has.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn kill(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    /// When it does not.
    pub async fn terminate(mut self) -> Result<()> {
        signal("TERM", self.pid)?;
        match self.ended(STOP_AT_MOST).await? {
            Some(status) if status.success() => Ok(()),
            Some(status) => bail!("a server that was asked to end did so with {status}"),
            None => bail!("a server did not end {STOP_AT_MOST:?} after it was asked to"),
        }
    }
}

/// Sends a signal to one process.
///
/// # Errors
/// When it is gone.
pub fn signal(name: &str, pid: u32) -> Result<()> {
    let output = std::process::Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).output()?;
    if !output.status.success() {
        bail!("could not send {name} to {pid}");
    }
    Ok(())
}

fn private(path: &Path, content: &str) -> Result<()> {
    let mut file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(path)?;
    Ok(std::io::Write::write_all(&mut file, content.as_bytes())?)
}
