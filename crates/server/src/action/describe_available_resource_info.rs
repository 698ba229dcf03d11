//! DescribeAvailableResourceInfo: edge nodes by what fits on them (ens-api.md §7.1). Those of the same carriers with room
//! for the same specs stand together, so that any combination within an entry can be asked for.

use super::describe_available_resource::fitting;
use super::{Answer, Context};
use crate::view::carrier;
use ensemble_model::fleet::EdgeNode;
use ensemble_model::id::Isp;
use ensemble_model::permit::Permit;
use ensemble_wire::action::describe_available_resource_info::{
    BandwidthTypes, EnsRegion, EnsRegionIds, EnsRegionIdsExtends, Images, InstanceSpeces, Isps, Response,
    SupportResource, SupportResources,
};
use ensemble_wire::template::{LEAST_SYSTEM_DISK_GB, MOST_SIZE};
use std::collections::BTreeMap;

pub(super) fn handle(context: &Context, _permit: &Permit) -> Answer {
    let state = context.state();
    let mut alike: BTreeMap<(Vec<&str>, &[Isp]), Vec<&EdgeNode>> = BTreeMap::new();
    for node in &state.fleet().nodes {
        let specs: Vec<&str> = fitting(&state, node).map(|(spec, _)| spec).collect();
        if !specs.is_empty() {
            alike.entry((specs, &node.isps)).or_default().push(node);
        }
    }
    let support_resource =
        alike.into_iter().map(|((specs, isps), nodes)| resource(&specs, isps, &nodes)).collect();
    Answer::of(&Response {
        request_id: context.request_id.clone(),
        images: Images::default(),
        support_resources: SupportResources { support_resource },
    })
}

fn resource(specs: &[&str], isps: &[Isp], nodes: &[&EdgeNode]) -> SupportResource {
    SupportResource {
        data_disk_max_size: MOST_SIZE,
        bandwidth_types: BandwidthTypes::default(),
        system_disk_min_size: LEAST_SYSTEM_DISK_GB,
        ens_region_ids: EnsRegionIds {
            ens_region_id: nodes.iter().map(|node| node.id.to_string()).collect(),
        },
        ens_region_ids_extends: EnsRegionIdsExtends {
            ens_region_id: nodes
                .iter()
                .flat_map(|node| node.isps.iter().map(|isp| region(node, isp)))
                .collect(),
        },
        instance_speces: InstanceSpeces {
            instance_spec: specs.iter().map(|spec| (*spec).to_owned()).collect(),
        },
        system_disk_max_size: MOST_SIZE,
        data_disk_min_size: 0,
        isp: Isps { isp: carrier::named(isps.iter()).into_iter().map(str::to_owned).collect() },
    }
}

fn region(node: &EdgeNode, isp: &Isp) -> EnsRegion {
    EnsRegion {
        ens_region_id: node.id.to_string(),
        en_name: node.name_en.clone(),
        area: node.area.clone(),
        name: node.name.clone(),
        province: node.province.clone(),
        isp: isp.to_string(),
    }
}
