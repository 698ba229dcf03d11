//! One connection, plain or TLS, from its first byte to its end: HTTP/1.1 with bounded sizes and times. How long a peer
//! may keep it waiting is `pace`'s, which connection gives way to another is `connections`'s.

use super::body::Bodies;
use super::connections::{Seat, Standing};
use super::listen::{Phase, Terms, reached};
use super::pace::{Pace, Paced, PacedBody, Patience};
use super::probe::Probe;
use super::respond::{Stream, Takeover};
use super::{Gateway, Received};
use crate::exec::Session;
use crate::metrics::Metrics;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, header};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time;
use tokio_rustls::TlsAcceptor;

/// Holds the 64 KiB of the longest request line and as much again for headers.
const HEAD_BYTES_AT_MOST: usize = 128 << 10;

/// A client that takes nothing of its answer for so long has gone.
const UNREAD_ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// What all connections share.
pub(super) struct Shared {
    gateway: Arc<Gateway>,
    bodies: Bodies,
    terms: watch::Receiver<Arc<Terms>>,
}

impl Shared {
    pub(super) fn new(gateway: Arc<Gateway>, terms: watch::Receiver<Arc<Terms>>) -> Self {
        Self { gateway, bodies: Bodies::new(), terms }
    }

    pub(super) fn metrics(&self) -> &Metrics {
        self.gateway.metrics()
    }

    fn terms(&self) -> Arc<Terms> {
        Arc::clone(&self.terms.borrow())
    }
}

/// Serves one connection to its end, or until it gives way to another.
pub(super) async fn converse(
    stream: TcpStream,
    peer: IpAddr,
    seat: Seat,
    shared: Arc<Shared>,
    phase: watch::Receiver<Phase>,
) {
    if let Err(error) = prepare(&stream) {
        tracing::debug!("could not set options of a connection: {error}");
        return;
    }
    let speaking = async {
        let terms = shared.terms();
        let Some(tls) = &terms.tls else {
            return speak(stream, peer, &seat, &shared, phase).await;
        };
        let handshake = TlsAcceptor::from(Arc::clone(tls)).accept(stream);
        match time::timeout(terms.limits.headers_within, handshake).await {
            Ok(Ok(stream)) => speak(stream, peer, &seat, &shared, phase).await,
            Ok(Err(error)) => tracing::debug!("a TLS handshake failed: {error}"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        }
    };
    tokio::select! {
        () = speaking => {}
        () = seat.gives_way() => tracing::debug!("a connection without a request gave way to a newer one"),
    }
}

fn prepare(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let milliseconds = u32::try_from(UNREAD_ANSWER_WITHIN.as_millis()).unwrap_or(u32::MAX);
    rustix::net::sockopt::set_tcp_user_timeout(stream, milliseconds)?;
    Ok(())
}

/// HTTP on a stream of bytes.
async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: IpAddr,
    seat: &Seat,
    shared: &Shared,
    mut phase: watch::Receiver<Phase>,
) {
    let limits = shared.terms().limits.clone();
    let pace = Arc::new(Pace::new());
    let successor = Successor::default();
    let service = service_fn(|request| {
        let (pace, successor) = (Arc::clone(&pace), &successor);
        async move {
            pace.request_came();
            let response = answer(shared, seat, request, peer, successor).await;
            Ok::<_, Infallible>(response.map(|body| PacedBody::new(body, pace)))
        }
    });
    // hyper's own limit on headers would also cut a connection that waits for its next request.
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(HEAD_BYTES_AT_MOST)
        .serve_connection(TokioIo::new(Paced::new(stream, Arc::clone(&pace))), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut patience = pin!(Patience::new(&pace, &limits));
    let mut is_draining = false;
    loop {
        let lasting = poll_fn(|context| match connection.as_mut().poll(context) {
            Poll::Ready(ended) => Poll::Ready(Some(ended)),
            // After the connection, which may just have moved on.
            Poll::Pending => patience.as_mut().poll(context).map(|()| None),
        });
        let ended = tokio::select! {
            ended = lasting => ended,
            () = reached(&mut phase, Phase::Draining), if !is_draining => {
                is_draining = true;
                connection.as_mut().graceful_shutdown();
                continue;
            }
        };
        match ended {
            Some(Ok(())) => successor.go_on(limits.command_idle_within, phase).await,
            Some(Err(error)) => tracing::debug!("a connection ended early: {error}"),
            None => tracing::debug!("a connection was closed: nothing came for too long"),
        }
        return;
    }
}

/// Who has the connection when HTTP is done with it.
#[derive(Default)]
struct Successor(Mutex<Option<(OnUpgrade, Box<Session>)>>);

impl Successor {
    fn is(&self, upgrade: OnUpgrade, session: Box<Session>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((upgrade, session));
    }

    async fn go_on(&self, idle_within: Duration, phase: watch::Receiver<Phase>) {
        let next = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((upgrade, session)) = next else { return };
        match upgrade.await {
            Ok(connection) => session.run(TokioIo::new(connection), idle_within, phase).await,
            Err(error) => tracing::debug!("a connection was not given away: {error}"),
        }
    }
}

async fn answer(
    shared: &Shared,
    seat: &Seat,
    mut request: Request<Incoming>,
    peer: IpAddr,
    successor: &Successor,
) -> Response<Body> {
    let upgrade = hyper::upgrade::on(&mut request);
    let (parts, body) = request.into_parts();
    let (terms, peer) = (shared.terms(), peer.to_canonical());
    if let Some(probe) = Probe::at(parts.uri.path(), peer, terms.metrics) {
        seat.works();
        let response = probe.answer(&parts.method, shared.gateway.services()).await;
        seat.waits(Standing::Stranger);
        return response;
    }
    let waits_for_our_word = parts.headers.contains_key(header::EXPECT);
    let body = shared.bodies.read(body, waits_for_our_word, terms.limits.body_within).await;
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
    if let Some(session) = response.extensions().get::<Takeover>().and_then(Takeover::take) {
        successor.is(upgrade, session);
    }
    // A stream has just begun, and nobody who watches one gives way.
    if response.extensions().get::<Stream>().is_none() {
        let is_good = response.status().is_success();
        seat.waits(if is_good { Standing::Known } else { Standing::Stranger });
    }
    response
}
