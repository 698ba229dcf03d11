//! A server in this process, and a client that can also do what no client should: sign wrongly, replay, cut off.

use ensemble_server::configuration::Sources;
use ensemble_server::emulation::Emulation;
use ensemble_server::store::LogStore;
use ensemble_server::store::sqlite::SqliteStore;
use ensemble_server::{EngineChoice, Error, Options, Phase, Settings, Signals, Supervision, serve_until};
use ensemble_wire::catalog::API_VERSION;
use ensemble_wire::parameters::{RawParameters, encode_pairs};
use ensemble_wire::signature::{Key, SignatureVersion, v1, v3};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// Longer than anything here takes; a test that waits for it fails.
const AT_MOST: Duration = Duration::from_secs(30);

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    key_id: String,
    secret: String,
    phase: watch::Sender<Phase>,
    reload: mpsc::Sender<()>,
    task: JoinHandle<Result<(), Error>>,
}

pub(crate) fn options(dir: &Path) -> Options {
    Options {
        settings: Settings {
            listen: "127.0.0.1:0".parse().unwrap(),
            engine: EngineChoice::Simulated,
            ..Settings::of(dir)
        },
        entries: Vec::new(),
        sources: Sources::defaults(dir),
        log: None,
        supervision: Supervision::default(),
        shim_command: Vec::new(),
        accept_truncated_log: false,
        emulation: Emulation::default(),
    }
}

impl Server {
    pub(crate) async fn start(dir: &Path) -> Self {
        Self::try_start(options(dir), |store| store).await.unwrap()
    }

    pub(crate) async fn try_start<S: LogStore>(
        options: Options,
        wrap: impl FnOnce(SqliteStore) -> S + Send + 'static,
    ) -> Result<Self, Error> {
        let data_dir = options.settings.data_dir.clone();
        let phase = watch::Sender::new(Phase::Serving);
        let (told, ready) = oneshot::channel();
        let on_ready = move |ready: &ensemble_server::Ready| {
            let _ = told.send(ready.address);
        };
        let (reload, reloads) = mpsc::channel(1);
        let signals = Signals { phase: phase.clone(), reloads };
        let task = tokio::spawn(serve_until(options, on_ready, signals, wrap));
        match ready.await {
            Ok(address) => {
                let (key_id, secret) = key(&data_dir);
                Ok(Self { address, key_id, secret, phase, reload, task })
            }
            Err(_) => Err(task.await.unwrap().expect_err("a server that is never ready says why")),
        }
    }

    /// Asks it to drain, and waits for its end.
    pub(crate) async fn stop(self) -> Result<(), Error> {
        self.phase.send_replace(Phase::Draining);
        self.ended().await
    }

    /// Waits for it to end by itself.
    pub(crate) async fn ended(self) -> Result<(), Error> {
        tokio::time::timeout(AT_MOST, self.task).await.expect("the server ends").unwrap()
    }

    /// Drops everything where it stands, as a kill would.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    /// Asks it to read its configuration again, as SIGHUP does.
    pub(crate) async fn reload(&self) {
        self.reload.send(()).await.unwrap();
    }

    pub(crate) fn drain(&self) {
        self.phase.send_replace(Phase::Draining);
    }

    pub(crate) fn call(&self, action: &str, parameters: &[(&str, &str)]) -> Call<'_> {
        Call {
            server: self,
            action: action.to_owned(),
            parameters: parameters.iter().copied().collect(),
            nonce: uuid::Uuid::new_v4().to_string(),
            stamp: Timestamp::now(),
            secret: self.secret.clone(),
            version: SignatureVersion::V3,
            method: "POST",
            host: self.address.to_string(),
        }
    }

    /// An application of that name without instances; its id.
    pub(crate) async fn create(&self, name: &str) -> String {
        let answer = self.call("CreateApplication", &[("Template", &template(name))]).send().await;
        answer.member("AppId")
    }

    pub(crate) async fn operation(&self, id: &str) -> Value {
        let answer = self.call("DescribeOperation", &[("OperationId", id)]).send().await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["Operation"].clone()
    }

    /// Waits until an operation has ended.
    pub(crate) async fn finished(&self, id: &str) -> Value {
        let ended = async {
            loop {
                let operation = self.operation(id).await;
                if operation["Status"] != "Running" {
                    return operation;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(AT_MOST, ended).await.expect("the operation ends")
    }

    /// Sends bytes as they are and reads until the server closes.
    pub(crate) async fn raw(&self, request: &[u8]) -> Answer {
        self.open(request).await.rest().await
    }

    /// Sends bytes as they are.
    pub(crate) async fn open(&self, request: &[u8]) -> Arriving {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // The server may answer, and close, before it has read all of a request that it refuses.
        let _ = stream.write_all(request).await;
        Arriving { stream, bytes: Vec::new() }
    }
}

/// An answer that comes bit by bit.
pub(crate) struct Arriving {
    stream: TcpStream,
    bytes: Vec<u8>,
}

impl Arriving {
    /// Reads on until `text` has come.
    pub(crate) async fn until(&mut self, text: &str) {
        let arrived = async {
            while !String::from_utf8_lossy(&self.bytes).contains(text) {
                let length = self.stream.read_buf(&mut self.bytes).await.unwrap();
                assert_ne!(length, 0, "closed after `{}`", String::from_utf8_lossy(&self.bytes));
            }
        };
        tokio::time::timeout(AT_MOST, arrived).await.expect("the text comes");
    }

    pub(crate) async fn send(&mut self, request: &[u8]) {
        self.stream.write_all(request).await.unwrap();
    }

    /// What has come so far.
    pub(crate) fn take(&mut self) -> String {
        String::from_utf8(std::mem::take(&mut self.bytes)).unwrap()
    }

    /// Waits until the server closes; what came before that.
    pub(crate) async fn ended(mut self) -> Vec<u8> {
        let read = self.stream.read_to_end(&mut self.bytes);
        // A reset is an end as well.
        let _ = tokio::time::timeout(AT_MOST, read).await.expect("the connection ends");
        self.bytes
    }

    /// Everything up to the end.
    pub(crate) async fn rest(mut self) -> Answer {
        let read = self.stream.read_to_end(&mut self.bytes);
        tokio::time::timeout(AT_MOST, read).await.expect("the answer ends").unwrap();
        Answer::parse(&self.bytes)
    }
}

/// The key in the data directory.
fn key(data_dir: &Path) -> (String, String) {
    let text = std::fs::read_to_string(data_dir.join("credentials.toml")).unwrap();
    let table: toml::Table = text.parse().unwrap();
    let member = |name: &str| table[name].as_str().unwrap().to_owned();
    (member("access_key_id"), member("access_key_secret"))
}

pub(crate) fn template(name: &str) -> String {
    json!({
        "appMetaData": { "appName": name, "clusterName": "default", "appType": "Common" },
        "resourceAttribute": { "resourceType": "", "instanceSpec": "ens.sn1.tiny", "areaLevel": "National" },
        "resourceSelector": [],
        "workload": [{
            "name": "web",
            "podCount": 1,
            "podSpec": { "containers": [{ "name": "web", "image": "registry.example/web:1" }] },
        }],
    })
    .to_string()
}

/// A request about to be signed; everything about it can be made wrong.
pub(crate) struct Call<'a> {
    server: &'a Server,
    action: String,
    parameters: RawParameters,
    nonce: String,
    stamp: Timestamp,
    secret: String,
    version: SignatureVersion,
    method: &'static str,
    host: String,
}

impl Call<'_> {
    pub(crate) fn nonce(mut self, nonce: &str) -> Self {
        self.nonce = nonce.to_owned();
        self
    }

    pub(crate) fn minutes_off(mut self, minutes: i64) -> Self {
        self.stamp += SignedDuration::from_mins(minutes);
        self
    }

    pub(crate) fn wrong_secret(mut self) -> Self {
        self.secret = "not the secret".into();
        self
    }

    pub(crate) fn host(mut self, host: &str) -> Self {
        self.host = host.to_owned();
        self
    }

    pub(crate) fn v1(mut self) -> Self {
        self.version = SignatureVersion::V1;
        self
    }

    pub(crate) fn get(mut self) -> Self {
        self.method = "GET";
        self
    }

    pub(crate) async fn send(self) -> Answer {
        let bytes = self.bytes();
        self.server.raw(&bytes).await
    }

    /// The whole request, its parameters in the query.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let key = self.key();
        match self.version {
            SignatureVersion::V1 => {
                let signed = v1::sign(&self.v1_facts(), &self.parameters, &key);
                let query = encode_pairs(signed.iter());
                self.head(&format!("/?{query}"), &[], "Content-Length: 0\r\n")
            }
            SignatureVersion::V3 => {
                let headers = self.v3_headers(b"", None, &self.parameters);
                let query = encode_pairs(self.parameters.iter());
                self.head(&format!("/?{query}"), &headers, "Content-Length: 0\r\n")
            }
        }
    }

    /// The whole request, its parameters in a form body that is sent in chunks.
    pub(crate) fn chunked_bytes(&self) -> Vec<u8> {
        let key = self.key();
        let form = "application/x-www-form-urlencoded";
        let framing = "Transfer-Encoding: chunked\r\n";
        let (mut request, body) = match self.version {
            SignatureVersion::V1 => {
                let signed = v1::sign(&self.v1_facts(), &self.parameters, &key);
                let framing = format!("Content-Type: {form}\r\n{framing}");
                (self.head("/", &[], &framing), encode_pairs(signed.iter()))
            }
            SignatureVersion::V3 => {
                let body = encode_pairs(self.parameters.iter());
                let headers = self.v3_headers(body.as_bytes(), Some(form), &RawParameters::new());
                (self.head("/", &headers, framing), body)
            }
        };
        for chunk in body.as_bytes().chunks(7) {
            request.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            request.extend_from_slice(chunk);
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"0\r\n\r\n");
        request
    }

    fn key(&self) -> Key<'_> {
        Key { id: &self.server.key_id, secret: &self.secret, security_token: None }
    }

    fn v1_facts(&self) -> v1::Facts<'_> {
        v1::Facts {
            method: self.method,
            action: &self.action,
            version: API_VERSION,
            nonce: &self.nonce,
            stamp: self.stamp,
        }
    }

    fn v3_headers(
        &self,
        body: &[u8],
        content_type: Option<&str>,
        query: &RawParameters,
    ) -> Vec<(&'static str, String)> {
        let unsigned = v3::Unsigned {
            method: self.method,
            path: "/",
            query,
            host: &self.host,
            content_type,
            body,
            action: &self.action,
            version: API_VERSION,
            nonce: &self.nonce,
            stamp: self.stamp,
        };
        v3::sign(&unsigned, &self.key())
    }

    fn head(&self, target: &str, headers: &[(&'static str, String)], framing: &str) -> Vec<u8> {
        let mut head = format!("{} {target} HTTP/1.1\r\nConnection: close\r\n{framing}", self.method);
        if !headers.iter().any(|(name, _)| *name == "host") {
            head.push_str(&format!("Host: {}\r\n", self.host));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) text: String,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: `{text}`"));
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        Self { status, headers, text: body.to_owned() }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error} in `{}`", self.text))
    }

    pub(crate) fn member(&self, name: &str) -> String {
        let json = self.json();
        json[name].as_str().unwrap_or_else(|| panic!("no {name} in {json}")).to_owned()
    }

    pub(crate) fn code(&self) -> String {
        self.member("Code")
    }
}

/// The one copy of the log, for tests that damage it.
pub(crate) fn log_path(dir: &Path) -> PathBuf {
    dir.join("log.sqlite")
}

/// Sends a request over TLS, trusting this certificate alone; the answer as text.
pub(crate) async fn over_tls(address: SocketAddr, trusted: &str, request: &[u8]) -> std::io::Result<String> {
    use tokio_rustls::TlsConnector;
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(std::sync::Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(std::sync::Arc::new(config)).connect(name, stream).await?;
    stream.write_all(request).await?;
    let mut bytes = Vec::new();
    // A server need not say goodbye before it closes.
    let _ = tokio::time::timeout(AT_MOST, stream.read_to_end(&mut bytes)).await.expect("the answer ends");
    Ok(String::from_utf8(bytes).unwrap())
}
