//! What stands between a client and an action: limits, signature, replay, permission, form, answer (gateway.md §4).
//! `listen` and `connection` speak HTTP, [`Gateway::answer`] takes one whole request to its answer, in the order of checks of §4.2.
//! Must not know what an action does; that is `action`'s.

mod authorize;
mod body;
mod connection;
mod connections;
mod identify;
pub(crate) mod listen;
mod nonce;
mod pace;
mod probe;
mod respond;
mod verify;

use crate::action::{self, Answer, Context, Services};
use crate::credentials::Credentials;
use crate::metrics::Metrics;
use axum::body::Body;
use ensemble_wire::catalog;
use ensemble_wire::entry::{Action, Kind};
use ensemble_wire::error::{Code, Error};
use ensemble_wire::format::Format;
use ensemble_wire::signature;
use futures_util::FutureExt;
use hyper::{HeaderMap, Response, Version};
use jiff::Timestamp;
use nonce::{Limits, NonceTable};
use serde_json::Value;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tracing::Instrument;

/// A request as it came off the wire, whole.
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) version: Version,
    pub(crate) path: String,
    /// What follows `?`, undecoded.
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Result<body::Whole, BodyFault>,
    pub(crate) peer: IpAddr,
}

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyFault {
    TooLarge,
    TooSlow {
        within: Duration,
    },
    /// Too many large ones at once.
    NoRoom,
    /// The client went away, or broke the framing.
    Broken,
}

/// One per server, shared by all connections.
pub(crate) struct Gateway {
    credentials: Credentials,
    nonces: Mutex<NonceTable>,
    services: Arc<Services>,
}

/// What is known of a request while its answer is made.
struct Ticket {
    request_id: String,
    started: Instant,
    /// As far as is known yet: the format of an error may be needed before the request could be read.
    format: Format,
    action: Option<&'static Action>,
}

impl Gateway {
    pub(crate) fn new(credentials: Credentials, services: Arc<Services>) -> Self {
        Self { credentials, nonces: Mutex::new(NonceTable::new(Limits::USUAL)), services }
    }

    /// What actions share, for what is asked without a signature.
    pub(super) fn services(&self) -> &Services {
        &self.services
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.services.metrics
    }

    /// The answer to one request. Whatever happens, it is one that a client can parse, in the format it asked for.
    pub(crate) async fn answer(&self, received: Received, now: Timestamp) -> Response<Body> {
        let request_id = uuid::Uuid::new_v4().to_string().to_uppercase();
        let span = tracing::error_span!("request", request_id = %request_id);
        self.answer_as(request_id, received, now).instrument(span).await
    }

    async fn answer_as(&self, request_id: String, received: Received, now: Timestamp) -> Response<Body> {
        let headers = identify::header_pairs(&received.headers);
        let request = identify::request(&received, &headers);
        let mut ticket = Ticket {
            request_id,
            started: Instant::now(),
            format: signature::answer_format(&request),
            action: None,
        };
        let call = AssertUnwindSafe(self.call(&received, &request, &mut ticket, now));
        let outcome = call.catch_unwind().await.unwrap_or_else(|_| {
            // The panic hook has written where and why; the client learns only that it was our fault.
            Err(Error::new(Code::InternalError).with_detail("The server has a fault; its log says more."))
        });
        log(&ticket, &outcome);
        let response = match outcome {
            Ok(Answer::Whole(whole)) => respond::whole(&ticket, whole),
            Ok(Answer::Takeover(session)) => respond::takeover(&ticket.request_id, session),
            Ok(Answer::Events(events)) => respond::events(&ticket.request_id, events),
            Err(error) => respond::error(&ticket, &error, &identify::host(&received.headers)),
        };
        let action = ticket.action.map(|action| action.name);
        self.metrics().answered(action, response.status().as_u16(), ticket.started.elapsed());
        response
    }

    /// From the request to what its action answers; the order of checks is that of gateway.md §4.2 and, from the
    /// parameters on, `decisions.md` §3.
    async fn call(
        &self,
        received: &Received,
        request: &signature::Request<'_>,
        ticket: &mut Ticket,
        now: Timestamp,
    ) -> Result<Answer, Error> {
        let claim = identify::identify(received, request, now)?;
        ticket.format = claim.format;
        let entry = catalog::find(&claim.action, &claim.api_version)?;
        ticket.action = Some(entry);
        if received.path != "/" && received.path != entry.path {
            return Err(Error::new(Code::ActionNotFound)
                .with_detail(format!("{} is called at /, not at {}.", entry.name, received.path)));
        }
        let principal = verify::verify(&self.credentials, &claim)?;
        verify::not_before_restore(self.services.restoration.restored_at(), &claim)?;
        verify::spend_nonce(&self.nonces, &claim, now)?;
        let parameters = entry.check(&claim.parameters)?;
        let permit = authorize::authorize(&principal, entry, &ticket.request_id);
        // What only the history of writes keeps is not made for a read.
        let is_write = entry.kind == Kind::Write;
        let context = Context {
            services: Arc::clone(&self.services),
            request_id: ticket.request_id.clone(),
            action: entry,
            source: received.peer,
            upgrade: identify::upgrade(&received.headers),
            nonce: is_write.then(|| verify::nonce_of(&claim)),
            parameters: if is_write { parameters.to_value() } else { Value::Null },
        };
        // The signed text of a large request is several times its size, and the wait for a durable answer is long.
        drop(claim);
        action::call(context, permit, &parameters).await
    }
}

/// One line a request, where it is handled; never a body, a parameter or a signature. Reads are many, and say nothing
/// when they go well.
fn log(ticket: &Ticket, outcome: &Result<Answer, Error>) {
    let action = ticket.action.map_or("-", |action| action.name);
    let took_ms = u64::try_from(ticket.started.elapsed().as_millis()).unwrap_or(u64::MAX);
    match outcome {
        Ok(_) if ticket.action.is_some_and(|action| action.kind == Kind::Write) => {
            tracing::info!(action, took_ms, "{action} answered in {took_ms} ms");
        }
        Ok(_) => tracing::debug!(action, took_ms, "{action} answered in {took_ms} ms"),
        Err(error) if error.status() >= 500 => {
            tracing::error!(action, took_ms, code = %error.code, "{action} failed with {}", error.code);
        }
        Err(error) => {
            tracing::info!(action, took_ms, code = %error.code, "{action} refused with {}", error.code);
        }
    }
}
