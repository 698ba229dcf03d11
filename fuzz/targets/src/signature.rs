//! A request as it comes from the wire: who it says it is of, and whether its signature proves it. Whatever is taken
//! is within the window, is taken with one secret only, and is the same whatever the order of its headers.

use crate::refusal::{self, Quotes};
use ensemble_wire::parameters::MAX_PARAMETERS;
use ensemble_wire::signature::{self, Claim, Request, WINDOW_SECONDS};
use jiff::Timestamp;

/// Whose requests are in the corpus.
const SECRETS: [&str; 4] =
    ["EnsembleTestSecret0123456789Ab", "StsTestSecret0123456789", "StsSecret", "testsecret"];
const OTHER_SECRET: &str = "somebody else's";

/// The server's clock in seconds, a blank, and the request as HTTP/1.1 writes it, line feeds only.
pub fn check(input: &[u8]) {
    let Some((now, received)) = Received::read(input) else { return };
    let request = received.request(&received.headers);
    // It never fails, and never depends on what is signed.
    let format = signature::answer_format(&request);
    let claim = match signature::identify(&request, now) {
        Ok(claim) => claim,
        Err(error) => return refusal::is_sound(&error, Quotes::Little),
    };

    is_sound(&claim, now);
    assert_eq!(signature::answer_format(&request), format);
    let headers: Vec<_> = received.headers.iter().rev().copied().collect();
    let reversed = signature::identify(&received.request(&headers), now).expect("headers have no order");
    assert_eq!(said(&reversed), said(&claim), "headers have no order");
    for secret in SECRETS {
        let codes = [&claim, &reversed].map(|claim| claim.verify(secret).map_err(|error| error.code));
        assert_eq!(codes[0], codes[1], "headers have no order");
    }
    let accepted: Vec<&str> = SECRETS.into_iter().filter(|secret| claim.verify(secret).is_ok()).collect();
    assert!(accepted.len() <= 1, "signed with two secrets");
    match claim.verify(OTHER_SECRET) {
        Ok(()) => panic!("signed with a secret that nobody has"),
        Err(error) => refusal::is_sound(&error, Quotes::WhatWasSigned),
    }
    if let Some(secret) = accepted.first() {
        let later = now + jiff::SignedDuration::from_secs(2 * WINDOW_SECONDS + 1);
        assert!(signature::identify(&request, later).is_err(), "taken after its time");
        assert!(reversed.verify(secret).is_ok(), "headers have no order");
    }
}

fn is_sound(claim: &Claim, now: Timestamp) {
    assert!(claim.stamp.as_second().abs_diff(now.as_second()) <= WINDOW_SECONDS.unsigned_abs());
    assert!(claim.parameters.iter().count() <= MAX_PARAMETERS);
    let named = [&claim.access_key_id, &claim.nonce, &claim.action, &claim.api_version];
    assert!(named.iter().all(|text| !text.is_empty()), "{claim:?}");
}

/// Everything that a request says about itself, in words.
fn said(claim: &Claim) -> String {
    format!(
        "{:?} {} {} {:?} {} {} {:?} {:?} {:?}",
        claim.version,
        claim.access_key_id,
        claim.stamp,
        claim.nonce,
        claim.action,
        claim.api_version,
        claim.format,
        claim.security_token,
        claim.parameters
    )
}

struct Received<'a> {
    method: &'a str,
    path: &'a str,
    query: &'a str,
    headers: Vec<(&'a str, &'a [u8])>,
    body: &'a [u8],
}

impl<'a> Received<'a> {
    fn read(input: &'a [u8]) -> Option<(Timestamp, Self)> {
        let (line, mut rest) = line(input);
        let mut words = str::from_utf8(line).ok()?.splitn(3, ' ');
        let now = Timestamp::from_second(words.next()?.parse().ok()?).ok()?;
        let (method, target) = (words.next()?, words.next()?);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut headers = Vec::new();
        loop {
            let (header, after) = line_of(rest)?;
            rest = after;
            if header.is_empty() {
                break;
            }
            let colon = header.iter().position(|byte| *byte == b':')?;
            headers.push((str::from_utf8(&header[..colon]).ok()?, &header[colon + 1..]));
        }
        Some((now, Self { method, path, query, headers, body: rest }))
    }

    fn request<'h>(&'h self, headers: &'h [(&'h str, &'h [u8])]) -> Request<'h> {
        Request { method: self.method, path: self.path, raw_query: self.query, headers, body: self.body }
    }
}

/// Up to the first line feed, and what comes behind it.
pub(crate) fn line(bytes: &[u8]) -> (&[u8], &[u8]) {
    line_of(bytes).unwrap_or((bytes, &[]))
}

fn line_of(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    Some((&bytes[..end], &bytes[end + 1..]))
}
