//! RescaleApplication, signed (V3), over HTTP with keep-alive: one instance more for each of the connection's
//! applications, then one less, in turn.

use crate::{Answer, Writer};
use anyhow::{Context, Result, ensure};
use ensemble_wire::parameters::RawParameters;
use ensemble_wire::signature::{Key, v3};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const API_VERSION: &str = "2017-11-10";

/// More than any answer here has.
const ANSWER_BYTES_AT_MOST: usize = 1 << 20;

#[derive(Deserialize)]
pub(crate) struct Target {
    /// `127.0.0.1:PORT`.
    address: String,
    key_id: String,
    secret: String,
    applications: Vec<Application>,
}

#[derive(Clone, Deserialize)]
pub(crate) struct Application {
    id: String,
    /// The ResourceSelector.
    selector: String,
    #[serde(default)]
    has_instance: bool,
}

pub(crate) struct Rescales {
    stream: TcpStream,
    address: String,
    key_id: String,
    secret: String,
    applications: Vec<Application>,
    count: usize,
    received: Vec<u8>,
}

impl Rescales {
    pub(crate) async fn connect(target: &Target, index: usize, connections: usize) -> Result<Self> {
        Ok(Self {
            stream: open(&target.address).await?,
            address: target.address.clone(),
            key_id: target.key_id.clone(),
            secret: target.secret.clone(),
            applications: target.applications.iter().skip(index).step_by(connections).cloned().collect(),
            count: 0,
            received: Vec::new(),
        })
    }

    fn request(&self, application: &Application) -> String {
        let kind = if application.has_instance { "Del" } else { "Add" };
        let parameters = [
            ("AppId", application.id.as_str()),
            ("RescaleType", kind),
            ("ResourceSelector", &application.selector),
        ];
        let query: RawParameters = parameters.into_iter().collect();
        let unsigned = v3::Unsigned {
            method: "POST",
            path: "/",
            query: &query,
            host: &self.address,
            content_type: None,
            body: b"",
            action: "RescaleApplication",
            version: API_VERSION,
            nonce: &uuid::Uuid::new_v4().to_string(),
            stamp: jiff::Timestamp::now(),
        };
        let key = Key { id: &self.key_id, secret: &self.secret, security_token: None };
        let mut request = format!("POST /?{} HTTP/1.1\r\n", query.canonical(None));
        for (name, value) in v3::sign(&unsigned, &key) {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("content-length: 0\r\n\r\n");
        request
    }

    /// The status of the next answer, whose bytes are taken off.
    async fn status(&mut self) -> Result<u16> {
        loop {
            if let Some((status, length)) = head(&self.received)? {
                if self.received.len() >= length {
                    self.received.drain(..length);
                    return Ok(status);
                }
            }
            ensure!(self.received.len() <= ANSWER_BYTES_AT_MOST, "an answer without end");
            ensure!(self.stream.read_buf(&mut self.received).await? > 0, "the server has closed");
        }
    }
}

impl Writer for Rescales {
    async fn write(&mut self) -> Result<Answer> {
        let at = self.count % self.applications.len();
        self.count += 1;
        let request = self.request(&self.applications[at]);
        self.stream.write_all(request.as_bytes()).await?;
        let is_accepted = self.status().await? == 200;
        self.applications[at].has_instance ^= is_accepted;
        Ok(if is_accepted { Answer::Durable } else { Answer::Refused })
    }

    fn has_instance(&self) -> Vec<bool> {
        self.applications.iter().map(|application| application.has_instance).collect()
    }
}

async fn open(address: &str) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).await.with_context(|| format!("`{address}`"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The status and the whole length of an answer, once its head is there.
fn head(bytes: &[u8]) -> Result<Option<(u16, usize)>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&bytes[..end])?;
    let status = text.split(' ').nth(1).context("a status line has a status")?.parse()?;
    let lengths = text.lines().filter_map(|line| line.split_once(": "));
    let mut lengths = lengths.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = lengths.next().context("an answer says how long it is")?.1.parse()?;
    Ok(Some((status, end + 4 + length)))
}
