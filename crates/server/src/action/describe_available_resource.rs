//! DescribeAvailableResource: how many instances of each spec fit on each edge node now (ens-api.md §7.1). Capacity is
//! everybody's: every account sees the same.

use super::{Answer, Context};
use ensemble_model::fleet::EdgeNode;
use ensemble_model::id::SpecName;
use ensemble_model::permit::Permit;
use ensemble_model::placement::room_on;
use ensemble_model::spec;
use ensemble_model::state::State;
use ensemble_wire::action::describe_available_resource::{
    Images, Response, SupportResource, SupportResources,
};
use ensemble_wire::template::LEAST_SYSTEM_DISK_GB;

pub(super) fn handle(context: &Context, _permit: &Permit) -> Answer {
    let state = context.state();
    let resource = |node: &EdgeNode, (spec, room): (&str, u32)| SupportResource {
        data_disk_size: "0".to_owned(),
        ens_region_id: node.id.to_string(),
        instance_spec: spec.to_owned(),
        support_resources_count: room.to_string(),
        system_disk_size: LEAST_SYSTEM_DISK_GB.to_string(),
    };
    let support_resource = state
        .fleet()
        .nodes
        .iter()
        .flat_map(|node| fitting(&state, node).map(move |fitting| resource(node, fitting)))
        .collect();
    Answer::of(&Response {
        code: 0,
        images: Images::default(),
        request_id: context.request_id.clone(),
        support_resources: SupportResources { support_resource },
    })
}

/// The specs of which at least one instance fits on `node`, in the table's order, and how many.
pub(super) fn fitting<'a>(
    state: &'a State,
    node: &'a EdgeNode,
) -> impl Iterator<Item = (&'static str, u32)> + use<'a> {
    spec::names().filter_map(move |name| {
        let room = room_on(state, node, spec::resources(&SpecName::new(name))?);
        (room > 0).then_some((name, room))
    })
}
