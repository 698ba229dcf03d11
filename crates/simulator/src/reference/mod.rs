//! The rules of `decisions.md` §1 to §3 once more, naive on purpose: what has to become of a request, told from the shadow
//! of the log. Shares nothing with the core's placement and decisions; everything is looked at anew for every choice.
//! `optimum` says how good the rules are where all answers can be tried.

mod add;
pub(crate) mod area;
mod del;
pub(crate) mod floor;
pub(crate) mod moves;
mod named;
pub(crate) mod optimum;
#[cfg(test)]
mod tests;

use crate::shadow::{App, Shadow};
use area::Area;
use ensemble_model::application::Strategy;
use ensemble_model::command::{
    Change, ChangeNode, Command, Direction, NodeChange, Partial, RebalanceApplication, RescaleApplication,
};
use ensemble_model::id::{AccountId, AppId, EdgeNodeId, InstanceId, Isp, OperationId};
use ensemble_model::operation::{OperationKind, OperationStatus};
use ensemble_model::plan::Plan;
use ensemble_model::selector::{Level, SelectorItem};
use ensemble_model::spec::{self, Resources};
use std::collections::BTreeMap;

/// What has to become of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ruling {
    Refused(Why),
    /// Whole items, and those that are skipped.
    Done(Vec<Done>),
    /// Done if that is what it was planned to be.
    ByItsPlan,
}

/// Why a request is refused, in the order in which it is asked (`decisions.md` §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    NameTaken,
    UnknownApplication,
    UnknownInstance,
    UnknownOperation,
    UnknownNode,
    /// An instance that is managed, hosted or on its way out.
    InstanceInTheWay,
    /// An operation that is over, goes back already, or deletes.
    NotCancelable,
    /// A node that can be reached, or does not drain.
    NodeInTheWay,
    Busy,
    BeingDeleted,
    Stale,
    /// An item names what is not there.
    Unreadable,
    /// An item names a node that cannot be reached.
    EngineDown,
    /// Another plan than the one it names.
    PlanChanged,
    NothingToMove,
    /// How many are missing, by item.
    Short(BTreeMap<usize, u32>),
}

/// What became of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) index: usize,
    /// Empty where some are missing.
    pub(crate) picks: Vec<Pick>,
    pub(crate) missing: u32,
}

/// One instance that is placed or taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pick {
    pub(crate) node: EdgeNodeId,
    pub(crate) isp: Isp,
    pub(crate) victim: Option<InstanceId>,
}

/// An item as the rules read it.
#[derive(Debug)]
struct Asked<'a> {
    index: usize,
    item: &'a SelectorItem,
    area: Area,
}

/// Rules on a command; `plan` is the one that it names, if it does.
pub(crate) fn rule(shadow: &Shadow, command: &Command, plan: Option<&Plan>) -> Ruling {
    let account = command.permit.account();
    let ruled = match &command.change {
        Change::Create(create) => {
            let name = (create.meta.cluster.clone(), create.meta.name.clone());
            let is_taken = |app: &App| app.account == *command.permit.account() && app.name == name;
            if shadow.apps.values().any(is_taken) {
                return Ruling::Refused(Why::NameTaken);
            }
            let spec = spec::resources(&create.resources.instance_spec).unwrap_or_default();
            let terms = (create.resources.strategy, spec);
            add(shadow, &create.app, terms, create.level, &create.selector)
                .and_then(|done| enough(done, Partial::Refused))
        }
        Change::Rescale(rescale) => self::rescale(shadow, account, rescale, plan),
        Change::Delete(delete) => {
            let owned = owned(shadow, account, &delete.app);
            owned.and_then(|app| check_revision(app, delete.if_revision)).map(|()| Vec::new())
        }
        Change::Modify(modify) => owned(shadow, account, &modify.app).and_then(|app| {
            if app.is_deleted {
                return Err(Why::BeingDeleted);
            }
            check_revision(app, modify.if_revision).map(|()| Vec::new())
        }),
        Change::Upgrade(upgrade) => write(shadow, account, &upgrade.app, upgrade.if_revision),
        Change::Rollback(rollback) => write(shadow, account, &rollback.app, rollback.if_revision),
        Change::DeleteVersion(delete) => write(shadow, account, &delete.app, delete.if_revision),
        Change::RunInstances(run) => {
            let spec = spec::resources(&run.spec).unwrap_or_default();
            let nobody = AppId::default();
            add(shadow, &nobody, (run.strategy, spec), run.level, std::slice::from_ref(&run.item))
                .and_then(|done| enough(done, Partial::Refused))
        }
        Change::ReleaseInstance(release) => named::release(shadow, account, &release.instance),
        Change::Protect(protect) => named::protect(shadow, account, &protect.instances),
        Change::Cancel(cancel) => cancel_of(shadow, account, &cancel.operation),
        Change::Node(change) => node(shadow, change),
        Change::Rebalance(asked) => {
            return rebalance(shadow, account, asked).unwrap_or_else(Ruling::Refused);
        }
    };
    ruled.map_or_else(Ruling::Refused, Ruling::Done)
}

/// What comes before the content of any write on an application; nothing is placed by it.
fn write(
    shadow: &Shadow,
    account: &AccountId,
    app: &AppId,
    if_revision: Option<u64>,
) -> Result<Vec<Done>, Why> {
    let app = owned(shadow, account, app)?;
    idle(app)?;
    check_revision(app, if_revision).map(|()| Vec::new())
}

/// Whether there is anything to move is told here; what is moved where, by what then happens.
fn rebalance(shadow: &Shadow, account: &AccountId, asked: &RebalanceApplication) -> Result<Ruling, Why> {
    let app = owned(shadow, account, &asked.app)?;
    idle(app)?;
    check_revision(app, asked.if_revision)?;
    Ok(match (&asked.if_plan, moves::helps(shadow, &asked.app)) {
        (Some(_), _) => Ruling::ByItsPlan,
        (None, true) => Ruling::Done(Vec::new()),
        (None, false) => Ruling::Refused(Why::NothingToMove),
    })
}

fn cancel_of(shadow: &Shadow, account: &AccountId, id: &OperationId) -> Result<Vec<Done>, Why> {
    let found = shadow.operations.get(id).filter(|found| found.account == *account);
    let found = found.ok_or(Why::UnknownOperation)?;
    let is_over = found.status != OperationStatus::Running;
    if is_over || found.kind == OperationKind::Delete || found.is_undoing {
        return Err(Why::NotCancelable);
    }
    Ok(Vec::new())
}

fn node(shadow: &Shadow, asked: &ChangeNode) -> Result<Vec<Done>, Why> {
    if shadow.fleet.node(asked.node.as_str()).is_none() {
        return Err(Why::UnknownNode);
    }
    let is_so = match asked.change {
        NodeChange::Drain => true,
        NodeChange::Resume => shadow.draining.contains_key(&asked.node),
        NodeChange::Lose { .. } => shadow.unreachable.contains(&asked.node),
    };
    if is_so { Ok(Vec::new()) } else { Err(Why::NodeInTheWay) }
}

fn rescale(
    shadow: &Shadow,
    account: &AccountId,
    asked: &RescaleApplication,
    plan: Option<&Plan>,
) -> Result<Vec<Done>, Why> {
    let app = owned(shadow, account, &asked.app)?;
    idle(app)?;
    check_revision(app, asked.if_revision)?;
    let done = match asked.direction {
        direction if asked.level == Level::InstanceId => {
            named::rescale(shadow, &asked.app, direction, &asked.selector)?
        }
        Direction::Add => {
            add(shadow, &asked.app, (app.strategy, app.resources), asked.level, &asked.selector)?
        }
        Direction::Del => del(shadow, &asked.app, asked.level, &asked.selector)?,
    };
    if plan.is_some_and(|plan| as_planned(plan) != as_done(&done)) {
        return Err(Why::PlanChanged);
    }
    enough(done, asked.partial)
}

fn owned<'a>(shadow: &'a Shadow, account: &AccountId, app: &AppId) -> Result<&'a App, Why> {
    shadow.apps.get(app).filter(|found| found.account == *account).ok_or(Why::UnknownApplication)
}

fn idle(app: &App) -> Result<(), Why> {
    match (&app.running, app.is_deleted) {
        (Some(_), _) => Err(Why::Busy),
        (None, true) => Err(Why::BeingDeleted),
        (None, false) => Ok(()),
    }
}

fn check_revision(app: &App, asked: Option<u64>) -> Result<(), Why> {
    if asked.is_some_and(|asked| asked != app.revision) { Err(Why::Stale) } else { Ok(()) }
}

/// Where an Add goes.
pub(crate) fn add(
    shadow: &Shadow,
    app: &AppId,
    terms: (Strategy, Resources),
    level: Level,
    items: &[SelectorItem],
) -> Result<Vec<Done>, Why> {
    let closed = |node: &EdgeNodeId| shadow.unreachable.contains(node).then_some(Why::EngineDown);
    let mut read = read(shadow, level, items, closed)?;
    let offers = |asked: &Asked<'_>, isp: &Isp| {
        let reached = shadow.fleet.nodes.iter().filter(|node| asked.area.reaches(&shadow.fleet, node));
        reached.into_iter().any(|node| node.isps.contains(isp))
    };
    if read.iter().any(|asked| asked.item.isp.as_ref().is_some_and(|isp| !offers(asked, isp))) {
        return Err(Why::Unreadable);
    }
    read.sort_by_key(|asked| (asked.area.breadth(asked.item), asked.index));
    Ok(add::place(shadow, &mut add::sites(shadow, app), terms, &read))
}

pub(crate) use named::rescale as named;

/// What a Del takes.
pub(crate) fn del(
    shadow: &Shadow,
    app: &AppId,
    level: Level,
    items: &[SelectorItem],
) -> Result<Vec<Done>, Why> {
    let mut read = read(shadow, level, items, |_| None)?;
    for asked in &read {
        let offers = |isp: &Isp| {
            let reached = shadow.fleet.nodes.iter().filter(|node| asked.area.reaches(&shadow.fleet, node));
            reached.into_iter().any(|node| node.isps.contains(isp))
        };
        let is_offered = asked.item.isp.as_ref().is_none_or(offers);
        if !is_offered && del::in_scope(shadow, app, asked).is_empty() {
            return Err(Why::Unreadable);
        }
    }
    read.sort_by_key(|asked| (asked.area.breadth(asked.item), asked.index));
    Ok(del::take(shadow, app, &read))
}

fn read<'a>(
    shadow: &Shadow,
    level: Level,
    items: &'a [SelectorItem],
    closed: impl Fn(&EdgeNodeId) -> Option<Why>,
) -> Result<Vec<Asked<'a>>, Why> {
    let mut read = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let area = Area::read(&shadow.fleet, level, item).ok_or(Why::Unreadable)?;
        if let Area::Node(node) = &area
            && let Some(why) = closed(node)
        {
            return Err(why);
        }
        read.push(Asked { index, item, area });
    }
    Ok(read)
}

/// Whole items may be left out where that is allowed, unless nothing would be left.
fn enough(done: Vec<Done>, partial: Partial) -> Result<Vec<Done>, Why> {
    let short: BTreeMap<usize, u32> =
        done.iter().filter(|done| done.missing > 0).map(|done| (done.index, done.missing)).collect();
    let is_something = done.iter().any(|done| !done.picks.is_empty());
    match partial {
        _ if short.is_empty() => Ok(done),
        Partial::Allowed if is_something => Ok(done),
        Partial::Allowed | Partial::Refused => Err(Why::Short(short)),
    }
}

/// By item, node and carrier: how many, and which ones where they are taken.
pub(crate) type Tally = BTreeMap<(usize, EdgeNodeId, Isp), (u32, Vec<InstanceId>)>;

pub(crate) fn as_done(done: &[Done]) -> Tally {
    let mut tally = Tally::new();
    for done in done {
        for pick in &done.picks {
            let (count, victims) =
                tally.entry((done.index, pick.node.clone(), pick.isp.clone())).or_default();
            *count += 1;
            victims.extend(pick.victim.clone());
        }
    }
    sorted(tally)
}

pub(crate) fn as_planned(plan: &Plan) -> Tally {
    let mut tally = Tally::new();
    for item in &plan.items {
        for placement in &item.placements {
            let key = (item.index, placement.node.clone(), placement.isp.clone());
            let (count, victims) = tally.entry(key).or_default();
            *count += placement.count;
            victims.extend(placement.instances.iter().cloned());
        }
    }
    sorted(tally)
}

pub(crate) fn sorted(mut tally: Tally) -> Tally {
    tally.values_mut().for_each(|(_, victims)| victims.sort());
    tally
}
