//! HTTP/1.1 on a socket: bounded connections, sizes and times (`decisions.md` §4.3); reads whole requests for the
//! gateway. On shutdown it stops accepting, lets requests finish for a while, and then cuts what is left.

use super::body::Bodies;
use super::connections::{Connections, Seat, Standing};
use super::respond::Stream;
use super::{Gateway, Received};
use crate::configuration::settings::Limits;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time;

/// Holds the 64 KiB of the longest request line and as much again for headers.
const HEAD_BYTES_AT_MOST: usize = 128 << 10;

/// A client that takes nothing of its answer for so long has gone.
const UNREAD_ANSWER_WITHIN: Duration = Duration::from_secs(60);

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

/// What all connections share.
struct Shared {
    gateway: Arc<Gateway>,
    limits: Limits,
    bodies: Bodies,
}

/// Serves until `phase` says [`Phase::Cut`], or after [`Phase::Draining`] all connections have ended or had their
/// time.
pub(crate) async fn serve(
    listener: TcpListener,
    gateway: Arc<Gateway>,
    limits: Limits,
    mut phase: watch::Receiver<Phase>,
) {
    let seats = Connections::new(limits.connections);
    let shared = Arc::new(Shared { gateway, limits, bodies: Bodies::new() });
    let mut connections = JoinSet::new();
    // Accepted, and not seated yet; the next ones wait in the kernel, whose queue is bounded.
    let mut arrived: Option<(TcpStream, IpAddr)> = None;
    loop {
        tokio::select! {
            biased;
            () = reached(&mut phase, Phase::Draining) => break,
            Some(_) = connections.join_next() => {}
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

/// One connection, from its first request to its end.
async fn converse(
    stream: TcpStream,
    peer: IpAddr,
    seat: Seat,
    shared: Arc<Shared>,
    mut phase: watch::Receiver<Phase>,
) {
    if let Err(error) = prepare(&stream) {
        tracing::debug!("could not set options of a connection: {error}");
        return;
    }
    let headers_within = shared.limits.headers_within;
    let service = service_fn(|request| answer(&shared, &seat, request, peer));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(headers_within)
        .max_buf_size(HEAD_BYTES_AT_MOST)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = seat.gives_way() => {
            tracing::debug!("a connection without a request gave way to a newer one");
            return;
        }
        () = reached(&mut phase, Phase::Draining) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("a connection ended early: {error}");
    }
}

fn prepare(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let milliseconds = u32::try_from(UNREAD_ANSWER_WITHIN.as_millis()).unwrap_or(u32::MAX);
    rustix::net::sockopt::set_tcp_user_timeout(stream, milliseconds)?;
    Ok(())
}

async fn answer(
    shared: &Shared,
    seat: &Seat,
    request: Request<Incoming>,
    peer: IpAddr,
) -> Result<Response<Body>, Infallible> {
    let (parts, body) = request.into_parts();
    let waits_for_our_word = parts.headers.contains_key(header::EXPECT);
    let body = shared.bodies.read(body, waits_for_our_word, shared.limits.body_within).await;
    let received = Received {
        method: parts.method.as_str().to_owned(),
        version: parts.version,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body,
        peer,
    };
    seat.works();
    let response = shared.gateway.answer(received, Timestamp::now()).await;
    // A stream has just begun, and nobody who watches one gives way.
    if response.extensions().get::<Stream>().is_none() {
        let is_good = response.status().is_success();
        seat.waits(if is_good { Standing::Known } else { Standing::Stranger });
    }
    Ok(response)
}
