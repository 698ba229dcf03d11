//! SIGTERM and SIGINT: the first lets requests finish, the second ends at once. SIGHUP asks for a reload.

use crate::gateway::listen::{Phase, raise};
use std::io;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// What tells a running server to stop or to reload.
pub struct Signals {
    pub phase: watch::Sender<Phase>,
    /// One message, one reload.
    pub reloads: mpsc::Receiver<()>,
}

/// Catches the signals of this process until the set is dropped.
///
/// # Errors
/// When the kernel does not let signals be caught.
pub(crate) fn catch() -> io::Result<(Signals, JoinSet<()>)> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let phase = watch::Sender::new(Phase::Serving);
    // One that waits stands for all that came since: a reload reads everything.
    let (ask, reloads) = mpsc::channel(1);
    let mut listening = JoinSet::new();
    let raised = phase.clone();
    listening.spawn(async move {
        for later in [Phase::Draining, Phase::Cut] {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            tracing::info!(
                "{name}: {}",
                match later {
                    Phase::Serving | Phase::Draining => "requests are finished, containers stay",
                    Phase::Cut => "ending at once, containers stay",
                }
            );
            raise(&raised, later);
        }
    });
    listening.spawn(async move {
        while hangup.recv().await.is_some() {
            tracing::info!("SIGHUP: the configuration is read again");
            let _ = ask.try_send(());
        }
    });
    Ok((Signals { phase, reloads }, listening))
}
