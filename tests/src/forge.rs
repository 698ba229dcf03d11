//! Requests signed by hand, so that each can be wrong in exactly one place: before it is signed ([`Draft`]) or after
//! ([`Request`]). An implementation of both signatures of its own, which shares nothing with the server's.

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use ring::{digest, hmac};
use std::path::Path;

/// The key of a server.
#[derive(Clone, Debug)]
pub struct Key {
    pub id: String,
    pub secret: String,
}

impl Key {
    /// The key that the server of this data directory made.
    ///
    /// # Errors
    /// When there is none.
    pub fn of(data_dir: &Path) -> Result<Self> {
        let path = data_dir.join("credentials.toml");
        let credentials: toml::Table =
            std::fs::read_to_string(&path).with_context(|| format!("`{}`", path.display()))?.parse()?;
        let text =
            |name: &str| credentials[name].as_str().map(str::to_owned).context("credentials are strings");
        Ok(Self { id: text("access_key_id")?, secret: text("access_key_secret")? })
    }
}

/// A call that is not signed yet. What [`Draft::say`] changes and [`Draft::omit`] leaves out is a common parameter of
/// V1 or a header of V3, by its name.
#[derive(Clone, Debug)]
pub struct Draft {
    pub method: &'static str,
    pub path: &'static str,
    pub parameters: Vec<(String, String)>,
    pub content_type: Option<&'static str>,
    pub body: Vec<u8>,
    pub action: String,
    pub said: Vec<(String, String)>,
    pub omitted: Vec<&'static str>,
    pub unsigned: Vec<&'static str>,
}

/// A signed request in the parts of HTTP, for whoever wants to spoil it now.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub target: Vec<u8>,
    pub version: &'static str,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

impl Draft {
    pub fn of(action: &str, parameters: &[(&str, &str)]) -> Self {
        Self {
            method: "POST",
            path: "/",
            parameters: parameters.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            content_type: None,
            body: Vec::new(),
            action: action.to_owned(),
            said: Vec::new(),
            omitted: Vec::new(),
            unsigned: Vec::new(),
        }
    }

    /// Adds or changes a parameter.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.parameters.retain(|(known, _)| known != name);
        self.parameters.push((name.to_owned(), value.into()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.parameters.retain(|(known, _)| known != name);
        self
    }

    pub fn method(mut self, method: &'static str) -> Self {
        self.method = method;
        self
    }

    pub fn body(mut self, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        self.content_type = Some(content_type);
        self.body = body.into();
        self
    }

    /// Sets a common parameter (V1) or a header (V3) to something else; it is signed.
    pub fn say(mut self, name: &str, value: impl Into<String>) -> Self {
        self.said.push((name.to_owned(), value.into()));
        self
    }

    /// Leaves a common parameter (V1) or a header (V3) out altogether.
    pub fn omit(mut self, name: &'static str) -> Self {
        self.omitted.push(name);
        self
    }

    /// Sends a header, and leaves it out of the signature (V3).
    pub fn unsigned(mut self, name: &'static str) -> Self {
        self.unsigned.push(name);
        self
    }

    /// Signature version 3, parameters in the query.
    pub fn v3(&self, key: &Key, host: &str) -> Request {
        let mut headers = vec![
            ("accept", "application/json".to_owned()),
            ("host", host.to_owned()),
            ("x-acs-action", self.action.clone()),
            ("x-acs-content-sha256", sha256_hex(&self.body)),
            ("x-acs-date", stamp(0)),
            ("x-acs-signature-nonce", nonce()),
            ("x-acs-version", "2017-11-10".to_owned()),
        ];
        headers.extend(self.content_type.map(|kind| ("content-type", kind.to_owned())));
        let mut headers = self.as_said(headers);
        headers.sort();
        let is_signed = |name: &str| !self.unsigned.contains(&name);
        let signed: Vec<_> = headers.iter().filter(|(name, _)| is_signed(name)).collect();
        let lines: String = signed.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
        let names: Vec<&str> = signed.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(";");
        let query = canonical(&self.parameters);
        let hash = headers.iter().find(|(name, _)| name == "x-acs-content-sha256");
        let hash = hash.map_or("", |(_, value)| value.as_str());
        let request = format!("{}\n{}\n{query}\n{lines}\n{names}\n{hash}", self.method, self.path);
        let text = format!("ACS3-HMAC-SHA256\n{}", sha256_hex(request.as_bytes()));
        let signature = hex(mac(hmac::HMAC_SHA256, &key.secret, &text).as_ref());
        let authorization =
            format!("ACS3-HMAC-SHA256 Credential={},SignedHeaders={names},Signature={signature}", key.id);
        let mut sent: Vec<(String, Vec<u8>)> =
            headers.into_iter().map(|(name, value)| (name, value.into_bytes())).collect();
        sent.push(("authorization".into(), authorization.into_bytes()));
        self.request(query, sent)
    }

    /// Signature version 1, every parameter in the query.
    pub fn v1(&self, key: &Key, host: &str) -> Request {
        let mut headers = vec![("host".to_owned(), host.as_bytes().to_vec())];
        headers.extend(self.content_type.map(|kind| ("content-type".to_owned(), kind.as_bytes().to_vec())));
        self.request(encoded(&self.signed_v1(key)), headers)
    }

    /// Signature version 1, every parameter in a form.
    pub fn v1_form(&self, key: &Key, host: &str) -> Request {
        let form = Self {
            body: encoded(&self.signed_v1(key)).into_bytes(),
            content_type: Some("application/x-www-form-urlencoded"),
            ..self.clone()
        };
        let headers = [("host", host), ("content-type", "application/x-www-form-urlencoded")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
        form.request(String::new(), headers.into())
    }

    /// Every parameter of V1, `Signature` among them.
    pub fn signed_v1(&self, key: &Key) -> Vec<(String, String)> {
        let common = vec![
            ("Action", self.action.clone()),
            ("Version", "2017-11-10".to_owned()),
            ("Format", "JSON".to_owned()),
            ("AccessKeyId", key.id.clone()),
            ("SignatureMethod", "HMAC-SHA1".to_owned()),
            ("SignatureVersion", "1.0".to_owned()),
            ("SignatureNonce", nonce()),
            ("Timestamp", stamp(0)),
        ];
        let mut all: Vec<_> = self.parameters.iter().cloned().chain(self.as_said(common)).collect();
        let text = format!("{}&%2F&{}", self.method, encode(&canonical(&all)));
        let tag = mac(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &format!("{}&", key.secret), &text);
        if !self.omitted.contains(&"Signature") {
            let signature = BASE64.encode(tag.as_ref());
            let said = self.said.iter().find(|(name, _)| name == "Signature");
            all.push(("Signature".into(), said.map_or(signature, |(_, value)| value.clone())));
        }
        all
    }

    /// The usual names and values with what was said and omitted.
    fn as_said(&self, usual: Vec<(&str, String)>) -> Vec<(String, String)> {
        let mut all: Vec<(String, String)> =
            usual.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        for (name, value) in self.said.iter().filter(|(name, _)| name != "Signature") {
            match all.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => known.clone_from(value),
                None => all.push((name.clone(), value.clone())),
            }
        }
        all.retain(|(name, _)| !self.omitted.contains(&name.as_str()));
        all
    }

    fn request(&self, query: String, mut headers: Vec<(String, Vec<u8>)>) -> Request {
        if self.method == "POST" || !self.body.is_empty() {
            headers.push(("content-length".into(), self.body.len().to_string().into_bytes()));
        }
        let target = if query.is_empty() { self.path.to_owned() } else { format!("{}?{query}", self.path) };
        Request {
            method: self.method.to_owned(),
            target: target.into_bytes(),
            version: "HTTP/1.1",
            headers,
            body: self.body.clone(),
        }
    }
}

impl Request {
    /// One more header, at the end.
    pub fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    /// Another value for a header.
    pub fn set(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.without(name).with(name, value)
    }

    /// Changes a header's text.
    pub fn replace(mut self, name: &str, from: &str, to: &str) -> Self {
        for (_, value) in self.headers.iter_mut().filter(|(known, _)| known == name) {
            let text = String::from_utf8_lossy(value).replace(from, to);
            *value = text.into_bytes();
        }
        self
    }

    /// More behind the query, as it is.
    pub fn also(mut self, raw: impl AsRef<[u8]>) -> Self {
        self.target.push(if self.target.contains(&b'?') { b'&' } else { b'?' });
        self.target.extend_from_slice(raw.as_ref());
        self
    }

    /// Changes the target's text.
    pub fn replace_target(self, from: &str, to: &str) -> Self {
        let target = String::from_utf8_lossy(&self.target).replace(from, to);
        self.target(target)
    }

    pub fn target(mut self, target: impl Into<Vec<u8>>) -> Self {
        self.target = target.into();
        self
    }

    /// The body in chunks of `size` bytes instead of with a length.
    pub fn chunked(self, size: usize) -> Self {
        let mut body = Vec::new();
        for chunk in self.body.chunks(size) {
            body.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            body.extend_from_slice(chunk);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"0\r\n\r\n");
        let mut request = self.without("content-length").with("transfer-encoding", "chunked");
        request.body = body;
        request
    }

    /// Request line and headers, without the empty line.
    pub fn head(&self) -> Vec<u8> {
        let mut head = format!("{} ", self.method).into_bytes();
        head.extend_from_slice(&self.target);
        head.extend_from_slice(format!(" {}\r\n", self.version).as_bytes());
        for (name, value) in &self.headers {
            head.extend_from_slice(name.as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value);
            head.extend_from_slice(b"\r\n");
        }
        head
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head();
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// The time stamp of `seconds` from now.
pub fn stamp(seconds: i64) -> String {
    let now = Timestamp::now().as_second();
    let stamp = Timestamp::from_second(now + seconds).expect("tests run in a year with four digits");
    stamp.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

pub fn nonce() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// Names and values as a query or form body, in the order given.
pub fn encoded(pairs: &[(String, String)]) -> String {
    let pieces: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    pieces.join("&")
}

fn canonical(pairs: &[(String, String)]) -> String {
    let mut sorted = pairs.to_vec();
    sorted.sort();
    encoded(&sorted)
}

fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn mac(algorithm: hmac::Algorithm, secret: &str, text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(algorithm, secret.as_bytes()), text.as_bytes())
}

fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
