//! DescribeEnsNetSaleDistrict: districts with their edge nodes and the account's instances by carrier (ens-api.md §7.1). A
//! node of several carriers counts under each, and once more under `multiCarrier`.

use super::describe_ens_net_district::{Found, asked, shown};
use super::{Answer, Context};
use crate::view::carrier;
use ensemble_model::id::EdgeNodeId;
use ensemble_model::permit::Permit;
use ensemble_model::state::AccountView;
use ensemble_wire::action::describe_ens_net_sale_district::{
    EnsNetDistrict, EnsNetDistricts, InstanceCount, NodeCount, Request, Response,
};
use ensemble_wire::error::Error;
use ensemble_wire::payload::to_text;
use std::collections::BTreeMap;

/// All districts are within it.
const COUNTRY: &str = "cn";

/// The carriers of the instances on each edge node.
type Instances<'a> = BTreeMap<&'a EdgeNodeId, Vec<&'a str>>;

pub(super) fn handle(context: &Context, permit: &Permit, request: &Request) -> Result<Answer, Error> {
    let state = context.state();
    let instances = instances(state.account(permit));
    let ens_net_district = asked(state.fleet(), request)?
        .into_iter()
        .map(|found| EnsNetDistrict {
            ens_region_id_count: to_text(&node_counts(&found)),
            instance_count: to_text(&instance_counts(&found, &instances)),
            district: shown(found.district),
        })
        .collect();
    Ok(Answer::of(&Response {
        code: 0,
        ens_net_districts: EnsNetDistricts { ens_net_district },
        request_id: context.request_id.clone(),
    }))
}

/// All that the account holds: those of its applications, and those by themselves. A hosted one is both, and counts once.
fn instances(account: AccountView<'_>) -> Instances<'_> {
    let mut found = Instances::new();
    for application in account.applications() {
        for instance in account.instances(&application.id).into_iter().filter(|instance| instance.is_held()) {
            found.entry(&instance.node).or_default().push(instance.isp.as_str());
        }
    }
    for own in account.own_instances().filter(|own| own.hosted_by.is_none()) {
        found.entry(&own.node).or_default().push(own.isp.as_str());
    }
    found
}

fn node_counts(found: &Found<'_>) -> Vec<NodeCount> {
    let several = |count: usize| (count > 1).then_some(carrier::SEVERAL);
    let codes = found
        .nodes
        .iter()
        .flat_map(|node| node.isps.iter().map(|isp| isp.as_str()).chain(several(node.isps.len())));
    let count = |(code, count): (&str, usize)| NodeCount {
        count,
        name: carrier::name(code).to_owned(),
        code: code.to_owned(),
        country: COUNTRY.to_owned(),
    };
    counted(codes).into_iter().map(count).collect()
}

fn instance_counts(found: &Found<'_>, instances: &Instances<'_>) -> Vec<InstanceCount> {
    let codes = found.nodes.iter().filter_map(|node| instances.get(&node.id)).flatten().copied();
    let count = |(code, count): (&str, usize)| InstanceCount { count, code: code.to_owned() };
    counted(codes).into_iter().map(count).collect()
}

/// How often each code occurs, in the published order.
fn counted<'a>(codes: impl Iterator<Item = &'a str>) -> Vec<(&'a str, usize)> {
    let mut counts: BTreeMap<(usize, &str), usize> = BTreeMap::new();
    for code in codes {
        *counts.entry((carrier::rank(code), code)).or_default() += 1;
    }
    counts.into_iter().map(|((_, code), count)| (code, count)).collect()
}
