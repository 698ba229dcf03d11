//! Instances that go from one version to another: how many at once, which, and what that means for versions.

use super::Seen;
use crate::invariant::Verdict;
use crate::shadow::{Operation, Shadow};
use ensemble_model::event::Event;
use ensemble_model::id::{AppId, OperationId};
use ensemble_model::operation::OperationStatus;
use ensemble_model::rollout::{Redeployed, StableRule};
use std::collections::BTreeMap;

/// Each event that lets instances go, with the operation, and the shadow before and after it.
fn turns<'a>(
    seen: &'a Seen<'_>,
) -> impl Iterator<Item = (&'a OperationId, &'a [Redeployed], &'a Operation, &'a Shadow, &'a Shadow)> {
    seen.entry.events.iter().enumerate().filter_map(|(place, event)| {
        let Event::InstancesRedeployed { operation, instances, .. } = event else { return None };
        let before = &seen.moments[place];
        let after = seen.moments.get(place + 1).unwrap_or(seen.after);
        Some((operation, &instances[..], before.operations.get(operation)?, before, after))
    })
}

/// Of one unit no more are under way than its cap says, and none that is ready goes where as many are not.
pub(super) fn a_rollout_keeps_within_its_caps(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (id, instances, operation, before, after) in turns(seen) {
        let Some(rollout) = &operation.rollout else { return Err(format!("{id} is no rollout")) };
        let mut taken: BTreeMap<usize, u32> = BTreeMap::new();
        for redeployed in instances {
            looked += 1;
            let Some(item) = operation.targets.get(&redeployed.id) else { continue };
            if before.instances.get(&redeployed.id).is_some_and(|found| found.is_ready()) {
                *taken.entry(*item).or_default() += 1;
            }
        }
        let operation = after.operations.get(id).unwrap_or(operation);
        for (item, unit) in rollout.units.iter().enumerate() {
            let under_way = operation.targets.iter().filter(|(target, of)| {
                **of == item
                    && operation.begun.contains(*target)
                    && after.instances.get(*target).is_some_and(|found| {
                        found.is_held() && operation.goal(target) == Some(&found.version) && !found.is_ready()
                    })
            });
            let count = under_way.count() as u32;
            let took = taken.get(&item).copied().unwrap_or_default();
            if took > unit.at_once || (took > 0 && count > unit.at_once) {
                return Err(format!("{id} has {count} of {} under way, {} may be", unit.code, unit.at_once));
            }
        }
    }
    Ok(looked)
}

/// What an application keeps ready on a node and carrier stays ready there.
pub(super) fn a_rollout_keeps_the_floor(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (id, instances, operation, before, after) in turns(seen) {
        let Some(app) = operation.app.as_ref() else { continue };
        let min_ready = before.apps.get(app).map_or(0, |app| app.min_ready);
        for redeployed in instances {
            let Some(found) = before.instances.get(&redeployed.id).filter(|found| found.is_ready()) else {
                continue;
            };
            looked += 1;
            let here: Vec<_> = after
                .held_by(app)
                .filter(|(_, other)| (&other.node, &other.isp) == (&found.node, &found.isp))
                .collect();
            let ready = here.iter().filter(|(_, other)| other.is_ready()).count() as u32;
            if ready < min_ready.min(here.len() as u32) {
                return Err(format!("{id} takes {} and leaves {ready} of {min_ready}", redeployed.id));
            }
        }
    }
    Ok(looked)
}

/// A version is changed by a running rollout, of its targets only, to where it leads, and to one that there is.
pub(super) fn only_what_was_planned_changes_its_version(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (id, instances, operation, before, after) in turns(seen) {
        for redeployed in instances {
            looked += 1;
            let is_target = operation.targets.contains_key(&redeployed.id);
            let held = before.instances.get(&redeployed.id).filter(|found| found.is_held() && !found.unknown);
            let now = after.instances.get(&redeployed.id).map(|found| &found.version);
            let exists = operation
                .app
                .as_ref()
                .and_then(|app| before.apps.get(app))
                .is_some_and(|app| now.is_some_and(|version| app.versions.contains(version)));
            let is_right = operation.status == OperationStatus::Running
                && is_target
                && held.is_some_and(|held| Some(&held.version) != now)
                && now == operation.goal(&redeployed.id)
                && exists;
            if !is_right {
                return Err(format!("{id} lets {} go to {now:?}", redeployed.id));
            }
        }
    }
    Ok(looked)
}

/// The stable version moves to what a rollout led to: when all that can be reached run it, or a rollback of it succeeds.
pub(super) fn a_stable_version_moves_when_it_may(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (before, event) in seen.steps() {
        let Event::StableVersionMoved { app, version } = event else { continue };
        looked += 1;
        let running = before.apps.get(app).and_then(|found| found.running.as_ref());
        let rollout = running.and_then(|id| before.operations.get(id)?.rollout.clone());
        let is_right = rollout.is_some_and(|rollout| {
            rollout.to == *version
                && match rollout.stable {
                    StableRule::Stays => false,
                    StableRule::WhenItSucceeds => true,
                    StableRule::WhenAllRunIt => all_run(before, app, version),
                }
        });
        if !is_right {
            return Err(format!("{version} becomes the stable version of {app}"));
        }
    }
    Ok(looked)
}

fn all_run(shadow: &Shadow, app: &AppId, version: &ensemble_model::id::VersionName) -> bool {
    shadow.held_by(app).filter(|(_, found)| !found.unknown).all(|(_, found)| found.version == *version)
}

/// A version is forgotten only when it is not the stable one and no instance has it.
pub(super) fn a_version_goes_when_nothing_needs_it(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (before, event) in seen.steps() {
        let Event::VersionDeleted { app, version } = event else { continue };
        looked += 1;
        let is_stable = before.apps.get(app).is_none_or(|found| found.stable == *version);
        let has_it = before.instances.values().any(|found| found.app == *app && found.version == *version);
        if is_stable || has_it {
            return Err(format!("{app} forgets version {version}, which is needed"));
        }
    }
    Ok(looked)
}

#[cfg(test)]
mod tests {
    use super::super::tests::Shown;
    use super::*;
    use crate::invariant::house::*;
    use ensemble_model::application::Version;
    use ensemble_model::id::{InstanceId, VersionName};
    use ensemble_model::operation::OperationKind;
    use ensemble_model::rollout::{RolledInstance, Rollout, Unit, UnitLevel};

    const UPGRADE: &str = "OP-UPGRADE";

    fn version(name: &str) -> Box<Version> {
        let (description, workloads, pins) = (String::new(), Vec::new(), BTreeMap::new());
        Box::new(Version { name: VersionName::new(name), description, created_at: NOW.wall, workloads, pins })
    }

    /// An upgrade to v2 is under way, one at a time, of all that can be reached.
    fn upgrading() -> Shadow {
        let unit = Unit { code: "100000".into(), at_once: 1, busy_at_most: 100 };
        let rollout = Rollout {
            to: VersionName::new("v2"),
            stable: StableRule::WhenAllRunIt,
            task: None,
            level: UnitLevel::National,
            units: vec![unit],
            schedule: None,
            left_out: Vec::new(),
        };
        let rolled = |id: &&str| RolledInstance { id: InstanceId::new(*id), item: 0 };
        let events = vec![
            accepted(UPGRADE, OperationKind::Upgrade, &[("100000", 3)]),
            Event::VersionCreated { app: AppId::new(APP), version: version("v2") },
            Event::RolloutPlanned {
                operation: OperationId::new(UPGRADE),
                rollout: Box::new(rollout),
                instances: [HELD, UNREADY, ELSEWHERE].iter().map(rolled).collect(),
            },
            // Nobody is in the way of the others any more.
            observed(UNREADY, true),
        ];
        let mut shadow = house();
        shadow.fold(&next(&house(), events));
        shadow
    }

    fn goes(version: &str, ids: &[&str]) -> Event {
        let instance = |id: &&str| Redeployed { id: InstanceId::new(*id), deployment: format!("to-{id}") };
        Event::InstancesRedeployed {
            operation: OperationId::new(UPGRADE),
            app: AppId::new(APP),
            version: VersionName::new(version),
            instances: ids.iter().map(instance).collect(),
        }
    }

    #[test]
    fn more_at_once_than_the_cap_says_is_found() {
        let shown = |events| Shown::new(&upgrading(), events).to(a_rollout_keeps_within_its_caps);

        assert_eq!(shown(vec![goes("v2", &[HELD])]), Ok(1));
        assert!(shown(vec![goes("v2", &[HELD, ELSEWHERE])]).is_err());
        assert!(shown(vec![goes("v2", &[HELD]), goes("v2", &[ELSEWHERE])]).is_err());
        assert_eq!(shown(vec![goes("v2", &[HELD]), observed(HELD, true), goes("v2", &[ELSEWHERE])]), Ok(2));
    }

    #[test]
    fn a_floor_that_is_not_kept_is_found() {
        let floor = |min_ready| Event::ApplicationModified { app: AppId::new(APP), min_ready };
        let shown = |events| Shown::new(&upgrading(), events).to(a_rollout_keeps_the_floor);

        assert_eq!(shown(vec![floor(1), goes("v2", &[HELD])]), Ok(1));
        assert!(shown(vec![floor(2), goes("v2", &[HELD])]).is_err());
    }

    #[test]
    fn a_version_that_nobody_planned_is_found() {
        let shown =
            |event| Shown::new(&upgrading(), vec![event]).to(only_what_was_planned_changes_its_version);

        assert_eq!(shown(goes("v2", &[HELD])), Ok(1));
        assert!(shown(goes("v3", &[HELD])).is_err(), "another version");
        assert!(shown(goes("v2", &[LOST])).is_err(), "no target");
        assert!(shown(goes("v2", &[OF_ANOTHER])).is_err(), "another application's");
    }

    #[test]
    fn a_stable_version_that_moves_too_soon_and_one_that_is_forgotten_are_found() {
        let moved = || Event::StableVersionMoved { app: AppId::new(APP), version: VersionName::new("v2") };
        let shown = |events| Shown::new(&upgrading(), events).to(a_stable_version_moves_when_it_may);
        assert!(shown(vec![goes("v2", &[HELD]), moved()]).is_err());
        assert_eq!(shown(vec![goes("v2", &[HELD, UNREADY, ELSEWHERE]), moved()]), Ok(1));

        let forgotten = |name| {
            let event = Event::VersionDeleted { app: AppId::new(APP), version: VersionName::new(name) };
            Shown::new(&upgrading(), vec![goes("v2", &[HELD]), event])
                .to(a_version_goes_when_nothing_needs_it)
        };
        assert!(forgotten("v1").is_err(), "the stable one");
        assert!(forgotten("v2").is_err(), "one runs it");
        assert_eq!(forgotten("v3"), Ok(1));
    }
}
