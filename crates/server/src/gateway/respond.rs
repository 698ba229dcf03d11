//! Answers on the wire: exact content types, the RequestId in body and header, JSON or XML from one value
//! (gateway.md §4.1 and §6).

use super::Ticket;
use crate::action::{EventStream, Whole};
use crate::exec::Session;
use axum::body::Body;
use ensemble_wire::error::Error;
use ensemble_wire::format::{self, Format};
use ensemble_wire::payload::exec::PROTOCOL;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-acs-request-id");
const TRACE_ID: HeaderName = HeaderName::from_static("x-acs-trace-id");

/// What an action answered. Its own RequestId wins over the ticket's: a repeated ClientToken gets the first one.
pub(super) fn whole(ticket: &Ticket, Whole { json, request_id }: Whole) -> Response<Body> {
    let body = match ticket.format {
        Format::Json => json,
        Format::Xml => {
            let root = ticket.action.map_or_else(String::new, |action| format!("{}Response", action.name));
            let members: Value = serde_json::from_slice(&json).expect("it was written as JSON");
            format::render(Format::Xml, &root, &members)
        }
    };
    let request_id = request_id.as_deref().unwrap_or(&ticket.request_id);
    respond(StatusCode::OK, request_id, ticket.format.content_type(), Body::from(body))
}

/// A refusal, in the format that was asked for. `host` is the Host header as received.
pub(super) fn error(ticket: &Ticket, error: &Error, host: &str) -> Response<Body> {
    let body = error.body(&ticket.request_id, host);
    let members = serde_json::to_value(body).expect("an error body is text all through");
    let body = format::render(ticket.format, "Error", &members);
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    respond(status, &ticket.request_id, ticket.format.content_type(), Body::from(body))
}

/// Marks a response that goes on after its handler has returned.
#[derive(Clone, Copy)]
pub(super) struct Stream;

/// Server-sent events: the answer begins now and ends when the stream does.
pub(super) fn events(request_id: &str, events: EventStream) -> Response<Body> {
    let mut response =
        respond(StatusCode::OK, request_id, "text/event-stream;charset=utf-8", Body::from_stream(events));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response.extensions_mut().insert(Stream);
    response
}

/// What takes a connection over once hyper gives it away.
#[derive(Clone)]
pub(super) struct Takeover(Arc<Mutex<Option<Box<Session>>>>);

impl Takeover {
    /// Gives it out once.
    pub(super) fn take(&self) -> Option<Box<Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The connection goes on with another protocol.
pub(super) fn takeover(request_id: &str, session: Box<Session>) -> Response<Body> {
    let mut response = respond(StatusCode::SWITCHING_PROTOCOLS, request_id, "", Body::empty());
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static(PROTOCOL));
    response.extensions_mut().insert(Takeover(Arc::new(Mutex::new(Some(session)))));
    response.extensions_mut().insert(Stream);
    response
}

fn respond(status: StatusCode, request_id: &str, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    let trace_id = uuid::Uuid::new_v4().simple().to_string();
    for (name, value) in [(REQUEST_ID, request_id), (TRACE_ID, &trace_id)] {
        // An id of ours is hexadecimal digits and dashes, which every header takes.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    response
}
