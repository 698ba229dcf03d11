//! Parameters as they arrive: decoded pairs in the order of the wire, from the query, a form body or the top
//! level of a JSON object; and, once an action's catalog entry has checked them, as typed values.
//! Must not know what any action means; `catalog` checks, `action` reads.

use crate::error::Error;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::error::Category;
use std::collections::{BTreeMap, HashSet};
use std::fmt;

/// What stays as it is in a canonical query: `A–Z a–z 0–9 - _ . ~` (gateway.md §1.2 step 4).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// So few names are compared with each other sooner than a set of them is made.
const FEW: usize = 24;

/// Percent-encodes as both signature versions do: upper-case hex, `%20` for a space.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// Pairs as a query or form body that both signature versions verify.
pub fn encode_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (name, value) in pairs {
        if !text.is_empty() {
            text.push('&');
        }
        text.extend(utf8_percent_encode(name, RESERVED));
        text.push('=');
        text.extend(utf8_percent_encode(value, RESERVED));
    }
    text
}

/// Most parameters of one request, the common ones included: everything that looks at them is linear in their number,
/// and the signature is computed over all of them before anybody is known.
pub const MAX_PARAMETERS: usize = 1_000;

/// Decoded pairs in the order of the wire; no name twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawParameters(Vec<(String, String)>);

impl RawParameters {
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads `name=value&…` as a query or a form body: `+` is a space, `%XX` a byte, a missing `=` an empty value.
    ///
    /// # Errors
    /// A repeated name (`InvalidParameter.<Name>`), text that is not UTF-8, more than [`MAX_PARAMETERS`].
    pub fn from_encoded(encoded: &[u8]) -> Result<Self, Error> {
        let mut pairs = Vec::new();
        for piece in encoded.split(|byte| *byte == b'&').filter(|piece| !piece.is_empty()) {
            if pairs.len() == MAX_PARAMETERS {
                return Err(too_many());
            }
            let at = piece.iter().position(|byte| *byte == b'=');
            let (name, value) = at.map_or((piece, &[][..]), |at| (&piece[..at], &piece[at + 1..]));
            let name = decode(name).ok_or_else(|| Error::invalid("a parameter name is not UTF-8"))?;
            let value = decode(value).ok_or_else(|| Error::invalid_parameter(&as_name(&name), NOT_UTF8))?;
            pairs.push((name, value));
        }
        Self(pairs).without_repetition()
    }

    /// Reads the members of a JSON object; nested values are kept as JSON text, null counts as absent.
    ///
    /// # Errors
    /// `InvalidParameter` when the body is not one JSON object or has more than [`MAX_PARAMETERS`] members,
    /// `InvalidParameter.<Name>` for a repeated member.
    pub fn from_json_object(body: &[u8]) -> Result<Self, Error> {
        let Members(members) = serde_json::from_slice(body).map_err(|error| match error.classify() {
            Category::Data => Error::invalid("the body is not a JSON object"),
            Category::Io | Category::Syntax | Category::Eof => {
                Error::invalid(format!("the body is not JSON ({error})"))
            }
        })?;
        if members.len() > MAX_PARAMETERS {
            return Err(too_many());
        }
        let mut seen = HashSet::with_capacity(members.len());
        if let Some((name, _)) = members.iter().find(|(name, _)| !seen.insert(name.as_str())) {
            return Err(repeated(name));
        }
        let pairs = members.into_iter().filter_map(|(name, value)| match value {
            Value::Null => None,
            Value::String(text) => Some((name, text)),
            other => Some((name, other.to_string())),
        });
        Ok(Self(pairs.collect()))
    }

    /// Joins two sources, refusing a name that stands in both.
    ///
    /// # Errors
    /// `InvalidParameter.<Name>` for the name that repeats; `InvalidParameter` when together they are too many.
    pub fn and(mut self, other: Self) -> Result<Self, Error> {
        if self.0.len() + other.0.len() > MAX_PARAMETERS {
            return Err(too_many());
        }
        if other.is_empty() {
            return Ok(self);
        }
        self.0.extend(other.0);
        self.without_repetition()
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The value, unless it is absent or empty: an empty optional parameter counts as absent.
    pub fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sorted by name in byte order, percent-encoded: the canonical query of both signature versions.
    pub fn canonical(&self, without: Option<&str>) -> String {
        let mut pairs: Vec<(&str, &str)> = self.iter().filter(|(name, _)| Some(*name) != without).collect();
        pairs.sort_unstable();
        encode_pairs(pairs)
    }

    fn without_repetition(self) -> Result<Self, Error> {
        if self.0.len() <= FEW {
            let repeats = |(at, (name, _)): &(usize, &(String, String))| {
                self.iter().take(*at).any(|(other, _)| other == name)
            };
            return match self.0.iter().enumerate().find(repeats) {
                Some((_, (name, _))) => Err(repeated(name)),
                None => Ok(self),
            };
        }
        let mut seen = HashSet::with_capacity(self.0.len());
        match self.0.iter().find(|(name, _)| !seen.insert(name.as_str())) {
            Some((name, _)) => Err(repeated(name)),
            None => Ok(self),
        }
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for RawParameters {
    /// For clients, who hold parameters in maps; the last of a repeated name wins.
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut found = Self::new();
        for (name, value) in pairs {
            let (name, value) = (name.into(), value.into());
            match found.0.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = value,
                None => found.0.push((name, value)),
            }
        }
        found
    }
}

/// The members of a JSON object as they stand there: a map would silently keep the last of a repeated name.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

fn repeated(name: &str) -> Error {
    Error::invalid_parameter(&as_name(name), "The parameter stands there twice.")
}

fn too_many() -> Error {
    Error::invalid(format!("the request has more than {MAX_PARAMETERS} parameters"))
}

/// What a client made up as a name, fit to stand in an error code: clients branch on it and logs print it.
fn as_name(text: &str) -> String {
    const LONGEST: usize = 64;
    let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    text.chars().take(LONGEST).map(|letter| if fits(letter) { letter } else { '_' }).collect()
}

const NOT_UTF8: &str = "The value is not UTF-8.";

fn decode(encoded: &[u8]) -> Option<String> {
    if !encoded.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return str::from_utf8(encoded).ok().map(str::to_owned);
    }
    let spaced: Vec<u8> = encoded.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    String::from_utf8(percent_decode(&spaced).collect()).ok()
}

/// Parameters that an action's catalog entry has checked; defaults are filled in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameters(BTreeMap<&'static str, Checked>);

/// A value of the type its catalog entry declares.
#[derive(Clone, Debug, PartialEq)]
pub enum Checked {
    Text(String),
    Integer(i64),
    Flag(Flag),
    Json(Value),
}

/// A Boolean parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    Yes,
    No,
}

impl Parameters {
    pub(crate) fn insert(&mut self, name: &'static str, value: Checked) {
        self.0.insert(name, value);
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        match self.0.get(name) {
            Some(Checked::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// A text parameter that the catalog declares required, so that `check` has refused its absence.
    ///
    /// # Errors
    /// `MissingParameter`, for an entry that does not declare it so.
    pub fn required(&self, name: &str) -> Result<&str, Error> {
        self.text(name).ok_or_else(|| Error::missing_parameter(name))
    }

    pub fn integer<T: TryFrom<i64>>(&self, name: &str) -> Option<T> {
        match self.0.get(name) {
            Some(Checked::Integer(number)) => T::try_from(*number).ok(),
            _ => None,
        }
    }

    pub fn flag(&self, name: &str) -> Flag {
        match self.0.get(name) {
            Some(Checked::Flag(flag)) => *flag,
            _ => Flag::No,
        }
    }

    pub fn json(&self, name: &str) -> Option<&Value> {
        match self.0.get(name) {
            Some(Checked::Json(value)) => Some(value),
            _ => None,
        }
    }

    /// The parameters as one object, for the history of operations.
    pub fn to_value(&self) -> Value {
        let members = self.0.iter().map(|(name, value)| {
            let value = match value {
                Checked::Text(text) => Value::from(text.as_str()),
                Checked::Integer(number) => Value::from(*number),
                Checked::Flag(flag) => Value::from(*flag == Flag::Yes),
                Checked::Json(value) => value.clone(),
            };
            ((*name).to_owned(), value)
        });
        Value::Object(members.collect())
    }
}

/// Whether a Content-Type says that the body is a form.
pub fn is_form(content_type: &str) -> bool {
    has_media_type(content_type, "application/x-www-form-urlencoded")
}

/// Whether a Content-Type says that the body is JSON.
pub fn is_json(content_type: &str) -> bool {
    has_media_type(content_type, "application/json")
}

fn has_media_type(content_type: &str, expected: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(encoded: &str) -> Vec<(String, String)> {
        RawParameters::from_encoded(encoded.as_bytes()).unwrap().0
    }

    #[test]
    fn plus_and_percent_twenty_are_both_a_space() {
        let expected = vec![("a".to_owned(), "x y z".to_owned())];

        assert_eq!(pairs("a=x+y%20z"), expected);
    }

    #[test]
    fn odd_pieces_are_read_as_clients_mean_them() {
        for (encoded, expected) in [
            ("", vec![]),
            ("&&", vec![]),
            ("a", vec![("a", "")]),
            ("a=", vec![("a", "")]),
            ("a=b=c", vec![("a", "b=c")]),
            ("a=%2B%E4%B8%8A", vec![("a", "+上")]),
            ("a=100%", vec![("a", "100%")]),
            ("a=%zz", vec![("a", "%zz")]),
        ] {
            let expected: Vec<(String, String)> =
                expected.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
            assert_eq!(pairs(encoded), expected, "{encoded}");
        }
    }

    #[test]
    fn a_repeated_name_is_refused_by_name() {
        let error = RawParameters::from_encoded(b"AppId=1&x=2&AppId=3").unwrap_err();

        assert_eq!(error.code.as_text(), "InvalidParameter.AppId");
    }

    #[test]
    fn a_name_in_query_and_body_is_refused_by_name() {
        let query = RawParameters::from_encoded(b"Timeout=1").unwrap();
        let body = RawParameters::from_json_object(br#"{"Timeout":2}"#).unwrap();

        let error = query.and(body).unwrap_err();

        assert_eq!(error.code.as_text(), "InvalidParameter.Timeout");
    }

    #[test]
    fn a_member_that_repeats_in_a_json_body_is_refused_by_name() {
        for body in [r#"{"AppId":"1","x":2,"AppId":"1"}"#, r#"{"AppId":null,"AppId":"1"}"#] {
            let error = RawParameters::from_json_object(body.as_bytes()).unwrap_err();

            assert_eq!(error.code.as_text(), "InvalidParameter.AppId", "{body}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused() {
        let value = RawParameters::from_encoded(b"AppId=%FF").unwrap_err();
        let name = RawParameters::from_encoded(b"%FF=1").unwrap_err();

        assert_eq!(value.code.as_text(), "InvalidParameter.AppId");
        assert_eq!(name.code.as_text(), "InvalidParameter");
    }

    #[test]
    fn members_of_a_json_body_become_text() {
        let body =
            br#"{"AppId":"a","Timeout":1800,"AllowPartial":true,"ResourceSelector":[{"count":1}],"x":null}"#;

        let read = RawParameters::from_json_object(body).unwrap();

        assert_eq!(read.get("Timeout"), Some("1800"));
        assert_eq!(read.get("AllowPartial"), Some("true"));
        assert_eq!(read.get("ResourceSelector"), Some(r#"[{"count":1}]"#));
        assert_eq!(read.get("x"), None);
        assert!(RawParameters::from_json_object(b"[1]").is_err());
        assert!(RawParameters::from_json_object(b"{").is_err());
    }

    proptest::proptest! {
        #[test]
        fn what_is_encoded_is_read_back(name in ".{1,8}", value in ".{0,40}") {
            let encoded = encode_pairs([(name.as_str(), value.as_str())]);

            let read = RawParameters::from_encoded(encoded.as_bytes()).unwrap();

            proptest::prop_assert_eq!(read.get(&name), Some(value.as_str()));
        }

        #[test]
        fn any_bytes_are_read_or_refused_without_panic(bytes: Vec<u8>) {
            drop(RawParameters::from_encoded(&bytes));
            drop(RawParameters::from_json_object(&bytes));
        }
    }
}
