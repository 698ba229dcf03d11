//! Commands in running containers, as the engine starts them: a process of its own for each, which joins the container
//! (`shim::exec`). One socket between the two: the order goes in, the command's descriptors and its end come out, and
//! when it closes the command is ended. So a command never outlives the server.

use super::supervisor::machine::Machine;
use crate::Error;
use crate::exec::{Descriptor, Ending, ExecOrder, Execution, Stdin, Window, WindowSize};
use ensemble_supervision::layout::ContainerKey;
use ensemble_supervision::pod::PodKey;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketFlags, SocketType,
    recvmsg, send, socketpair, sockopt,
};
use serde::{Deserialize, Serialize};
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// Joining a container takes 10 ms; a machine on its knees may need seconds.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// Longest message between the two; a command comes in a request line, which is shorter.
pub(super) const MESSAGE_BYTES_AT_MOST: usize = 160 << 10;

/// Standard input, output and error.
pub(super) const DESCRIPTORS_AT_MOST: usize = 3;

/// What the joining process is to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Task {
    pub(super) command: Vec<String>,
    pub(super) stdin: Stdin,
    pub(super) terminal: Option<WindowSize>,
}

/// Its first answer. With `Started` come the descriptors: the terminal, or the ends of pipes in their order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Begun {
    Started,
    NotRunning,
    /// The image has no such program.
    NoProgram {
        reason: String,
    },
    Failed {
        reason: String,
    },
}

/// Starts a command and returns once it runs.
///
/// # Errors
/// [`Error::NotRunning`], [`Error::NoProgram`], or [`Error::Exec`] with what went wrong.
pub(super) async fn begin(machine: Arc<Machine>, order: ExecOrder) -> Result<Execution, Error> {
    let instance = order.instance.clone();
    let pod = PodKey::new(order.instance, order.workload, order.index);
    let directory = machine.layout.container(&ContainerKey { pod, container: order.container });
    let mut command = machine.shim.command();
    command.arg("exec").arg(directory.path());
    let task = Task { command: order.command, stdin: order.stdin, terminal: order.terminal };
    let failed = |reason: String| Error::Exec { reason };
    let (control, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(|error| failed(error.to_string()))?;
    let mut joining = spawn(command, theirs).map_err(|error| failed(error.to_string()))?;
    // Reaped whenever it ends, which it does by itself when the socket closes.
    tokio::spawn(async move { joining.wait().await });
    let told = task.clone();
    let begun = tokio::task::spawn_blocking(move || hear(control, &told)).await;
    let (control, begun, descriptors) =
        begun.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))?;
    match begun {
        Begun::Started => hold(control, &task, descriptors).map_err(|error| failed(error.to_string())),
        Begun::NotRunning => Err(Error::NotRunning { instance }),
        Begun::NoProgram { reason } => Err(Error::NoProgram { reason }),
        Begun::Failed { reason } => Err(failed(reason)),
    }
}

fn spawn(mut command: Command, control: OwnedFd) -> io::Result<tokio::process::Child> {
    // Nothing of ours is the container's business, as for a supervisor.
    command.env_clear().current_dir("/").stdin(control).stdout(Stdio::null()).stderr(Stdio::null());
    tokio::process::Command::from(command).spawn()
}

/// Hands the task over and waits for the first answer.
fn hear(control: OwnedFd, task: &Task) -> io::Result<(OwnedFd, Begun, Vec<OwnedFd>)> {
    sockopt::set_socket_timeout(&control, sockopt::Timeout::Recv, Some(START_PATIENCE))?;
    send(&control, &serde_json::to_vec(task)?, SendFlags::NOSIGNAL)?;
    let mut bytes = vec![0; MESSAGE_BYTES_AT_MOST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_AT_MOST))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut slices = [IoSliceMut::new(&mut bytes)];
    let received = recvmsg(&control, &mut slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let descriptors = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    let descriptors = descriptors.flatten().collect();
    if received.bytes == 0 {
        return Err(io::Error::other("the process that was to join the container ended"));
    }
    Ok((control, serde_json::from_slice(&bytes[..received.bytes])?, descriptors))
}

fn hold(control: OwnedFd, task: &Task, descriptors: Vec<OwnedFd>) -> io::Result<Execution> {
    let missing = || io::Error::other("the command's descriptors did not come");
    let mut descriptors = descriptors.into_iter();
    let mut next = || descriptors.next().ok_or_else(missing);
    let ending = Ending::new(control)?;
    if task.terminal.is_some() {
        let terminal = next()?;
        let stdin = match task.stdin {
            Stdin::Open => Some(Descriptor::new(terminal.try_clone()?)?),
            Stdin::Closed => None,
        };
        let window = Some(Window::new(terminal.try_clone()?));
        return Ok(Execution { stdin, stdout: Descriptor::new(terminal)?, stderr: None, window, ending });
    }
    let stdout = Descriptor::new(next()?)?;
    let stderr = Some(Descriptor::new(next()?)?);
    let stdin = match task.stdin {
        Stdin::Open => Some(Descriptor::new(next()?)?),
        Stdin::Closed => None,
    };
    Ok(Execution { stdin, stdout, stderr, window: None, ending })
}
