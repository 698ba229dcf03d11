//! The body of a request, whole and bounded: in size, in time, and in how many large ones there are at once. What is
//! too large is read and dropped for a while, so that the client is still there to be told.

use super::BodyFault;
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use hyper::body::{Body as _, Incoming};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time;

/// Largest body that is read; the rest of a larger one is not kept.
pub(crate) const BODY_BYTES_AT_MOST: usize = 1 << 20;

/// How much of a body that is too large is read and dropped: a client that is still sending would lose the answer
/// to a reset connection. Beyond this it does.
const DISCARDED_BYTES_AT_MOST: usize = 16 << 20;

/// A body up to this size is read by any number of connections at once; each connection is bounded already.
const SMALL_BYTES: usize = 64 << 10;

/// Large bodies at once: together they are no more than all small ones may be, and with what is made of them to
/// verify a signature some hundreds of megabytes.
const LARGE_AT_ONCE: usize = 64;

/// How long a large body waits for others to be done; clients give up after 10 s.
const ROOM_WITHIN: Duration = Duration::from_secs(5);

/// Room for the bodies of one server.
pub(super) struct Bodies {
    large: Arc<Semaphore>,
}

/// A body, and the room it takes until it is dropped.
#[derive(Default)]
pub(crate) struct Whole {
    pub(super) bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

impl Bodies {
    pub(super) fn new() -> Self {
        Self { large: Arc::new(Semaphore::new(LARGE_AT_ONCE)) }
    }

    /// The whole body, after transfer decoding. `waits_for_our_word` is a client that sends nothing before it is told
    /// to go on.
    pub(super) async fn read(
        &self,
        body: Incoming,
        waits_for_our_word: bool,
        within: Duration,
    ) -> Result<Whole, BodyFault> {
        let reading = self.read_untimed(body, waits_for_our_word);
        time::timeout(within, reading).await.unwrap_or(Err(BodyFault::TooSlow { within }))
    }

    async fn read_untimed(&self, body: Incoming, waits_for_our_word: bool) -> Result<Whole, BodyFault> {
        let announced = body.size_hint().lower();
        let too_large = announced > BODY_BYTES_AT_MOST as u64;
        if too_large && (waits_for_our_word || announced > DISCARDED_BYTES_AT_MOST as u64) {
            return Err(BodyFault::TooLarge);
        }
        let mut pieces = Body::new(body).into_data_stream();
        let mut whole = BytesMut::new();
        let mut room = None;
        let mut length = 0_usize;
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|_| BodyFault::Broken)?;
            length = length.saturating_add(piece.len());
            if length > DISCARDED_BYTES_AT_MOST {
                return Err(BodyFault::TooLarge);
            }
            if length > SMALL_BYTES && room.is_none() && !too_large {
                room = Some(self.room().await?);
            }
            if length <= BODY_BYTES_AT_MOST && !too_large {
                whole.extend_from_slice(&piece);
            }
        }
        if length > BODY_BYTES_AT_MOST {
            return Err(BodyFault::TooLarge);
        }
        Ok(Whole { bytes: whole.freeze(), _room: room })
    }

    async fn room(&self) -> Result<OwnedSemaphorePermit, BodyFault> {
        let room = Arc::clone(&self.large).acquire_owned();
        let room = time::timeout(ROOM_WITHIN, room).await.map_err(|_| BodyFault::NoRoom)?;
        room.map_err(|_| BodyFault::NoRoom)
    }
}
