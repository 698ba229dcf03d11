//! How instances go from one version to another: in which units, how many of a unit at once, and when
//! (ens-api.md §2.3, `decisions.md` §9.6). Types and their arithmetic; `decide::rolling` acts on them.

use crate::fleet::{DistrictLevel, Fleet};
use crate::id::{EdgeNodeId, InstanceId, VersionName};
use crate::time::{LogTime, Now, WallTime};
use serde::{Deserialize, Serialize};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// What an upgrade or a rollback does, as accepted; part of its operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    pub to: VersionName,
    pub stable: StableRule,
    /// UpgradeApplication's TaskId.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    pub level: UnitLevel,
    pub units: Vec<Unit>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// What was asked for and is left as it is, and why, for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

/// When the stable version becomes the one that instances went to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StableRule {
    /// Whatever comes of it.
    Stays,
    /// When no instance that can be reached runs another one (ens-api.md §2.3).
    WhenAllRunIt,
    /// When the operation succeeds: a rollback of the stable version (ens-api.md §2.4).
    WhenItSucceeds,
}

/// What one unit of an application's instances is: those in one district, or on one edge node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UnitLevel {
    National,
    Big,
    Middle,
    Small,
    RegionId,
}

/// Instances that count together for the caps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// A district's code, or an edge node's id.
    pub code: String,
    /// How many of it are upgraded at once, at the most; 1 or more.
    pub at_once: u32,
    /// `maxPodUsageRatio`: while more of its pods are busy, nothing begins. In percent.
    pub busy_at_most: u32,
}

/// One of `autoUpgradeStrategy.rules`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Districts or edge nodes, `All` for the rest.
    pub region_codes: Vec<String>,
    pub busy_at_most: u32,
    /// Of the unit's instances at once, in percent.
    pub ratio: u32,
    pub count: Option<u32>,
}

/// When work may begin, and how often it is looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    pub from: Option<WallTime>,
    pub until: Option<WallTime>,
    /// 0 to 24, inclusive; greater than `end_hour` = over midnight.
    pub start_hour: u8,
    /// 0 to 24, exclusive.
    pub end_hour: u8,
    /// East of UTC, of the hours' time zone.
    pub offset_s: i32,
    pub check_s: u32,
    pub next_check: LogTime,
}

/// An instance that an upgrade or a rollback is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolledInstance {
    pub id: InstanceId,
    /// Index of its unit.
    pub item: usize,
}

/// An instance that runs another version from here on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redeployed {
    pub id: InstanceId,
    pub deployment: String,
}

impl UnitLevel {
    /// The code of the unit that `node` lies in.
    pub(crate) fn code_of(self, fleet: &Fleet, node: &EdgeNodeId) -> String {
        let level = match self {
            Self::National => return crate::placement::scope::COUNTRY.to_owned(),
            Self::RegionId => return node.to_string(),
            Self::Big => DistrictLevel::Big,
            Self::Middle => DistrictLevel::Middle,
            Self::Small => DistrictLevel::Small,
        };
        let Some(found) = fleet.node(node.as_str()) else { return node.to_string() };
        // A node that no district of this level has is a unit of its own, or of its province.
        let unit = fleet.unit_of(found, level).map(|district| &district.code).or(found.district.as_ref());
        unit.map_or_else(|| node.to_string(), ToString::to_string)
    }
}

impl Rule {
    /// The first of `rules` that names the unit or a district around it, else the first for `All` (ens-api.md §2.3).
    pub(crate) fn of<'a>(rules: &'a [Self], fleet: &Fleet, code: &str) -> Option<&'a Self> {
        let names = |rule: &&Self, code: &str| rule.region_codes.iter().any(|named| named == code);
        let around = |rule: &&Self| {
            rule.region_codes.iter().any(|named| match fleet.node(code) {
                Some(node) => fleet.lies_in(node, named),
                None => lies_around(fleet, code, named),
            })
        };
        let named = rules.iter().find(|rule| names(rule, code) || around(rule));
        named.or_else(|| rules.iter().find(|rule| names(rule, "All")))
    }

    /// How many of `held` instances at once: rounded down, at least one, at the most `count`.
    pub(crate) fn at_once(&self, held: u32) -> u32 {
        let share = u64::from(held) * u64::from(self.ratio) / 100;
        let share = u32::try_from(share).unwrap_or(u32::MAX).max(1);
        self.count.map_or(share, |count| share.min(count)).max(1)
    }
}

/// Whether the district `inner` lies in `outer`.
fn lies_around(fleet: &Fleet, inner: &str, outer: &str) -> bool {
    let fathers = std::iter::successors(fleet.district(inner), |district| {
        district.father.as_ref().and_then(|father| fleet.districts.get(father))
    });
    // As many levels as there are; a broken table does not loop.
    fathers.take(8).any(|district| district.code.as_str() == outer)
}

impl Schedule {
    /// Whether work may begin at `wall`.
    pub fn is_open(&self, wall: WallTime) -> bool {
        self.from.is_none_or(|from| wall >= from)
            && self.until.is_none_or(|until| wall < until)
            && self.next_open(wall) == wall
    }

    /// The deadline of so many seconds of work from `now` on, which count inside the window only; never after its end.
    pub(crate) fn deadline(&self, now: Now, seconds: u32) -> LogTime {
        let mut at = self.from.map_or(now.wall, |from| from.max(now.wall));
        let mut left = i64::from(seconds) * 1_000;
        // At least an hour a day counts, and no timeout is longer than a day.
        for _ in 0..32 {
            at = self.next_open(at);
            let closes = self.next_close(at);
            let open = closes.0 - at.0;
            if left <= open {
                at = at.plus_ms(left);
                break;
            }
            left -= open;
            at = closes;
        }
        let end = self.until.map_or(at, |until| until.min(at));
        LogTime(now.log.0.saturating_add(end.0.saturating_sub(now.wall.0).max(0)))
    }

    /// `at` itself where it is within the daily hours, else when they begin next.
    fn next_open(&self, at: WallTime) -> WallTime {
        let (hour_ms, start, end) = self.hours(at);
        let is_open =
            if start < end { (start..end).contains(&hour_ms) } else { hour_ms >= start || hour_ms < end };
        if is_open { at } else { at.plus_ms((start - hour_ms).rem_euclid(DAY_MS)) }
    }

    /// When the hours that `at` lies in end.
    fn next_close(&self, at: WallTime) -> WallTime {
        let (hour_ms, start, end) = self.hours(at);
        let left = (end - hour_ms).rem_euclid(DAY_MS);
        // All day long: it is looked at day by day.
        at.plus_ms(if left == 0 || (start == 0 && end == DAY_MS) { DAY_MS } else { left })
    }

    /// The time of day at `at`, and those at which the hours begin and end.
    fn hours(&self, at: WallTime) -> (i64, i64, i64) {
        let local = at.0.saturating_add(i64::from(self.offset_s) * 1_000);
        (local.rem_euclid(DAY_MS), i64::from(self.start_hour) * HOUR_MS, i64::from(self.end_hour) * HOUR_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(start_hour: u8, end_hour: u8, offset_s: i32) -> Schedule {
        let (from, until) = (None, None);
        Schedule { from, until, start_hour, end_hour, offset_s, check_s: 600, next_check: LogTime(0) }
    }

    fn at(hour: i64) -> WallTime {
        WallTime(20_000 * DAY_MS + hour * HOUR_MS)
    }

    fn hours_to(deadline: LogTime) -> i64 {
        deadline.0 / HOUR_MS
    }

    fn now(hour: i64) -> Now {
        Now { log: LogTime(0), wall: at(hour) }
    }

    #[test]
    fn hours_include_their_start_and_not_their_end_in_their_own_zone() {
        let night = schedule(22, 6, 8 * 3_600);

        let open: Vec<i64> = (0..24).filter(|hour| night.is_open(at(*hour))).collect();

        assert_eq!(open, [14, 15, 16, 17, 18, 19, 20, 21]);
    }

    #[test]
    fn a_timeout_counts_inside_the_window_only() {
        assert_eq!(hours_to(schedule(0, 24, 0).deadline(now(5), 3 * 3_600)), 3);
        assert_eq!(hours_to(schedule(8, 10, 0).deadline(now(9), 3 * 3_600)), 1 + 22 + 2);
        assert_eq!(hours_to(schedule(8, 10, 0).deadline(now(12), 3_600)), 20 + 1);
        let ends = Schedule { until: Some(at(11)), ..schedule(0, 24, 0) };
        assert_eq!(hours_to(ends.deadline(now(9), 24 * 3_600)), 2);
    }

    #[test]
    fn a_cap_is_rounded_down_and_at_least_one() {
        let rule = |ratio, count| Rule { region_codes: vec!["All".into()], busy_at_most: 100, ratio, count };

        assert_eq!(rule(50, None).at_once(5), 2);
        assert_eq!(rule(20, None).at_once(3), 1);
        assert_eq!(rule(100, Some(2)).at_once(7), 2);
        assert_eq!(rule(10, Some(5)).at_once(30), 3);
    }
}
