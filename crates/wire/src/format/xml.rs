//! An answer as XML (gateway.md §6), from the same value as the JSON one: wrapper and item elements as the members
//! stand there, a bare array as its element repeated, null as no element, characters that XML 1.0 forbids as U+FFFD.

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use serde_json::Value;
use std::borrow::Cow;
use std::io;

/// Member names come from our own types and are XML names; only values need escaping.
pub(super) fn render(root: &str, answer: &Value) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    let written = writer
        .write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))
        .and_then(|()| element(&mut writer, root, answer));
    written.expect("a vector takes every byte");
    writer.into_inner()
}

fn element(writer: &mut Writer<Vec<u8>>, name: &str, value: &Value) -> io::Result<()> {
    match value {
        Value::Null => Ok(()),
        Value::Array(items) => items.iter().try_for_each(|item| element(writer, name, item)),
        Value::Object(members) => {
            writer.write_event(Event::Start(BytesStart::new(name)))?;
            members.iter().try_for_each(|(member, value)| element(writer, member, value))?;
            writer.write_event(Event::End(BytesEnd::new(name)))
        }
        Value::String(text) => leaf(writer, name, &allowed(text)),
        Value::Bool(_) | Value::Number(_) => leaf(writer, name, &value.to_string()),
    }
}

fn leaf(writer: &mut Writer<Vec<u8>>, name: &str, text: &str) -> io::Result<()> {
    writer.write_event(Event::Start(BytesStart::new(name)))?;
    // Escapes a carriage return too, which a parser would read as a line feed.
    writer.write_event(Event::Text(BytesText::new(text)))?;
    writer.write_event(Event::End(BytesEnd::new(name)))
}

fn allowed(text: &str) -> Cow<'_, str> {
    let forbidden = |letter: char| matches!(letter, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}');
    if text.contains(forbidden) {
        Cow::Owned(text.replace(forbidden, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rendered(root: &str, answer: &Value) -> String {
        String::from_utf8(render(root, answer)).unwrap()
    }

    #[test]
    fn wrappers_and_items_keep_both_levels() {
        let answer = json!({
            "Code": 0,
            "EnsNetLevels": { "EnsNetLevel": [{ "EnsNetLevelCode": "Big" }, { "EnsNetLevelCode": "Small" }] },
            "Missing": null,
            "RequestId": "R",
        });

        assert_eq!(
            rendered("DescribeEnsNetLevelResponse", &answer),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><DescribeEnsNetLevelResponse><Code>0</Code><EnsNetLevels>\
             <EnsNetLevel><EnsNetLevelCode>Big</EnsNetLevelCode></EnsNetLevel>\
             <EnsNetLevel><EnsNetLevelCode>Small</EnsNetLevelCode></EnsNetLevel></EnsNetLevels>\
             <RequestId>R</RequestId></DescribeEnsNetLevelResponse>"
        );
    }

    #[test]
    fn a_bare_array_repeats_its_element() {
        assert_eq!(
            rendered("A", &json!({ "DeviceIds": ["a", "b"], "Fits": true })),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><A><DeviceIds>a</DeviceIds><DeviceIds>b</DeviceIds><Fits>true</Fits></A>"
        );
    }

    #[test]
    fn a_carriage_return_survives_a_parser() {
        assert!(rendered("E", &json!({ "M": "a\r\nb\r" })).contains("<M>a&#13;\nb&#13;</M>"));
    }

    #[test]
    fn values_are_escaped_and_forbidden_characters_replaced() {
        let xml = rendered("E", &json!({ "M": "a<b>&\"\u{0}\t\u{1b}上" }));

        let inside = xml.split("<M>").nth(1).unwrap();
        assert!(inside.starts_with("a&lt;b&gt;&amp;"), "{xml}");
        assert!(xml.contains("\u{fffd}\t\u{fffd}上</M>"), "{xml}");
    }
}
