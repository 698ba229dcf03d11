//! Both signature versions against each other: what a client signs by one is verified by the same, and by nothing else;
//! once anything that was signed is another, by neither.

use crate::signature::line;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ensemble_wire::parameters::{RawParameters, encode_pairs};
use ensemble_wire::signature::{self, Key, Request, SignatureVersion, v1, v3};
use jiff::Timestamp;

const SECRET: &str = "EnsembleTestSecret0123456789Ab";
const FORM: &str = "application/x-www-form-urlencoded";

/// What is signed, whichever version signs it.
#[derive(Clone, Debug)]
struct Call {
    method: &'static str,
    action: String,
    host: String,
    nonce: String,
    query: RawParameters,
    content_type: Option<&'static str>,
    body: Vec<u8>,
    secret: String,
}

/// Four lines, for method and content type, for action, host and nonce apart by blanks, for the query, and for the
/// secret; then the body.
pub fn check(input: &[u8]) {
    let Some(call) = Call::read(input) else { return };
    let now = Timestamp::UNIX_EPOCH;
    let by_v1 = call.signed_by_v1(now);
    let by_v3 = call.signed_by_v3(now);
    for signed in [&by_v1, &by_v3] {
        // A parameter of its own may forbid the call, for either: `SignatureType`, or a name in query and body.
        let Some(found) = verified(signed, &call.secret, now) else { continue };
        assert_eq!(found, Ok(signed.version), "what a client signs is not verified: {call:?}");
        assert_ne!(
            verified(signed, "another", now),
            Some(Ok(signed.version)),
            "verified with another secret"
        );
        for (what, changed) in signed.changed() {
            let found = verified(&changed, &call.secret, now);
            assert!(!matches!(found, Some(Ok(_))), "{what} is another, and nobody noticed: {call:?}");
        }
    }
    crossed(&call, &by_v1, &by_v3, now);
}

/// The one's signature in the other's place.
fn crossed(call: &Call, by_v1: &Signed, by_v3: &Signed, now: Timestamp) {
    let hex = by_v3.header("authorization").and_then(|header| header.rsplit_once("Signature="));
    let hex = hex.map(|(_, hex)| hex.to_owned()).expect("V3 signs in its header");
    let base64 = by_v1.query.get("Signature").expect("V1 signs in its parameters").to_owned();

    for method in ["HMAC-SHA1", "HMAC-SHA256"] {
        let mut as_v1 = by_v1.clone();
        let signature = STANDARD.encode(from_hex(&hex));
        let pairs =
            by_v1.query.iter().chain([("Signature", signature.as_str()), ("SignatureMethod", method)]);
        as_v1.query = pairs.collect();
        assert!(!matches!(verified(&as_v1, &call.secret, now), Some(Ok(_))), "V1 takes a signature of V3");
    }
    let mut as_v3 = by_v3.clone();
    let of_v1 = to_hex(&STANDARD.decode(&base64).expect("V1 signs in base64"));
    let header = by_v3.header("authorization").expect("V3 signs in its header").replace(&hex, &of_v1);
    as_v3.set_header("authorization", header);
    assert!(!matches!(verified(&as_v3, &call.secret, now), Some(Ok(_))), "V3 takes a signature of V1");

    // Both at once is a request of V3, whose signature covers the parameters too.
    let mut both = by_v3.clone();
    both.query = by_v1.query.clone();
    let is_same = both.query.canonical(None) == by_v3.query.canonical(None);
    assert!(is_same || !matches!(verified(&both, &call.secret, now), Some(Ok(_))), "signed by neither");
}

#[derive(Clone, Debug)]
struct Signed {
    version: SignatureVersion,
    method: &'static str,
    path: &'static str,
    query: RawParameters,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// Which version verifies it, whether it does; nothing where it says of itself that it cannot be.
fn verified(signed: &Signed, secret: &str, now: Timestamp) -> Option<Result<SignatureVersion, ()>> {
    let headers: Vec<(&str, &[u8])> =
        signed.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let raw_query = encode_pairs(signed.query.iter());
    let request = Request {
        method: signed.method,
        path: signed.path,
        raw_query: &raw_query,
        headers: &headers,
        body: &signed.body,
    };
    let claim = signature::identify(&request, now).ok()?;
    Some(claim.verify(secret).map(|()| claim.version).map_err(drop))
}

impl Signed {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    fn set_header(&mut self, name: &str, value: String) {
        self.headers.retain(|(found, _)| found != name);
        self.headers.push((name.to_owned(), value));
    }

    /// The same with one thing that was signed changed.
    fn changed(&self) -> Vec<(&'static str, Self)> {
        let mut all = Vec::new();
        let mut change = |what, change: &dyn Fn(&mut Self)| {
            let mut changed = self.clone();
            change(&mut changed);
            all.push((what, changed));
        };
        let other = if self.method == "GET" { "POST" } else { "GET" };
        change("the method", &|signed| signed.method = other);
        change("a parameter", &|signed| {
            signed.query = self.query.iter().chain([("ExtraParameter", "x")]).collect();
        });
        for (name, value) in self.query.iter().filter(|(name, _)| *name != "Signature") {
            change("a value", &|signed| {
                signed.query = self.query.iter().chain([(name, &*format!("{value}x"))]).collect();
            });
            change("a name", &|signed| {
                signed.query = self.query.iter().filter(|(found, _)| *found != name).collect();
            });
        }
        if self.version == SignatureVersion::V3 {
            change("the path", &|signed| signed.path = "/watch");
            change("the body", &|signed| signed.body.push(b' '));
            for (name, value) in &self.headers {
                change("a header", &|signed| signed.set_header(name, format!("{value}x")));
            }
            change("a header more", &|signed| signed.set_header("x-acs-extra", "x".into()));
        }
        all
    }
}

impl Call {
    fn read(input: &[u8]) -> Option<Self> {
        let (kind, rest) = line(input);
        let (names, rest) = line(rest);
        let (query, rest) = line(rest);
        let (secret, body) = line(rest);
        let mut names = str::from_utf8(names).ok()?.split(' ').map(str::to_owned);
        let mut name =
            |otherwise: &str| names.next().filter(|name| !name.is_empty()).unwrap_or(otherwise.into());
        let (action, host, nonce) = (name("DescribeApplication"), name("127.0.0.1:8080"), name("nonce"));
        // A header takes no control characters: the HTTP library refuses them before us.
        if [&action, &host, &nonce].iter().any(|text| text.contains(char::is_control)) {
            return None;
        }
        let secret = str::from_utf8(secret).ok().filter(|secret| !secret.is_empty()).unwrap_or(SECRET);
        Some(Self {
            method: if kind.starts_with(b"GET") { "GET" } else { "POST" },
            content_type: match kind {
                kind if kind.ends_with(b"form") => Some(FORM),
                kind if kind.ends_with(b"json") => Some("application/json"),
                _ => None,
            },
            action,
            host,
            nonce,
            query: RawParameters::from_encoded(query).ok()?,
            body: body.to_vec(),
            secret: secret.to_owned(),
        })
    }

    fn key(&self) -> Key<'_> {
        Key { id: "key", secret: &self.secret, security_token: None }
    }

    fn signed_by_v1(&self, stamp: Timestamp) -> Signed {
        let facts = v1::Facts {
            method: self.method,
            action: &self.action,
            version: "2017-11-10",
            nonce: &self.nonce,
            stamp,
        };
        Signed {
            version: SignatureVersion::V1,
            method: self.method,
            path: "/",
            query: v1::sign(&facts, &self.query, &self.key()),
            headers: vec![("host".into(), self.host.clone())],
            body: Vec::new(),
        }
    }

    fn signed_by_v3(&self, stamp: Timestamp) -> Signed {
        let unsigned = v3::Unsigned {
            method: self.method,
            path: "/",
            query: &self.query,
            host: &self.host,
            content_type: self.content_type,
            body: &self.body,
            action: &self.action,
            version: "2017-11-10",
            nonce: &self.nonce,
            stamp,
        };
        let headers = v3::sign(&unsigned, &self.key());
        Signed {
            version: SignatureVersion::V3,
            method: self.method,
            path: "/",
            query: self.query.clone(),
            headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            body: self.body.clone(),
        }
    }
}

fn from_hex(text: &str) -> Vec<u8> {
    let (pairs, _) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("V3 signs in hex");
    pairs.iter().map(|pair| u8::try_from(digit(pair[0]) << 4 | digit(pair[1])).expect("two digits")).collect()
}

fn to_hex(bytes: &[u8]) -> String {
    crate::sealed::hex(bytes)
}
