//! One running `ensemble serve`, started as an operator would. Ends by its process id when dropped; what it started
//! in containers is the [`Site`](crate::site::Site)'s to clean up.

use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long a start may take, recovery and take-over of containers included.
const START_AT_MOST: Duration = Duration::from_secs(30);
/// Requests get 10 s at a TERM.
const STOP_AT_MOST: Duration = Duration::from_secs(25);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Simulated,
    Embedded,
}

pub struct Server {
    process: Child,
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    stdout: mpsc::Receiver<String>,
    log: PathBuf,
}

impl Server {
    /// Starts on `data_dir` and returns once it is ready.
    ///
    /// # Errors
    /// When it ends or says nothing within 30 s; the error holds its log.
    pub fn start(data_dir: &Path, engine: Engine) -> Result<Self> {
        Self::start_by(command(data_dir, engine), data_dir)
    }

    /// The same with a command that was given more arguments.
    ///
    /// # Errors
    /// As for [`Server::start`].
    pub fn start_by(mut command: Command, data_dir: &Path) -> Result<Self> {
        let log = log_of(data_dir);
        let mut process = command
            .stdout(Stdio::piped())
            .stderr(std::fs::File::options().create(true).append(true).open(&log)?)
            .spawn()?;
        let stdout = lines_of(process.stdout.take().context("stdout is piped")?);
        let mut server = Self { process, url: String::new(), stdout, log };
        let line = server.stdout.recv_timeout(START_AT_MOST).unwrap_or_default();
        match line.strip_prefix("ready ") {
            Some(url) => server.url = url.to_owned(),
            None => bail!("no ready line but `{line}`; its log:\n{}", server.log()),
        }
        Ok(server)
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Its next line on stdout.
    ///
    /// # Errors
    /// When none comes.
    pub fn line(&self) -> Result<String> {
        self.stdout.recv_timeout(START_AT_MOST).context("there is another line")
    }

    /// What it wrote to stderr, with earlier servers on the same data directory.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Asks it to end, and waits until it has.
    pub fn terminate(mut self) -> Result<Ended> {
        self.send_term()?;
        let status = self.wait(STOP_AT_MOST)?;
        Ok(Ended { status, later_stdout: self.stdout.iter().collect() })
    }

    /// Sends TERM and returns at once.
    pub fn send_term(&self) -> Result<()> {
        send_signal("TERM", self.pid())
    }

    /// Sends HUP and returns at once.
    pub fn send_hangup(&self) -> Result<()> {
        send_signal("HUP", self.pid())
    }

    /// Waits until its log holds `text`.
    pub fn logged(&self, text: &str) -> Result<()> {
        let began = Instant::now();
        while !self.log().contains(text) {
            if began.elapsed() > START_AT_MOST {
                bail!("no `{text}` in its log:\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Waits until it has ended by itself.
    pub fn wait(&mut self, at_most: Duration) -> Result<ExitStatus> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait()? {
                return Ok(status);
            }
            if began.elapsed() > at_most {
                bail!("the server still runs after {at_most:?}; its log:\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it as a power cut would: no warning, nothing flushed.
    pub fn kill(mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }
}

/// How a server ended.
pub struct Ended {
    pub status: ExitStatus,
    /// Lines on stdout after the ready line.
    pub later_stdout: Vec<String>,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already ended is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The binary under test, from the target directory that this test, or program that tests, was built into.
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own file");
    let beside = test.parent().expect("a program lies in a directory");
    let profile =
        if beside.ends_with("deps") { beside.parent().expect("`deps` lies in one") } else { beside };
    let binary = profile.join("ensemble");
    assert!(binary.exists(), "`{}` is missing; `cargo build` makes it", binary.display());
    binary
}

/// The example image that `make image` writes.
pub fn image() -> PathBuf {
    let binary = binary();
    let target = binary.ancestors().nth(2).expect("a profile's directory lies in the target directory");
    let image = target.join("hello-edge.oci");
    assert!(image.exists(), "`{}` is missing; `make image` makes it", image.display());
    image
}

/// `ensemble serve` on a free port, not yet started.
pub fn command(data_dir: &Path, engine: Engine) -> Command {
    let mut command = Command::new(binary());
    command.arg("serve").arg("--data-dir").arg(data_dir).args(["--listen", "127.0.0.1:0", "--engine"]);
    command.arg(match engine {
        Engine::Simulated => "simulated",
        Engine::Embedded => "embedded",
    });
    without_key(&mut command);
    command
}

/// `ensemble serve` on a fleet file, which says itself what runs the containers.
pub fn command_on_fleet(data_dir: &Path, fleet: &Path) -> Command {
    let mut command = Command::new(binary());
    command
        .arg("serve")
        .arg("--data-dir")
        .arg(data_dir)
        .args(["--listen", "127.0.0.1:0", "--fleet"])
        .arg(fleet);
    without_key(&mut command);
    command
}

/// Takes away what the developer's own shell and machine may say about keys, endpoints and settings.
pub fn without_key(command: &mut Command) {
    for (name, _) in std::env::vars() {
        if name.starts_with("ENSEMBLE_") || name.starts_with("ALIBABA_CLOUD_") {
            command.env_remove(name);
        }
    }
    // Nor does a configuration of this machine take part.
    command.env("ENSEMBLE_CONFIG", "/dev/null");
}

fn log_of(data_dir: &Path) -> PathBuf {
    data_dir.with_extension("log")
}

fn send_signal(name: &str, pid: u32) -> Result<()> {
    let status = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status()?;
    if !status.success() {
        bail!("could not send {name} to {pid}");
    }
    Ok(())
}

fn lines_of(stdout: impl std::io::Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // The test may have ended and no longer listen.
            let _ = sender.send(line);
        }
    });
    lines
}
