//! UpgradeApplication: a new version, or a further step of one that exists, and the instances that go to it (ens-api.md §2.3).
//! Accepted, the version made and the first instances on their way are one append.

use super::draft::Draft;
use super::planning::check_idle;
use super::{Asked, LEVELS_AT_MOST, accept_until, accepted, check_revision, ending, nests_deeper, owned};
use crate::application::{Application, Version, Workload};
use crate::command::{Accepted, AutoUpgrade, Command, UpgradeApplication, WorkloadPatch};
use crate::event::Event;
use crate::id::{EdgeNodeId, VersionName};
use crate::instance::Instance;
use crate::matching::{Condition, MatchKey};
use crate::operation::{AskedItem, OnTimeout, OperationKind, Subject};
use crate::placement::Floor;
use crate::refusal::{Refusal, utc};
use crate::rollout::{RolledInstance, Rollout, Rule, Schedule, StableRule, Unit, UnitLevel};
use crate::state::State;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Each keeps its workload in the state for ever.
const VERSIONS_AT_MOST: usize = 100;
/// Of versions that are gone.
const NAMES_AT_MOST: usize = 1_000;

pub(super) fn on(
    draft: &mut Draft,
    command: &Command,
    request: &UpgradeApplication,
) -> Result<Accepted, Refusal> {
    let application = owned(&draft.state, &command.permit, &request.app)?.clone();
    check_idle(&draft.state, &application)?;
    check_revision(&application, request.if_revision)?;
    let new = new_version(&application, request, draft)?;
    check_conditions(&draft.state, &application, request)?;
    let going = |instance: &Instance| {
        instance.version != request.to
            && request.from.iter().chain(&request.only).all(|rule| rule.holds(instance, draft.state.fleet()))
    };
    let auto = request.auto.as_ref();
    let schedule = auto.map(|auto| Schedule { next_check: draft.now.log, ..auto.schedule.clone() });
    let (mut rollout, instances) = planned(&draft.state, &application, (&request.to, auto), going)?;
    rollout.task = Some(request.task.clone());
    rollout.schedule = schedule;
    let how = Begin { rollout, instances, timeout_s: request.timeout_s, on_timeout: request.on_timeout };
    Ok(begin(draft, command, &application, new, how))
}

/// What an upgrade or a rollback begins with.
pub(super) struct Begin {
    pub(super) rollout: Rollout,
    pub(super) instances: Vec<RolledInstance>,
    pub(super) timeout_s: u32,
    pub(super) on_timeout: OnTimeout,
}

pub(super) fn begin(
    draft: &mut Draft,
    command: &Command,
    application: &Application,
    new: Option<Version>,
    Begin { rollout, instances, timeout_s, on_timeout }: Begin,
) -> Accepted {
    let asked = Asked {
        subject: Subject::Application(application.id.clone()),
        kind: OperationKind::Upgrade,
        timeout_s,
        on_timeout,
        items: items(&rollout, &instances),
        skipped: Vec::new(),
        description: format!(
            "update {} to version:{}",
            ending::instances(instances.len() as u32),
            rollout.to
        ),
    };
    let deadline = match &rollout.schedule {
        Some(schedule) => schedule.deadline(draft.now, timeout_s),
        None => draft.now.log.plus_seconds(timeout_s),
    };
    accept_until(draft, command, asked, deadline);
    let (app, operation) = (application.id.clone(), command.request.request_id.clone());
    if let Some(version) = new {
        draft.emit(Event::VersionCreated { app: app.clone(), version: Box::new(version) });
    }
    let rollout = Box::new(rollout);
    draft.emit(Event::RolloutPlanned { operation: operation.clone(), rollout, instances });
    let accepted = accepted(draft, command, Some(&app));
    ending::settle(draft, &operation);
    accepted
}

fn items(rollout: &Rollout, instances: &[RolledInstance]) -> Vec<AskedItem> {
    let mut wanted: BTreeMap<usize, u32> = BTreeMap::new();
    for instance in instances {
        *wanted.entry(instance.item).or_default() += 1;
    }
    let unit = |item: usize| rollout.units.get(item).map(|unit| unit.code.clone());
    wanted
        .into_iter()
        .map(|(item, wanted)| AskedItem { item, region_code: unit(item), isp: None, wanted, by_name: false })
        .collect()
}

/// The instances that go and the units they count in, and what is left as it is.
pub(super) fn planned(
    state: &State,
    application: &Application,
    (to, auto): (&VersionName, Option<&AutoUpgrade>),
    going: impl Fn(&Instance) -> bool,
) -> Result<(Rollout, Vec<RolledInstance>), Refusal> {
    let level = auto.map_or(UnitLevel::National, |auto| auto.level);
    let held: Vec<&Arc<Instance>> =
        state.instances_of(&application.id).filter(|instance| instance.is_held()).collect();
    let mut sizes: BTreeMap<String, u32> = BTreeMap::new();
    let mut codes: BTreeMap<&EdgeNodeId, String> = BTreeMap::new();
    for instance in &held {
        let code =
            codes.entry(&instance.node).or_insert_with(|| level.code_of(state.fleet(), &instance.node));
        *sizes.entry(code.clone()).or_default() += 1;
    }
    let floor = Floor::of(state, &application.id);
    let (mut units, mut instances) = (Vec::<Unit>::new(), Vec::new());
    let mut left: BTreeMap<String, u32> = BTreeMap::new();
    for instance in held.into_iter().filter(|instance| going(instance)) {
        let (node, code) = (&instance.node, &codes[&instance.node]);
        if instance.unknown {
            let since = state.unreachable_since(node).map(|since| format!(" since {}", utc(since)));
            let why = format!("on `{node}` left out: unreachable{}", since.unwrap_or_default());
            *left.entry(why).or_default() += 1;
            continue;
        }
        if instance.is_ready() && floor.forbids_a_pause(node, &instance.isp) {
            return Err(keeps_ready(application, instance));
        }
        let item = match units.iter().position(|unit| unit.code == *code) {
            Some(item) => item,
            None => match unit(state, auto, code, sizes[code]) {
                Some(unit) => {
                    units.push(unit);
                    units.len() - 1
                }
                None => {
                    *left.entry(format!("in {code} left out: no rule is about it")).or_default() += 1;
                    continue;
                }
            },
        };
        instances.push(RolledInstance { id: instance.id.clone(), item });
    }
    let left_out =
        left.into_iter().map(|(why, count)| format!("{} {why}", ending::instances(count))).collect();
    let (stable, task, schedule) = (StableRule::WhenAllRunIt, None, None);
    Ok((Rollout { to: to.clone(), stable, task, level, units, schedule, left_out }, instances))
}

fn unit(state: &State, auto: Option<&AutoUpgrade>, code: &str, held: u32) -> Option<Unit> {
    let everything = Rule { region_codes: vec!["All".into()], busy_at_most: 100, ratio: 100, count: None };
    let rule = match auto.filter(|auto| !auto.rules.is_empty()) {
        Some(auto) => Rule::of(&auto.rules, state.fleet(), code)?,
        None => &everything,
    };
    Some(Unit { code: code.to_owned(), at_once: rule.at_once(held), busy_at_most: rule.busy_at_most })
}

fn keeps_ready(application: &Application, instance: &Instance) -> Refusal {
    let (min_ready, node) = (application.resources.min_ready, &instance.node);
    let text = format!(
        "keeps {min_ready} ready on `{node}`, which is all there are: an upgrade is in place and would take one of them; \
         lower it with ModifyApplicationAttribute, or add an instance there first"
    );
    Refusal::Template { path: "minReady".into(), text }
}

/// The version to make; `None` where it exists and is what the template says.
fn new_version(
    application: &Application,
    request: &UpgradeApplication,
    draft: &Draft,
) -> Result<Option<Version>, Refusal> {
    let refuse = |path: &str, text: String| Err(Refusal::Template { path: format!("Template.{path}"), text });
    let name = &request.to;
    if let Some(known) = application.version(name) {
        let merged = merged(known, &request.workloads).map_err(|text| bad_workload(&text))?;
        if merged != known.workloads {
            let text = format!(
                "version `{name}` exists and runs something else; versions never change: choose another name, or leave \
                 workload out"
            );
            return refuse("workload", text);
        }
        return Ok(None);
    }
    if application.deleted_versions.contains(name) {
        let text =
            format!("`{name}` is the name of a deleted version, which is not used again; choose another");
        return refuse("toAppVersion", text);
    }
    let names = application.versions.len() + application.deleted_versions.len();
    if application.versions.len() >= VERSIONS_AT_MOST || names >= NAMES_AT_MOST {
        let text = format!(
            "the application has {} versions already; remove some with DeleteAppVersion",
            application.versions.len()
        );
        return refuse("toAppVersion", text);
    }
    let base = application.version(&application.stable_version).or(application.versions.last());
    let Some(base) = base else { return refuse("workload", "there is no version to go on from".into()) };
    let workloads = merged(base, &request.workloads).map_err(|text| bad_workload(&text))?;
    for (at, patch) in request.workloads.iter().enumerate() {
        let service = patch.workload.service_config.as_ref();
        if service.is_some_and(|value| nests_deeper(value, LEVELS_AT_MOST)) {
            let text = format!("is nested more than {LEVELS_AT_MOST} levels deep");
            return refuse(&format!("workload[{at}].serviceConfig"), text);
        }
    }
    let mut version = Version {
        name: name.clone(),
        description: request.description.clone(),
        created_at: draft.now.wall,
        workloads,
        pins: request.pins.clone(),
    };
    inherit_pins(&mut version, base, &request.workloads);
    check_ports(&version)?;
    Ok(Some(version))
}

fn bad_workload(text: &str) -> Refusal {
    Refusal::Template { path: "Template.workload".into(), text: text.to_owned() }
}

/// The workloads of `base` with what the patches give, by name; those that it does not have come behind.
fn merged(base: &Version, patches: &[WorkloadPatch]) -> Result<Vec<Workload>, String> {
    let mut workloads = base.workloads.clone();
    for patch in patches {
        let given = &patch.workload;
        let Some(known) = workloads.iter_mut().find(|known| known.name == given.name) else {
            if !patch.gives_pod_spec {
                let known = workloads.iter().map(|known| format!("`{}`", known.name)).collect::<Vec<_>>();
                return Err(format!(
                    "`{}` is new and has no podSpec with containers; the stable version has {}",
                    given.name,
                    known.join(", ")
                ));
            }
            workloads.push(given.clone());
            continue;
        };
        let old = known.clone();
        if patch.gives_pod_spec {
            *known = given.clone();
            known.pod_count = old.pod_count;
            known.service_config = old.service_config;
            known.ports = old.ports;
        }
        if patch.gives_pod_count {
            known.pod_count = given.pod_count;
        }
        if patch.gives_service_config {
            known.service_config.clone_from(&given.service_config);
            known.ports.clone_from(&given.ports);
        }
    }
    Ok(workloads)
}

/// What was sound in each of two versions need not be in what they are merged to.
fn check_ports(version: &Version) -> Result<(), Refusal> {
    let refuse = |text: String| Err(bad_workload(&text));
    for workload in &version.workloads {
        let (name, pods) = (&workload.name, workload.pod_count);
        for range in &workload.ports {
            let last = u64::from(range.node) + u64::from(range.count) * u64::from(pods);
            if last > u64::from(u16::MAX) + 1 {
                let from = range.node;
                return refuse(format!(
                    "the {pods} pods of `{name}` cannot share its node ports from {from} on"
                ));
            }
        }
    }
    let ports = version.node_ports();
    for (at, one) in ports.iter().enumerate() {
        if let Some(port) = ports[at + 1..].iter().find_map(|other| one.shared(*other)) {
            return refuse(format!("{} port {port} is bound twice by one instance", one.protocol));
        }
    }
    Ok(())
}

/// What is kept as it was runs what it ran: images that no given podSpec names keep their digests.
fn inherit_pins(version: &mut Version, base: &Version, patches: &[WorkloadPatch]) {
    let is_given = |image: &str| {
        let given = patches.iter().filter(|patch| patch.gives_pod_spec);
        given.flat_map(|patch| &patch.workload.containers).any(|container| container.image == image)
    };
    for (image, digest) in &base.pins {
        if version.uses(image) && !is_given(image) {
            version.pins.entry(image.clone()).or_insert_with(|| digest.clone());
        }
    }
}

fn check_conditions(
    state: &State,
    application: &Application,
    request: &UpgradeApplication,
) -> Result<(), Refusal> {
    let refuse = |path: &str, text: String| Err(Refusal::Template { path: path.to_owned(), text });
    let of_versions = |condition: &&Condition| condition.key == MatchKey::AppVersion;
    for (path, condition) in (request.from.iter().map(|from| ("Template.fromAppVersions", from)))
        .chain(request.only.iter().filter(of_versions).map(|only| ("Template.upgradeStrategy", only)))
    {
        let known = |name: &String| application.versions.iter().any(|version| version.name.as_str() == name);
        if let Some(unknown) = condition.values.iter().find(|name| !known(name)) {
            let names = application.versions.iter().map(|version| version.name.as_str());
            let suggestion = crate::suggestion::clause(unknown, names);
            return refuse(
                path,
                format!("unknown version {}{suggestion}", crate::suggestion::quoted(unknown)),
            );
        }
    }
    for condition in &request.only {
        if let Some(text) = condition.unknown(state.fleet()) {
            return refuse("Template.upgradeStrategy", text);
        }
    }
    Ok(())
}
