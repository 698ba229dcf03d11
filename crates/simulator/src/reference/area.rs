//! Which edge nodes a selector item reaches and how narrow it is, by `decisions.md` §1.5 and §1.7: a walk up the table of
//! districts for each node that is asked about.

use ensemble_model::fleet::{DistrictLevel, EdgeNode, Fleet};
use ensemble_model::id::EdgeNodeId;
use ensemble_model::selector::{Level, SelectorItem};

const CARRIERS: [&str; 4] = ["telecom", "unicom", "cmcc", "cbn"];

/// More fathers than any district has.
const FATHERS_AT_MOST: usize = 10;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Area {
    Node(EdgeNodeId),
    District(String, DistrictLevel),
    Country,
}

impl Area {
    /// Nothing where the item names what is not there.
    pub(crate) fn read(fleet: &Fleet, level: Level, item: &SelectorItem) -> Option<Self> {
        if let Some(isp) = &item.isp {
            let offered = fleet.nodes.iter().any(|node| node.isps.contains(isp));
            let is_known = CARRIERS.contains(&isp.as_str()) || offered;
            if isp.as_str().is_empty() || isp.as_str() == "multiCarrier" || !is_known {
                return None;
            }
        }
        let code = item.region_code.as_deref().unwrap_or_default();
        if let Some(node) = fleet.nodes.iter().find(|node| node.id.as_str() == code) {
            return Some(Self::Node(node.id.clone()));
        }
        match level {
            Level::RegionId => None,
            // Named instances are no area.
            Level::InstanceId => None,
            Level::AreaIspCode if ["", "All", "100000"].contains(&code) => Some(Self::Country),
            Level::AreaIspCode => {
                let found = fleet.districts.values().find(|district| district.code.as_str() == code)?;
                Some(Self::District(code.to_owned(), found.level))
            }
        }
    }

    pub(crate) fn reaches(&self, fleet: &Fleet, node: &EdgeNode) -> bool {
        match self {
            Self::Node(id) => node.id == *id,
            Self::Country => node.district.is_some(),
            Self::District(code, _) => {
                let mut here = node.district.clone();
                for _ in 0..FATHERS_AT_MOST {
                    let Some(district) = here else { return false };
                    if district.as_str() == code {
                        return true;
                    }
                    here = fleet.districts.get(&district).and_then(|found| found.father.clone());
                }
                false
            }
        }
    }

    /// The smaller, the narrower: node, city, province, big area, country; of each, one carrier before all of them.
    pub(crate) fn breadth(&self, item: &SelectorItem) -> u8 {
        let kind = match self {
            Self::Node(_) => 0,
            Self::District(_, DistrictLevel::Small) => 1,
            Self::District(_, DistrictLevel::Middle) => 2,
            Self::District(_, DistrictLevel::Big) => 3,
            Self::District(_, DistrictLevel::National) | Self::Country => 4,
        };
        2 * kind + u8::from(item.isp.is_none())
    }
}
