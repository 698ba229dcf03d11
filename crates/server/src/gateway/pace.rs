//! How long a peer may keep a connection waiting: briefly for the rest of a request it began, longer for the next
//! request on a connection that is kept open. What a connection waits for is seen in the bytes that come, the requests
//! that are handed on and the answers that are done.

use crate::configuration::settings::Limits;
use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// What is waited for on a connection, and since when.
pub(super) struct Pace(Mutex<(Waiting, Instant)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    /// The rest of a request's head; also the first byte of the first request.
    Head,
    /// Our own answer.
    Answer,
    /// The first byte of the next request.
    NextRequest,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self(Mutex::new((Waiting::Head, Instant::now())))
    }

    fn bytes_came(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.0 == Waiting::NextRequest {
            *state = (Waiting::Head, Instant::now());
        }
    }

    /// A whole head came, and its request was handed on.
    pub(super) fn request_came(&self) {
        self.set(Waiting::Answer);
    }

    fn set(&self, waiting: Waiting) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (waiting, Instant::now());
    }

    /// When patience ends, if what is waited for does not come.
    fn deadline(&self, limits: &Limits) -> Option<Instant> {
        let (waiting, since) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match waiting {
            Waiting::Head => Some(since + limits.headers_within),
            Waiting::NextRequest => Some(since + limits.idle_within),
            Waiting::Answer => None,
        }
    }
}

/// Ready when a peer kept its connection waiting for too long. To be polled after the connection, in its task: that
/// is what notices that the connection moved on.
pub(super) struct Patience<'a> {
    pace: &'a Pace,
    limits: &'a Limits,
    alarm: Pin<Box<Sleep>>,
}

impl<'a> Patience<'a> {
    pub(super) fn new(pace: &'a Pace, limits: &'a Limits) -> Self {
        Self { pace, limits, alarm: Box::pin(sleep(Duration::ZERO)) }
    }
}

impl Future for Patience<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(deadline) = self.pace.deadline(self.limits) else { return Poll::Pending };
            // An alarm that is set too early rings, and is set anew then: cheaper than setting it for every request.
            if deadline < self.alarm.deadline() {
                self.alarm.as_mut().reset(deadline);
            }
            ready!(self.alarm.as_mut().poll(context));
            if deadline <= Instant::now() {
                return Poll::Ready(());
            }
            self.alarm.as_mut().reset(deadline);
        }
    }
}

/// A stream that tells when bytes come.
pub(super) struct Paced<S> {
    stream: S,
    pace: Arc<Pace>,
}

impl<S> Paced<S> {
    pub(super) fn new(stream: S, pace: Arc<Pace>) -> Self {
        Self { stream, pace }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.pace.bytes_came();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// An answer that tells when it is done: hyper drops the body then.
pub(super) struct PacedBody {
    body: Body,
    pace: Arc<Pace>,
}

impl PacedBody {
    pub(super) fn new(body: Body, pace: Arc<Pace>) -> Self {
        Self { body, pace }
    }
}

impl Drop for PacedBody {
    fn drop(&mut self) {
        self.pace.set(Waiting::NextRequest);
    }
}

impl hyper::body::Body for PacedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        hyper::body::Body::size_hint(&self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::settings::Settings;
    use std::path::Path;

    #[test]
    fn the_rest_of_a_head_is_waited_for_briefly_the_next_request_longer_and_our_own_answer_for_ever() {
        let limits = Settings::of(Path::new("")).limits;
        let pace = Pace::new();
        let wait =
            |pace: &Pace| pace.deadline(&limits).map(|at| (at - Instant::now()).as_secs_f64().round() as u64);

        assert_eq!(wait(&pace), Some(10), "a new connection has to say something");
        pace.request_came();
        assert_eq!(wait(&pace), None);
        pace.bytes_came();
        assert_eq!(wait(&pace), None, "bytes behind a request are not waited for");
        drop(PacedBody::new(Body::empty(), Arc::new(Pace::new())));
        pace.set(Waiting::NextRequest);
        assert_eq!(wait(&pace), Some(75));
        pace.bytes_came();
        assert_eq!(wait(&pace), Some(10));
    }
}
