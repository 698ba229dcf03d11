//! From what HTTP brought to who claims to call what. The rules are `ensemble_wire::signature`'s; here is only the
//! way from hyper's types to them. Must keep header values as they were sent: they are signed.

use super::body::BODY_BYTES_AT_MOST;
use super::{BodyFault, Received};
use ensemble_wire::catalog;
use ensemble_wire::error::{Code, Error, shown};
use ensemble_wire::signature::{self, Claim};
use hyper::{HeaderMap, Version, header};
use jiff::Timestamp;

/// Names in lower case, values as received.
pub(super) fn header_pairs(headers: &HeaderMap) -> Vec<(&str, &[u8])> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect()
}

/// The protocol that the connection is to go on with, where the client asks for one.
pub(super) fn upgrade(headers: &HeaderMap) -> Option<String> {
    let asks = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let asks =
        asks.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case("upgrade"));
    let protocol = headers.get(header::UPGRADE)?.to_str().ok()?.trim().to_ascii_lowercase();
    asks.then_some(protocol)
}

pub(super) fn request<'a>(
    received: &'a Received,
    headers: &'a [(&'a str, &'a [u8])],
) -> signature::Request<'a> {
    signature::Request {
        method: &received.method,
        path: &received.path,
        raw_query: &received.query,
        headers,
        body: received.body.as_ref().map_or(&[], |body| &body.bytes),
    }
}

/// # Errors
/// Everything up to the signature method in the table of gateway.md §4.2, a path that no action is called at, and
/// a body that did not come.
pub(super) fn identify(
    received: &Received,
    request: &signature::Request<'_>,
    now: Timestamp,
) -> Result<Claim, Error> {
    if !matches!(request.method, "GET" | "POST") {
        return Err(Error::new(Code::UnsupportedHttpMethod));
    }
    match received.body {
        Ok(_) => {}
        Err(BodyFault::TooLarge) => return Err(Error::body_too_large(BODY_BYTES_AT_MOST)),
        Err(BodyFault::TooSlow { within }) => {
            let seconds = within.as_secs_f64();
            return Err(Error::invalid(format!("the body did not arrive within {seconds} seconds")));
        }
        Err(BodyFault::NoRoom) => {
            let detail = "Too many large requests arrive at once; try again in a moment.";
            return Err(Error::new(Code::ServiceUnavailable).with_detail(detail));
        }
        Err(BodyFault::Broken) => {
            return Err(Error::invalid("the body ended early or its framing is broken"));
        }
    }
    framing(received)?;
    if !catalog::ACTIONS.iter().any(|action| action.path == received.path) && received.path != "/" {
        let detail = format!("No action is called at {}; all are at /.", shown(&received.path));
        return Err(Error::new(Code::ActionNotFound).with_detail(detail));
    }
    signature::identify(request, now)
}

/// What two readers of one request could understand differently: which host was asked (RFC 9112 §3.2), and what the
/// body is. No published code fits.
fn framing(received: &Received) -> Result<(), Error> {
    let hosts = received.headers.get_all(header::HOST).iter().count();
    if hosts > 1 || (hosts == 0 && received.version == Version::HTTP_11) {
        return Err(Error::invalid(format!("the request has {hosts} Host headers, not one")));
    }
    match received.headers.get(header::CONTENT_ENCODING) {
        Some(coding) if coding != "identity" => {
            Err(Error::invalid("the body has a Content-Encoding; bodies are taken as they are"))
        }
        Some(_) | None => Ok(()),
    }
}

/// The Host header as it was sent, with port and, from some clients, a scheme.
pub(super) fn host(headers: &HeaderMap) -> String {
    let value = headers.get(header::HOST).map(|value| String::from_utf8_lossy(value.as_bytes()));
    value.unwrap_or_default().into_owned()
}
