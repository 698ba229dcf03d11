//! The edge nodes, districts and engines an operator has. Types and look-ups; `fleet::file` reads the TOML,
//! `fleet::builtin` the compiled-in tables.

use crate::id::{DistrictCode, EdgeNodeId, EngineName, Isp};
use crate::spec::Resources;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub mod builtin;
pub mod file;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fleet {
    pub engines: BTreeMap<EngineName, EngineKind>,
    /// In the fleet's order, which breaks ties of placement.
    pub nodes: Vec<EdgeNode>,
    /// The country, areas, provinces and cities, the operator's own included.
    pub districts: BTreeMap<DistrictCode, District>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    Embedded,
    Simulated,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeNode {
    pub id: EdgeNodeId,
    pub name: String,
    pub name_en: String,
    /// A Small or Middle code; `None` = reached by id only.
    pub district: Option<DistrictCode>,
    /// In the record's order, never empty: a node without carriers has the one nameless `Isp("")`.
    pub isps: Vec<Isp>,
    pub capacity: Resources,
    pub engine: EngineName,
    /// As DescribeEnsRegions shows it: `EastChina`.
    pub area: String,
    pub province: String,
    pub province_en: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct District {
    pub code: DistrictCode,
    /// `None` for the country.
    pub father: Option<DistrictCode>,
    pub level: DistrictLevel,
    pub name: String,
    pub name_en: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DistrictLevel {
    National,
    Big,
    Middle,
    Small,
}

impl DistrictLevel {
    /// Reads the name that fleet files, tables and `DescribeEnsNetDistrict` use: `Middle`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "National" => Some(Self::National),
            "Big" => Some(Self::Big),
            "Middle" => Some(Self::Middle),
            "Small" => Some(Self::Small),
            _ => None,
        }
    }
}

impl Fleet {
    pub fn node(&self, id: &str) -> Option<&EdgeNode> {
        self.nodes.iter().find(|node| node.id.as_str() == id)
    }

    pub fn district(&self, code: &str) -> Option<&District> {
        self.districts.get(code)
    }

    /// The unit of `level` that `node` lies in: its own district or one of the fathers.
    pub fn unit_of(&self, node: &EdgeNode, level: DistrictLevel) -> Option<&District> {
        let mut code = node.district.as_ref()?;
        // A chain of fathers is as long as there are levels; the bound keeps a broken table from looping.
        for _ in 0..8 {
            let district = self.districts.get(code)?;
            if district.level == level {
                return Some(district);
            }
            code = district.father.as_ref()?;
        }
        None
    }

    /// Whether `node` lies in the district `code`, at any level.
    pub fn lies_in(&self, node: &EdgeNode, code: &str) -> bool {
        let mut at = node.district.as_ref();
        for _ in 0..8 {
            let Some(here) = at else { return false };
            if here.as_str() == code {
                return true;
            }
            at = self.districts.get(here).and_then(|district| district.father.as_ref());
        }
        false
    }
}
