//! The compiled-in tables: the 70 edge nodes whose ids are attested somewhere, and China's districts down to
//! prefectures (`decisions.md` §1.2). Data only, read from `data/*.csv`; nothing is derived from an id.

use crate::fleet::{District, DistrictLevel, EdgeNode, EngineKind, Fleet};
use crate::id::{DistrictCode, EdgeNodeId, EngineName, Isp};
use crate::spec::Resources;
use std::collections::BTreeMap;

const EDGE_NODES: &str = include_str!("../../data/edge-nodes.csv");
const DISTRICTS: &str = include_str!("../../data/districts.csv");

/// The built-in fleet: every known edge node, all run by the one engine `name`.
pub fn builtin(kind: EngineKind, name: EngineName) -> Fleet {
    let nodes = EDGE_NODES.lines().skip(1).filter_map(|line| edge_node(line, &name)).collect();
    Fleet { engines: BTreeMap::from([(name, kind)]), nodes, districts: districts() }
}

/// The built-in districts: the country, 7 big areas, 31 provinces and their prefectures.
pub fn districts() -> BTreeMap<DistrictCode, District> {
    DISTRICTS.lines().skip(1).filter_map(district).map(|district| (district.code.clone(), district)).collect()
}

fn edge_node(line: &str, engine: &EngineName) -> Option<EdgeNode> {
    let fields: Vec<&str> = line.split(',').collect();
    let [
        id,
        isps,
        district,
        _small,
        _middle,
        _big,
        name,
        name_en,
        province,
        province_en,
        area,
        vcpu,
        memory_gib,
    ] = fields.as_slice()
    else {
        return None;
    };
    Some(EdgeNode {
        id: EdgeNodeId::new(*id),
        name: (*name).to_owned(),
        name_en: (*name_en).to_owned(),
        district: (!district.is_empty()).then(|| DistrictCode::new(*district)),
        isps: carriers(isps.split_ascii_whitespace()),
        capacity: Resources { vcpu: vcpu.parse().ok()?, memory_mib: memory_gib.parse::<u64>().ok()? * 1024 },
        engine: engine.clone(),
        area: (*area).to_owned(),
        province: (*province).to_owned(),
        province_en: (*province_en).to_owned(),
    })
}

/// The carriers of a node, never none: without any it has the one nameless carrier.
pub(super) fn carriers<'a>(names: impl Iterator<Item = &'a str>) -> Vec<Isp> {
    let mut isps: Vec<Isp> = names.map(Isp::new).collect();
    if isps.is_empty() {
        isps.push(Isp::default());
    }
    isps
}

fn district(line: &str) -> Option<District> {
    let fields: Vec<&str> = line.split(',').collect();
    let [code, father, level, name, name_en] = fields.as_slice() else { return None };
    Some(District {
        code: DistrictCode::new(*code),
        father: (!father.is_empty()).then(|| DistrictCode::new(*father)),
        level: DistrictLevel::from_name(level)?,
        name: (*name).to_owned(),
        name_en: (*name_en).to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fleet() -> Fleet {
        builtin(EngineKind::Simulated, EngineName::new("here"))
    }

    #[test]
    fn every_row_of_both_tables_is_read() {
        let fleet = fleet();

        assert_eq!(fleet.nodes.len(), 70);
        assert_eq!(fleet.nodes.len(), EDGE_NODES.lines().count() - 1);
        assert_eq!(fleet.districts.len(), DISTRICTS.lines().count() - 1);
    }

    #[test]
    fn every_node_is_bound_to_the_one_engine_and_has_a_carrier_and_room() {
        for node in &fleet().nodes {
            assert_eq!(node.engine, EngineName::new("here"), "{}", node.id);
            assert!(!node.isps.is_empty(), "{}", node.id);
            assert_eq!(node.capacity, Resources { vcpu: 24, memory_mib: 48 * 1024 }, "{}", node.id);
        }
    }

    #[test]
    fn every_district_leads_up_to_the_country() {
        let fleet = fleet();
        for node in fleet.nodes.iter().filter(|node| node.district.is_some()) {
            assert!(fleet.lies_in(node, "100000"), "{}", node.id);
            assert!(fleet.unit_of(node, DistrictLevel::Middle).is_some(), "{}", node.id);
        }
        for district in fleet.districts.values() {
            assert!(district.father.as_ref().is_none_or(|father| fleet.districts.contains_key(father)));
        }
    }

    #[test]
    fn a_node_abroad_has_no_district_and_one_nameless_carrier() {
        let fleet = fleet();
        let node = fleet.node("tr-Istanbul-1").expect("it is in the table");

        assert_eq!(node.district, None);
        assert_eq!(node.isps, [Isp::new("")]);
    }
}
