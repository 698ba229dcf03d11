//! Accepts connections, as many as may be open at once (`decisions.md` §4.3). On shutdown it stops accepting, lets
//! requests finish for a while, and then cuts what is left. One connection is `connection`'s.

use super::Gateway;
use super::connection::{Shared, converse};
use super::connections::Connections;
use crate::configuration::settings::{Audience, Limits};
use crate::open_files::room_for_connections;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time;
use tokio_rustls::rustls::ServerConfig;

/// After a failed accept: usually no file descriptors are left, and asking at once would only burn time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long requests may take to finish once the server was asked to stop.
const DRAIN_WITHIN: Duration = Duration::from_secs(10);

/// Where the server is in its life, for every connection to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Serving,
    /// No new requests; those begun are finished.
    Draining,
    /// What is not finished is cut.
    Cut,
}

/// How connections are served; a reload changes it for those to come.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) limits: Limits,
    pub(crate) metrics: Audience,
    /// HTTP without.
    pub(crate) tls: Option<Arc<ServerConfig>>,
}

/// Serves until `phase` says [`Phase::Cut`], or after [`Phase::Draining`] all connections have ended or had their
/// time.
pub(crate) async fn serve(
    listener: TcpListener,
    gateway: Arc<Gateway>,
    mut phase: watch::Receiver<Phase>,
    mut terms: watch::Receiver<Arc<Terms>>,
) {
    let mut room = room_for_connections(terms.borrow_and_update().limits.connections);
    let seats = Connections::new(room);
    let shared = Arc::new(Shared::new(gateway, terms.clone()));
    let mut connections = JoinSet::new();
    // Accepted, and not seated yet; the next ones wait in the kernel, whose queue is bounded.
    let mut arrived: Option<(TcpStream, IpAddr)> = None;
    loop {
        shared.metrics().connections(seats.count(), room);
        tokio::select! {
            biased;
            () = reached(&mut phase, Phase::Draining) => break,
            Some(_) = connections.join_next() => {}
            Ok(()) = terms.changed() => {
                room = room_for_connections(terms.borrow_and_update().limits.connections);
                seats.limit(room);
            }
            () = seats.room(), if arrived.is_some() => {
                if let Some((stream, peer)) = arrived.take() {
                    connections.spawn(converse(stream, peer, seats.seat(), Arc::clone(&shared), phase.clone()));
                }
            }
            accepted = listener.accept(), if arrived.is_none() => match accepted {
                Ok((stream, peer)) => arrived = Some((stream, peer.ip())),
                Err(error) => {
                    tracing::warn!("could not accept a connection: {error}");
                    time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    tokio::select! {
        () = reached(&mut phase, Phase::Cut) => {}
        () = time::sleep(DRAIN_WITHIN) => {}
        () = async { while connections.join_next().await.is_some() {} } => {}
    }
    connections.shutdown().await;
}

/// Goes on to `later`; never back.
pub(crate) fn raise(phase: &watch::Sender<Phase>, later: Phase) {
    phase.send_if_modified(|phase| {
        let rises = *phase < later;
        *phase = later.max(*phase);
        rises
    });
}

/// Waits until `phase` is there, or its sender is gone.
pub(crate) async fn reached(phase: &mut watch::Receiver<Phase>, wanted: Phase) {
    // A sender that is gone means that the server is going as well.
    let _ = phase.wait_for(|phase| *phase >= wanted).await;
}
