//! HTTP/1.1 on a socket: bounded connections, sizes and times (`decisions.md` §4.3); reads whole requests for the
//! gateway. On shutdown it stops accepting, lets requests finish for a while, and then cuts what is left.

use super::{BODY_BYTES_AT_MOST, BodyFault, Gateway, Received};
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use hyper::body::{Body as _, Incoming};
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
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time;

const CONNECTIONS_AT_MOST: usize = 1_024;
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
const BODY_WITHIN: Duration = Duration::from_secs(30);

/// Holds the 64 KiB of the longest request line and as much again for headers.
const HEAD_BYTES_AT_MOST: usize = 128 << 10;

/// How much of a body that is too large is read and dropped: a client that is still sending would lose the answer
/// to a reset connection. Beyond this it does.
const DISCARDED_BYTES_AT_MOST: usize = 16 << 20;

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

/// Serves until `phase` says [`Phase::Cut`], or after [`Phase::Draining`] all connections have ended or had their
/// time.
pub(crate) async fn serve(listener: TcpListener, gateway: Arc<Gateway>, mut phase: watch::Receiver<Phase>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_AT_MOST));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = reached(&mut phase, Phase::Draining) => break,
            Some(_) = connections.join_next() => {}
            accepted = accept(&listener, &room) => {
                let (stream, peer, permit) = accepted;
                let gateway = Arc::clone(&gateway);
                let phase = phase.clone();
                connections.spawn(async move {
                    converse(stream, peer, gateway, phase).await;
                    drop(permit);
                });
            }
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

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> (TcpStream, IpAddr, tokio::sync::OwnedSemaphorePermit) {
    let permit = Arc::clone(room).acquire_owned().await.expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer.ip(), permit),
            Err(error) => {
                tracing::warn!("could not accept a connection: {error}");
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One connection, from its first request to its end.
async fn converse(stream: TcpStream, peer: IpAddr, gateway: Arc<Gateway>, mut phase: watch::Receiver<Phase>) {
    if let Err(error) = prepare(&stream) {
        tracing::debug!("could not set options of a connection: {error}");
        return;
    }
    let service = service_fn(move |request| answer(Arc::clone(&gateway), request, peer));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_buf_size(HEAD_BYTES_AT_MOST)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
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
    gateway: Arc<Gateway>,
    request: Request<Incoming>,
    peer: IpAddr,
) -> Result<Response<Body>, Infallible> {
    let (parts, body) = request.into_parts();
    let waits_for_our_word = parts.headers.contains_key(header::EXPECT);
    let body = time::timeout(BODY_WITHIN, read_body(body, waits_for_our_word)).await;
    let received = Received {
        method: parts.method.as_str().to_owned(),
        version: parts.version,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body: body.unwrap_or(Err(BodyFault::TooSlow)),
        peer,
    };
    Ok(gateway.answer(received, Timestamp::now()).await)
}

/// The whole body, after transfer decoding.
async fn read_body(body: Incoming, waits_for_our_word: bool) -> Result<Bytes, BodyFault> {
    let announced = body.size_hint().lower();
    let too_large = announced > BODY_BYTES_AT_MOST as u64;
    if too_large && (waits_for_our_word || announced > DISCARDED_BYTES_AT_MOST as u64) {
        return Err(BodyFault::TooLarge);
    }
    let mut pieces = Body::new(body).into_data_stream();
    let mut whole = BytesMut::new();
    let mut length = 0_usize;
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| BodyFault::Broken)?;
        length = length.saturating_add(piece.len());
        if length > DISCARDED_BYTES_AT_MOST {
            return Err(BodyFault::TooLarge);
        }
        if length <= BODY_BYTES_AT_MOST {
            whole.extend_from_slice(&piece);
        }
    }
    if length > BODY_BYTES_AT_MOST { Err(BodyFault::TooLarge) } else { Ok(whole.freeze()) }
}
