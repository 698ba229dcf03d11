//! RunInstances and ReleaseInstance: shares of edge nodes that an account holds by itself (ens-api.md §4.7). Placed by the
//! same rules as an application's; done in the accepting append, since nothing runs on them yet.

use super::draft::Draft;
use super::draw::Draw;
use super::planning::refused;
use super::{accept_and_end, ending};
use crate::command::{Accepted, Command, InstanceNames, ReleaseInstance, RunInstances};
use crate::event::Event;
use crate::operation::Subject;
use crate::own_instance::OwnInstance;
use crate::placement::{PlaceRequest, excluded_now, place};
use crate::refusal::Refusal;
use crate::spec;

pub(super) fn run(draft: &mut Draft, command: &Command, run: &RunInstances) -> Result<Accepted, Refusal> {
    let resources =
        spec::resources(&run.spec).ok_or_else(|| Refusal::UnknownSpec { spec: run.spec.clone() })?;
    let excluded = excluded_now(&draft.state);
    let request = PlaceRequest {
        app: None,
        spec: resources,
        strategy: run.strategy,
        level: run.level,
        items: std::slice::from_ref(&run.item),
        excluded: &excluded,
    };
    let plan = place(&draft.state, &request).map_err(refused)?;
    if !plan.fits() {
        return Err(Refusal::Shortage { plan: Box::new(plan) });
    }
    let before = draft.state.clone();
    let mut draw = Draw::new(&before, command.seed);
    let mut instances = Vec::new();
    for placement in plan.items.iter().flat_map(|item| &item.placements) {
        for _ in 0..placement.count {
            instances.push(OwnInstance {
                id: draw.id(),
                account: command.permit.account().clone(),
                name: name(&run.names, instances.len()),
                spec: run.spec.clone(),
                resources,
                node: placement.node.clone(),
                isp: placement.isp.clone(),
                tags: run.tags.clone(),
                echoed: run.echoed.clone(),
                created_at: draft.now.wall,
                operation: command.request.request_id.clone(),
                hosted_by: None,
                runs: None,
                hostings: Vec::new(),
            });
        }
    }
    let outcome = format!("{} of {} made", ending::instances(plan.placed()), run.spec);
    Ok(accept_and_end(draft, command, Subject::Account, &outcome, |draft| {
        draft.emit(Event::OwnInstancesCreated { instances });
    }))
}

fn name(names: &InstanceNames, made: usize) -> String {
    match names {
        InstanceNames::Same(name) => name.clone(),
        InstanceNames::Numbered(name) => format!("{name}{:03}", made + 1),
    }
}

pub(super) fn release(
    draft: &mut Draft,
    command: &Command,
    release: &ReleaseInstance,
) -> Result<Accepted, Refusal> {
    let id = &release.instance;
    let view = draft.state.account(&command.permit);
    let own = view.own_instance(id);
    let Some(own) = own else {
        let Some(instance) = view.instance(id) else {
            return Err(Refusal::UnknownInstance { instance: id.clone() });
        };
        let reason = format!(
            "was made for application `{}`: release it with RescaleApplication, RescaleType=Del, RescaleLevel=InstanceId",
            instance.app
        );
        return Err(Refusal::InstanceInTheWay { instance: id.clone(), reason });
    };
    if let Some(app) = &own.hosted_by {
        let reason = format!(
            "is hosted by application `{app}`: take it back first with RescaleApplication, RescaleType=Del, \
             RescaleLevel=InstanceId"
        );
        return Err(Refusal::InstanceInTheWay { instance: id.clone(), reason });
    }
    let outcome = format!("instance `{id}` on `{}` is given up", own.node);
    let instance = id.clone();
    Ok(accept_and_end(draft, command, Subject::Account, &outcome, |draft| {
        draft.emit(Event::OwnInstanceReleased { instance });
    }))
}
