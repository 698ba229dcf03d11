//! DrainEdgeNode, ResumeEdgeNode, LoseEdgeNode: the operator's word about a node (`decisions.md` §9.3, §9.5). Whoever asks is
//! not an account's business; the server lets only the operator through.

use super::draft::Draft;
use super::draw::Draw;
use super::planning::{check_idle, resources_of};
use super::rescale_application::plan_instances;
use super::{Asked, accept_and_end, ending, operation};
use crate::application::Application;
use crate::command::{Accepted, ChangeNode, Command, NodeChange, Replacement};
use crate::event::{AcceptedOperation, Event, ReleaseCause, ReleasedInstance};
use crate::id::{AppId, EdgeNodeId, OperationId, VersionName};
use crate::instance::{Instance, Origin, Scope};
use crate::operation::{OnTimeout, OperationKind, Subject};
use crate::placement::{PlaceRequest, excluded_now, place};
use crate::plan::Plan;
use crate::refusal::{Refusal, utc};
use crate::selector::{Level, SelectorItem};
use crate::state::State;
use crate::suggestion::clause;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(super) fn on(draft: &mut Draft, command: &Command, change: &ChangeNode) -> Result<Accepted, Refusal> {
    let node = &change.node;
    if draft.state.node(node).is_none() {
        let ids = draft.state.fleet().nodes.iter().map(|node| node.id.as_str());
        let suggestion = clause(node.as_str(), ids);
        return Err(Refusal::UnknownNode { node: node.clone(), suggestion });
    }
    match change.change {
        NodeChange::Drain => Ok(drain_node(draft, command, node)),
        NodeChange::Resume => resume(draft, command, node),
        NodeChange::Lose { replacement, timeout_s } => lose(draft, command, node, (replacement, timeout_s)),
    }
}

/// Draining again tries again what failed. What moves is decided with whatever else this append holds (`drain::pursue`).
fn drain_node(draft: &mut Draft, command: &Command, node: &EdgeNodeId) -> Accepted {
    let subject = Subject::Node(node.clone());
    accept_and_end(draft, command, subject, &format!("`{node}` is drained"), |draft| {
        let operation = command.request.request_id.clone();
        draft.emit(Event::NodeDraining { node: node.clone(), operation });
    })
}

fn resume(draft: &mut Draft, command: &Command, node: &EdgeNodeId) -> Result<Accepted, Refusal> {
    if draft.state.drain_of(node).is_none() {
        let reason = "is not draining; there is nothing to resume".to_owned();
        return Err(Refusal::NodeInTheWay { node: node.clone(), reason });
    }
    let subject = Subject::Node(node.clone());
    let outcome = format!("`{node}` takes instances again");
    Ok(accept_and_end(draft, command, subject, &outcome, |draft| {
        draft.emit(Event::NodeResumed { node: node.clone() });
    }))
}

fn lose(
    draft: &mut Draft,
    command: &Command,
    node: &EdgeNodeId,
    (replacement, timeout_s): (Replacement, u32),
) -> Result<Accepted, Refusal> {
    let Some(since) = draft.state.unreachable_since(node) else {
        let reason = "can be reached, so it is not lost; `DrainEdgeNode` empties it".to_owned();
        return Err(Refusal::NodeInTheWay { node: node.clone(), reason });
    };
    let lost: Vec<Arc<Instance>> = draft.state.instances_on(node).cloned().collect();
    let waiting: BTreeSet<OperationId> = super::tick::operations_on(&draft.state, std::slice::from_ref(node));
    let outcome = format!(
        "`{node}`, unreachable since {}, is lost with {}",
        utc(since),
        ending::instances(lost.len() as u32)
    );
    let accepted = accept_and_end(draft, command, Subject::Node(node.clone()), &outcome, |draft| {
        give_up(draft, &command.request.request_id, &lost);
    });
    waiting.iter().for_each(|operation| ending::settle(draft, operation));
    let apps: BTreeSet<&AppId> = lost.iter().map(|instance| &instance.app).collect();
    apps.iter().for_each(|app| ending::vanish(draft, app));
    if replacement == Replacement::Wanted {
        replace(draft, command, node, &lost, timeout_s);
    }
    Ok(accepted)
}

/// They are gone because the operator says so: nobody there will.
fn give_up(draft: &mut Draft, operation: &OperationId, lost: &[Arc<Instance>]) {
    let mut by_app: BTreeMap<&AppId, Vec<ReleasedInstance>> = BTreeMap::new();
    for instance in lost {
        let released = ReleasedInstance { id: instance.id.clone(), item: 0 };
        by_app.entry(&instance.app).or_default().push(released);
    }
    for (app, instances) in by_app {
        let (operation, app) = (operation.clone(), app.clone());
        draft.emit(Event::InstancesReleasing { operation, app, cause: ReleaseCause::NodeLost, instances });
    }
    for instance in lost {
        draft.emit(Event::InstanceGone { instance: instance.id.clone() });
    }
}

/// For every application that is idle, as many others as there is room for within the scopes that placed the lost ones.
fn replace(draft: &mut Draft, command: &Command, node: &EdgeNodeId, lost: &[Arc<Instance>], timeout_s: u32) {
    let mut wanted: BTreeMap<(AppId, VersionName), BTreeMap<Scope, u32>> = BTreeMap::new();
    for instance in lost.iter().filter(|lost| lost.is_held() && lost.origin == Origin::Created) {
        // Nowhere else would do.
        if instance.scope.region_code == node.as_str() {
            continue;
        }
        let scopes = wanted.entry((instance.app.clone(), instance.version.clone())).or_default();
        *scopes.entry(instance.scope.clone()).or_default() += 1;
    }
    let before = draft.state.clone();
    let mut draw = Draw::new(&before, command.seed);
    for ((app, version), scopes) in wanted {
        let Some(application) = draft.state.applications.get(&app).cloned() else { continue };
        if check_idle(&draft.state, &application).is_err() {
            continue;
        }
        let items: Vec<SelectorItem> = scopes.into_iter().map(|(scope, count)| item(scope, count)).collect();
        if let Some((items, plan)) = fitting(&draft.state, &application, items) {
            let mut call = command.clone();
            call.request.request_id = draw.operation();
            call.seed = command.seed.wrapping_add(draft.state.next_number);
            begin(draft, &call, &application, (&version, &items), &plan, timeout_s);
        }
    }
}

fn item(scope: Scope, count: u32) -> SelectorItem {
    let region_code = Some(scope.region_code).filter(|code| !code.is_empty());
    SelectorItem { region_code, isp: scope.isp, count, instances: Vec::new() }
}

/// As much of `items` as there is room for, and where it goes.
fn fitting(
    state: &State,
    application: &Application,
    mut items: Vec<SelectorItem>,
) -> Option<(Vec<SelectorItem>, Plan)> {
    let excluded = excluded_now(state);
    let spec = resources_of(&application.resources).ok()?;
    // Each round asks for less by what was missing, so two are enough but for items that share their room.
    for _ in 0..4 {
        items.retain(|item| item.count > 0);
        if items.is_empty() {
            return None;
        }
        let request = PlaceRequest {
            app: Some(&application.id),
            spec,
            strategy: application.resources.strategy,
            level: Level::AreaIspCode,
            items: &items,
            excluded: &excluded,
        };
        let plan = place(state, &request).ok()?;
        if plan.fits() {
            return Some((items, plan));
        }
        for planned in &plan.items {
            let missing = planned.shortage.as_ref().map_or(0, |shortage| shortage.missing);
            items[planned.index].count = items[planned.index].count.saturating_sub(missing);
        }
    }
    None
}

/// An Add of the application's own account, called by the operator.
fn begin(
    draft: &mut Draft,
    call: &Command,
    application: &Application,
    (version, items): (&VersionName, &[SelectorItem]),
    plan: &Plan,
    timeout_s: u32,
) {
    let count = ending::instances(plan.placed());
    let asked = Asked {
        subject: Subject::Application(application.id.clone()),
        kind: OperationKind::Add,
        timeout_s,
        on_timeout: OnTimeout::Keep,
        items: super::planning::asked(plan, items),
        skipped: Vec::new(),
        description: format!("replace {count} of version {version} that were lost"),
    };
    let accepted = AcceptedOperation {
        account: application.account.clone(),
        client_token: None,
        nonce: None,
        ..operation(draft.now, call, asked)
    };
    draft.emit(Event::OperationAccepted { operation: Box::new(accepted) });
    plan_instances(draft, call, &application.id, (version, items), plan);
    ending::settle(draft, &call.request.request_id);
}
