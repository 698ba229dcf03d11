//! What carriers are called, and in which order they stand in an answer.

use ensemble_model::id::Isp;

/// Codes and names, in the order of the published lists.
const NAMES: [(&str, &str); 5] =
    [("telecom", "电信"), ("unicom", "联通"), ("cmcc", "移动"), ("cbn", "广电"), (SEVERAL, "多线")];

/// Not a carrier: an edge node with several of them (ens-api.md §7.3).
pub(crate) const SEVERAL: &str = "multiCarrier";

/// The name of a carrier; one that has none is called by its code.
pub(crate) fn name(code: &str) -> &str {
    NAMES.iter().find(|(known, _)| *known == code).map_or(code, |(_, name)| name)
}

/// Sorts by the published order, with what is not in it behind.
pub(crate) fn rank(code: &str) -> usize {
    NAMES.iter().position(|(known, _)| *known == code).unwrap_or(NAMES.len())
}

/// Those that have a name, each once, in the published order.
pub(crate) fn named<'a>(isps: impl Iterator<Item = &'a Isp>) -> Vec<&'a str> {
    let mut codes: Vec<&str> = isps.map(Isp::as_str).filter(|code| !code.is_empty()).collect();
    codes.sort_by_key(|code| (rank(code), *code));
    codes.dedup();
    codes
}
