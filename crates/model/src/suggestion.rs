//! "Did you mean": the known name nearest to one that is not known. Knows nothing about what the names are.

use std::cmp::Reverse;

/// A name longer than this is no typing mistake, and comparing it would cost more than it helps.
const LONGEST: usize = 64;

/// The candidate that differs least from `wrong`, letter case aside, unless all differ too much.
pub fn nearest<'a>(wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if wrong.is_empty() || wrong.len() > LONGEST {
        return None;
    }
    let lower = wrong.to_lowercase();
    let bound = (wrong.chars().count() / 4).max(2);
    candidates
        .into_iter()
        .filter(|candidate| candidate.len().abs_diff(wrong.len()) <= bound)
        .map(|candidate| (strsim::osa_distance(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= bound && *distance < candidate.chars().count())
        .min_by_key(|(distance, candidate)| (*distance, Reverse(shared_start(&lower, candidate))))
        .map(|(_, candidate)| candidate)
}

/// How many characters both begin with: mistakes are made at the end more often than at the start.
fn shared_start(lower: &str, candidate: &str) -> usize {
    lower.chars().zip(candidate.to_lowercase().chars()).take_while(|(a, b)| a == b).count()
}

/// `; did you mean `x`?` where there is something near, else nothing: to be put behind a message.
pub fn clause<'a>(wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(wrong, candidates).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

/// `text` for a message: cut where it is longer than any name could be.
pub fn quoted(text: &str) -> String {
    if text.chars().count() <= LONGEST {
        return format!("`{text}`");
    }
    let start: String = text.chars().take(LONGEST).collect();
    format!("`{start}…`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_and_a_far_one_is_not() {
        let known = ["cn-shanghai-cmcc", "cn-shanghai-cmcc-4", "tr-Istanbul-1", "cmcc", "131000", "310000"];
        for (wrong, expected) in [
            ("cn-shanghai-cmc", Some("cn-shanghai-cmcc")),
            ("cn-shanghia-cmcc", Some("cn-shanghai-cmcc")),
            ("TR-ISTANBUL-1", Some("tr-Istanbul-1")),
            ("cmc", Some("cmcc")),
            ("31000", Some("310000")),
            ("mars", None),
            ("", None),
        ] {
            assert_eq!(nearest(wrong, known), expected, "{wrong}");
        }
    }

    #[test]
    fn a_name_longer_than_any_is_neither_compared_nor_echoed_whole() {
        let long = "x".repeat(1 << 20);

        assert_eq!(nearest(&long, ["x"]), None);
        assert!(quoted(&long).len() < 80);
    }
}
