//! Reads what `--add`, `--del` and `--to` take: `NODE|DISTRICT[/ISP]=N`. Says nothing about whether such a
//! node exists; the server does.

use serde_json::{Value, json};
use std::str::FromStr;

/// One `NODE|DISTRICT[/ISP]=N`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selection {
    /// An edge node id or a district code; `all` = the whole country.
    pub(crate) region_code: String,
    pub(crate) isp: Option<String>,
    pub(crate) count: u32,
}

impl FromStr for Selection {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let example = "expected `NODE|DISTRICT[/ISP]=N`, for example `cn-shanghai-cmcc=4` or `310100/cmcc=2`";
        let (place, count) =
            text.rsplit_once('=').ok_or_else(|| format!("`{text}` has no count; {example}"))?;
        let count = count.parse().map_err(|_| format!("`{count}` is not a whole number; {example}"))?;
        let (region_code, isp) = match place.split_once('/') {
            Some((region, isp)) if !isp.is_empty() => (region, Some(isp.to_owned())),
            Some(_) => return Err(format!("`{text}` has a `/` and no carrier behind it; {example}")),
            None => (place, None),
        };
        if region_code.is_empty() {
            return Err(format!("`{text}` names no edge node or district; {example}"));
        }
        Ok(Self { region_code: region_code.to_owned(), isp, count })
    }
}

impl Selection {
    /// The item of a ResourceSelector for `count` instances here.
    pub(crate) fn item(&self, count: u32) -> Value {
        let mut item = json!({"regionCode": if self.is_everywhere() { "All" } else { &self.region_code }});
        if let Some(isp) = &self.isp {
            item["ispCode"] = json!(isp);
        }
        item["count"] = json!(count);
        item
    }

    pub(crate) fn is_everywhere(&self) -> bool {
        self.region_code.eq_ignore_ascii_case("all") || self.region_code == "100000"
    }

    /// As it was written, with another count.
    pub(crate) fn written(&self, count: u32) -> String {
        match &self.isp {
            Some(isp) => format!("{}/{isp}={count}", self.region_code),
            None => format!("{}={count}", self.region_code),
        }
    }
}

/// The ResourceSelector for what was given on the command line.
pub(crate) fn selector(selections: &[Selection]) -> Value {
    Value::Array(selections.iter().map(|selection| selection.item(selection.count)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_is_a_place_perhaps_a_carrier_and_a_count() {
        for (text, region, isp, count) in [
            ("cn-shanghai-cmcc=4", "cn-shanghai-cmcc", None, 4),
            ("310100/cmcc=2", "310100", Some("cmcc"), 2),
            ("all=1", "all", None, 1),
        ] {
            let read: Selection = text.parse().unwrap();
            assert_eq!((read.region_code.as_str(), read.isp.as_deref(), read.count), (region, isp, count));
            assert_eq!(read.written(count), text);
        }
    }

    #[test]
    fn a_broken_selection_is_explained() {
        for (text, part) in [
            ("cn-x", "no count"),
            ("cn-x=two", "whole number"),
            ("cn-x/=2", "no carrier"),
            ("=3", "names no edge node"),
        ] {
            let error = text.parse::<Selection>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn the_selector_is_the_apis() {
        let selections = ["cn-x/telecom=2".parse().unwrap(), "all=1".parse().unwrap()];

        let selector = selector(&selections).to_string();

        assert_eq!(
            selector,
            r#"[{"regionCode":"cn-x","ispCode":"telecom","count":2},{"regionCode":"All","count":1}]"#
        );
    }
}
