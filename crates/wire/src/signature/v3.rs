//! Signature V3: `Authorization: ACS3-HMAC-SHA256 …` over method, path, query, chosen headers and the body's hash
//! (gateway.md §2). SM3, RSA and ACS4 are refused. Verifies with the request's own list of signed headers, never
//! with one of its own, and with the Host value exactly as received.

use super::{Claim, Key, Request, SignatureVersion, common, format_named, stamp_within};
use super::{from_hex, hex, mac, mac_matches, sha256_hex};
use crate::error::{Code, Error, shown};
use crate::parameters::{RawParameters, is_json};
use jiff::Timestamp;
use ring::hmac;
use std::collections::HashSet;

pub(super) const SCHEME: &str = "ACS3-";
const ALGORITHM: &str = "ACS3-HMAC-SHA256";

/// Must be signed in every request (gateway.md §2.2 step 8), as must every other `x-acs-*` that is there.
const ALWAYS_SIGNED: [&str; 6] =
    ["host", "x-acs-action", "x-acs-content-sha256", "x-acs-date", "x-acs-signature-nonce", "x-acs-version"];

#[derive(Clone, Debug)]
pub(super) struct Proof {
    canonical_request: Vec<u8>,
    signature: String,
    /// What makes the signature incomplete whatever the secret is.
    incomplete: Option<String>,
}

pub(super) fn identify(
    request: &Request<'_>,
    query: RawParameters,
    authorization: &str,
    now: Timestamp,
) -> Result<Claim, Error> {
    let format = format_named(query.filled("Format"), request.accepted_format())?;
    let action = common(request.header("x-acs-action")?, "Action")?.to_owned();
    let api_version = common(request.header("x-acs-version")?, "Version")?.to_owned();
    let nonce = common(request.header("x-acs-signature-nonce")?, "SignatureNonce")?.to_owned();
    let stamp = stamp_within(common(request.header("x-acs-date")?, "Timestamp")?, now)?;
    let authorization = Authorization::read(authorization)?;
    let content_hash = request.header("x-acs-content-sha256")?.unwrap_or_default();
    let incomplete = incomplete(request, &authorization, content_hash);
    let canonical_request = canonical_request(&Canonical {
        method: request.method,
        path: request.path,
        query: &query.canonical(None),
        headers: &canonical_headers(request, &authorization),
        signed_headers: authorization.signed_headers,
        content_hash,
    });
    let proof = Proof { canonical_request, signature: authorization.signature.to_owned(), incomplete };
    Ok(Claim {
        version: SignatureVersion::V3,
        access_key_id: authorization.access_key_id.to_owned(),
        stamp,
        nonce,
        action,
        api_version,
        format,
        security_token: request.header("x-acs-security-token")?.map(str::to_owned),
        parameters: parameters(request, query)?,
        proof: super::Proof::V3(proof),
    })
}

/// Query, form body and the members of a JSON object body, which the hash of the body covers.
fn parameters(request: &Request<'_>, query: RawParameters) -> Result<RawParameters, Error> {
    let form = RawParameters::from_encoded(request.form_body())?;
    let content_type = request.header("content-type")?.unwrap_or_default();
    if is_json(content_type) && !request.body.is_empty() {
        return query.and(RawParameters::from_json_object(request.body)?);
    }
    query.and(form)
}

/// The Authorization header in its parts.
struct Authorization<'a> {
    access_key_id: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    fn read(header: &'a str) -> Result<Self, Error> {
        let (algorithm, rest) = header.split_once(' ').unwrap_or((header, ""));
        if algorithm != ALGORITHM {
            let detail = format!("{} is not taken here; use {ALGORITHM}.", shown(algorithm));
            return Err(Error::new(Code::InvalidSignatureMethod).with_detail(detail));
        }
        let field = |name: &str| {
            let mut fields = rest.split(',').filter_map(|field| field.trim().split_once('='));
            let value = fields.find(|(found, _)| *found == name).map(|(_, value)| value);
            value.filter(|value| !value.is_empty()).ok_or_else(|| {
                Error::incomplete_signature("", format!("The Authorization header has no {name}."))
            })
        };
        let read = Self {
            access_key_id: field("Credential")?,
            signed_headers: field("SignedHeaders")?,
            signature: field("Signature")?,
        };
        let mut seen = HashSet::new();
        // Each name brings its whole value into what is hashed: a list of repetitions would make gigabytes of it.
        if let Some(name) = read.names().find(|name| !seen.insert(name.to_ascii_lowercase())) {
            let detail = format!("SignedHeaders has the header {} twice.", shown(name));
            return Err(Error::incomplete_signature("", detail));
        }
        Ok(read)
    }

    fn names(&self) -> impl Iterator<Item = &'a str> {
        self.signed_headers.split(';')
    }
}

/// Says what is not signed that must be, what is signed that is not there, or that the body is another.
fn incomplete(
    request: &Request<'_>,
    authorization: &Authorization<'_>,
    content_hash: &str,
) -> Option<String> {
    let signed = |name: &str| authorization.names().any(|signed| signed.eq_ignore_ascii_case(name));
    let must_be_signed = |name: &str| {
        name.eq_ignore_ascii_case("content-type")
            || name.get(..6).is_some_and(|prefix| prefix.eq_ignore_ascii_case("x-acs-"))
    };
    let present = request.headers.iter().map(|(name, _)| *name).filter(|name| must_be_signed(name));
    if let Some(name) = ALWAYS_SIGNED.into_iter().chain(present).find(|name| !signed(name)) {
        return Some(format!("The header {} must be among the signed ones.", shown(name)));
    }
    if let Some(name) = authorization.names().find(|name| request.header_values(name).next().is_none()) {
        return Some(format!("The signed header {} is not there.", shown(name)));
    }
    if content_hash != sha256_hex(request.body) {
        return Some("The hash of the body is not that of x-acs-content-sha256.".into());
    }
    None
}

/// `name:value\n` for each signed header; several of one name are trimmed, sorted and joined by a comma.
fn canonical_headers(request: &Request<'_>, authorization: &Authorization<'_>) -> Vec<u8> {
    let mut lines = Vec::new();
    for name in authorization.names() {
        let mut values: Vec<&[u8]> = request.header_values(name).map(<[u8]>::trim_ascii).collect();
        values.sort_unstable();
        lines.extend_from_slice(name.as_bytes());
        lines.push(b':');
        lines.extend_from_slice(&values.join(&b","[..]));
        lines.push(b'\n');
    }
    lines
}

struct Canonical<'a> {
    method: &'a str,
    path: &'a str,
    query: &'a str,
    headers: &'a [u8],
    signed_headers: &'a str,
    content_hash: &'a str,
}

fn canonical_request(parts: &Canonical<'_>) -> Vec<u8> {
    let path = if parts.path.is_empty() { "/" } else { parts.path };
    let mut request = format!("{}\n{path}\n{}\n", parts.method, parts.query).into_bytes();
    request.extend_from_slice(parts.headers);
    request.extend_from_slice(format!("\n{}\n{}", parts.signed_headers, parts.content_hash).as_bytes());
    request
}

fn string_to_sign(canonical_request: &[u8]) -> String {
    format!("{ALGORITHM}\n{}", sha256_hex(canonical_request))
}

impl Proof {
    pub(super) fn verify(&self, secret: &str) -> Result<(), Error> {
        let text = string_to_sign(&self.canonical_request);
        if let Some(detail) = &self.incomplete {
            return Err(Error::incomplete_signature(&text, detail));
        }
        let matches = from_hex(&self.signature)
            .is_some_and(|signature| mac_matches(hmac::HMAC_SHA256, secret, text.as_bytes(), &signature));
        if matches {
            return Ok(());
        }
        let canonical = String::from_utf8_lossy(&self.canonical_request);
        Err(Error::signature_does_not_match_v3(&text, &canonical))
    }
}

/// A request that a client is about to sign.
#[derive(Clone, Copy, Debug)]
pub struct Unsigned<'a> {
    pub method: &'a str,
    /// `/`, or `/watch`.
    pub path: &'a str,
    pub query: &'a RawParameters,
    /// As it will be sent, port included.
    pub host: &'a str,
    /// Present with a body only.
    pub content_type: Option<&'a str>,
    pub body: &'a [u8],
    pub action: &'a str,
    /// `2017-11-10`.
    pub version: &'a str,
    /// Drawn anew for every attempt.
    pub nonce: &'a str,
    pub stamp: Timestamp,
}

/// The headers of a signed request, `host` and `Authorization` among them; lower-case names.
pub fn sign(request: &Unsigned<'_>, key: &Key<'_>) -> Vec<(&'static str, String)> {
    let content_hash = sha256_hex(request.body);
    let mut headers = vec![
        ("accept", "application/json".to_owned()),
        ("host", request.host.to_owned()),
        ("x-acs-action", request.action.to_owned()),
        ("x-acs-content-sha256", content_hash.clone()),
        ("x-acs-date", crate::time::iso(request.stamp.as_millisecond())),
        ("x-acs-signature-nonce", request.nonce.to_owned()),
        ("x-acs-version", request.version.to_owned()),
    ];
    headers.extend(request.content_type.map(|kind| ("content-type", kind.to_owned())));
    headers.extend(key.security_token.map(|token| ("x-acs-security-token", token.to_owned())));
    headers.sort_unstable();
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let signed_headers = names.join(";");
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
    let canonical = canonical_request(&Canonical {
        method: request.method,
        path: request.path,
        query: &request.query.canonical(None),
        headers: lines.as_bytes(),
        signed_headers: &signed_headers,
        content_hash: &content_hash,
    });
    let tag = mac(hmac::HMAC_SHA256, key.secret, string_to_sign(&canonical).as_bytes());
    let signature = hex(tag.as_ref());
    let authorization =
        format!("{ALGORITHM} Credential={},SignedHeaders={signed_headers},Signature={signature}", key.id);
    headers.push(("authorization", authorization));
    headers
}
