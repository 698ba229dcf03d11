//! Answers as XML (gateway.md §6): every action is asked twice, and what a parser reads from the XML is what stands
//! in the JSON, member by member. Also the parser that the tables read refusals with.

use quick_xml::Reader;
use quick_xml::events::Event;
use std::collections::BTreeMap;

/// Names and texts of the children of the root; what they contain themselves is left out.
pub(crate) fn members(xml: &[u8]) -> Result<BTreeMap<String, String>, String> {
    let leaves = leaves(xml)?;
    Ok(leaves
        .into_iter()
        .filter_map(|(path, text)| {
            let (_, name) = path.split_once('/')?;
            (!name.contains('/')).then(|| (name.to_owned(), text))
        })
        .collect())
}

/// Every element without children, by its path, in the order of the document.
pub(crate) fn leaves(xml: &[u8]) -> Result<Vec<(String, String)>, String> {
    let text = str::from_utf8(xml).map_err(|error| error.to_string())?;
    let prolog = r#"<?xml version="1.0" encoding="UTF-8"?>"#;
    let text = text.strip_prefix(prolog).ok_or("it does not begin with the prolog")?;
    if let Some(forbidden) = text.chars().find(|letter| !is_xml_character(*letter)) {
        return Err(format!("{forbidden:?} is no character of XML 1.0"));
    }
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = true;
    let (mut leaves, mut path, mut content) = (Vec::new(), Vec::new(), String::new());
    let mut is_leaf = false;
    loop {
        match reader.read_event().map_err(|error| error.to_string())? {
            Event::Start(element) => {
                path.push(element.name().as_ref().to_owned());
                content.clear();
                is_leaf = true;
            }
            Event::End(_) => {
                if is_leaf {
                    leaves.push((path.join("/"), std::mem::take(&mut content)));
                }
                path.pop();
                is_leaf = false;
            }
            Event::Text(piece) => content.push_str(&normalized(&piece)),
            Event::GeneralRef(entity) => content.push(character(&entity)?),
            Event::Eof if path.is_empty() && !leaves.is_empty() => return Ok(leaves),
            other => return Err(format!("{other:?} has no place in an answer")),
        }
    }
}

/// XML reads every line end as one line feed; what must survive is written as a character reference.
fn normalized(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

fn character(entity: &quick_xml::events::BytesRef<'_>) -> Result<char, String> {
    if let Some(character) = entity.resolve_char_ref().map_err(|error| error.to_string())? {
        return Ok(character);
    }
    match &**entity {
        "amp" => Ok('&'),
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        other => Err(format!("the entity {other} is not known")),
    }
}

pub(crate) fn is_xml_character(letter: char) -> bool {
    matches!(letter, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}
