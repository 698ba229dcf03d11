//! Runs `nft` on a text of rules, within bounded time, on the thread that owns the pod network.
//! Knows no rule; `rules` writes them.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use ensemble_supervision::network::Error;

/// One call takes a few milliseconds; a machine under load gets this long.
const WITHIN: Duration = Duration::from_secs(10);

const MOST_ANSWER_BYTES: u64 = 1024 * 1024;

/// Where the program is looked for beside `PATH`, which leaves out the directories of administration for people.
const DIRECTORIES: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

/// Runs the commands of `text` as one transaction.
pub(super) fn run(text: &str) -> Result<(), Error> {
    call(&["-f", "-"], text).map(drop)
}

/// What `nft` answers to one command that only asks.
pub(super) fn ask(arguments: &[&str]) -> Result<String, Error> {
    call(arguments, "")
}

fn call(arguments: &[&str], input: &str) -> Result<String, Error> {
    let program = program().ok_or(Error::NftMissing)?;
    let failed = |source: io::Error| Error::kernel("run `nft`")(source);
    let mut output = in_memory("").map_err(failed)?;
    let mut complaint = in_memory("").map_err(failed)?;
    let child = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::from(in_memory(input).map_err(failed)?))
        .stdout(Stdio::from(output.try_clone().map_err(failed)?))
        .stderr(Stdio::from(complaint.try_clone().map_err(failed)?))
        .spawn();
    let child = match child {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Error::NftMissing),
        Err(error) => return Err(failed(error)),
    };
    let status = wait_bounded(child).map_err(failed)?;
    if status.success() {
        return read(&mut output).map_err(failed);
    }
    let complaint = read(&mut complaint).map_err(failed)?;
    let reason = complaint.trim();
    Err(Error::Rules { reason: if reason.is_empty() { status.to_string() } else { reason.to_owned() } })
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(DIRECTORIES.iter().map(PathBuf::from))
        .map(|directory| directory.join("nft"))
        .find(|candidate| candidate.is_file())
}

/// Files in memory instead of pipes: neither side can wait for the other.
fn in_memory(content: &str) -> io::Result<File> {
    let mut file = File::from(memfd_create("nft", MemfdFlags::CLOEXEC)?);
    file.write_all(content.as_bytes())?;
    file.rewind()?;
    Ok(file)
}

fn read(file: &mut File) -> io::Result<String> {
    file.rewind()?;
    let mut bytes = Vec::new();
    file.take(MOST_ANSWER_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn wait_bounded(mut child: Child) -> io::Result<ExitStatus> {
    let ended = wait_for_exit(&child);
    if !matches!(ended, Ok(true)) {
        child.kill()?;
        child.wait()?;
        ended?;
        return Err(io::Error::new(io::ErrorKind::TimedOut, format!("no end after {} s", WITHIN.as_secs())));
    }
    child.wait()
}

fn wait_for_exit(child: &Child) -> io::Result<bool> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let timeout = Timespec { tv_sec: WITHIN.as_secs() as i64, tv_nsec: 0 };
    loop {
        match poll(&mut [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)], Some(&timeout)) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
