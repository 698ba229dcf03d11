//! The process that runs one command in a running container: joins its namespaces and its control group, starts the
//! command as the container's own user under the same filters, hands the command's descriptors to the engine, and
//! waits. It never outlives the engine that it was started by: its socket closes then, and it ends the command.
//! Forked for this alone, as `create` is: libcontainer changes process-wide state.

use super::create::chain;
use super::executor::{Entrance, FilteredExecutor, ProgramFault};
use super::order::Order;
use super::watch::read_until_end;
use super::{Error, stage};
use crate::embedded::cgroup::ContainerGroup;
use crate::embedded::exec::{Begun, DESCRIPTORS_AT_MOST, MESSAGE_BYTES_AT_MOST, Task};
use crate::embedded::kernel::Linux;
use crate::embedded::seccomp::Filters;
use crate::exec::{Ended, Stdin};
use ensemble_supervision::directory::Directory;
use ensemble_supervision::kernel::{Kernel as _, open_process};
use ensemble_supervision::record::{self, Running};
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use oci_spec::runtime::{Process, Spec};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recv, recvmsg, send, sendmsg,
};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{PidfdFlags, pidfd_open};
use std::fs::{self, File};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// From the hang-up to the kill.
const GRACE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// What `ensemble shim exec DIRECTORY` does, with the socket as its standard input.
pub fn main(directory: &Path) -> ExitCode {
    let directory = Directory::new(std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned()));
    let Ok((control, task)) = take_task() else {
        eprintln!("error: this is started by `ensemble serve`");
        return ExitCode::FAILURE;
    };
    match join(&directory, &task) {
        Ok(joined) => joined.see_through(&control),
        Err(begun) => {
            // Who does not hear it is gone.
            let _ = send(&control, &message(&begun), SendFlags::NOSIGNAL);
        }
    }
    ExitCode::SUCCESS
}

fn take_task() -> io::Result<(OwnedFd, Task)> {
    let control = stage::leave_terminal()?;
    let mut bytes = vec![0; MESSAGE_BYTES_AT_MOST];
    let (length, _) = recv(&control, bytes.as_mut_slice(), RecvFlags::empty())?;
    Ok((control, serde_json::from_slice(&bytes[..length])?))
}

fn message(word: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(word).unwrap_or_default()
}

/// A command that runs, and what its user's side holds of it.
struct Joined {
    command: Pid,
    process: OwnedFd,
    descriptors: Vec<OwnedFd>,
    group: Option<ContainerGroup>,
}

fn join(directory: &Directory, task: &Task) -> Result<Joined, Begun> {
    let failed = |error: Error| Begun::Failed { reason: error.sentence() };
    let order: Order = record::read(&Linux, &directory.order())
        .map_err(|error| failed(error.into()))?
        .ok_or(Begun::NotRunning)?;
    let running: Running = record::read(&Linux, &directory.running())
        .map_err(|error| failed(error.into()))?
        .ok_or(Begun::NotRunning)?;
    let container = open_process(&Linux, &running.process)
        .map_err(|error| failed(Error::step("find the container")(error)))?
        .ok_or(Begun::NotRunning)?;
    let place = Place::make(directory, &order).map_err(|error| failed(Error::step("prepare")(error)))?;
    let group = place.group(&order).map_err(|error| failed(Error::step("make a control group")(error)))?;
    let joined = place.start(task, container, group.as_ref());
    place.remove();
    match joined {
        Ok((command, descriptors)) => {
            let process = rustix::process::Pid::from_raw(command.as_raw())
                .ok_or(Begun::Failed { reason: "the command has no process".to_owned() })?;
            let process = pidfd_open(process, PidfdFlags::empty());
            let process = process.map_err(|error| Begun::Failed { reason: error.to_string() })?;
            Ok(Joined { command, process, descriptors, group })
        }
        Err(begun) => {
            if let Some(group) = group {
                // Whoever half came in must not stay.
                let _ = group.kill_and_remove();
            }
            Err(begun)
        }
    }
}

/// Where this command's sockets and spec are while it is being started: a copy of the runtime's state, so that what
/// the runtime leaves behind is ours to remove.
struct Place {
    name: String,
    id: String,
    directory: PathBuf,
    bundle: PathBuf,
}

impl Place {
    fn make(directory: &Directory, order: &Order) -> io::Result<Self> {
        let name = format!("exec-{}", std::process::id());
        let bundle = directory.bundle();
        let place = Self { directory: bundle.join(&name), name, id: order.id.clone(), bundle };
        let state = place.directory.join(&order.id);
        fs::create_dir_all(&state)?;
        fs::copy(place.bundle.join("state").join(&order.id).join("state.json"), state.join("state.json"))?;
        Ok(place)
    }

    /// Best effort: what is left goes with the container.
    fn remove(&self) {
        let _ = fs::remove_dir_all(&self.directory);
    }

    fn group(&self, order: &Order) -> io::Result<Option<ContainerGroup>> {
        order.group.branch(&self.name)
    }

    fn start(
        &self,
        task: &Task,
        container: OwnedFd,
        group: Option<&ContainerGroup>,
    ) -> Result<(Pid, Vec<OwnedFd>), Begun> {
        let failed = |step: &'static str| {
            move |error: io::Error| Begun::Failed { reason: Error::step(step)(error).sentence() }
        };
        let process = self.process(task).map_err(failed("describe the command"))?;
        let members =
            group.map(ContainerGroup::open_members).transpose().map_err(failed("open the group"))?;
        let (report, report_end) =
            pipe_with(PipeFlags::CLOEXEC).map_err(|error| failed("make a pipe")(error.into()))?;
        let filters = Filters::compile().map_err(|error| Begun::Failed { reason: chain(&error) })?;
        let entrance = Entrance { members, container, window: task.terminal };
        let executor = FilteredExecutor::new(filters, report_end.into()).through(entrance);
        let builder = ContainerBuilder::new(self.id.clone(), SyscallType::default()).with_executor(executor);
        let builder = builder.with_root_path(self.directory.clone());
        let builder = builder.map_err(|error| Begun::Failed { reason: chain(&error) })?;
        let built = match task.terminal {
            Some(_) => self.on_terminal(builder, &process).map_err(failed("make a terminal"))?,
            None => self.on_pipes(builder, &process, task.stdin).map_err(failed("make pipes"))?,
        };
        let said = read_until_end(&report, Instant::now() + Duration::from_secs(1)).unwrap_or_default();
        match (built, ProgramFault::decode(&said)) {
            (_, Some(fault)) => Err(Begun::NoProgram { reason: fault.reason }),
            (Err(reason), None) => Err(Begun::Failed { reason }),
            (Ok(started), None) => Ok(started),
        }
    }

    /// The container's own process with another program.
    fn process(&self, task: &Task) -> io::Result<PathBuf> {
        let spec = Spec::load(self.bundle.join("config.json")).map_err(io::Error::other)?;
        let missing = || io::Error::other("the container's spec describes no process");
        let mut process: Process = spec.process().clone().ok_or_else(missing)?;
        process.set_args(Some(task.command.clone())).set_terminal(Some(task.terminal.is_some()));
        if task.terminal.is_some() {
            let mut environment = process.env().clone().unwrap_or_default();
            if !environment.iter().any(|variable| variable.starts_with("TERM=")) {
                environment.push("TERM=xterm".to_owned());
            }
            process.set_env(Some(environment));
        }
        let path = self.directory.join("process.json");
        fs::write(&path, serde_json::to_vec(&process)?)?;
        Ok(path)
    }

    fn on_pipes(
        &self,
        builder: ContainerBuilder,
        process: &Path,
        stdin: Stdin,
    ) -> io::Result<Result<(Pid, Vec<OwnedFd>), String>> {
        let pipe = || pipe_with(PipeFlags::CLOEXEC);
        let ((stdout, stdout_end), (stderr, stderr_end)) = (pipe()?, pipe()?);
        let mut descriptors = vec![stdout, stderr];
        let stdin_end = match stdin {
            Stdin::Open => {
                let (stdin_end, stdin) = pipe()?;
                descriptors.push(stdin);
                stdin_end
            }
            Stdin::Closed => File::open("/dev/null")?.into(),
        };
        let builder = builder.with_stdin(stdin_end).with_stdout(stdout_end).with_stderr(stderr_end);
        let built = builder.as_tenant().with_detach(false).with_process(Some(process)).build();
        Ok(built.map(|command| (command, descriptors)).map_err(|error| chain(&error)))
    }

    fn on_terminal(
        &self,
        builder: ContainerBuilder,
        process: &Path,
    ) -> io::Result<Result<(Pid, Vec<OwnedFd>), String>> {
        // By a short name: a socket's path has 108 bytes.
        rustix::process::chdir(&self.directory)?;
        let listener = UnixListener::bind("terminal")?;
        listener.set_nonblocking(true)?;
        let builder = builder.with_console_socket(Some(self.directory.join("terminal")));
        let built = builder.as_tenant().with_detach(true).with_process(Some(process)).build();
        rustix::process::chdir("/")?;
        let command = match built {
            Ok(command) => command,
            Err(error) => return Ok(Err(chain(&error))),
        };
        // It connected before the command ran, and sent the terminal then.
        let (socket, _) = listener.accept()?;
        Ok(Ok((command, vec![receive_descriptor(socket.as_fd())?])))
    }
}

fn receive_descriptor(socket: impl AsFd) -> io::Result<OwnedFd> {
    let mut bytes = [0; 64];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let mut descriptors = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    let first = descriptors.next().and_then(|mut descriptors| descriptors.next());
    first.ok_or_else(|| io::Error::other("no terminal came"))
}

impl Joined {
    /// Tells that the command runs, and waits for its end or for that of whoever asked for it.
    fn see_through(mut self, control: &OwnedFd) {
        let ended = match self.hand_over(control) {
            Ok(()) => self.wait(control),
            Err(_) => None,
        };
        match ended {
            Some(status) => {
                let _ = send(control, &message(&ended_by(status)), SendFlags::NOSIGNAL);
                self.let_go();
            }
            None => self.end(),
        }
    }

    fn hand_over(&mut self, control: &OwnedFd) -> io::Result<()> {
        let word = message(&Begun::Started);
        let descriptors: Vec<_> = self.descriptors.iter().map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_AT_MOST))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
        sendmsg(control, &[IoSlice::new(&word)], &mut ancillary, SendFlags::NOSIGNAL)?;
        drop(descriptors);
        // The command must see it when the other side closes them.
        self.descriptors.clear();
        Ok(())
    }

    /// How the command ended; `None` when the other side went first.
    fn wait(&self, control: &OwnedFd) -> Option<WaitStatus> {
        loop {
            let mut polled = [PollFd::new(&self.process, PollFlags::IN), PollFd::new(control, PollFlags::IN)];
            match poll(&mut polled, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => return None,
            }
            if let Ok(status) = waitpid(self.command, Some(WaitPidFlag::WNOHANG))
                && status != WaitStatus::StillAlive
            {
                return Some(status);
            }
            // Nothing more is ever sent: that it can be read means that it is closed.
            if !polled[1].revents().is_empty() {
                return None;
            }
        }
    }

    /// A terminal that goes hangs up its session: so does ours. What does not listen is killed, with all it began.
    fn end(&self) {
        // The command is our child and not yet reaped, and leads a session and group of its own: their number is its own.
        let _ = kill(Pid::from_raw(-self.command.as_raw()), Signal::SIGHUP);
        let _ = poll(&mut [PollFd::new(&self.process, PollFlags::IN)], Some(&GRACE));
        if let Some(group) = &self.group {
            let _ = group.kill();
        }
        let _ = Linux.signal(&self.process, ensemble_supervision::kernel::Signal::Kill);
        let _ = waitpid(self.command, None);
        if let Some(group) = &self.group {
            let _ = group.remove();
        }
    }

    /// What the command has left running stays, as it would if a process of the container had begun it.
    fn let_go(&self) {
        if let Some(group) = &self.group {
            // Best effort: what is left of it goes with the container.
            let _ = group.dissolve();
        }
    }
}

fn ended_by(status: WaitStatus) -> Ended {
    let code = |number: i32| u8::try_from(number).unwrap_or(u8::MAX);
    match status {
        WaitStatus::Exited(_, number) => Ended { code: code(number), cause: None },
        WaitStatus::Signaled(_, signal, _) => {
            let number = signal as i32;
            Ended { code: code(128 + number), cause: Some(format!("killed by signal {number}")) }
        }
        other => Ended { code: 255, cause: Some(format!("unexpected wait status {other:?}")) },
    }
}
