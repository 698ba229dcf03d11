//! Calls actions, signed with V3, and turns the server's errors into failures with the right exit code.

use crate::endpoint::Endpoint;
use crate::failure::{Exit, Failure};
use ensemble_wire::catalog::API_VERSION;
use ensemble_wire::parameters::RawParameters;
use ensemble_wire::signature::Key;
use ensemble_wire::signature::v3::{self, Unsigned};
use reqwest::{Certificate, Response, StatusCode, Upgraded, header};
use serde_json::Value;
use std::error::Error;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// A stream sends a comment every 15 s; silence for longer means the connection is gone.
const STREAM_SILENCE: Duration = Duration::from_secs(45);

/// Parameters of one call, in the order given.
pub(crate) type Parameters = Vec<(String, String)>;

pub(crate) struct Client {
    endpoint: Endpoint,
    http: reqwest::Client,
}

/// The certificates of a PEM file.
fn certificates(path: &Path) -> Result<Vec<Certificate>, Failure> {
    let unusable = |error: &(dyn Error + 'static)| {
        Failure::from_error(format!("`{}` holds no certificates to trust", path.display()), error)
            .hint("--ca-file FILE and ENSEMBLE_CA_FILE name a PEM file")
    };
    let text = fs::read(path).map_err(|error| unusable(&error))?;
    let found = Certificate::from_pem_bundle(&text).map_err(|error| unusable(&error))?;
    if found.is_empty() {
        return Err(unusable(&io::Error::from(io::ErrorKind::InvalidData)));
    }
    Ok(found)
}

impl Client {
    /// `authority` holds the certificates, PEM, that an HTTPS server may be vouched for by, instead of the system's.
    pub(crate) fn new(endpoint: Endpoint, authority: Option<&Path>) -> Result<Self, Failure> {
        // Fails only when a provider is installed already, and then there is one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(STREAM_SILENCE)
            .no_proxy();
        if endpoint.url.starts_with("http://") {
            // Or a machine without the package `ca-certificates` could not be told anything.
            builder = builder.tls_certs_only([]);
        } else if let Some(path) = authority {
            builder = builder.tls_certs_only(certificates(path)?);
        }
        let http = builder
            .build()
            .map_err(|error| Failure::from_error("could not set up the HTTP client", &error))?;
        Ok(Self { endpoint, http })
    }

    /// Calls `action` and returns its answer.
    pub(crate) async fn call(&self, action: &str, parameters: &Parameters) -> Result<Value, Failure> {
        let ask = async {
            let response = self.send(action, parameters).await?;
            let status = response.status();
            let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
            let value: Value = serde_json::from_slice(&body).map_err(|error| {
                Failure::from_error(format!("{} answered {status} with no JSON", self.endpoint.url), &error)
            })?;
            if status.is_success() { Ok(value) } else { Err(refusal(&value)) }
        };
        tokio::time::timeout(ANSWER_TIMEOUT, ask).await.map_err(|_| {
            Failure::new(Exit::Unreachable, format!("{} did not answer within 30 s", self.endpoint.url))
        })?
    }

    /// Calls a streaming action and returns the open stream of server-sent events.
    pub(crate) async fn stream(&self, action: &str, parameters: &Parameters) -> Result<Response, Failure> {
        let response = self.send(action, parameters).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        Err(refusal(&serde_json::from_slice(&body).unwrap_or_default()))
    }

    /// Calls an action that goes on with a protocol of its own, and returns the connection.
    pub(crate) async fn upgrade(
        &self,
        action: &str,
        parameters: &Parameters,
        protocol: &str,
    ) -> Result<Upgraded, Failure> {
        let response = self.send_asking(action, parameters, Some(protocol)).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return response.upgrade().await.map_err(|error| self.unreachable(&error));
        }
        let status = response.status();
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        if status.is_success() {
            return Err(Failure::new(
                Exit::Failed,
                format!("{} does not go on with {protocol}", self.endpoint.url),
            )
            .hint("a proxy in between has to pass `Upgrade` on"));
        }
        Err(refusal(&serde_json::from_slice(&body).unwrap_or_default()))
    }

    async fn send(&self, action: &str, parameters: &Parameters) -> Result<Response, Failure> {
        self.send_asking(action, parameters, None).await
    }

    async fn send_asking(
        &self,
        action: &str,
        parameters: &Parameters,
        upgrade: Option<&str>,
    ) -> Result<Response, Failure> {
        let query: RawParameters = parameters.iter().cloned().collect();
        let host = self.endpoint.url.split("://").nth(1).unwrap_or_default();
        let unsigned = Unsigned {
            method: "POST",
            path: "/",
            query: &query,
            host,
            content_type: None,
            body: b"",
            action,
            version: API_VERSION,
            nonce: &uuid::Uuid::new_v4().simple().to_string(),
            stamp: jiff::Timestamp::now(),
        };
        let key = Key {
            id: &self.endpoint.key_id,
            secret: &self.endpoint.secret,
            security_token: self.endpoint.security_token.as_deref(),
        };
        let mut request = self.http.post(format!("{}/?{}", self.endpoint.url, query.canonical(None)));
        for (name, value) in v3::sign(&unsigned, &key) {
            request = request.header(name, value);
        }
        if let Some(protocol) = upgrade {
            request = request.header(header::CONNECTION, "Upgrade").header(header::UPGRADE, protocol);
        }
        request.send().await.map_err(|error| self.unreachable(&error))
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let mut failure = Failure::from_error(format!("{} cannot be reached", self.endpoint.url), error)
            .hint(format!(
                "the endpoint comes from {}; `ensemble serve` starts a server",
                self.endpoint.source
            ));
        failure.exit = Exit::Unreachable;
        failure
    }
}

/// An error body as a failure: our own sentence for people first, the documented code beside it.
fn refusal(body: &Value) -> Failure {
    let text = |key: &str| body[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let code = text("Code").unwrap_or_else(|| "UnknownError".into());
    let exit = match (text("Reason").as_deref(), code.as_str()) {
        (Some("CapacityShortage"), _) => Exit::DoesNotFit,
        (_, "NoPermission" | "SignatureDoesNotMatch" | "IncompleteSignature" | "SignatureNonceUsed") => {
            Exit::Credentials
        }
        (_, code) if code.starts_with("InvalidAccessKeyId") || code.starts_with("InvalidTimeStamp") => {
            Exit::Credentials
        }
        (_, code) if code.contains("SecurityToken") => Exit::Credentials,
        _ => Exit::Refused,
    };
    let said = match code.as_str() {
        // The published message carries the whole request, for SDKs to compare with their own.
        "SignatureDoesNotMatch" => Some("the secret is not that of this access key".to_owned()),
        _ => text("Detail").or_else(|| text("Message")),
    };
    let mut failure = Failure::new(exit, said.unwrap_or_else(|| "the server refused".into()));
    failure.code = Some(code.into());
    failure.request_id = text("RequestId").map(Into::into);
    failure.hint = text("Hint");
    failure.refusal = Some(Box::new(body.clone()));
    failure
}

/// `(name, value)` for a call.
pub(crate) fn parameter(name: &str, value: impl ToString) -> (String, String) {
    (name.to_owned(), value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn exit_codes_follow_reason_and_code() {
        for (body, exit) in [
            (json!({"Code": "InvalidParameter", "Reason": "CapacityShortage"}), Exit::DoesNotFit),
            (json!({"Code": "NoPermission"}), Exit::Credentials),
            (json!({"Code": "InvalidAccessKeyId.NotFound"}), Exit::Credentials),
            (json!({"Code": "InvalidTimeStamp.Expired"}), Exit::Credentials),
            (json!({"Code": "InvalidParameter.IfRevision"}), Exit::Refused),
            (json!({"Code": "ens.interface.error"}), Exit::Refused),
            (json!({}), Exit::Refused),
        ] {
            assert_eq!(refusal(&body).exit, exit, "{body}");
        }
    }

    #[test]
    fn the_sentence_for_people_comes_first() {
        let body = json!({"Code": "ens.interface.error", "Message": "An error occurred.", "Detail": "busy", "RequestId": "A"});

        let failure = refusal(&body);

        let wrong =
            refusal(&json!({"Code": "SignatureDoesNotMatch", "Message": "… server StringToSign is […]"}));
        assert_eq!(wrong.message, "the secret is not that of this access key");
        assert_eq!(failure.message, "busy");
        assert_eq!(failure.request_id.as_deref(), Some("A"));
    }
}
