//! DescribeEnsNetLevel: the levels that DescribeEnsNetDistrict can be asked for, the widest first (ens-api.md §7.1).

use super::{Answer, Context};
use crate::view::district::level_name;
use ensemble_model::fleet::DistrictLevel;
use ensemble_model::permit::Permit;
use ensemble_wire::action::describe_ens_net_level::{EnsNetLevel, EnsNetLevels, Response};

pub(super) fn handle(context: &Context, _permit: &Permit) -> Answer {
    let levels = [DistrictLevel::Big, DistrictLevel::Middle, DistrictLevel::Small];
    let level = |level| EnsNetLevel { ens_net_level_code: level_name(level).to_owned() };
    Answer::of(&Response {
        code: 0,
        ens_net_levels: EnsNetLevels { ens_net_level: levels.map(level).into() },
        request_id: context.request_id.clone(),
    })
}
