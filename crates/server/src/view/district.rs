//! Where an edge node is, at a level of aggregation: the codes and names of `decisions.md` §7.5.

use ensemble_model::fleet::{District, DistrictLevel, EdgeNode, Fleet};
use ensemble_wire::action::Level;

/// The code of the whole country, where everything counts that has no narrower unit.
const COUNTRY: &str = "100000";

/// What a node counts under.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Unit {
    /// The unit's code; at RegionId the node's id.
    pub(super) region_code: String,
    /// The district code of the unit; at RegionId that of the city.
    pub(super) area_code: String,
    /// `<big>,<province>,<city>`, filled down to the level: `华东,,`.
    pub(super) area_name: String,
    /// The node's name at RegionId, else "".
    pub(super) region_name: String,
}

/// The unit of `level` that `node` counts under; where it has none of that level, the next higher one.
pub(super) fn unit(fleet: &Fleet, node: &EdgeNode, level: Level) -> Unit {
    let narrowest = match level {
        Level::National => DistrictLevel::National,
        Level::Big => DistrictLevel::Big,
        Level::Middle => DistrictLevel::Middle,
        Level::Small | Level::RegionId => DistrictLevel::Small,
    };
    let named = [DistrictLevel::Big, DistrictLevel::Middle, DistrictLevel::Small].map(|at| {
        let shown = at <= narrowest;
        fleet.unit_of(node, at).filter(|_| shown)
    });
    let narrowest_unit = named.iter().rev().find_map(|district| *district);
    let area_code = narrowest_unit.map_or(COUNTRY, |district| district.code.as_str()).to_owned();
    let area_name = named.map(|district| district.map_or("", name)).join(",");
    if level == Level::RegionId {
        let (region_code, region_name) = (node.id.to_string(), node.name.clone());
        Unit { region_code, area_code, area_name, region_name }
    } else {
        Unit { region_code: area_code.clone(), area_code, area_name, region_name: String::new() }
    }
}

/// The node's own district and those above it, narrowest first.
pub(crate) fn chain<'a>(fleet: &'a Fleet, node: &'a EdgeNode) -> impl Iterator<Item = &'a District> {
    let own = node.district.as_ref().and_then(|code| fleet.district(code.as_str()));
    let father = |district: &&'a District| fleet.district(district.father.as_ref()?.as_str());
    // As many levels as there are; the bound keeps a broken table from looping.
    std::iter::successors(own, father).take(8)
}

/// As DescribeEnsNetDistrict and fleet files call it.
pub(crate) fn level_name(level: DistrictLevel) -> &'static str {
    match level {
        DistrictLevel::National => "National",
        DistrictLevel::Big => "Big",
        DistrictLevel::Middle => "Middle",
        DistrictLevel::Small => "Small",
    }
}

fn name(district: &District) -> &str {
    &district.name
}

#[cfg(test)]
mod tests {
    use super::*;
    use ensemble_model::fleet::{EngineKind, builtin::builtin};
    use ensemble_model::id::EngineName;

    fn at(node: &str, level: Level) -> (String, String, String, String) {
        let fleet = builtin(EngineKind::Simulated, EngineName::new("here"));
        let unit = unit(&fleet, fleet.node(node).unwrap(), level);
        (unit.area_code, unit.area_name, unit.region_code, unit.region_name)
    }

    #[test]
    fn codes_and_names_are_filled_down_to_the_level() {
        for (level, area_code, area_name, region_code, region_name) in [
            (Level::National, "100000", ",,", "100000", ""),
            (Level::Big, "100103", "华东,,", "100103", ""),
            (Level::Middle, "310000", "华东,上海市,", "310000", ""),
            (Level::Small, "310100", "华东,上海市,上海市", "310100", ""),
            (Level::RegionId, "310100", "华东,上海市,上海市", "cn-shanghai-cmcc", "上海移动"),
        ] {
            let expected = (area_code.into(), area_name.into(), region_code.into(), region_name.into());
            assert_eq!(at("cn-shanghai-cmcc", level), expected, "{level:?}");
        }
    }

    #[test]
    fn a_node_abroad_counts_at_the_country() {
        for level in [Level::National, Level::Big, Level::Middle, Level::Small] {
            assert_eq!(at("sg-singapore-9", level).2, "100000", "{level:?}");
        }
        assert_eq!(at("sg-singapore-9", Level::RegionId).2, "sg-singapore-9");
    }
}
