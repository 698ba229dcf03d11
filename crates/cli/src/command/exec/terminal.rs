//! This process's terminal while a command has it: its size, as it changes, and raw mode, which is left at the end
//! whatever happens. Knows nothing of what is sent over it.

use ensemble_wire::payload::exec::Frame;
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) rows: u16,
    pub(super) columns: u16,
}

impl Size {
    /// That of standard input, where it is a terminal that has one.
    pub(super) fn own() -> Option<Self> {
        let stdin = rustix::stdio::stdin();
        let size = isatty(stdin).then(|| tcgetwinsize(stdin).ok())??;
        Some(Self { rows: size.ws_row.max(1), columns: size.ws_col.max(1) })
    }
}

/// Sends the size whenever it changes, for as long as somebody listens.
pub(super) async fn follow_size(frames: &mpsc::Sender<Frame>) {
    let Ok(mut changes) = signal(SignalKind::window_change()) else { return };
    while changes.recv().await.is_some() {
        let Some(Size { rows, columns }) = Size::own() else { return };
        if frames.send(Frame::Resize { rows, columns }).await.is_err() {
            return;
        }
    }
}

/// Standard input in raw mode, until it is dropped.
pub(super) struct RawTerminal(Termios);

impl RawTerminal {
    /// None where it is no terminal, or one that cannot be changed.
    pub(super) fn enter() -> Option<Self> {
        let before = tcgetattr(rustix::stdio::stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(rustix::stdio::stdin(), OptionalActions::Flush, &raw).ok()?;
        Some(Self(before))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // A terminal that is gone needs no mode.
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Flush, &self.0);
    }
}
