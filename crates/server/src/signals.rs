//! SIGTERM and SIGINT: the first lets requests finish, the second ends at once.

use crate::gateway::listen::{Phase, raise};
use std::io;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Raises `phase` at each signal until the set is dropped.
///
/// # Errors
/// When the kernel does not let signals be caught.
pub(crate) fn raise_on_signals(phase: watch::Sender<Phase>) -> io::Result<JoinSet<()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut listening = JoinSet::new();
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
            raise(&phase, later);
        }
    });
    Ok(listening)
}
