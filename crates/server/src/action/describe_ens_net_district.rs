//! DescribeEnsNetDistrict: districts with the number of their edge nodes (ens-api.md §7.1). One without any is left out:
//! nothing can be created there.

use super::{Answer, Context};
use crate::view::district::{chain, level_name};
use ensemble_model::fleet::{District, DistrictLevel, EdgeNode, Fleet};
use ensemble_model::permit::Permit;
use ensemble_model::suggestion;
use ensemble_wire::action::describe_ens_net_district::{
    District as Shown, EnsNetDistrict, EnsNetDistricts, Request, Response,
};
use ensemble_wire::error::{Error, sentence};
use std::collections::BTreeMap;

pub(super) fn handle(context: &Context, _permit: &Permit, request: &Request) -> Result<Answer, Error> {
    let state = context.state();
    let ens_net_district = asked(state.fleet(), request)?
        .into_iter()
        .map(|found| EnsNetDistrict {
            ens_region_id_count: found.nodes.len().to_string(),
            district: shown(found.district),
        })
        .collect();
    Ok(Answer::of(&Response {
        code: 0,
        ens_net_districts: EnsNetDistricts { ens_net_district },
        request_id: context.request_id.clone(),
    }))
}

/// A district and what lies in it.
pub(super) struct Found<'a> {
    pub(super) district: &'a District,
    pub(super) nodes: Vec<&'a EdgeNode>,
}

/// The districts asked for in which there are edge nodes, in the order of their codes.
///
/// # Errors
/// `InvalidParameter.NetDistrictCode` for a code that is no district's.
pub(super) fn asked<'a>(fleet: &'a Fleet, request: &Request) -> Result<Vec<Found<'a>>, Error> {
    if let Some(code) = &request.net_district_code
        && fleet.district(code).is_none()
    {
        let known = fleet.districts.keys().map(|code| code.as_str());
        let detail =
            format!("unknown district {}{}", suggestion::quoted(code), suggestion::clause(code, known));
        return Err(Error::invalid_parameter("NetDistrictCode", sentence(&detail)));
    }
    let level = DistrictLevel::from_name(&request.net_level_code);
    let is_asked = |district: &District| match &request.net_district_code {
        Some(code) => district.father.as_ref().is_some_and(|father| father.as_str() == code),
        None => Some(district.level) == level,
    };
    let mut found: BTreeMap<&str, Found<'a>> = BTreeMap::new();
    for node in &fleet.nodes {
        for district in chain(fleet, node).filter(|district| is_asked(district)) {
            let known = found.entry(district.code.as_str());
            known.or_insert_with(|| Found { district, nodes: Vec::new() }).nodes.push(node);
        }
    }
    Ok(found.into_values().collect())
}

pub(super) fn shown(district: &District) -> Shown {
    Shown {
        net_district_code: district.code.to_string(),
        net_district_en_name: district.name_en.clone(),
        net_district_father_code: district.father.as_ref().map(ToString::to_string).unwrap_or_default(),
        net_district_level: level_name(district.level).to_owned(),
        net_district_name: district.name.clone(),
    }
}
