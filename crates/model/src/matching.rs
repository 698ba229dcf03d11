//! Which instances a strategy is about: conditions on their node, carrier, area, id or version, all of which must hold
//! (ens-api.md §5.4). One evaluator for every strategy.

use crate::fleet::Fleet;
use crate::instance::Instance;
use crate::suggestion::{clause, quoted};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    pub key: MatchKey,
    pub operator: Operator,
    pub values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchKey {
    RegionId,
    Isp,
    InstanceId,
    /// A district of any level.
    AreaCode,
    AppVersion,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    In,
    NotIn,
}

impl Condition {
    pub(crate) fn holds(&self, instance: &Instance, fleet: &Fleet) -> bool {
        let is_named = self.values.iter().any(|value| match self.key {
            MatchKey::RegionId => instance.node.as_str() == value,
            MatchKey::Isp => instance.isp.as_str() == value,
            MatchKey::InstanceId => instance.shown_id().as_str() == value,
            MatchKey::AreaCode => {
                fleet.node(instance.node.as_str()).is_some_and(|node| fleet.lies_in(node, value))
            }
            MatchKey::AppVersion => instance.version.as_str() == value,
        });
        is_named == (self.operator == Operator::In)
    }

    /// A name of what is not there, for people: it was mistyped, and would leave out what was meant.
    pub(crate) fn unknown(&self, fleet: &Fleet) -> Option<String> {
        let nodes = || fleet.nodes.iter().map(|node| node.id.as_str());
        let districts = || fleet.districts.keys().map(crate::id::DistrictCode::as_str);
        let carriers = || fleet.nodes.iter().flat_map(|node| &node.isps).map(crate::id::Isp::as_str);
        self.values.iter().find_map(|value| {
            let (what, suggestion) = match self.key {
                MatchKey::RegionId if fleet.node(value).is_none() => ("edge node", clause(value, nodes())),
                MatchKey::AreaCode if fleet.district(value).is_none() => {
                    ("district", clause(value, districts()))
                }
                MatchKey::Isp if !carriers().any(|isp| isp == value) => {
                    ("carrier", clause(value, carriers()))
                }
                // The instances and versions are the application's, and may be gone by now.
                MatchKey::RegionId
                | MatchKey::AreaCode
                | MatchKey::Isp
                | MatchKey::InstanceId
                | MatchKey::AppVersion => return None,
            };
            Some(format!("unknown {what} {}{suggestion}", quoted(value)))
        })
    }
}
