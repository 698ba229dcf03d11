//! Who claims to call, and whether the signature proves it: both versions of gateway.md §1 and §2.
//! `identify` reads a request without trusting it, [`Claim::verify`] checks it against the secret; `v1::sign` and
//! `v3::sign` are the client's side. No clock, no key store and no memory of nonces here: the server has those.

pub mod v1;
pub mod v3;

use crate::error::{Code, Error};
use crate::format::Format;
use crate::parameters::{RawParameters, is_form};
use crate::time::parse_stamp;
use jiff::Timestamp;
use ring::{digest, hmac};

/// How far a stamp may be from the server's clock, either way (gateway.md §2.4).
pub const WINDOW_SECONDS: i64 = 15 * 60;

/// A request as it was received; nothing is decoded, the body is whole.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub method: &'a str,
    /// The path without the query: `/`, `/watch`.
    pub path: &'a str,
    /// What follows `?`, as received; "" where there is none.
    pub raw_query: &'a str,
    /// Names in any case; values as received.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// After transfer decoding.
    pub body: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureVersion {
    /// Parameters, HMAC-SHA1 or HMAC-SHA256.
    V1,
    /// Headers, `ACS3-HMAC-SHA256`.
    V3,
}

/// What a request says about itself. Nothing of it is true until [`Claim::verify`] has succeeded.
#[derive(Clone, Debug)]
pub struct Claim {
    pub version: SignatureVersion,
    pub access_key_id: String,
    pub stamp: Timestamp,
    pub nonce: String,
    pub action: String,
    pub api_version: String,
    pub format: Format,
    /// Comes with a temporary key.
    pub security_token: Option<String>,
    /// Query and body together, the common parameters included.
    pub parameters: RawParameters,
    proof: Proof,
}

#[derive(Clone, Debug)]
enum Proof {
    V1(v1::Proof),
    V3(v3::Proof),
}

/// The key a client signs with.
#[derive(Clone, Copy)]
pub struct Key<'a> {
    pub id: &'a str,
    pub secret: &'a str,
    pub security_token: Option<&'a str>,
}

/// Reads who calls what, in the order of checks of gateway.md §4.2 up to `InvalidSignatureMethod`.
///
/// # Errors
/// A method other than GET and POST, an unknown Format, a missing common parameter, a stamp that is malformed or
/// more than 15 minutes from `now`, a signature method that is not taken, a repeated parameter.
pub fn identify(request: &Request<'_>, now: Timestamp) -> Result<Claim, Error> {
    if !matches!(request.method, "GET" | "POST") {
        return Err(Error::new(Code::UnsupportedHttpMethod));
    }
    let query = RawParameters::from_encoded(request.raw_query.as_bytes())?;
    match request.header("authorization")? {
        Some(value) if value.starts_with(v3::SCHEME) => v3::identify(request, query, value, now),
        Some(_) => Err(Error::new(Code::InvalidSignatureMethod)
            .with_detail("The Authorization header takes ACS3-HMAC-SHA256 here.")),
        None if request.header("x-acs-bearer-token")?.is_some() => Err(bearer_refused()),
        None => v1::identify(request, query, now),
    }
}

/// The format an answer takes when nothing else of the request could be read: it never fails.
pub fn answer_format(request: &Request<'_>) -> Format {
    let is_v3 = matches!(request.header("authorization"), Ok(Some(value)) if value.starts_with(v3::SCHEME));
    // V3 takes the format from the query only.
    let form = if is_v3 { &[] } else { request.form_body() };
    let query = request.raw_query.as_bytes();
    // Raw, since the parameters may be what is wrong.
    let pieces = || query.split(|byte| *byte == b'&').chain(form.split(|byte| *byte == b'&'));
    let named = pieces().find_map(|piece| piece.strip_prefix(b"Format="));
    if let Some(format) = named.and_then(|value| str::from_utf8(value).ok()).and_then(Format::named) {
        return format;
    }
    let is_v1 = pieces().any(|piece| piece.starts_with(b"Signature=") || piece.starts_with(b"AccessKeyId="));
    if is_v1 && !is_v3 { Format::Xml } else { request.accepted_format() }
}

impl Claim {
    /// Checks the signature in constant time.
    ///
    /// # Errors
    /// `SignatureDoesNotMatch`; `IncompleteSignature` when something that must be signed is not, or the body is
    /// not the one that was signed.
    pub fn verify(&self, secret: &str) -> Result<(), Error> {
        match &self.proof {
            Proof::V1(proof) => proof.verify(secret),
            Proof::V3(proof) => proof.verify(secret),
        }
    }
}

impl<'a> Request<'a> {
    /// The one value of a header, trimmed; header names compare without case.
    ///
    /// # Errors
    /// `IncompleteSignature` when the header repeats or is not UTF-8, so that no two readers of the request differ.
    pub fn header(&self, name: &str) -> Result<Option<&'a str>, Error> {
        let mut values = self.header_values(name);
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(Error::incomplete_signature("", format!("The header {name} stands there twice.")));
        }
        let text = str::from_utf8(value)
            .map_err(|_| Error::incomplete_signature("", format!("The header {name} is not UTF-8.")))?;
        Ok(Some(text.trim()))
    }

    fn header_values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let headers = self.headers;
        headers.iter().filter(move |(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// The body where Content-Type says that it is a form, else nothing.
    fn form_body(&self) -> &'a [u8] {
        match self.header("content-type") {
            Ok(Some(value)) if is_form(value) => self.body,
            _ => &[],
        }
    }

    /// JSON, unless the Accept header asks for XML.
    fn accepted_format(&self) -> Format {
        match self.header("accept") {
            Ok(Some(value)) if value.contains("xml") && !value.contains("html") => Format::Xml,
            _ => Format::Json,
        }
    }
}

fn bearer_refused() -> Error {
    Error::new(Code::InvalidSignatureMethod).with_detail("Bearer tokens are not taken here.")
}

/// # Errors
/// `InvalidTimeStamp.Format` and `InvalidTimeStamp.Expired`.
fn stamp_within(text: &str, now: Timestamp) -> Result<Timestamp, Error> {
    let stamp = parse_stamp(text)?;
    let apart_s = now.as_second().abs_diff(stamp.as_second());
    if apart_s > WINDOW_SECONDS.unsigned_abs() {
        let detail = format!(
            "The request is stamped {stamp}, the server's clock says {}; at most 15 minutes may lie between.",
            crate::time::iso(now.as_millisecond())
        );
        return Err(Error::new(Code::InvalidTimeStampExpired).with_detail(detail));
    }
    Ok(stamp)
}

/// # Errors
/// `Missing<Name>` when the value is absent or empty.
fn common<'a>(value: Option<&'a str>, name: &'static str) -> Result<&'a str, Error> {
    value.filter(|text| !text.is_empty()).ok_or_else(|| Error::missing_common(name))
}

/// # Errors
/// `InvalidParameter.Format`.
fn format_named(named: Option<&str>, otherwise: Format) -> Result<Format, Error> {
    match named {
        Some(name) => Format::named(name).ok_or_else(|| Error::new(Code::InvalidFormat)),
        None => Ok(otherwise),
    }
}

fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn mac(algorithm: hmac::Algorithm, secret: &str, text: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(algorithm, secret.as_bytes()), text)
}

fn mac_matches(algorithm: hmac::Algorithm, secret: &str, text: &[u8], signature: &[u8]) -> bool {
    hmac::verify(&hmac::Key::new(algorithm, secret.as_bytes()), text, signature).is_ok()
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// Reads lower-case hex; anything else is nothing.
fn from_hex(text: &str) -> Option<Vec<u8>> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(value(*high)? << 4 | value(*low)?)).collect()
}
