//! Signature V1: parameters of query and form, sorted and double-encoded, HMAC-SHA1 or HMAC-SHA256 (gateway.md §1).
//! Signs no header and no JSON body, so neither is ever taken for a parameter here.

use super::{Claim, Key, Request, SignatureVersion, bearer_refused, common, format_named, stamp_within};
use super::{mac, mac_matches};
use crate::error::{Code, Error};
use crate::format::Format;
use crate::parameters::{RawParameters, encode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use ring::hmac;

#[derive(Clone, Debug)]
pub(super) struct Proof {
    algorithm: hmac::Algorithm,
    string_to_sign: String,
    signature: String,
}

pub(super) fn identify(request: &Request<'_>, query: RawParameters, now: Timestamp) -> Result<Claim, Error> {
    let parameters = query.and(RawParameters::from_encoded(request.form_body())?)?;
    let format = format_named(parameters.filled("Format"), Format::Xml)?;
    if parameters.filled("SignatureType").is_some_and(|kind| kind.eq_ignore_ascii_case("BEARERTOKEN")) {
        return Err(bearer_refused());
    }
    if parameters.filled("Signature").is_none() && parameters.filled("AccessKeyId").is_none() {
        return Err(Error::missing_common("AccessKeyId"));
    }
    let action = common(parameters.filled("Action"), "Action")?.to_owned();
    let api_version = common(parameters.filled("Version"), "Version")?.to_owned();
    let access_key_id = common(parameters.filled("AccessKeyId"), "AccessKeyId")?.to_owned();
    let nonce = common(parameters.filled("SignatureNonce"), "SignatureNonce")?.to_owned();
    let stamp = common(parameters.filled("Timestamp"), "Timestamp")?;
    let signature = common(parameters.filled("Signature"), "Signature")?.to_owned();
    let method = common(parameters.filled("SignatureMethod"), "SignatureMethod")?;
    let version = common(parameters.filled("SignatureVersion"), "SignatureVersion")?;
    let stamp = stamp_within(stamp, now)?;
    let algorithm = algorithm(method)?;
    if version != "1.0" {
        return Err(Error::invalid_parameter("SignatureVersion", "SignatureVersion is 1.0."));
    }
    let string_to_sign = string_to_sign(request.method, &parameters);
    Ok(Claim {
        version: SignatureVersion::V1,
        access_key_id,
        stamp,
        nonce,
        action,
        api_version,
        format,
        security_token: parameters.filled("SecurityToken").map(str::to_owned),
        parameters,
        proof: super::Proof::V1(Proof { algorithm, string_to_sign, signature }),
    })
}

fn algorithm(method: &str) -> Result<hmac::Algorithm, Error> {
    match method {
        "HMAC-SHA1" => Ok(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        "HMAC-SHA256" => Ok(hmac::HMAC_SHA256),
        _ => Err(Error::new(Code::InvalidSignatureMethod)
            .with_detail("SignatureMethod is HMAC-SHA1 or HMAC-SHA256 here.")),
    }
}

/// `METHOD&%2F&<canonical query, encoded once more>` of everything but `Signature`.
fn string_to_sign(method: &str, parameters: &RawParameters) -> String {
    format!("{method}&%2F&{}", encode(&parameters.canonical(Some("Signature"))))
}

impl Proof {
    pub(super) fn verify(&self, secret: &str) -> Result<(), Error> {
        let text = self.string_to_sign.as_bytes();
        let matches = BASE64
            .decode(&self.signature)
            .is_ok_and(|signature| mac_matches(self.algorithm, &format!("{secret}&"), text, &signature));
        if matches { Ok(()) } else { Err(Error::signature_does_not_match_v1(&self.string_to_sign)) }
    }
}

/// What a client adds to its parameters to sign them.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    pub method: &'a str,
    pub action: &'a str,
    /// `2017-11-10`.
    pub version: &'a str,
    /// Drawn anew for every attempt.
    pub nonce: &'a str,
    pub stamp: Timestamp,
}

/// All parameters of a signed request: the caller's, the common ones, `Signature` last. Asks for a JSON answer.
pub fn sign(facts: &Facts<'_>, parameters: &RawParameters, key: &Key<'_>) -> RawParameters {
    let stamp = crate::time::iso(facts.stamp.as_millisecond());
    let common = [
        ("Action", facts.action),
        ("Version", facts.version),
        ("Format", "JSON"),
        ("AccessKeyId", key.id),
        ("SignatureMethod", "HMAC-SHA1"),
        ("SignatureVersion", "1.0"),
        ("SignatureNonce", facts.nonce),
        ("Timestamp", stamp.as_str()),
    ];
    let token = key.security_token.map(|token| ("SecurityToken", token));
    let all: RawParameters = parameters.iter().chain(common).chain(token).collect();
    let text = string_to_sign(facts.method, &all);
    let tag = mac(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &format!("{}&", key.secret), text.as_bytes());
    let signature = BASE64.encode(tag.as_ref());
    all.iter().chain([("Signature", signature.as_str())]).collect()
}
