//! Turns a request to rescale into a plan, for `PlanRescaleApplication` and for the decision alike: so a plan is
//! what would be executed on the same state. Changes nothing.

use super::{check_revision, owned};
use crate::application::{Application, Phase, ResourceAttribute};
use crate::command::{Direction, Partial, RescaleApplication};
use crate::explain::{self, Explanation};
use crate::id::VersionName;
use crate::operation::{AskedItem, SkippedItem};
use crate::permit::Permit;
use crate::placement::{
    Excluded, FaultKind, NamedRequest, PlaceRequest, ReleaseRequest, SelectorFault, excluded_now,
    pick_victims, place, plan_named,
};
use crate::plan::Plan;
use crate::refusal::Refusal;
use crate::selector::{Level, SelectorItem};
use crate::spec::{self, Resources};
use crate::state::State;
use std::sync::Arc;

/// What RescaleApplication would do now, and what stands against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanAnswer {
    pub plan: Plan,
    /// Of the application: what `IfRevision` compares.
    pub revision: u64,
    /// Instances held now.
    pub before: u32,
    /// Instances held once it is done; equal to `before` when it would be refused.
    pub after: u32,
    /// Whether the call would be accepted.
    pub fits: bool,
    /// Why it would not: busy, shortage, too many.
    pub blocked: Option<Refusal>,
}

/// Plans what RescaleApplication would do on this state.
///
/// # Errors
/// A [`Refusal`] where the input itself is not sound: unknown application, revision or version, a selector that
/// cannot be read, an engine that is down. What merely stands against it is in [`PlanAnswer::blocked`].
pub fn plan(state: &State, permit: &Permit, request: &RescaleApplication) -> Result<PlanAnswer, Refusal> {
    let application = owned(state, permit, &request.app)?;
    let busy = check_idle(state, application).err();
    check_revision(application, request.if_revision)?;
    check_version(application, request)?;
    let plan = rescale_plan(state, application, request)?;
    let blocked = busy
        .or_else(|| check_if_plan(&plan, request).err())
        .or_else(|| check_fits(&plan, request.direction, request.partial).err());
    let before = state.held_count(&application.id);
    let after = match (blocked.is_some(), request.direction) {
        (true, _) => before,
        (false, Direction::Add) => before.saturating_add(plan.placed()),
        (false, Direction::Del) => before.saturating_sub(plan.placed()),
    };
    Ok(PlanAnswer { revision: application.revision, before, after, fits: blocked.is_none(), blocked, plan })
}

/// Puts `plan`, which answers `request` on this state, into words.
///
/// # Errors
/// Those of [`plan`]: without a plan there is nothing to explain.
pub fn explained(
    state: &State,
    permit: &Permit,
    request: &RescaleApplication,
    plan: &Plan,
) -> Result<Explanation, Refusal> {
    let application = owned(state, permit, &request.app)?;
    let excluded = excluded(state, request.direction);
    let asked = asked_of(application, request, &excluded)?;
    explain::explain(state, &asked, &names(application, permit), plan).map_err(refused)
}

/// What stands against `plan`, which answers `request` on this state: who uses the room, and what would fit, a line
/// for each item that does not. Nothing when all of it fits.
///
/// # Errors
/// Those of [`plan`].
pub fn shortage(
    state: &State,
    permit: &Permit,
    request: &RescaleApplication,
    plan: &Plan,
) -> Result<Option<String>, Refusal> {
    let application = owned(state, permit, &request.app)?;
    let excluded = excluded(state, request.direction);
    let asked = asked_of(application, request, &excluded)?;
    Ok(explain::shortage(state, &asked, &names(application, permit), plan))
}

fn names<'a>(application: &'a Application, permit: &'a Permit) -> explain::Names<'a> {
    explain::Names {
        account: permit.account(),
        app: &application.meta.name,
        spec: &application.resources.instance_spec,
    }
}

/// The plan of a rescale, or why it is refused, in the order of `decisions.md` §3.
pub(super) fn checked_plan(
    state: &State,
    application: &Arc<Application>,
    request: &RescaleApplication,
) -> Result<Plan, Refusal> {
    check_idle(state, application)?;
    check_revision(application, request.if_revision)?;
    check_version(application, request)?;
    let plan = rescale_plan(state, application, request)?;
    check_if_plan(&plan, request)?;
    check_fits(&plan, request.direction, request.partial)?;
    Ok(plan)
}

/// The plan of a new application's first instances.
pub(super) fn first_plan(
    state: &State,
    attributes: &ResourceAttribute,
    level: Level,
    items: &[SelectorItem],
) -> Result<Plan, Refusal> {
    let (spec, strategy) = (resources_of(attributes)?, attributes.strategy);
    let excluded = excluded_now(state);
    let request = PlaceRequest { app: None, spec, strategy, level, items, excluded: &excluded };
    let plan = place(state, &request).map_err(refused)?;
    check_fits(&plan, Direction::Add, Partial::Refused)?;
    Ok(plan)
}

/// What an instance of the application's spec takes.
pub(super) fn resources_of(attributes: &ResourceAttribute) -> Result<Resources, Refusal> {
    spec::resources(&attributes.instance_spec).ok_or_else(|| Refusal::Template {
        path: "resourceAttribute.instanceSpec".into(),
        text: format!("`{}` is not a known instance spec", attributes.instance_spec),
    })
}

/// The version that an Add puts on its instances.
pub(super) fn version_of<'a>(
    application: &'a Application,
    request: &'a RescaleApplication,
) -> &'a VersionName {
    request.to_version.as_ref().unwrap_or(&application.stable_version)
}

/// The items that are done, as they were asked.
pub(super) fn asked(plan: &Plan, items: &[SelectorItem]) -> Vec<AskedItem> {
    let done = plan.items.iter().filter(|item| item.shortage.is_none());
    done.filter_map(|planned| {
        let item = items.get(planned.index)?;
        Some(AskedItem {
            item: planned.index,
            region_code: item.region_code.clone(),
            isp: item.isp.clone(),
            wanted: planned.wanted,
            by_name: !item.instances.is_empty(),
        })
    })
    .collect()
}

pub(super) fn skipped(plan: &Plan, direction: Direction) -> Vec<SkippedItem> {
    let short = plan.items.iter().filter_map(|item| item.shortage.as_ref().map(|shortage| (item, shortage)));
    short
        .map(|(item, shortage)| {
            let rest = item.wanted.saturating_sub(shortage.missing);
            let reason = match direction {
                Direction::Add => format!("room for {rest} of {}", item.wanted),
                Direction::Del => format!("{rest} of {} exist", item.wanted),
            };
            SkippedItem { item: item.index, wanted: item.wanted, reason }
        })
        .collect()
}

pub(super) fn check_idle(state: &State, application: &Application) -> Result<(), Refusal> {
    let app = application.id.clone();
    if let Some(operation) = application.operation.as_ref().and_then(|id| state.operations.get(id)) {
        let (operation, action, deadline_at) =
            (operation.id.clone(), operation.action.clone(), operation.deadline_at);
        return Err(Refusal::Busy { app, operation, action, deadline_at });
    }
    match application.phase {
        Phase::Deleting | Phase::DeleteFailed => Err(Refusal::BeingDeleted { app }),
        Phase::Creating | Phase::Running | Phase::CreateFailed | Phase::Updating | Phase::UpdateFailed => {
            Ok(())
        }
    }
}

/// `ToAppVersion` is ignored for a Del (ens-api.md §2.2).
fn check_version(application: &Application, request: &RescaleApplication) -> Result<(), Refusal> {
    let version = version_of(application, request);
    if request.direction == Direction::Add && application.version(version).is_none() {
        let known = application.versions.iter().map(|version| version.name.clone()).collect();
        return Err(Refusal::UnknownVersion { app: application.id.clone(), version: version.clone(), known });
    }
    Ok(())
}

fn check_if_plan(plan: &Plan, request: &RescaleApplication) -> Result<(), Refusal> {
    match &request.if_plan {
        Some(asked) if *asked != plan.id => Err(Refusal::PlanChanged { plan: Box::new(plan.clone()) }),
        Some(_) | None => Ok(()),
    }
}

/// Whole items that do not fit are skipped where that is allowed, unless nothing would be left (`decisions.md` §2.2).
fn check_fits(plan: &Plan, direction: Direction, partial: Partial) -> Result<(), Refusal> {
    let enough = match partial {
        Partial::Refused => plan.fits(),
        Partial::Allowed => plan.fits() || plan.placed() > 0,
    };
    match (enough, direction) {
        (true, _) => Ok(()),
        (false, Direction::Add) => Err(Refusal::Shortage { plan: Box::new(plan.clone()) }),
        (false, Direction::Del) => Err(Refusal::TooMany { plan: Box::new(plan.clone()) }),
    }
}

fn rescale_plan(
    state: &State,
    application: &Application,
    request: &RescaleApplication,
) -> Result<Plan, Refusal> {
    let excluded = excluded(state, request.direction);
    let plan = match asked_of(application, request, &excluded)? {
        explain::Asked::Add(asked) => place(state, &asked),
        explain::Asked::Del(asked) => pick_victims(state, &asked),
        explain::Asked::Named(asked) => plan_named(state, &asked),
    };
    plan.map_err(refused)
}

/// A rescale in placement's words.
fn asked_of<'a>(
    application: &'a Application,
    request: &'a RescaleApplication,
    excluded: &'a Excluded,
) -> Result<explain::Asked<'a>, Refusal> {
    let (app, level, items) = (&application.id, request.level, &request.selector[..]);
    Ok(match request.direction {
        direction if level == Level::InstanceId => explain::Asked::Named(NamedRequest {
            account: &application.account,
            app,
            direction,
            spec: resources_of(&application.resources)?,
            items,
            excluded,
        }),
        Direction::Add => {
            let (spec, strategy) = (resources_of(&application.resources)?, application.resources.strategy);
            explain::Asked::Add(PlaceRequest { app: Some(app), spec, strategy, level, items, excluded })
        }
        Direction::Del => {
            let stable_version = &application.stable_version;
            explain::Asked::Del(ReleaseRequest { app, stable_version, level, items, excluded })
        }
    })
}

/// What cannot be reached, or is to be emptied, may well be released (`decisions.md` §1.8).
fn excluded(state: &State, direction: Direction) -> Excluded {
    match direction {
        Direction::Add => excluded_now(state),
        Direction::Del => Excluded::new(),
    }
}

pub(super) fn refused(fault: SelectorFault) -> Refusal {
    let SelectorFault { index, kind, text } = fault;
    match kind {
        FaultKind::OutOfReach(node) => Refusal::EngineDown { node },
        FaultKind::Content => Refusal::Selector { index, text },
    }
}
