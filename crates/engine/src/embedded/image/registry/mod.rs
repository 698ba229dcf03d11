//! Asks registries, over HTTPS or, where it is allowed, HTTP (the OCI distribution specification): documents, and blobs
//! from any byte on. A registry is hostile as well: every body, wait and redirect has a bound, and nothing it says is
//! repeated. That is why this is no library's client: those read manifests, tokens and errors whole, however long.

mod auth;
mod credentials;
mod error;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use ensemble_model::id::Digest;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, RANGE};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, RequestBuilder, Response, StatusCode, Url};

use super::manifest::{self, DOCUMENT_LIMIT};
use super::reference::RegistryReference;
use auth::Tokens;
pub use error::Error;

const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Between two reads of a body.
const SILENCE_AT_MOST: Duration = Duration::from_secs(30);
/// For a whole document, or a token.
const DOCUMENT_WITHIN: Duration = Duration::from_secs(60);
const REDIRECTS_AT_MOST: usize = 5;

/// What the operator says about registries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistrySettings {
    /// `HOST:PORT` of registries that are spoken to over plain HTTP, beside those on this machine.
    pub plain_http: Vec<String>,
    /// By `HOST[:PORT]`, the file (mode 0600) with `username` and `password`. Read whenever it is needed.
    pub credentials: BTreeMap<String, PathBuf>,
}

#[derive(Debug)]
pub(super) struct Registry {
    /// May change while pulls are under way; each request goes by what is said when it is made.
    settings: RwLock<Arc<RegistrySettings>>,
    /// Made at the first pull: a machine without any certificates must still start.
    outside: OnceLock<Client>,
    /// For what is listed as plain.
    plain: OnceLock<Client>,
    /// For this machine, past any proxy.
    inside: OnceLock<Client>,
    tokens: Tokens,
}

/// Bytes of a blob, from `start` on.
pub(super) struct BlobStream {
    pub(super) start: u64,
    pub(super) response: Response,
}

/// A manifest or index, not yet verified, with the media type and the digest that came beside it.
pub(super) struct Document {
    pub(super) bytes: Vec<u8>,
    pub(super) content_type: Option<String>,
    pub(super) digest: Option<String>,
}

/// What the bytes of a document are said to have.
const CONTENT_DIGEST: &str = "docker-content-digest";

impl RegistrySettings {
    /// Reads every file of credentials once, so that a mistake shows at the start and not at the first pull.
    ///
    /// # Errors
    /// [`Error::Credentials`].
    pub fn check(&self) -> Result<(), Error> {
        for (registry, path) in &self.credentials {
            credentials::read(registry, path)?;
        }
        Ok(())
    }

    fn speaks_plainly(&self, registry: &str) -> bool {
        is_this_machine(registry) || self.plain_http.iter().any(|listed| listed == registry)
    }
}

impl Registry {
    pub(super) fn new(settings: RegistrySettings) -> Self {
        Self {
            settings: RwLock::new(Arc::new(settings)),
            outside: OnceLock::new(),
            plain: OnceLock::new(),
            inside: OnceLock::new(),
            tokens: Tokens::default(),
        }
    }

    /// Goes by other settings from now on; what was allowed under the old ones is asked for anew.
    pub(super) fn change(&self, settings: RegistrySettings) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
        self.tokens.forget();
    }

    fn settings(&self) -> Arc<RegistrySettings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The manifest or index of that tag or digest.
    pub(super) async fn document(&self, image: &RegistryReference, version: &str) -> Result<Document, Error> {
        let answered = async {
            let request = self.get(image, &format!("manifests/{version}"))?;
            let response = self.send(image, request.header(ACCEPT, manifest::accepted())).await?;
            match response.status() {
                StatusCode::OK => {
                    let content_type = header(response.headers(), CONTENT_TYPE.as_str());
                    let digest = header(response.headers(), CONTENT_DIGEST);
                    Ok(Document { bytes: body(image, response, DOCUMENT_LIMIT).await?, content_type, digest })
                }
                StatusCode::NOT_FOUND => Err(Error::Absent {
                    registry: image.registry().to_owned(),
                    name: format!("{}{}", image.repository(), suffix(version)),
                }),
                status => Err(self.refusal(image, status)),
            }
        };
        let stalled = || Error::Stalled { registry: image.registry().to_owned() };
        tokio::time::timeout(DOCUMENT_WITHIN, answered).await.map_err(|_| stalled())?
    }

    /// A blob from byte `offset` on, or from its first byte where the registry cannot do that.
    pub(super) async fn blob(
        &self,
        image: &RegistryReference,
        digest: &Digest,
        offset: u64,
    ) -> Result<BlobStream, Error> {
        let mut request = self.get(image, &format!("blobs/{digest}"))?;
        if offset > 0 {
            request = request.header(RANGE, format!("bytes={offset}-"));
        }
        let response = self.send(image, request).await?;
        match response.status() {
            StatusCode::OK => Ok(BlobStream { start: 0, response }),
            StatusCode::PARTIAL_CONTENT => {
                let range = header(response.headers(), CONTENT_RANGE.as_str());
                let start =
                    range.and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.parse().ok());
                match start {
                    Some(start) if start == offset => Ok(BlobStream { start, response }),
                    Some(_) | None => Err(Error::Protocol {
                        registry: image.registry().to_owned(),
                        reason: "another part of a blob came than was asked for",
                    }),
                }
            }
            StatusCode::NOT_FOUND => Err(Error::Absent {
                registry: image.registry().to_owned(),
                name: format!("{}@{digest}", image.repository()),
            }),
            status => Err(self.refusal(image, status)),
        }
    }

    /// Sends, and once more with what the registry asks for where it does not know who we are.
    async fn send(&self, image: &RegistryReference, request: RequestBuilder) -> Result<Response, Error> {
        let again = request.try_clone().expect("our requests have no body");
        let request = match self.tokens.known(image) {
            Some(authorization) => request.header(AUTHORIZATION, authorization),
            None => request,
        };
        let (client, request) = request.build_split();
        let request = request.map_err(|error| Error::of(image.registry(), error))?;
        let home = request.url().origin();
        let response = client.execute(request).await.map_err(|error| Error::of(image.registry(), error))?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        // Whoever answers a redirect would otherwise choose the server that is sent the operator's credentials.
        if response.url().origin() != home {
            return Err(Error::Protocol {
                registry: image.registry().to_owned(),
                reason: "a place that it redirects to asks who we are",
            });
        }
        let challenges = response.headers().clone();
        drop(response);
        let Some(authorization) = self.authorize(image, &challenges).await? else {
            return Err(self.refusal(image, StatusCode::UNAUTHORIZED));
        };
        let again = again.header(AUTHORIZATION, authorization);
        again.send().await.map_err(|error| Error::of(image.registry(), error))
    }

    fn get(&self, image: &RegistryReference, path: &str) -> Result<RequestBuilder, Error> {
        let scheme = self.scheme(image);
        let url = format!("{scheme}://{}/v2/{}/{path}", image.address(), image.repository());
        let url = Url::parse(&url).map_err(|_| Error::Protocol {
            registry: image.registry().to_owned(),
            reason: "its name makes no sound address",
        })?;
        Ok(self.client(image, &url)?.get(url))
    }

    fn scheme(&self, image: &RegistryReference) -> &'static str {
        if self.settings().speaks_plainly(image.registry()) { "http" } else { "https" }
    }

    /// The client for an address; where there is no TLS, a machine without certificates will do.
    fn client(&self, image: &RegistryReference, url: &Url) -> Result<&Client, Error> {
        let is_inside = is_this_machine(url.host_str().unwrap_or_default());
        let is_plain = url.scheme() == "http";
        let place = match (is_inside, is_plain) {
            (true, _) => &self.inside,
            (false, true) => &self.plain,
            (false, false) => &self.outside,
        };
        if let Some(client) = place.get() {
            return Ok(client);
        }
        // Fails only when a provider is installed already, and then there is one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || if is_inside { client_builder().no_proxy() } else { client_builder() };
        let client = match builder().build() {
            // A redirect may lead to TLS, so certificates are left out only where there are none.
            Err(_) if is_inside || is_plain => builder().tls_certs_only([]).build(),
            built => built,
        };
        let client = client.map_err(|error| Error::of(image.registry(), error))?;
        Ok(place.get_or_init(|| client))
    }

    /// What an answer that is none means.
    fn refusal(&self, image: &RegistryReference, status: StatusCode) -> Error {
        let registry = image.registry().to_owned();
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let repository = image.repository().to_owned();
                match self.settings().credentials.get(&registry) {
                    Some(_) => Error::NotAccepted { registry, repository, status: status.as_u16() },
                    None => Error::NeedsCredentials { registry, repository, status: status.as_u16() },
                }
            }
            status => Error::Status { registry, status: status.as_u16() },
        }
    }
}

fn client_builder() -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("ensemble/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_WITHIN)
        .read_timeout(SILENCE_AT_MOST)
        .redirect(Policy::custom(redirect))
}

/// Credentials never leave the registry's own host: the client drops them from a redirect elsewhere. Nothing is
/// followed from an encrypted connection to one that is not.
fn redirect(attempt: reqwest::redirect::Attempt<'_>) -> reqwest::redirect::Action {
    let was_encrypted = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
    if attempt.previous().len() > REDIRECTS_AT_MOST {
        attempt.error("too many redirects")
    } else if was_encrypted && attempt.url().scheme() != "https" {
        attempt.error("a redirect leads away from TLS")
    } else {
        attempt.follow()
    }
}

/// A body of at most `limit` bytes.
async fn body(image: &RegistryReference, mut response: Response, limit: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| Error::of(image.registry(), error))? {
        if (bytes.len() + chunk.len()) as u64 > limit {
            return Err(Error::TooLong { registry: image.registry().to_owned(), limit });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn suffix(version: &str) -> String {
    if version.starts_with("sha256:") { format!("@{version}") } else { format!(":{version}") }
}

/// Whether `HOST[:PORT]` is this machine by its very name: nobody can listen in between.
fn is_this_machine(registry: &str) -> bool {
    let host = match registry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _port)) => address,
        None => registry.rsplit_once(':').map_or(registry, |(host, _)| host),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_and_for_what_is_listed() {
        let settings =
            RegistrySettings { plain_http: vec!["registry.lan:5000".into()], ..RegistrySettings::default() };
        for (registry, expected) in [
            ("127.0.0.1:5000", true),
            ("127.8.9.10", true),
            ("localhost:5000", true),
            ("localhost", true),
            ("[::1]:5000", true),
            ("[::1]", true),
            ("[2001:db8::1]:5000", false),
            ("registry.lan:5000", true),
            ("registry.lan", false),
            ("registry.lan:5001", false),
            ("localhost.example:5000", false),
            ("10.0.0.1:5000", false),
            ("docker.io", false),
        ] {
            assert_eq!(settings.speaks_plainly(registry), expected, "{registry}");
        }
    }
}
