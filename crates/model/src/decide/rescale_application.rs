//! RescaleApplication: accepted, planned and durable are one. What is accepted has its instances named, with
//! their room taken (Add), or its victims on their way (Del).

use super::draft::Draft;
use super::draw::Draw;
use super::planning::{asked, checked_plan, skipped, version_of};
use super::{Asked, accept, accepted, ending, owned};
use crate::command::{Accepted, Command, Direction, RescaleApplication};
use crate::event::{Event, PlannedPlacement, ReleaseCause, ReleasedInstance};
use crate::id::{AppId, VersionName};
use crate::instance::{Origin, Scope};
use crate::operation::{OperationKind, Subject};
use crate::plan::Plan;
use crate::refusal::Refusal;
use crate::selector::SelectorItem;
use crate::spec;

pub(super) fn on(
    draft: &mut Draft,
    command: &Command,
    request: &RescaleApplication,
) -> Result<Accepted, Refusal> {
    let application = owned(&draft.state, &command.permit, &request.app)?.clone();
    let plan = checked_plan(&draft.state, &application, request)?;
    let version = version_of(&application, request);
    let (kind, description) = match request.direction {
        Direction::Add => {
            (OperationKind::Add, format!("add {} of version {version}", ending::instances(plan.placed())))
        }
        Direction::Del => (OperationKind::Del, format!("release {}", ending::instances(plan.placed()))),
    };
    let asked = Asked {
        subject: Subject::Application(application.id.clone()),
        kind,
        timeout_s: request.timeout_s,
        on_timeout: request.on_timeout,
        items: asked(&plan, &request.selector),
        skipped: skipped(&plan, request.direction),
        description,
    };
    accept(draft, command, asked);
    match request.direction {
        Direction::Add => {
            plan_instances(draft, command, &application.id, (version, &request.selector), &plan);
        }
        Direction::Del => release_victims(draft, command, &application.id, &plan),
    }
    let accepted = accepted(draft, command, Some(&application.id));
    ending::settle(draft, &accepted.operation);
    Ok(accepted)
}

/// Names the instances of an Add's plan.
pub(super) fn plan_instances(
    draft: &mut Draft,
    command: &Command,
    app: &AppId,
    (version, selector): (&VersionName, &[SelectorItem]),
    plan: &Plan,
) {
    let Some(application) = draft.state.applications.get(app).cloned() else { return };
    let mut draw = Draw::new(&draft.state, command.seed);
    let mut placements = Vec::new();
    for item in &plan.items {
        let asked = selector.get(item.index);
        let scope = Scope {
            region_code: asked.and_then(|asked| asked.region_code.clone()).unwrap_or_default(),
            isp: asked.and_then(|asked| asked.isp.clone()),
        };
        placements.extend(item.placements.iter().map(|placement| {
            let (origin, instances) = match placement.instances.is_empty() {
                true => (Origin::Created, draw.instances(placement.count)),
                false => {
                    let hosts = placement.instances.iter();
                    (Origin::Hosted, hosts.map(|host| draw.hosted(host)).collect())
                }
            };
            let (node, isp) = (placement.node.clone(), placement.isp.clone());
            PlannedPlacement { item: item.index, scope: scope.clone(), origin, node, isp, instances }
        }));
    }
    if placements.is_empty() {
        return;
    }
    let spec = application.resources.instance_spec.clone();
    draft.emit(Event::InstancesPlanned {
        operation: command.request.request_id.clone(),
        app: app.clone(),
        version: version.clone(),
        // Planning looked it up a moment ago.
        resources: spec::resources(&spec).unwrap_or_default(),
        spec,
        placements,
    });
}

fn release_victims(draft: &mut Draft, command: &Command, app: &AppId, plan: &Plan) {
    let mut instances = Vec::new();
    for item in &plan.items {
        let victims = item.placements.iter().flat_map(|placement| &placement.instances);
        instances.extend(victims.map(|victim| ReleasedInstance { id: victim.clone(), item: item.index }));
    }
    let (operation, app) = (command.request.request_id.clone(), app.clone());
    draft.emit(Event::InstancesReleasing { operation, app, cause: ReleaseCause::Asked, instances });
}
