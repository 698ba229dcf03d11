//! What holds for every refusal that leaves the gateway, whatever was sent: it is short, and a client can read it in
//! both formats. Which refusal it should be is not known here.

use ensemble_wire::error::Error;
use ensemble_wire::format::{self, Format};
use serde_json::Value;

/// A name of up to 64 bytes behind `InvalidParameter.`.
const CODE_BYTES_AT_MOST: usize = 96;
/// Of a sentence that quotes what was sent only in part.
const TEXT_BYTES_AT_MOST: usize = 4_096;
/// Of a message that gives back what was signed, so that a client can compare it (gateway.md §4.4).
const SIGNED_BYTES_AT_MOST: usize = (256 << 10) + TEXT_BYTES_AT_MOST;

/// Whether a refusal may give back all that was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quotes {
    Little,
    WhatWasSigned,
}

/// Asserts that `error` is an answer that can be sent and read.
pub(crate) fn is_sound(error: &Error, quotes: Quotes) {
    let code = error.code.as_text();
    assert!(code.len() <= CODE_BYTES_AT_MOST, "a code of {} bytes", code.len());
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    assert!(code.bytes().all(is_plain), "a code that no client can branch on: {code}");
    assert!((400..600).contains(&error.status()), "{code} has the status {}", error.status());
    let most = match quotes {
        Quotes::Little => TEXT_BYTES_AT_MOST,
        Quotes::WhatWasSigned => SIGNED_BYTES_AT_MOST,
    };
    let texts = [Some(error.message.as_str()), error.detail.as_deref()];
    for text in texts.into_iter().flatten() {
        assert!(text.len() <= most, "{code} says {} bytes", text.len());
    }

    let body = serde_json::to_value(error.body("R", "127.0.0.1")).expect("a body is JSON");
    let json = format::render(Format::Json, "Error", &body);
    assert_eq!(serde_json::from_slice::<Value>(&json).expect("JSON is rendered as JSON"), body);
    let xml = String::from_utf8(format::render(Format::Xml, "Error", &body)).expect("XML is UTF-8");
    // What XML 1.0 cannot have, not even escaped.
    let forbidden = |letter: char| {
        letter < ' ' && !matches!(letter, '\t' | '\n' | '\r') || ('\u{fffe}'..='\u{ffff}').contains(&letter)
    };
    assert!(!xml.contains(forbidden), "{code} is no XML");
}
