//! The fleet file: it is a fleet that holds together, or mistakes with places that are in the text.

use ensemble_model::fleet::file::parse;
use ensemble_model::fleet::{DistrictLevel, Fleet};
use std::collections::BTreeSet;

const MISTAKES_AT_MOST: usize = 100;
const LEVELS: [DistrictLevel; 4] =
    [DistrictLevel::National, DistrictLevel::Big, DistrictLevel::Middle, DistrictLevel::Small];

/// The text of the file.
pub fn check(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let read = parse(text);
    match &read {
        Ok(fleet) => holds_together(fleet),
        Err(mistakes) => {
            assert!((1..=MISTAKES_AT_MOST).contains(&mistakes.len()), "{} mistakes", mistakes.len());
            let lines = text.split('\n').count();
            for mistake in mistakes {
                let (line, column) = (mistake.line, mistake.column);
                assert!((1..=lines).contains(&line), "line {line} of {lines}: {mistake}");
                let longest = text.split('\n').nth(line - 1).map_or(0, |line| line.chars().count());
                // Right behind the end is where something is missing, a line break included.
                assert!((1..=longest + 2).contains(&column), "column {column} of {longest}: {mistake}");
                assert!(mistake.message.len() <= 2_000, "a mistake of {} bytes", mistake.message.len());
            }
            assert!(mistakes.is_sorted_by_key(|mistake| (mistake.line, mistake.column)));
        }
    }
}

fn holds_together(fleet: &Fleet) {
    assert!(!fleet.engines.is_empty(), "a fleet without an engine");
    let ids: BTreeSet<&str> = fleet.nodes.iter().map(|node| node.id.as_str()).collect();
    assert_eq!(ids.len(), fleet.nodes.len(), "an id stands there twice");
    for node in &fleet.nodes {
        let id = node.id.as_str();
        assert!(!id.is_empty() && id.len() <= 128, "an id of {} bytes", id.len());
        assert!(!id.contains(['/', '=', ',', ' ']) && id != "All", "{id} cannot be asked for");
        assert!(!fleet.districts.contains_key(id), "{id} is a node and a district");
        assert!(fleet.engines.contains_key(&node.engine), "{id} has an engine that is not there");
        assert!(!node.isps.is_empty(), "{id} has no carrier, not even the nameless one");
        let carriers: BTreeSet<&str> = node.isps.iter().map(|isp| isp.as_str()).collect();
        assert_eq!(carriers.len(), node.isps.len(), "{id} has a carrier twice");
        assert!(node.capacity.vcpu > 0 && node.capacity.memory_mib > 0, "{id} has no room");
        if let Some(code) = &node.district {
            assert!(fleet.lies_in(node, code.as_str()), "{id} does not lie in its own district");
        }
    }
    for district in fleet.districts.values() {
        let father = district.father.as_ref().map(|code| &fleet.districts[code]);
        assert!(
            father.is_none_or(|father| father.level < district.level),
            "{} is above itself",
            district.code
        );
    }
    for (node, level) in fleet.nodes.iter().flat_map(|node| LEVELS.map(|level| (node, level))) {
        if let Some(unit) = fleet.unit_of(node, level) {
            assert!(fleet.lies_in(node, unit.code.as_str()), "{} and {}", node.id, unit.code);
        }
    }
}
