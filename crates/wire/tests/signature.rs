//! Both signature versions against the vectors and the recorded requests of real clients (gateway.md §8.1–3,
//! decisions.md §4.2): what they signed verifies, and one changed byte of anything signed does not.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use ensemble_wire::error::Error;
use ensemble_wire::parameters::{RawParameters, encode_pairs};
use ensemble_wire::signature::{self, Claim, Key, Request, SignatureVersion, v1, v3};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::path::{Path, PathBuf};

const ID: &str = "LTAI5tEnsembleTestKey001";
const SECRET: &str = "EnsembleTestSecret0123456789Ab";
const STS_SECRET: &str = "StsSecret";

/// A request that owns what it consists of, so that a test can change a byte of it.
#[derive(Clone, Debug)]
struct Received {
    method: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Received {
    fn identify(&self, now: Timestamp) -> Result<Claim, Error> {
        let headers: Vec<(&str, &[u8])> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        let (path, raw_query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let request = Request { method: &self.method, path, raw_query, headers: &headers, body: &self.body };
        signature::identify(&request, now)
    }

    fn verify(&self, now: Timestamp, secret: &str) -> Result<Claim, Error> {
        let claim = self.identify(now)?;
        claim.verify(secret)?;
        Ok(claim)
    }

    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map(|(_, value)| std::str::from_utf8(value).unwrap().trim())
    }

    fn query(&self) -> Vec<(String, String)> {
        let encoded = self.target.split_once('?').map_or("", |(_, query)| query);
        own(&RawParameters::from_encoded(encoded.as_bytes()).unwrap())
    }

    fn with_query(&self, pairs: &[(String, String)]) -> Self {
        Self { target: format!("/?{}", encode(pairs)), ..self.clone() }
    }
}

fn own(parameters: &RawParameters) -> Vec<(String, String)> {
    parameters.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn encode(pairs: &[(String, String)]) -> String {
    encode_pairs(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn vectors(file: &str) -> Vec<Value> {
    let document: Value = serde_json::from_str(&std::fs::read_to_string(data(file)).unwrap()).unwrap();
    document["vectors"].as_array().unwrap().clone()
}

fn text<'a>(vector: &'a Value, name: &str) -> &'a str {
    vector[name].as_str().unwrap_or_default()
}

fn v1_request(vector: &Value) -> Received {
    let headers =
        vector["content_type"].as_str().map(|kind| ("Content-Type".to_owned(), kind.as_bytes().to_vec()));
    Received {
        method: text(vector, "http_method").to_owned(),
        target: text(vector, "request_target").to_owned(),
        headers: headers.into_iter().collect(),
        body: text(vector, "body").as_bytes().to_vec(),
    }
}

fn v1_stamp(vector: &Value) -> Timestamp {
    let sources = [&vector["query_parameters"], &vector["form_parameters"]];
    let mut pairs = sources.iter().flat_map(|pairs| pairs.as_array().unwrap());
    let stamp = pairs.find(|pair| pair[0] == "Timestamp").unwrap();
    stamp[1].as_str().unwrap().parse().unwrap()
}

fn v3_request(vector: &Value) -> Received {
    let mut headers: Vec<(String, Vec<u8>)> = vector["headers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| (pair[0].as_str().unwrap().to_owned(), pair[1].as_str().unwrap().as_bytes().to_vec()))
        .collect();
    headers.push(("Authorization".into(), text(vector, "authorization").as_bytes().to_vec()));
    Received {
        method: text(vector, "http_method").to_owned(),
        target: text(vector, "request_target").to_owned(),
        headers,
        body: text(vector, "body").as_bytes().to_vec(),
    }
}

fn v3_stamp(request: &Received) -> Timestamp {
    request.header("x-acs-date").unwrap().parse().unwrap()
}

/// Every text that differs from `text` in one letter.
fn flipped(text: &str) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    (0..letters.len())
        .map(|at| {
            let mut changed = letters.clone();
            changed[at] = if changed[at] == 'x' { 'y' } else { 'x' };
            changed.into_iter().collect()
        })
        .collect()
}

/// Every pair list that differs from `pairs` in one letter of a name or value, or lacks one pair.
fn changed(pairs: &[(String, String)]) -> Vec<Vec<(String, String)>> {
    let mut all = Vec::new();
    for at in 0..pairs.len() {
        let (name, value) = &pairs[at];
        let names = flipped(name).into_iter().map(|name| (name, value.clone()));
        let values = flipped(value).into_iter().map(|value| (name.clone(), value));
        for pair in names.chain(values) {
            let mut with = pairs.to_vec();
            with[at] = pair;
            all.push(with);
        }
        let mut without = pairs.to_vec();
        without.remove(at);
        all.push(without);
    }
    all
}

fn refused(request: &Received, now: Timestamp, secret: &str, what: &str) {
    assert!(request.verify(now, secret).is_err(), "{what} still verifies: {request:?}");
}

#[test]
fn every_v1_vector_verifies() {
    let vectors = vectors("signature-v1.json");
    assert_eq!(vectors.len(), 20);
    for vector in &vectors {
        let claim = v1_request(vector)
            .verify(v1_stamp(vector), text(vector, "secret"))
            .unwrap_or_else(|error| panic!("{}: {error}", text(vector, "id")));

        assert_eq!(claim.version, SignatureVersion::V1);
        assert!(!claim.action.is_empty());
    }
}

#[test]
fn a_v1_mismatch_shows_the_string_to_sign_of_the_client() {
    for vector in &vectors("signature-v1.json") {
        let error = v1_request(vector).verify(v1_stamp(vector), "another secret").unwrap_err();

        assert_eq!(error.message.split(':').nth(1), Some(text(vector, "string_to_sign")));
    }
}

#[test]
fn one_changed_byte_makes_every_v1_vector_fail() {
    for vector in &vectors("signature-v1.json") {
        let request = v1_request(vector);
        let (now, secret) = (v1_stamp(vector), text(vector, "secret"));

        let method = if request.method == "GET" { "POST" } else { "GET" };
        refused(&Received { method: method.into(), ..request.clone() }, now, secret, "the method");
        for pairs in changed(&request.query()) {
            // The signature stands in the query too, and is what makes the rest right.
            refused(&request.with_query(&pairs), now, secret, "the query");
        }
        let form = own(&RawParameters::from_encoded(&request.body).unwrap());
        for pairs in changed(&form) {
            let body = encode(&pairs).into_bytes();
            refused(&Received { body, ..request.clone() }, now, secret, "the form");
        }
    }
}

#[test]
fn every_v3_sha256_vector_verifies_and_the_other_algorithms_are_refused() {
    let vectors = vectors("signature-v3.json");
    assert_eq!(vectors.len(), 23);
    for vector in &vectors {
        let request = v3_request(vector);
        let verified = request.verify(v3_stamp(&request), text(vector, "secret"));

        let id = text(vector, "id");
        if text(vector, "algorithm") == "ACS3-HMAC-SHA256" {
            let claim = verified.unwrap_or_else(|error| panic!("{id}: {error}"));
            assert_eq!(claim.version, SignatureVersion::V3);
        } else {
            assert_eq!(verified.unwrap_err().code.as_text(), "InvalidSignatureMethod", "{id}");
        }
    }
}

#[test]
fn a_v3_mismatch_shows_string_to_sign_and_canonical_request_of_the_client() {
    for vector in &vectors("signature-v3.json") {
        if text(vector, "algorithm") != "ACS3-HMAC-SHA256" {
            continue;
        }
        let request = v3_request(vector);

        let error = request.verify(v3_stamp(&request), "another secret").unwrap_err();

        let expected = format!(
            "Specified signature does not match our calculation. server StringToSign is [{}] server CanonicalRequest is [{}]",
            text(vector, "string_to_sign"),
            text(vector, "canonical_request")
        );
        assert_eq!(error.message, expected);
    }
}

#[test]
fn one_changed_byte_makes_every_v3_vector_fail() {
    for vector in &vectors("signature-v3.json") {
        if text(vector, "algorithm") != "ACS3-HMAC-SHA256" {
            continue;
        }
        let request = v3_request(vector);
        let (now, secret) = (v3_stamp(&request), text(vector, "secret"));

        let method = if request.method == "GET" { "POST" } else { "GET" };
        refused(&Received { method: method.into(), ..request.clone() }, now, secret, "the method");
        let path = request.target.replacen('/', "/watch", 1);
        refused(&Received { target: path, ..request.clone() }, now, secret, "the path");
        for pairs in changed(&request.query()) {
            refused(&request.with_query(&pairs), now, secret, "the query");
        }
        let mut body = request.body.clone();
        body.push(b' ');
        refused(&Received { body, ..request.clone() }, now, secret, "a longer body");
        for at in 0..request.body.len() {
            let mut body = request.body.clone();
            body[at] ^= 1;
            refused(&Received { body, ..request.clone() }, now, secret, "the body");
        }
        change_headers(&request, now, secret);
    }
}

/// Flips each byte of each header, which includes each byte of Authorization. The key id in it is not signed:
/// another one finds another secret or none.
fn change_headers(request: &Received, now: Timestamp, secret: &str) {
    let key_id = request.identify(now).unwrap().access_key_id;
    for header in 0..request.headers.len() {
        let (name, value) = &request.headers[header];
        for at in 0..value.len() {
            let mut changed = request.clone();
            changed.headers[header].1[at] ^= 1;
            let same_value = changed.headers[header].1.trim_ascii() == value.trim_ascii();
            let other_key = changed.identify(now).is_ok_and(|claim| claim.access_key_id != key_id);
            if !same_value && !other_key {
                refused(&changed, now, secret, name);
            }
        }
        let mut without = request.clone();
        without.headers.remove(header);
        refused(&without, now, secret, name);
    }
}

/// Reads a recorded request: head, then a body by Content-Length or chunks.
fn recorded(path: &Path) -> Received {
    let bytes = std::fs::read(path).unwrap();
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let mut request_line = lines.next().unwrap().split(' ');
    let (method, target) = (request_line.next().unwrap(), request_line.next().unwrap());
    let headers = lines
        .map(|line| line.split_once(':').unwrap())
        .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
        .collect();
    let mut received =
        Received { method: method.to_owned(), target: target.to_owned(), headers, body: Vec::new() };
    let rest = &bytes[end + 4..];
    received.body =
        if received.header("transfer-encoding").is_some() { unchunked(rest) } else { rest.to_vec() };
    received
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 2 + size + 2..];
    }
}

#[test]
fn every_recorded_request_verifies_but_for_bearer_tokens_and_sm3() {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(data("requests")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 37);
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let request = recorded(&file);
        let sources = [request.query(), own(&RawParameters::from_encoded(&request.body).unwrap_or_default())];
        let stamped = sources.concat().into_iter().find(|(name, _)| name == "Timestamp");
        let now = match &stamped {
            Some((_, stamp)) => stamp.parse().unwrap(),
            None => v3_stamp(&request),
        };
        // The client `core` signed with a temporary key of its own; the other one only sent a token along.
        let secret = if name.contains("core-v1") && name.contains("sts") { STS_SECRET } else { SECRET };

        let verified = request.verify(now, secret);

        if name.contains("bearer") || name.contains("sm3") {
            assert_eq!(verified.unwrap_err().code.as_text(), "InvalidSignatureMethod", "{name}");
            continue;
        }
        let claim = verified.unwrap_or_else(|error| panic!("{name}: {error}"));
        let action = name.rsplit('-').next().unwrap();
        assert_eq!((claim.action.as_str(), claim.api_version.as_str()), (action, "2017-11-10"), "{name}");
        assert_eq!(claim.security_token.is_some(), name.contains("sts"), "{name}");
    }
}

#[test]
fn a_space_and_a_star_verify_in_either_spelling() {
    let stamp: Timestamp = "2026-03-27T08:00:00Z".parse().unwrap();
    let query: RawParameters = [("Template", "a b*c'(!)")].into_iter().collect();
    let headers = v3::sign(&unsigned(&query, b"", stamp), &key());

    for spelling in ["a+b*c'(!)", "a%20b%2Ac%27%28%21%29", "a%20b%2ac'%28!)"] {
        let request = Received {
            method: "POST".into(),
            target: format!("/?Template={spelling}"),
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone().into_bytes()))
                .collect(),
            body: Vec::new(),
        };
        let claim = request.verify(stamp, SECRET).unwrap_or_else(|error| panic!("{spelling}: {error}"));
        assert_eq!(claim.parameters.get("Template"), Some("a b*c'(!)"));
    }
}

fn key() -> Key<'static> {
    Key { id: ID, secret: SECRET, security_token: Some("token") }
}

fn unsigned<'a>(query: &'a RawParameters, body: &'a [u8], stamp: Timestamp) -> v3::Unsigned<'a> {
    v3::Unsigned {
        method: "POST",
        path: "/",
        query,
        host: "127.0.0.1:8420",
        content_type: (!body.is_empty()).then_some("application/json; charset=utf-8"),
        body,
        action: "RescaleApplication",
        version: "2017-11-10",
        nonce: "n-1",
        stamp,
    }
}

#[test]
fn what_our_client_signs_by_v3_verifies() {
    let stamp: Timestamp = "2026-03-27T08:00:00Z".parse().unwrap();
    let query: RawParameters = [("AppId", "a ~/+é")].into_iter().collect();
    let body = br#"{"Timeout":30}"#;
    let headers = v3::sign(&unsigned(&query, body, stamp), &key());
    let request = Received {
        method: "POST".into(),
        target: format!("/?{}", encode(&own(&query))),
        headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value.into_bytes())).collect(),
        body: body.to_vec(),
    };

    let claim = request.verify(stamp, SECRET).unwrap();

    assert_eq!(claim.parameters.get("AppId"), Some("a ~/+é"));
    assert_eq!(claim.parameters.get("Timeout"), Some("30"));
    assert_eq!(claim.security_token.as_deref(), Some("token"));
    assert_eq!(claim.access_key_id, ID);
}

#[test]
fn what_our_client_signs_by_v1_verifies() {
    let stamp: Timestamp = "2026-03-27T08:00:00Z".parse().unwrap();
    let facts =
        v1::Facts { method: "GET", action: "DescribeApplication", version: "2017-11-10", nonce: "n", stamp };
    let parameters = v1::sign(&facts, &[("AppId", "a ~/+é")].into_iter().collect(), &key());
    let request = Received {
        method: "GET".into(),
        target: format!("/?{}", encode(&own(&parameters))),
        headers: Vec::new(),
        body: Vec::new(),
    };

    let claim = request.verify(stamp, SECRET).unwrap();

    assert_eq!((claim.action.as_str(), claim.nonce.as_str()), ("DescribeApplication", "n"));
}

#[test]
fn a_json_body_is_no_parameter_where_it_is_not_signed() {
    let vector = &vectors("signature-v1.json")[0];
    let mut request = v1_request(vector);
    request.headers.push(("Content-Type".into(), b"application/json".to_vec()));
    request.body = br#"{"AllowPartial":"true"}"#.to_vec();

    let claim = request.verify(v1_stamp(vector), SECRET).unwrap();

    assert_eq!(claim.parameters.get("AllowPartial"), None);
}

#[test]
fn a_stamp_is_good_for_fifteen_minutes_either_way() {
    let v1 = (v1_request(&vectors("signature-v1.json")[0]), v1_stamp(&vectors("signature-v1.json")[0]));
    let request = v3_request(&vectors("signature-v3.json")[0]);
    let v3 = (request.clone(), v3_stamp(&request));
    for (request, stamp) in [v1, v3] {
        for (minutes, expected) in [(0, true), (15, true), (-15, true), (16, false), (-16, false)] {
            let now = stamp + SignedDuration::from_mins(minutes);
            match request.identify(now) {
                Ok(_) => assert!(expected, "{minutes} minutes"),
                Err(error) => {
                    assert!(!expected, "{minutes} minutes");
                    assert_eq!(error.code.as_text(), "InvalidTimeStamp.Expired");
                }
            }
        }
    }
}

#[test]
fn what_is_missing_is_named() {
    let vector = &vectors("signature-v1.json")[0];
    let request = v1_request(vector);
    let pairs = request.query();
    for (name, expected) in [
        ("Action", "MissingAction"),
        ("Version", "MissingVersion"),
        ("AccessKeyId", "MissingAccessKeyId"),
        ("SignatureNonce", "MissingSignatureNonce"),
        ("Timestamp", "MissingTimestamp"),
        ("Signature", "MissingSignature"),
        ("SignatureMethod", "MissingSignatureMethod"),
        ("SignatureVersion", "MissingSignatureVersion"),
    ] {
        let without: Vec<_> = pairs.iter().filter(|(found, _)| found != name).cloned().collect();
        let error = request.with_query(&without).identify(v1_stamp(vector)).unwrap_err();
        assert_eq!(error.code.as_text(), expected);
    }
    let request = v3_request(&vectors("signature-v3.json")[0]);
    for (name, expected) in [
        ("x-acs-action", "MissingAction"),
        ("x-acs-version", "MissingVersion"),
        ("x-acs-date", "MissingTimestamp"),
        ("x-acs-signature-nonce", "MissingSignatureNonce"),
        ("authorization", "MissingAccessKeyId"),
    ] {
        let mut without = request.clone();
        without.headers.retain(|(found, _)| !found.eq_ignore_ascii_case(name));
        let error = without.identify(v3_stamp(&request)).unwrap_err();
        assert_eq!(error.code.as_text(), expected, "{name}");
    }
}

#[test]
fn what_must_be_signed_and_is_not_makes_the_signature_incomplete() {
    let request = v3_request(&vectors("signature-v3.json")[0]);
    let now = v3_stamp(&request);
    let mut unsigned_header = request.clone();
    unsigned_header.headers.push(("X-Acs-Extra".into(), b"1".to_vec()));
    let mut unsigned_type = request.clone();
    unsigned_type.headers.push(("Content-Type".into(), b"text/plain".to_vec()));
    let mut other_body = request;
    other_body.body = b"x".to_vec();

    for changed in [unsigned_header, unsigned_type, other_body] {
        let error = changed.verify(now, SECRET).unwrap_err();
        assert_eq!(error.code.as_text(), "IncompleteSignature");
        assert!(error.message.starts_with(
            "The request signature does not conform to Aliyun standards. server string to sign is:ACS3-HMAC-SHA256\n"
        ));
    }
}

#[test]
fn only_get_and_post_are_taken() {
    let request = v3_request(&vectors("signature-v3.json")[0]);

    let put = Received { method: "PUT".into(), ..request.clone() }.identify(v3_stamp(&request)).unwrap_err();

    assert_eq!(put.code.as_text(), "UnsupportedHTTPMethod");
}

#[test]
fn an_unknown_format_is_refused_before_anything_else_is_missing() {
    let vector = &vectors("signature-v1.json")[0];
    let request = v1_request(vector);

    let error =
        request.with_query(&[("Format".into(), "YAML".into())]).identify(v1_stamp(vector)).unwrap_err();

    assert_eq!(error.code.as_text(), "InvalidParameter.Format");
}
