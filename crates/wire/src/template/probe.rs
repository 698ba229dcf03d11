//! A probe as Kubernetes writes it, with its defaults. Reads only: who asks is the engine.

use super::field::{Field, short};
use super::pod_spec::refuse_unlisted;
use crate::error::Error;

const PROBE_FIELDS: [&str; 7] = [
    "httpGet",
    "tcpSocket",
    "initialDelaySeconds",
    "periodSeconds",
    "timeoutSeconds",
    "successThreshold",
    "failureThreshold",
];
const HTTP_FIELDS: [&str; 3] = ["path", "port", "scheme"];
const TCP_FIELDS: [&str; 1] = ["port"];

const MAX_SECONDS: u32 = 3_600;
const MAX_THRESHOLD: u32 = 100;
const MAX_PATH_BYTES: usize = 1_024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    pub question: Question,
    pub initial_delay_s: u32,
    pub period_s: u32,
    pub timeout_s: u32,
    pub success_threshold: u32,
    pub failure_threshold: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// The path is one of printable ASCII that starts with `/`.
    Http {
        port: u16,
        path: String,
    },
    Tcp {
        port: u16,
    },
}

pub(super) fn read(probe: &Field<'_>) -> Result<Probe, Error> {
    refuse_unlisted(probe, &PROBE_FIELDS)?;
    let question = match (probe.child("httpGet")?, probe.child("tcpSocket")?) {
        (Some(http), None) => http_get(&http)?,
        (None, Some(tcp)) => {
            refuse_unlisted(&tcp, &TCP_FIELDS)?;
            Question::Tcp { port: port(&tcp)? }
        }
        (Some(_), Some(_)) => return Err(probe.refuse("has httpGet and tcpSocket; it may have one of them")),
        (None, None) => return Err(probe.refuse("has neither httpGet nor tcpSocket")),
    };
    Ok(Probe {
        question,
        initial_delay_s: probe.integer_or("initialDelaySeconds", (0, MAX_SECONDS), 0)?,
        period_s: probe.integer_or("periodSeconds", (1, MAX_SECONDS), 10)?,
        timeout_s: probe.integer_or("timeoutSeconds", (1, MAX_SECONDS), 1)?,
        success_threshold: probe.integer_or("successThreshold", (1, MAX_THRESHOLD), 1)?,
        failure_threshold: probe.integer_or("failureThreshold", (1, MAX_THRESHOLD), 3)?,
    })
}

fn http_get(http: &Field<'_>) -> Result<Question, Error> {
    refuse_unlisted(http, &HTTP_FIELDS)?;
    http.choice("scheme", &["HTTP"])?;
    let path = http.text_or("path", "/")?;
    let path = if path.is_empty() { "/".to_owned() } else { path };
    // It becomes part of a request line.
    let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic());
    if !path.starts_with('/') || !is_plain || path.len() > MAX_PATH_BYTES {
        let why = "does not start with `/`, has a character that must be percent-encoded, or is too long";
        return Err(Error::invalid(format!("{}.path `{}` {why}", http.path, short(&path))));
    }
    Ok(Question::Http { port: port(http)?, path })
}

/// Names of ports are not taken: `ports` has none.
fn port(question: &Field<'_>) -> Result<u16, Error> {
    let number = question.required("port")?;
    u16::try_from(number.integer(1, u32::from(u16::MAX))?).map_err(|_| number.refuse("is not a port"))
}
