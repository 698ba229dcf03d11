//! The two formats of an answer and their exact content types, which clients compare as strings (gateway.md §4.1).

pub mod json;
pub mod xml;

use serde_json::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    Xml,
}

impl Format {
    /// `JSON` or `XML`, in any case: clients send `json` too.
    pub fn named(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("JSON") {
            Some(Self::Json)
        } else if name.eq_ignore_ascii_case("XML") {
            Some(Self::Xml)
        } else {
            None
        }
    }

    /// To the letter: SDKs recognise an XML error by string equality.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json;charset=utf-8",
            Self::Xml => "text/xml;charset=utf-8",
        }
    }
}

/// Renders an answer. `root` names the XML element: `RescaleApplicationResponse`, `Error`.
pub fn render(format: Format, root: &str, answer: &Value) -> Vec<u8> {
    match format {
        Format::Json => json::render(answer),
        Format::Xml => xml::render(root, answer),
    }
}
