//! The few calls that set a measurement up: signed as every ENS client does, one connection each, blocking.
//! What is measured is sent by `load`, not by this.

use crate::http;
use anyhow::{Context, Result, bail};
use ensemble_wire::parameters::RawParameters;
use ensemble_wire::signature::{Key, v3};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) const API_VERSION: &str = "2017-11-10";

const ANSWER_WITHIN: Duration = Duration::from_secs(60);
const ENDED_WITHIN: Duration = Duration::from_secs(120);

#[derive(Clone, Debug)]
pub(crate) struct Client {
    /// `127.0.0.1:PORT`.
    pub(crate) address: String,
    pub(crate) key_id: String,
    pub(crate) secret: String,
}

impl Client {
    /// A client with the key that the server of this data directory made.
    pub(crate) fn of(data_dir: &Path, address: &str) -> Result<Self> {
        let path = data_dir.join("credentials.toml");
        let credentials: toml::Table =
            std::fs::read_to_string(&path).with_context(|| format!("`{}`", path.display()))?.parse()?;
        let text = |name: &str| {
            let value = credentials.get(name).and_then(toml::Value::as_str);
            value.map(str::to_owned).with_context(|| format!("`{}` has no {name}", path.display()))
        };
        Ok(Self {
            address: address.to_owned(),
            key_id: text("access_key_id")?,
            secret: text("access_key_secret")?,
        })
    }

    /// Calls an action that must not be refused.
    pub(crate) fn ask(&self, action: &str, parameters: &[(&str, &str)]) -> Result<Value> {
        let query: RawParameters = parameters.iter().copied().collect();
        let unsigned = v3::Unsigned {
            method: "POST",
            path: "/",
            query: &query,
            host: &self.address,
            content_type: None,
            body: b"",
            action,
            version: API_VERSION,
            nonce: &uuid::Uuid::new_v4().to_string(),
            stamp: jiff::Timestamp::now(),
        };
        let key = Key { id: &self.key_id, secret: &self.secret, security_token: None };
        let mut request = format!("POST /?{} HTTP/1.1\r\n", query.canonical(None));
        for (name, value) in v3::sign(&unsigned, &key) {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("content-length: 0\r\nconnection: close\r\n\r\n");

        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        stream.write_all(request.as_bytes())?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        let answer = http::parse(&bytes).with_context(|| format!("{action}: no whole answer"))?;
        let body: Value = serde_json::from_slice(answer.body)?;
        if answer.status != 200 {
            bail!("{action} was refused with {}: {body}", answer.status);
        }
        Ok(body)
    }

    /// Creates an application without instances that runs the image, and returns its AppId.
    pub(crate) fn create(&self, name: &str, image: &str, environment: &[(&str, &str)]) -> Result<String> {
        let answer = self.ask("CreateApplication", &[("Template", &template(name, image, environment))])?;
        answer["AppId"].as_str().map(str::to_owned).context("CreateApplication answers with an AppId")
    }

    /// Adds or releases `count` instances in one item and returns the operation's id.
    pub(crate) fn rescale(&self, app: &str, kind: &str, district: &str, count: usize) -> Result<String> {
        let selector = selector(district, count);
        let answer = self.ask(
            "RescaleApplication",
            &[("AppId", app), ("RescaleType", kind), ("ResourceSelector", &selector), ("Timeout", "300")],
        )?;
        answer["RequestId"].as_str().map(str::to_owned).context("RescaleApplication answers with a RequestId")
    }

    /// Waits until an operation has succeeded.
    pub(crate) fn wait_for(&self, operation: &str) -> Result<()> {
        let began = Instant::now();
        while began.elapsed() < ENDED_WITHIN {
            let answer = self.ask("DescribeOperation", &[("OperationId", operation)])?;
            match answer["Operation"]["Status"].as_str() {
                Some("Running") => std::thread::sleep(Duration::from_millis(20)),
                Some("Succeeded") => return Ok(()),
                _ => bail!("operation {operation}: {answer}"),
            }
        }
        bail!("operation {operation} does not end")
    }
}

/// What CreateApplication takes.
pub(crate) fn template(name: &str, image: &str, environment: &[(&str, &str)]) -> String {
    let environment: Vec<Value> =
        environment.iter().map(|(name, value)| serde_json::json!({"name": name, "value": value})).collect();
    serde_json::json!({
        "appMetaData": {"appName": name},
        "resourceAttribute": {"instanceSpec": "ens.sn1.stiny"},
        "resourceSelector": [],
        "workload": [{"name": "web", "podSpec": {"containers": [
            {"name": "web", "image": image, "env": environment}
        ]}}],
    })
    .to_string()
}

/// One item: so many instances in a district, of the one carrier that generated edge nodes have.
pub(crate) fn selector(district: &str, count: usize) -> String {
    format!(r#"[{{"regionCode":"{district}","ispCode":"cmcc","count":{count}}}]"#)
}
