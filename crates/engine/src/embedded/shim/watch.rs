//! The supervisor's life: stage, have the container created, let it go, then wait on three things at once: signals,
//! the container's output, and the deadline of a stop. Ends with how the container ended.

use super::create::{self, Ends, Progress};
use super::executor::ProgramFault;
use super::order::Order;
use super::output::{LogWriter, Stream};
use super::stage::{self, Session};
use super::{Error, finish, not_started};
use crate::embedded::kernel::{Linux, clocks};
use ensemble_supervision::directory::Directory;
use ensemble_supervision::record::{End, KillCause, Running};
use ensemble_supervision::shim::{Ended, Shim};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// From the fork to a program that runs. Ours needs 30 ms; a machine on its knees may need seconds.
const CREATION_PATIENCE: Duration = Duration::from_secs(60);

/// How long output is still read after the first process has ended.
const DRAIN_PATIENCE: Duration = Duration::from_millis(200);

/// One look at the pipes while waiting without a deadline.
const LONG: Duration = Duration::from_secs(3_600);

/// Runs one attempt from beginning to end.
pub(super) fn run(shim: &Shim<&Linux>, directory: &Directory, order: &Order, session: &mut Session) -> Ended {
    match Watch::start(shim, directory, order, session) {
        Ok(mut watch) => watch.until_end(),
        Err(error) => {
            // What was half made must not run on beside the next attempt.
            let _ = order.group.kill();
            not_started(&error)
        }
    }
}

struct Watch<'a> {
    order: &'a Order,
    signals: SignalFd,
    output: Output,
    program: Pid,
    started_boot_ms: u64,
    /// The kill follows at this moment.
    stopping: Option<Instant>,
}

/// Both pipes of the container and where they go. A pipe that has ended is `None`.
struct Output {
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    log: LogWriter,
    buffer: Vec<u8>,
}

impl<'a> Watch<'a> {
    fn start(
        shim: &Shim<&Linux>,
        directory: &'a Directory,
        order: &'a Order,
        session: &mut Session,
    ) -> Result<Self, Error> {
        let signals = take_signals().map_err(Error::step("take signals"))?;
        stage::enter_groups(order)?;
        let network = open_network(order)?;
        stage::leave_mounts(order)?;
        finish::mount_root(directory, order)?;

        let (output, creation) = Creation::fork(directory, order, network.as_ref())?;
        drop(network);
        let outcome = creation.follow(shim, order);
        let running = match outcome {
            Ok(running) => running,
            Err(error) => {
                reap_all();
                return Err(error);
            }
        };
        session.announce_start();
        Ok(Self {
            order,
            signals,
            output,
            program: Pid::from_raw(running.process.pid),
            started_boot_ms: running.started_boot_ms,
            stopping: None,
        })
    }

    fn until_end(&mut self) -> Ended {
        let status = self.until_exit();
        let up_ms = clocks().boot_ms.saturating_sub(self.started_boot_ms);
        // Read before the group goes: it is the only sign that tells out-of-memory from a kill.
        let out_of_memory = self.order.group.out_of_memory_kills() > 0;
        // The first process is gone, and with it its process namespace; this is for what entered from outside.
        let _ = self.order.group.kill();
        self.output.drain();
        let end = match status {
            WaitStatus::Signaled(_, signal, _) => {
                let cause = if out_of_memory && signal == Signal::SIGKILL {
                    KillCause::OutOfMemory
                } else {
                    KillCause::Signal
                };
                End::Killed { signal: signal as i32, cause }
            }
            WaitStatus::Exited(_, code) => End::Exited { code },
            other => End::Lost { reason: format!("unexpected wait status {other:?}") },
        };
        Ended { end, up_ms }
    }

    fn until_exit(&mut self) -> WaitStatus {
        loop {
            if let Some(status) = self.reap() {
                return status;
            }
            let patience = match self.stopping {
                Some(deadline) => deadline.saturating_duration_since(Instant::now()),
                None => LONG,
            };
            if self.stopping.is_some() && patience.is_zero() {
                // Whole group at once; a survivor is in an uninterruptible wait and is tried again.
                let _ = self.order.group.kill();
                self.stopping = Some(Instant::now() + Duration::from_secs(1));
                continue;
            }
            if self.output.wait(Some(self.signals.as_fd()), patience) {
                self.take_orders();
            }
        }
    }

    /// Reaps whatever has ended; the first process's status when it is among them.
    fn reap(&self) -> Option<WaitStatus> {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => return None,
                Ok(status) if status.pid() == Some(self.program) => return Some(status),
                Ok(_) => {}
                // No child at all: the program was reaped elsewhere, which cannot be; never wait for ever.
                Err(_) => return Some(WaitStatus::StillAlive),
            }
        }
    }

    /// SIGTERM is the one order there is: stop. Asked again it changes nothing.
    fn take_orders(&mut self) {
        while let Ok(Some(signal)) = self.signals.read_signal() {
            if i32::try_from(signal.ssi_signo) == Ok(libc::SIGTERM) && self.stopping.is_none() {
                self.stopping = Some(Instant::now() + Duration::from_millis(self.order.grace_ms));
                // SAFETY: no memory is touched. The program is our child and not yet reaped: its pid is its own.
                unsafe { libc::kill(self.program.as_raw(), self.order.stop_signal) };
            }
        }
    }
}

/// The process that makes the container, and the pipes to it.
struct Creation {
    process: Pid,
    progress: OwnedFd,
    go: File,
    report: OwnedFd,
    patience: Instant,
}

impl Creation {
    fn fork(
        directory: &Directory,
        order: &Order,
        network: Option<&OwnedFd>,
    ) -> Result<(Output, Self), Error> {
        let pipe =
            || pipe_with(PipeFlags::CLOEXEC).map_err(io::Error::from).map_err(Error::step("make a pipe"));
        let ((stdout, stdout_end), (stderr, stderr_end)) = (pipe()?, pipe()?);
        let ((progress, progress_end), (go_end, go), (report, report_end)) = (pipe()?, pipe()?, pipe()?);
        // SAFETY: this process has one thread, so the child may do anything.
        match unsafe { nix::unistd::fork() } {
            Err(error) => Err(Error::step("fork")(error.into())),
            Ok(ForkResult::Child) => {
                let ends = Ends {
                    stdout: stdout_end,
                    stderr: stderr_end,
                    progress: progress_end.into(),
                    go: go_end.into(),
                    report: report_end.into(),
                };
                // Whoever reads these ends must see an end of file when the supervisor is gone.
                drop((stdout, stderr, progress, go, report));
                let code = create::main(directory, order, network, ends);
                // No destructors of the supervisor run twice.
                // SAFETY: ends this process only.
                unsafe { libc::_exit(code) }
            }
            Ok(ForkResult::Parent { child }) => {
                let log = LogWriter::open(directory, order.log);
                let output =
                    Output { stdout: Some(stdout), stderr: Some(stderr), log, buffer: vec![0; 16 * 1024] };
                let patience = Instant::now() + CREATION_PATIENCE;
                Ok((output, Self { process: child, progress, go: go.into(), report, patience }))
            }
        }
    }

    /// From the fork to a program that runs. The record is on disk before the program starts.
    fn follow(mut self, shim: &Shim<&Linux>, order: &Order) -> Result<Running, Error> {
        let followed = self.steps(shim, order);
        if followed.is_err() {
            // Ours and not reaped: its pid is its own.
            let _ = nix::sys::signal::kill(self.process, Signal::SIGKILL);
            let _ = order.group.kill();
        }
        let _ = waitpid(self.process, None);
        // What the executor said is more to the point than what the creating process made of it.
        let said = read_until_end(&self.report, Instant::now() + Duration::from_secs(1)).unwrap_or_default();
        match (followed, ProgramFault::decode(&said)) {
            (_, Some(fault)) => Err(Error::Program { reason: fault.reason, prospect: fault.prospect }),
            (followed, None) => followed,
        }
    }

    fn steps(&mut self, shim: &Shim<&Linux>, order: &Order) -> Result<Running, Error> {
        let pid = match self.next_word()? {
            Progress::Created { pid } => pid,
            Progress::Started => return Err(unexpected()),
            Progress::Failed { reason, prospect } => return Err(Error::Program { reason, prospect }),
        };
        order.group.join_unified(pid).map_err(Error::step("put the container into its v2 group"))?;
        let running = shim.made(pid)?;
        self.go.write_all(&[1]).map_err(Error::step("let the container go"))?;
        match self.next_word()? {
            Progress::Started => Ok(running),
            Progress::Created { .. } => Err(unexpected()),
            Progress::Failed { reason, prospect } => Err(Error::Program { reason, prospect }),
        }
    }

    fn next_word(&self) -> Result<Progress, Error> {
        let line = read_line(&self.progress, self.patience).map_err(Error::step("hear of the creation"))?;
        create::parse_progress(&line).map_err(Error::step("understand the creation"))
    }
}

fn unexpected() -> Error {
    Error::Step { step: "follow the creation", source: io::Error::other("steps came out of order") }
}

fn open_network(order: &Order) -> Result<Option<OwnedFd>, Error> {
    let Some(path) = &order.network_namespace else { return Ok(None) };
    let opened = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    opened.map(Some).map_err(|error| Error::step("open the pod's network namespace")(error.into()))
}

fn take_signals() -> io::Result<SignalFd> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGCHLD, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
        signals.add(signal);
    }
    signals.thread_block()?;
    Ok(SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?)
}

fn reap_all() {
    while matches!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Ok(status) if status != WaitStatus::StillAlive)
    {
    }
}

impl Output {
    /// Waits for output or for `other`, takes the output, and says whether `other` is ready.
    fn wait(&mut self, other: Option<std::os::fd::BorrowedFd<'_>>, patience: Duration) -> bool {
        let readable = |descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN);
        let mut polled = Vec::with_capacity(3);
        let streams = [(Stream::Stdout, &self.stdout), (Stream::Stderr, &self.stderr)];
        let open: Vec<Stream> =
            streams.iter().filter(|(_, pipe)| pipe.is_some()).map(|(stream, _)| *stream).collect();
        polled
            .extend(streams.iter().filter_map(|(_, pipe)| pipe.as_ref()).map(|pipe| readable(pipe.as_fd())));
        polled.extend(other.map(readable));
        let patience = Timespec {
            tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(patience.subsec_nanos()),
        };
        if poll(&mut polled, Some(&patience)).is_err() {
            return true;
        }
        let ready: Vec<bool> = polled.iter().map(|one| !one.revents().is_empty()).collect();
        for (stream, ready) in open.iter().zip(&ready) {
            if *ready {
                self.read(*stream);
            }
        }
        ready.get(open.len()).copied().unwrap_or(false)
    }

    fn read(&mut self, stream: Stream) {
        let pipe = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let Some(descriptor) = pipe else { return };
        match rustix::io::read(&*descriptor, &mut self.buffer) {
            Ok(0) => *pipe = None,
            Ok(count) => self.log.take(stream, &self.buffer[..count]),
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Err(_) => *pipe = None,
        }
    }

    /// Takes what is still in the pipes. Not to the end of file: a process that got out of the container may hold
    /// it open for ever.
    fn drain(&mut self) {
        let patience = Instant::now() + DRAIN_PATIENCE;
        while self.stdout.is_some() || self.stderr.is_some() {
            let left = patience.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.wait(None, left);
        }
        self.log.close();
    }
}

fn read_line(pipe: &OwnedFd, patience: Instant) -> io::Result<Vec<u8>> {
    read_while(pipe, patience, |bytes| bytes.last() != Some(&b'\n'))
}

pub(super) fn read_until_end(pipe: &OwnedFd, patience: Instant) -> io::Result<Vec<u8>> {
    read_while(pipe, patience, |_| true)
}

/// Reads byte by byte, so that nothing behind a line is lost, until `more` says no or the pipe ends.
fn read_while(pipe: &OwnedFd, patience: Instant, more: impl Fn(&[u8]) -> bool) -> io::Result<Vec<u8>> {
    const BYTES_AT_MOST: usize = 64 * 1024;
    let mut bytes = Vec::new();
    let mut byte = [0];
    while more(&bytes) && bytes.len() < BYTES_AT_MOST {
        let left = patience.saturating_duration_since(Instant::now());
        let left =
            Timespec { tv_sec: left.as_secs().min(3_600) as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        let mut polled = [PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)];
        match poll(&mut polled, Some(&left)) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        match rustix::io::read(pipe, &mut byte)? {
            0 => break,
            _ => bytes.push(byte[0]),
        }
    }
    Ok(bytes)
}
