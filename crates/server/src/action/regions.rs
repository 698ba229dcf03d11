//! The reads about edge nodes, districts and room, by their names. Each is a file of its own; this only finds it.

use super::{Answer, Context};
use super::{
    describe_available_resource, describe_available_resource_info, describe_ens_net_district,
    describe_ens_net_level, describe_ens_net_sale_district, describe_ens_regions, describe_region_isps,
};
use ensemble_model::permit::Permit;
use ensemble_wire::action as wire;
use ensemble_wire::error::Error;
use ensemble_wire::parameters::Parameters;

/// As [`super::call`].
pub(super) fn read(
    context: &Context,
    permit: Result<Permit, Error>,
    parameters: &Parameters,
) -> Result<Answer, Error> {
    match context.action.name {
        "DescribeEnsRegions" => {
            let request = wire::describe_ens_regions::Request::read(parameters)?;
            describe_ens_regions::handle(context, &permit?, &request)
        }
        "DescribeRegionIsps" => {
            let request = wire::describe_region_isps::Request::read(parameters)?;
            describe_region_isps::handle(context, &permit?, &request)
        }
        "DescribeEnsNetLevel" => Ok(describe_ens_net_level::handle(context, &permit?)),
        "DescribeEnsNetDistrict" => {
            let request = wire::describe_ens_net_district::Request::read(parameters)?;
            describe_ens_net_district::handle(context, &permit?, &request)
        }
        "DescribeEnsNetSaleDistrict" => {
            let request = wire::describe_ens_net_sale_district::Request::read(parameters)?;
            describe_ens_net_sale_district::handle(context, &permit?, &request)
        }
        "DescribeAvailableResource" => Ok(describe_available_resource::handle(context, &permit?)),
        "DescribeAvailableResourceInfo" => Ok(describe_available_resource_info::handle(context, &permit?)),
        name => Err(Error::action_not_found(name)),
    }
}
