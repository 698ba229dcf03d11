//! Signing as cheaply as it can be done, so that the load generator takes little of the two cores: the key is set up
//! once, the stamp is written once a second, buffers are used again. Gives the same bytes as `wire::signature::v3`.

use crate::client::{API_VERSION, Client};
use jiff::Timestamp;
use ring::{digest, hmac};
use std::io::Write;

/// SHA-256 of nothing: the body of a call whose parameters stand in the query.
const EMPTY_BODY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

const SIGNED: &str =
    "accept;host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version";

pub(crate) struct Signer {
    host: String,
    key_id: String,
    key: hmac::Key,
    stamp_second: i64,
    stamp: String,
    /// Begins every nonce of this signer, so that two never share one.
    prefix: u64,
    count: u64,
    canonical: Vec<u8>,
}

impl Signer {
    pub(crate) fn new(client: &Client) -> Self {
        let (prefix, _) = uuid::Uuid::new_v4().as_u64_pair();
        Self {
            host: client.address.clone(),
            key_id: client.key_id.clone(),
            key: hmac::Key::new(hmac::HMAC_SHA256, client.secret.as_bytes()),
            stamp_second: 0,
            stamp: String::new(),
            prefix,
            count: 0,
            canonical: Vec::with_capacity(1024),
        }
    }

    /// Appends a whole request. `query` is canonical: sorted, and encoded as both signature versions do.
    pub(crate) fn write(&mut self, action: &str, query: &str, request: &mut Vec<u8>) {
        self.look_at_the_clock();
        self.count += 1;
        let Self { host, key_id, key, stamp, prefix, count, canonical, .. } = self;
        let mut nonce = [0_u8; 32];
        write!(&mut nonce[..], "{prefix:016x}{count:016x}").expect("it has just this length");
        let nonce = std::str::from_utf8(&nonce).expect("digits are ASCII");
        let head = format!(
            "accept:application/json\nhost:{host}\nx-acs-action:{action}\nx-acs-content-sha256:{EMPTY_BODY}\n\
             x-acs-date:{stamp}\nx-acs-signature-nonce:{nonce}\nx-acs-version:{API_VERSION}\n"
        );
        canonical.clear();
        let written = write!(canonical, "POST\n/\n{query}\n{head}\n{SIGNED}\n{EMPTY_BODY}");
        written.expect("a vector takes every byte");
        let mut text = *b"ACS3-HMAC-SHA256\n................................................................";
        hex(digest::digest(&digest::SHA256, canonical).as_ref(), &mut text[17..]);
        let mut signature = [0_u8; 64];
        hex(hmac::sign(key, &text).as_ref(), &mut signature);
        let signature = std::str::from_utf8(&signature).expect("digits are ASCII");
        let written = write!(
            request,
            "POST /?{query} HTTP/1.1\r\naccept: application/json\r\nhost: {host}\r\nx-acs-action: {action}\r\n\
             x-acs-content-sha256: {EMPTY_BODY}\r\nx-acs-date: {stamp}\r\nx-acs-signature-nonce: {nonce}\r\n\
             x-acs-version: {API_VERSION}\r\nauthorization: ACS3-HMAC-SHA256 Credential={key_id},\
             SignedHeaders={SIGNED},Signature={signature}\r\ncontent-length: 0\r\n\r\n"
        );
        written.expect("a vector takes every byte");
    }

    fn look_at_the_clock(&mut self) {
        let now = Timestamp::now();
        if now.as_second() != self.stamp_second {
            self.stamp_second = now.as_second();
            self.stamp = ensemble_wire::time::iso(now.as_millisecond());
        }
    }
}

fn hex(bytes: &[u8], into: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, digits) in bytes.iter().zip(into.chunks_exact_mut(2)) {
        digits[0] = DIGITS[usize::from(byte >> 4)];
        digits[1] = DIGITS[usize::from(byte & 0x0f)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ensemble_wire::signature::{Request, identify};

    #[test]
    fn what_is_signed_cheaply_is_signed_right() {
        let client = Client { address: "127.0.0.1:1".into(), key_id: "id".into(), secret: "secret".into() };
        let mut bytes = Vec::new();
        Signer::new(&client).write("DescribeApplication", "AppId=a%2Fb&Level=RegionId", &mut bytes);

        let text = String::from_utf8(bytes).unwrap();
        let mut lines = text.trim_end().split("\r\n");
        assert_eq!(lines.next(), Some("POST /?AppId=a%2Fb&Level=RegionId HTTP/1.1"));
        let headers: Vec<(&str, &[u8])> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name, value.as_bytes()))
            .collect();
        let request = Request {
            method: "POST",
            path: "/",
            raw_query: "AppId=a%2Fb&Level=RegionId",
            headers: &headers,
            body: b"",
        };
        identify(&request, Timestamp::now()).unwrap().verify("secret").unwrap();
    }
}
