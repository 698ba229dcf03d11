//! `Operation` as DescribeOperation, ListOperations and Watch show it (`decisions.md` §5).

use super::parameters;
use super::pulls::{self, Pulls};
use ensemble_model::id::Digest;
use ensemble_model::instance::{Instance, PodStatus};
use ensemble_model::operation::{Operation, OperationKind, Role, Subject, Target, TargetState};
use ensemble_model::state::AccountView;
use ensemble_model::time::WallTime;
use ensemble_wire::payload::operation as payload;
use ensemble_wire::time::iso;
use std::collections::{BTreeMap, BTreeSet};

/// Whether an operation is shown with its history: its steps, and how it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Steps {
    Shown,
    LeftOut,
}

pub(crate) fn operation(
    account: AccountView<'_>,
    operation: &Operation,
    steps: Steps,
    pulls: &Pulls,
) -> payload::Operation {
    let app = operation.subject.app();
    let whole = steps == Steps::Shown;
    payload::Operation {
        operation_id: operation.id.to_string(),
        action: operation.action.clone(),
        rescale_type: rescale_type(operation.kind),
        app_id: app.map(ToString::to_string).unwrap_or_default(),
        ens_region_id: match &operation.subject {
            Subject::Node(node) => Some(node.to_string()),
            Subject::Application(_) | Subject::Account => None,
        },
        revision: operation.revision,
        principal: operation.caller.principal.clone(),
        access_key_id: whole.then(|| operation.caller.key_id.clone()),
        source_ip: whole.then(|| operation.caller.source.clone()),
        parameters: whole.then(|| parameters::shown(&operation.parameters)),
        status: operation.status.as_str().to_owned(),
        accepted_at: time(operation.accepted_at),
        deadline: time(operation.deadline_at),
        ended_at: operation.ended_at.map(time),
        wanted: operation.wanted(),
        ready: operation.done(),
        skipped: operation.skipped.iter().map(skipped).collect(),
        nodes: nodes(account, operation, pulls),
        steps: match steps {
            Steps::Shown => Some(operation.steps.iter().map(step).collect()),
            Steps::LeftOut => None,
        },
        outcome: operation.outcome.clone(),
    }
}

pub(super) fn rescale_type(kind: OperationKind) -> Option<String> {
    match kind {
        OperationKind::Add => Some("Add".into()),
        OperationKind::Del => Some("Del".into()),
        OperationKind::Create
        | OperationKind::Delete
        | OperationKind::Move
        | OperationKind::Upgrade
        | OperationKind::Immediate => None,
    }
}

/// One entry per edge node and carrier, in the order they were planned.
fn nodes(account: AccountView<'_>, operation: &Operation, pulls: &Pulls) -> Vec<payload::Node> {
    let mut nodes: Vec<payload::Node> = Vec::new();
    let mut waiting: Vec<BTreeSet<&Digest>> = Vec::new();
    let mut places = BTreeMap::new();
    for target in &operation.targets {
        let place = *places.entry((&target.node, &target.isp)).or_insert_with(|| {
            nodes.push(payload::Node {
                ens_region_id: target.node.to_string(),
                isp_code: target.isp.to_string(),
                wanted: 0,
                ready: 0,
                states: BTreeMap::new(),
                pulled: None,
            });
            waiting.push(BTreeSet::new());
            nodes.len() - 1
        });
        let node = &mut nodes[place];
        node.wanted += 1;
        node.ready += usize::from(operation.is_done(target));
        *node.states.entry(state(account, operation.role(target), target).to_owned()).or_default() += 1;
        if let Some(instance) = account.instance(&target.instance).filter(|_| !pulls.is_empty()) {
            let pulling = instance.pods.iter().filter(|pod| pod.status == PodStatus::Pulling);
            waiting[place].extend(pulling.flat_map(|pod| pulls::images(account, instance, pod)));
        }
    }
    for (node, images) in nodes.iter_mut().zip(waiting) {
        node.pulled = pulls::progress(pulls, images);
    }
    nodes
}

/// How one instance is, in a word: its least advanced device, once nothing else is to be said.
fn state(account: AccountView<'_>, role: Role, target: &Target) -> &'static str {
    match account.instance(&target.instance) {
        None => "Gone",
        Some(instance) if !instance.is_held() => "Releasing",
        Some(instance) if instance.unknown => PodStatus::Unknown.as_str(),
        Some(instance) => match (role, target.state) {
            (Role::Comes, TargetState::Done) => PodStatus::Running.as_str(),
            (Role::Comes | Role::Goes, _) => least_advanced(instance).as_str(),
        },
    }
}

pub(crate) fn least_advanced(instance: &Instance) -> PodStatus {
    instance.pods.iter().map(|pod| pod.status).min().unwrap_or(PodStatus::Pending)
}

fn skipped(item: &ensemble_model::operation::SkippedItem) -> payload::Skipped {
    payload::Skipped { index: item.item, wanted: item.wanted, reason: item.reason.clone() }
}

fn step(step: &ensemble_model::operation::Step) -> payload::Step {
    payload::Step { at: time(step.at), text: step.text.clone() }
}

pub(super) fn time(at: WallTime) -> String {
    iso(at.0)
}
