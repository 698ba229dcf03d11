//! Why a command is not done: a closed list, each with what a person needs to go on. The server gives each its
//! documented code (`decisions.md` §3); nothing here knows codes.
//! Another account's application and none at all are the same refusal, to the letter.

use crate::id::{AppId, EdgeNodeId, InstanceId, OperationId, SpecName, VersionName};
use crate::plan::{MovePlan, Plan, PlannedItem};
use crate::spec;
use crate::suggestion::clause;
use crate::time::WallTime;

/// How many names or items one sentence lists.
const LISTED: usize = 5;

/// A command that was not accepted; nothing changed. `Display` is the `Detail` of the error body: what was asked,
/// what stood against it, what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("there is no application `{app}` in this account; `ListApplications` shows those there are")]
    UnknownApplication { app: AppId },

    #[error("there is no operation `{operation}` in this account; `ListOperations` shows those there are")]
    UnknownOperation { operation: OperationId },

    #[error(
        "there is no instance `{instance}` in this account; `DescribeInstances` and `DescribeApplication` show those there are"
    )]
    UnknownInstance { instance: InstanceId },

    /// `reason` begins with a verb: ``is hosted by `hello`: ...``.
    #[error("instance `{instance}` {reason}")]
    InstanceInTheWay { instance: InstanceId, reason: String },

    #[error("unknown instance type `{spec}`{}; `DescribeInstanceTypes` lists them", clause(spec.as_str(), spec::names()))]
    UnknownSpec { spec: SpecName },

    #[error("operation `{operation}` {reason}")]
    NotCancelable { operation: OperationId, reason: String },

    #[error("unknown edge node `{node}`{suggestion}")]
    UnknownNode { node: EdgeNodeId, suggestion: String },

    #[error("edge node `{node}` {reason}")]
    NodeInTheWay { node: EdgeNodeId, reason: String },

    #[error(
        "the plan is `{}` by now: what would move changed since it was made; look at the new one and send its PlanId",
        plan.id
    )]
    MovesChanged { plan: Box<MovePlan> },

    /// A Rebalance for which there is nothing to move.
    #[error("application `{app}` is as balanced as it can be: {reason}")]
    NothingToMove { app: AppId, reason: String },

    #[error(
        "application `{app}` is busy: {action} `{operation}` is under way and ends by {deadline}; wait for it, or \
         follow it with `DescribeOperation`",
        deadline = utc(*deadline_at)
    )]
    Busy { app: AppId, operation: OperationId, action: String, deadline_at: WallTime },

    #[error("application `{app}` is being deleted: only `DeleteApplication` may be called on it")]
    BeingDeleted { app: AppId },

    #[error(
        "application `{app}` is at revision {current}, not at {asked}: it changed since it was read; read it again \
         and decide anew"
    )]
    StaleRevision { app: AppId, asked: u64, current: u64 },

    /// What is said of a version stands against `parameter`.
    #[error("{text}")]
    Version { parameter: &'static str, text: String },

    #[error("application `{app}` has no version `{version}`; it has {}", listed(known.iter().map(|name| format!("`{name}`"))))]
    UnknownVersion { app: AppId, version: VersionName, known: Vec<VersionName> },

    #[error(
        "cluster `{cluster}` already has an application named `{name}`, `{app}`; choose another appName or clusterName"
    )]
    NameTaken { name: String, cluster: String, app: AppId },

    /// `index` is that of the selector item.
    #[error("selector item {index}: {text}")]
    Selector { index: usize, text: String },

    #[error(
        "the engine that runs edge node `{node}` cannot be reached; try again later, or choose another node"
    )]
    EngineDown { node: EdgeNodeId },

    /// An Add for which there is no room; the plan says what would fit.
    #[error("{}", shortage(plan))]
    Shortage { plan: Box<Plan> },

    /// A Del of more than there is.
    #[error("{}", too_many(plan))]
    TooMany { plan: Box<Plan> },

    #[error(
        "the plan is `{}` by now: placements changed since it was made; look at the new one and send its PlanId",
        plan.id
    )]
    PlanChanged { plan: Box<Plan> },

    #[error(
        "client token `{token}` was used for a call with other parameters within 24 hours; use a new one"
    )]
    TokenReused { token: String },

    #[error("signature nonce `{nonce}` was used by an accepted call; sign every call with a new one")]
    NonceUsed { nonce: String },

    /// `path` is within the template.
    #[error("template: `{path}`: {text}")]
    Template { path: String, text: String },

    /// A fleet that would leave instances without their node.
    #[error(
        "the fleet lacks {}, which still carry instances; keep them in the fleet until their instances are released",
        listed(nodes.iter().map(|node| format!("`{node}`")))
    )]
    NodesInUse { nodes: Vec<EdgeNodeId> },

    #[error(
        "this server was restored from a backup and only observes; see what `ensemble restore --status` shows, then \
         confirm with `ensemble restore --confirm`"
    )]
    RestoreUnconfirmed,

    /// A fleet that would hand running instances from one engine to another.
    #[error(
        "the fleet gives another engine to {}, which carry instances; that takes a restart",
        listed(nodes.iter().map(|node| format!("`{node}`")))
    )]
    EngineInUse { nodes: Vec<EdgeNodeId> },

    #[error("too many changes wait to be written; try again in a moment")]
    Overloaded,
}

fn shortage(plan: &Plan) -> String {
    let short = plan.items.iter().filter(|item| item.shortage.is_some()).map(|item| {
        let (missing, alternatives) = item
            .shortage
            .as_ref()
            .map_or((0, &[][..]), |shortage| (shortage.missing, &shortage.alternatives[..]));
        let room = item.wanted.saturating_sub(missing);
        let elsewhere = listed(alternatives.iter().map(|other| {
            let isp = other.isp.as_ref().map(|isp| format!("/{isp}")).unwrap_or_default();
            format!("`{}{isp}` has room for {}", other.region_code, other.room)
        }));
        let elsewhere = if alternatives.is_empty() { String::new() } else { format!(" ({elsewhere})") };
        format!("selector item {} asks for {}, there is room for {room}{elsewhere}", item.index, item.wanted)
    });
    format!("not enough room: {}; ask for less", listed(short))
}

fn too_many(plan: &Plan) -> String {
    let missing = |item: &PlannedItem| item.shortage.as_ref().map_or(0, |shortage| shortage.missing);
    let short = plan.items.iter().filter(|item| item.shortage.is_some()).map(|item| {
        let exist = item.wanted.saturating_sub(missing(item));
        format!("selector item {} asks to release {}, {exist} exist", item.index, item.wanted)
    });
    format!(
        "more instances than exist: {}; `DescribeApplication` shows where they are, AllowPartial=true skips such items",
        listed(short)
    )
}

/// The first few of `names`, joined by commas, with a count of the rest.
pub(crate) fn listed(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    let shown = names.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(LISTED) {
        0 => shown,
        rest => format!("{shown} and {rest} more"),
    }
}

/// `2026-01-31 12:00:05 UTC`, by the civil-from-days algorithm: no clock and no time zone table is needed.
pub(crate) fn utc(time: WallTime) -> String {
    let seconds = time.0.div_euclid(1_000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Isp, PlanId};
    use crate::plan::{Alternative, Shortage};

    #[test]
    fn a_wall_time_is_told_in_utc() {
        for (milliseconds, expected) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399_999, "2000-02-28 23:59:59 UTC"),
            (951_782_400_000, "2000-02-29 00:00:00 UTC"),
            (1_798_761_600_000, "2027-01-01 00:00:00 UTC"),
            (-1, "1969-12-31 23:59:59 UTC"),
        ] {
            assert_eq!(utc(WallTime(milliseconds)), expected);
        }
    }

    #[test]
    fn a_shortage_says_how_many_fit_and_where_else() {
        let alternatives =
            vec![Alternative { region_code: "310100".into(), isp: Some(Isp::new("cmcc")), room: 7 }];
        let shortage = Some(Shortage { missing: 2, alternatives, remedies: Vec::new() });
        let item = PlannedItem { index: 1, wanted: 6, placements: Vec::new(), shortage };
        let plan = Box::new(Plan { id: PlanId::new("p"), items: vec![item] });

        let text = Refusal::Shortage { plan }.to_string();

        assert_eq!(
            text,
            "not enough room: selector item 1 asks for 6, there is room for 4 (`310100/cmcc` has room for 7); ask \
             for less"
        );
    }
}
