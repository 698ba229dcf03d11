//! One container whose lines are shown: how it is asked for, how far its lines have been shown, and what they look like.

use crate::client::{Parameters, parameter};
use crate::context::Context;
use crate::output;
use serde_json::Value;

/// Most lines that one answer holds.
const LINES_AT_MOST: u32 = 10_000;

/// Those that are told apart well on dark and on light.
const COLOURS: [u8; 6] = [36, 33, 32, 35, 34, 31];

pub(super) struct Source {
    pub(super) instance: String,
    pub(super) pod: Option<String>,
    /// What its lines begin with.
    pub(super) prefix: Option<String>,
    pub(super) colour: usize,
    pub(super) parameters: Parameters,
    pub(super) since: Option<String>,
    pub(super) tail: u32,
}

impl Source {
    /// One that came while others were followed is shown from its first line on.
    pub(super) fn whole(self) -> Self {
        Self { tail: LINES_AT_MOST, since: None, ..self }
    }

    /// For the lines there are.
    pub(super) fn once(&self) -> Parameters {
        self.asking(self.since.as_deref(), self.tail)
    }

    /// For the lines from where it was left, and all to come.
    pub(super) fn following(&self, place: &Place) -> Parameters {
        let mut parameters = match place.at.as_str() {
            "" => self.once(),
            at => self.asking(Some(at), LINES_AT_MOST),
        };
        parameters.push(parameter("Follow", "true"));
        parameters
    }

    fn asking(&self, since: Option<&str>, tail: u32) -> Parameters {
        let mut parameters = self.parameters.clone();
        parameters.push(parameter("Tail", tail));
        parameters.extend(since.map(|since| parameter("Since", since)));
        parameters
    }
}

/// The last line shown: its time, and how many lines of that very time were shown.
#[derive(Default)]
pub(super) struct Place {
    at: String,
    shown: usize,
    /// Of them, those that have come on this connection.
    came: usize,
}

impl Place {
    /// Another connection begins, and with it lines come again.
    pub(super) fn resume(&mut self) {
        self.came = 0;
    }

    /// Whether the line that has come was not shown before. Times are of one width, so that they compare as text.
    pub(super) fn is_new(&mut self, line: &Value) -> bool {
        let at = line["At"].as_str().unwrap_or_default();
        if at < self.at.as_str() {
            return false;
        }
        if at > self.at.as_str() {
            *self = Self { at: at.to_owned(), shown: 1, came: 1 };
            return true;
        }
        self.came += 1;
        let is_new = self.came > self.shown;
        self.shown = self.shown.max(self.came);
        is_new
    }
}

/// Writes lines to stdout, each whole.
pub(super) struct Printer {
    is_json: bool,
    colours: bool,
}

impl Printer {
    pub(super) fn new(context: &Context) -> Self {
        Self { is_json: context.form().is_json(), colours: context.colours_output() }
    }

    pub(super) fn print(&self, source: &Source, line: Value) {
        output::line(&self.text(source, line));
    }

    fn text(&self, source: &Source, mut line: Value) -> String {
        if self.is_json {
            line["InstanceId"] = Value::from(source.instance.as_str());
            line["PodName"] = Value::from(source.pod.as_deref());
            return line.to_string();
        }
        let text = line["Text"].as_str().unwrap_or_default();
        match &source.prefix {
            None => text.to_owned(),
            Some(prefix) if self.colours => {
                format!("\x1b[{}m{prefix}\x1b[0m {text}", COLOURS[source.colour % COLOURS.len()])
            }
            Some(prefix) => format!("{prefix} {text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn source(prefix: Option<&str>) -> Source {
        Source {
            instance: "i-a".to_owned(),
            pod: Some("web-0".to_owned()),
            prefix: prefix.map(str::to_owned),
            colour: 7,
            parameters: Vec::new(),
            since: None,
            tail: 200,
        }
    }

    #[test]
    fn what_comes_again_behind_a_break_is_not_shown_again() {
        let mut place = Place::default();
        let mut take = |times: &[&str]| -> Vec<bool> {
            place.resume();
            times.iter().map(|at| place.is_new(&json!({"At": at}))).collect()
        };

        assert_eq!(take(&["1", "2", "2"]), [true, true, true]);
        assert_eq!(take(&["1", "2", "2", "2", "3"]), [false, false, false, true, true]);
        assert_eq!(take(&["2", "3", "3"]), [false, false, true]);
    }

    #[test]
    fn a_place_is_gone_on_from() {
        let source = source(None);
        let mut place = Place::default();
        let ask = |place: &Place| source.following(place);

        assert_eq!(ask(&place), [parameter("Tail", 200), parameter("Follow", true)]);
        place.is_new(&json!({"At": "2026-01-01T00:00:00Z"}));
        assert_eq!(
            ask(&place),
            [
                parameter("Tail", LINES_AT_MOST),
                parameter("Since", "2026-01-01T00:00:00Z"),
                parameter("Follow", true)
            ]
        );
    }

    #[test]
    fn a_line_stands_under_the_name_of_its_pod() {
        let line = || json!({"At": "1", "Stream": "stdout", "Text": "hello"});
        let text = |is_json, colours, prefix| Printer { is_json, colours }.text(&source(prefix), line());

        assert_eq!(text(false, true, None), "hello");
        assert_eq!(text(false, false, Some("web-0")), "web-0 hello");
        assert_eq!(text(false, true, Some("web-0")), "\x1b[33mweb-0\x1b[0m hello");
        let document: Value = serde_json::from_str(&text(true, true, Some("web-0"))).unwrap();
        let expected =
            json!({"At": "1", "Stream": "stdout", "Text": "hello", "InstanceId": "i-a", "PodName": "web-0"});
        assert_eq!(document, expected);
    }
}
