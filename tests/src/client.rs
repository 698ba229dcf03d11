//! Signed calls to a server, as any ENS client makes them (signature V3), and the few waits that tests need.

use anyhow::{Context, Result, bail};
use ensemble_wire::parameters::RawParameters;
use ensemble_wire::signature::{Key, v3};
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

const ANSWER_AT_MOST: Duration = Duration::from_secs(10);
const POLL_PACE: Duration = Duration::from_millis(50);

pub struct Client {
    http: reqwest::Client,
    url: String,
    key_id: String,
    secret: String,
}

/// A refused call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub code: String,
    pub body: Value,
}

impl Client {
    /// A client with the key that the server of this data directory made.
    pub fn of(data_dir: &Path, url: &str) -> Result<Self> {
        Self::with_key(&data_dir.join("credentials.toml"), url)
    }

    /// A client with the key in this file.
    pub fn with_key(path: &Path, url: &str) -> Result<Self> {
        let credentials: toml::Table =
            std::fs::read_to_string(path).with_context(|| format!("`{}`", path.display()))?.parse()?;
        let text =
            |name: &str| credentials[name].as_str().map(str::to_owned).context("credentials are strings");
        Self::new(url, &text("access_key_id")?, &text("access_key_secret")?)
    }

    /// A client with this key.
    pub fn new(url: &str, key_id: &str, secret: &str) -> Result<Self> {
        // Fails only when a provider is installed already, and then there is one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Ok(Self {
            http: reqwest::Client::builder().no_proxy().build()?,
            url: url.to_owned(),
            key_id: key_id.to_owned(),
            secret: secret.to_owned(),
        })
    }

    /// Calls an action; a refusal is a value, not an error.
    pub async fn call(&self, action: &str, parameters: &[(&str, &str)]) -> Result<Result<Value, Refusal>> {
        let answering = async {
            let response = self.send(action, parameters).await?;
            let status = response.status().as_u16();
            let body: Value = serde_json::from_slice(&response.bytes().await?)?;
            anyhow::Ok((status, body))
        };
        let (status, body) = tokio::time::timeout(ANSWER_AT_MOST, answering)
            .await
            .with_context(|| format!("{action}: no answer"))??;
        if status == 200 {
            return Ok(Ok(body));
        }
        let code = body["Code"].as_str().unwrap_or_default().to_owned();
        Ok(Err(Refusal { status, code, body }))
    }

    /// Calls an action that must not be refused.
    pub async fn ask(&self, action: &str, parameters: &[(&str, &str)]) -> Result<Value> {
        match self.call(action, parameters).await? {
            Ok(answer) => Ok(answer),
            Err(refusal) => bail!("{action} was refused: {refusal:?}"),
        }
    }

    /// Sends a call whose connection goes on with another protocol.
    pub async fn upgrade(
        &self,
        action: &str,
        parameters: &[(&str, &str)],
        protocol: &str,
    ) -> Result<reqwest::Upgraded> {
        let request = self.request(action, parameters);
        let response = request.header("connection", "Upgrade").header("upgrade", protocol).send().await?;
        anyhow::ensure!(
            response.status() == 101,
            "answered {}: {}",
            response.status(),
            response.text().await?
        );
        Ok(response.upgrade().await?)
    }

    /// Sends a call and returns the answer's head; the body is still to come.
    pub async fn send(&self, action: &str, parameters: &[(&str, &str)]) -> Result<reqwest::Response> {
        Ok(self.request(action, parameters).send().await?)
    }

    fn request(&self, action: &str, parameters: &[(&str, &str)]) -> reqwest::RequestBuilder {
        let query: RawParameters = parameters.iter().copied().collect();
        let unsigned = v3::Unsigned {
            method: "POST",
            path: "/",
            query: &query,
            host: self.url.trim_start_matches("http://"),
            content_type: None,
            body: b"",
            action,
            version: "2017-11-10",
            nonce: &uuid::Uuid::new_v4().to_string(),
            stamp: jiff::Timestamp::now(),
        };
        let key = Key { id: &self.key_id, secret: &self.secret, security_token: None };
        let mut request = self.http.post(format!("{}/?{}", self.url, query.canonical(None)));
        for (name, value) in v3::sign(&unsigned, &key) {
            request = request.header(name, value);
        }
        request
    }

    /// The whole application, every version, per edge node: the JSON inside `Application`.
    pub async fn describe(&self, app_id: &str) -> Result<Value> {
        let parameters = [("AppId", app_id), ("AppVersions", "All"), ("Level", "RegionId")];
        let answer = self.ask("DescribeApplication", &parameters).await?;
        Ok(serde_json::from_str(answer["Application"].as_str().context("`Application` is a string")?)?)
    }

    /// Waits until the application's phase is a final one; returns DescribeDeviceService's answer.
    pub async fn settled(&self, app_id: &str, at_most: Duration) -> Result<Value> {
        let began = Instant::now();
        loop {
            let answer = self.ask("DescribeDeviceService", &[("AppId", app_id)]).await?;
            let phase = answer["AppStatus"]["Phase"].as_str().unwrap_or_default().to_owned();
            if !["CREATING", "UPDATING", "DELETING"].contains(&phase.as_str()) {
                return Ok(answer);
            }
            if began.elapsed() > at_most {
                bail!("still {phase} after {at_most:?}: {answer:#}");
            }
            tokio::time::sleep(POLL_PACE).await;
        }
    }

    /// Deletes the application and waits until it is unknown.
    pub async fn delete(&self, app_id: &str, at_most: Duration) -> Result<()> {
        self.ask("DeleteApplication", &[("AppId", app_id)]).await?;
        let began = Instant::now();
        while let Ok(answer) = self.call("DescribeDeviceService", &[("AppId", app_id)]).await? {
            if began.elapsed() > at_most {
                bail!("still there after {at_most:?}: {answer:#}");
            }
            tokio::time::sleep(POLL_PACE).await;
        }
        Ok(())
    }

    /// What the container behind an address answers on port 8080.
    pub async fn page(&self, address: &str) -> Result<Value> {
        let answering = async {
            let response = self.http.get(format!("http://{address}:8080/")).send().await?;
            anyhow::Ok(serde_json::from_slice(&response.bytes().await?)?)
        };
        tokio::time::timeout(ANSWER_AT_MOST, answering)
            .await
            .with_context(|| format!("{address}: no answer"))?
    }
}

/// The instances of a DescribeDeviceService answer.
pub fn instances(answer: &Value) -> &[Value] {
    answer["ResourceInfos"].as_array().map(Vec::as_slice).unwrap_or_default()
}
