//! Commands that are run in a running container: what is asked for, and what is held while one runs. How a command gets
//! there is the engine's; who may ask, and how its bytes travel on, is the server's.

use ensemble_model::id::InstanceId;
use rustix::io::Errno;
use rustix::termios::{Winsize, tcsetwinsize};
use serde::{Deserialize, Serialize};
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

/// A command for one container of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecOrder {
    pub instance: InstanceId,
    pub workload: String,
    pub index: u32,
    pub container: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    pub stdin: Stdin,
    /// Runs on a terminal of this size.
    pub terminal: Option<WindowSize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stdin {
    Open,
    /// The command reads nothing.
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowSize {
    pub rows: u16,
    pub columns: u16,
}

/// A command that runs. Dropping `ending` ends it, and all that it began.
pub struct Execution {
    pub stdin: Option<Descriptor>,
    /// On a terminal, all that the command writes.
    pub stdout: Descriptor,
    pub stderr: Option<Descriptor>,
    pub window: Option<Window>,
    pub ending: Ending,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// As a shell tells it: 128 + signal.
    pub code: u8,
    pub cause: Option<String>,
}

/// The terminal of a command, to be made larger or smaller.
pub struct Window(OwnedFd);

impl Window {
    pub(crate) fn new(terminal: OwnedFd) -> Self {
        Self(terminal)
    }

    /// Best effort: a terminal whose command is gone has no size.
    pub fn resize(&self, size: WindowSize) {
        let _ = set_size(&self.0, size);
    }
}

pub(crate) fn set_size(terminal: impl std::os::fd::AsFd, size: WindowSize) -> io::Result<()> {
    let size = Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    Ok(tcsetwinsize(terminal, size)?)
}

/// Tells when the command has ended. Whoever made it sees to it that dropping it ends the command.
pub struct Ending(AsyncFd<OwnedFd>);

/// Longest word about an end.
const WORD_BYTES_AT_MOST: usize = 4 << 10;

impl Ending {
    /// # Errors
    /// The runtime takes no more descriptors.
    pub(crate) fn new(control: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&control, true)?;
        // SAFETY: an owned descriptor is the same open file for as long as it is held.
        Ok(Self(unsafe { AsyncFd::register_with_interest(control, Interest::READABLE)? }))
    }

    /// Waits until the command has ended, however long that takes. Asked again, it waits for nothing.
    pub async fn ended(&self) -> Ended {
        let lost = || Ended { code: 255, cause: Some("nobody saw how it ended".to_owned()) };
        loop {
            let Ok(mut ready) = self.0.readable().await else { return lost() };
            let mut word = vec![0; WORD_BYTES_AT_MOST];
            let received = ready.try_io(|control| Ok(rustix::io::read(control.get_ref(), &mut word)?));
            match received {
                Err(_) => {}
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Ok(length)) => return serde_json::from_slice(&word[..length]).unwrap_or_else(|_| lost()),
                Ok(Err(_)) => return lost(),
            }
        }
    }
}

/// An end of a pipe, or a terminal, as a stream of bytes.
pub struct Descriptor(AsyncFd<OwnedFd>);

impl Descriptor {
    /// Takes one that nobody else reads or writes through: it is made non-blocking.
    ///
    /// # Errors
    /// The runtime takes no more descriptors.
    pub(crate) fn new(descriptor: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&descriptor, true)?;
        // SAFETY: an owned descriptor is the same open file for as long as it is held.
        Ok(Self(unsafe { AsyncFd::register(descriptor)? }))
    }
}

impl AsyncRead for Descriptor {
    /// A terminal whose other side is closed is at its end.
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.0.poll_read_ready(context))?;
            let space = buffer.initialize_unfilled();
            match ready.try_io(|descriptor| Ok(rustix::io::read(descriptor.get_ref(), space)?)) {
                Err(_) => {}
                Ok(Ok(length)) => {
                    buffer.advance(length);
                    return Poll::Ready(Ok(()));
                }
                Ok(Err(error)) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => {
                    return Poll::Ready(Ok(()));
                }
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Descriptor {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = ready!(self.0.poll_write_ready(context))?;
            match ready.try_io(|descriptor| Ok(rustix::io::write(descriptor.get_ref(), bytes)?)) {
                Err(_) => {}
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(written) => return Poll::Ready(written),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
