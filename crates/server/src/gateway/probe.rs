//! What is asked without a signature: `/livez`, `/readyz` and `/metrics`. GET and HEAD only; whoever asks from another
//! machine learns whether it is well, and no more. What being well means is `health`'s.

use crate::action::Services;
use crate::configuration::settings::Audience;
use crate::health;
use crate::metrics;
use axum::body::Body;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Response, StatusCode};
use std::net::IpAddr;

const TEXT: &str = "text/plain; charset=utf-8";

/// A question about the server.
pub(super) enum Probe {
    Live(Detail),
    Ready(Detail),
    Metrics,
}

/// How much whoever asks is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    Shown,
    Withheld,
}

impl Probe {
    /// The question that is asked at this path. One that this peer may not ask is none, like any path that is not there.
    pub(super) fn at(path: &str, peer: IpAddr, audience: Audience) -> Option<Self> {
        let detail = if peer.is_loopback() { Detail::Shown } else { Detail::Withheld };
        match path {
            "/livez" => Some(Self::Live(detail)),
            "/readyz" => Some(Self::Ready(detail)),
            "/metrics" => match audience {
                Audience::All => Some(Self::Metrics),
                Audience::Loopback if peer.is_loopback() => Some(Self::Metrics),
                Audience::Loopback | Audience::Nobody => None,
            },
            _ => None,
        }
    }

    pub(super) async fn answer(self, method: &Method, services: &Services) -> Response<Body> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut response = respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET and HEAD only\n".into());
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match self {
            Self::Live(detail) => judged(health::live(&services.control).await, detail),
            Self::Ready(detail) => judged(health::ready(services).await, detail),
            Self::Metrics => respond(StatusCode::OK, metrics::CONTENT_TYPE, services.render_metrics()),
        }
    }
}

fn judged(health: Result<(), health::Ailment>, detail: Detail) -> Response<Body> {
    let (status, word, why) = match health {
        Ok(()) => (StatusCode::OK, "ok", None),
        Err(ailment) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", Some(ailment)),
    };
    let text = match (detail, why) {
        (Detail::Shown, Some(ailment)) => format!("{word}: {ailment}\n"),
        (Detail::Shown | Detail::Withheld, _) => format!("{word}\n"),
    };
    respond(status, TEXT, text)
}

fn respond(status: StatusCode, content_type: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_for_whom_the_configuration_says_and_health_for_everybody() {
        let (here, there): (IpAddr, IpAddr) = ("127.0.0.1".parse().unwrap(), "192.0.2.1".parse().unwrap());
        for (peer, audience, may) in [
            (here, Audience::Loopback, true),
            (there, Audience::Loopback, false),
            (there, Audience::All, true),
            (here, Audience::Nobody, false),
        ] {
            assert_eq!(Probe::at("/metrics", peer, audience).is_some(), may, "{peer} {audience:?}");
            assert!(Probe::at("/livez", peer, audience).is_some());
        }
        assert!(Probe::at("/", here, Audience::All).is_none());
    }

    #[tokio::test]
    async fn why_it_is_not_well_is_said_on_this_machine_only() {
        for (detail, expected) in [
            (Detail::Shown, "unavailable: the control loop stands still\n"),
            (Detail::Withheld, "unavailable\n"),
        ] {
            let response = judged(Err(health::Ailment::StandsStill), detail);

            assert_eq!(response.status(), 503);
            let body = axum::body::to_bytes(response.into_body(), 1_000).await.unwrap();
            assert_eq!(body, expected);
        }
    }
}
