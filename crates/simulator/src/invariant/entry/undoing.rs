//! Operations that are canceled or taken back: why, how far, and that they end.

use super::Seen;
use crate::invariant::Verdict;
use crate::shadow::Shadow;
use ensemble_model::command::Change;
use ensemble_model::event::Event;
use ensemble_model::id::OperationId;
use ensemble_model::operation::{OnTimeout, OperationKind, OperationStatus, Undoing};

/// An operation goes back where that was chosen for its deadline, which has come, or where somebody canceled it; once, and
/// with as much time for it as it had. What moves or deletes never does.
pub(super) fn an_undo_has_its_reason(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    let now = seen.entry.now.log;
    for (before, event) in seen.steps() {
        let Event::OperationUndoing { operation: id, cause, deadline, .. } = event else { continue };
        let Some(operation) = before.operations.get(id) else { continue };
        looked += 1;
        let is_chosen = match cause {
            Undoing::TimedOut => operation.on_timeout == OnTimeout::Undo && operation.deadline <= now,
            Undoing::Broken => {
                operation.on_timeout == OnTimeout::Undo && operation.kind == OperationKind::Upgrade
            }
            Undoing::Canceled => canceled(seen).any(|(of, mode)| of == id && mode == OnTimeout::Undo),
        };
        let is_possible =
            !matches!(operation.kind, OperationKind::Move | OperationKind::Delete | OperationKind::Immediate);
        if !is_chosen || !is_possible || operation.is_undoing {
            return Err(format!("{id} goes back ({cause:?}), and nobody chose that"));
        }
        if *deadline != now.plus_seconds(operation.timeout_s) {
            return Err(format!("{id} has until {} to go back", deadline.0));
        }
    }
    Ok(looked)
}

/// What is canceled in this entry, and how.
fn canceled<'a>(seen: &'a Seen<'_>) -> impl Iterator<Item = (&'a OperationId, OnTimeout)> {
    seen.accepted().filter_map(|(before, accepted)| {
        let Change::Cancel(asked) = &seen.requests.of(&accepted.id)?.command.change else { return None };
        let found = before.operations.get(&asked.operation)?;
        (found.account == accepted.account).then_some((&asked.operation, asked.mode))
    })
}

/// What is canceled is over at once, or goes back where that was asked for.
pub(super) fn a_canceled_operation_ends(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (id, mode) in canceled(seen) {
        let Some(operation) = seen.after.operations.get(id) else { continue };
        looked += 1;
        let is_going_back = mode == OnTimeout::Undo && operation.is_undoing;
        if operation.status == OperationStatus::Running && !is_going_back {
            return Err(format!("{id} is canceled and goes on"));
        }
    }
    Ok(looked)
}

/// What ends because it was canceled, or is taken back, leaves nothing half done: what an Add made and keeps is ready, as far
/// as it can be reached, and of what is taken back nothing is kept at all.
pub(super) fn what_is_given_up_is_given_up_whole(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (before, event) in seen.steps() {
        let Event::OperationEnded { operation: id, status, .. } = event else { continue };
        let Some(operation) = before.operations.get(id) else { continue };
        let adds = matches!(operation.kind, OperationKind::Create | OperationKind::Add);
        if !adds || (*status != OperationStatus::Canceled && !operation.is_undoing) {
            continue;
        }
        // A Delete takes it from there.
        if *status == OperationStatus::Superseded {
            continue;
        }
        for target in operation.targets.keys() {
            looked += 1;
            let kept = before.instances.get(target).filter(|found| found.is_held());
            if kept.is_some_and(|kept| operation.is_undoing || !(kept.unknown || kept.ready)) {
                return Err(format!("{id} is given up and keeps {target}"));
            }
        }
    }
    Ok(looked)
}

/// What is taken back is taken back at once, as far as it can be: nothing that an Add made is held any more, and of what a Del
/// releases everything stays that nobody was told to stop.
pub(super) fn an_undo_goes_as_far_as_it_can(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (place, event) in seen.entry.events.iter().enumerate() {
        let Event::OperationUndoing { operation: id, .. } = event else { continue };
        let then: &Shadow = seen.moments.get(place + 2).unwrap_or(seen.after);
        let Some(operation) = then.operations.get(id) else { continue };
        for target in operation.targets.keys() {
            let Some(found) = then.instances.get(target) else { continue };
            looked += 1;
            let is_right = match operation.kind {
                OperationKind::Del => found.is_held() || !found.untold,
                // It goes back as it came, a few at once.
                OperationKind::Upgrade => found.is_held(),
                OperationKind::Create
                | OperationKind::Add
                | OperationKind::Delete
                | OperationKind::Move
                | OperationKind::Immediate => !found.is_held(),
            };
            if !is_right {
                return Err(format!("{id} is taken back, and {target} is {found:?}"));
            }
        }
    }
    Ok(looked)
}

/// Only what nobody was told to stop stays after all: released while it was out of reach, which it still is, and no host has
/// begun to stop it.
pub(super) fn what_is_revived_was_not_told(seen: &Seen<'_>) -> Verdict {
    let mut looked = 0;
    for (before, event) in seen.steps() {
        let Event::InstancesRevived { operation: id, instances, .. } = event else { continue };
        let operation = before.operations.get(id).filter(|operation| operation.is_undoing);
        for instance in instances {
            looked += 1;
            let is_its = operation.is_some_and(|operation| operation.targets.contains_key(instance));
            let found = before.instances.get(instance).filter(|found| !found.is_held() && found.untold);
            let is_cut_off = found.is_some_and(|found| before.unreachable.contains(&found.node));
            let was_stopped =
                seen.stopped.contains(instance) && found.is_some_and(|found| !found.was_redeployed);
            if !is_its || !is_cut_off || was_stopped {
                return Err(format!("{id} brings back {instance}, which was told to stop"));
            }
        }
    }
    Ok(looked)
}

#[cfg(test)]
mod tests {
    use super::super::tests::Shown;
    use super::*;
    use crate::invariant::house::*;
    use ensemble_model::command::CancelOperation;
    use ensemble_model::event::ReleaseCause;
    use ensemble_model::id::{AppId, InstanceId};
    use ensemble_model::operation::Subject;
    use ensemble_model::time::LogTime;

    const OPERATION: &str = "OP-BEGUN";
    const CANCEL: &str = "OP-CANCEL";

    /// An Add of two under way, one of them ready.
    fn adding() -> Shadow {
        let mut house = house();
        let begun = vec![
            accepted(OPERATION, OperationKind::Add, &[("310100", 2)]),
            planned(OPERATION, &[(OTHER_NODE, "unicom", &["i-1", "i-2"])]),
            observed("i-1", true),
        ];
        house.fold(&next(&house.clone(), begun));
        house
    }

    /// A Del under way of one that is in reach and one that is not.
    fn releasing() -> Shadow {
        let mut house = house();
        let begun = vec![
            accepted(OPERATION, OperationKind::Del, &[("All", 2)]),
            released(OPERATION, ReleaseCause::Asked, &[(HELD, 0), (LOST, 0)]),
        ];
        house.fold(&next(&house.clone(), begun));
        house
    }

    fn cancels(mode: OnTimeout) -> (crate::request::Request, Event) {
        let operation = OperationId::new(OPERATION);
        let asked = request(CANCEL, Change::Cancel(CancelOperation { operation, mode }));
        (asked, at_once(CANCEL, "CancelOperation", Subject::Application(AppId::new(APP))))
    }

    fn goes_back(cause: Undoing, until_ms: i64) -> Event {
        Event::OperationUndoing {
            operation: OperationId::new(OPERATION),
            cause,
            deadline: LogTime(NOW.log.0 + until_ms),
            deadline_at: NOW.wall,
        }
    }

    fn revived(instance: &str) -> Event {
        let (operation, app) = (OperationId::new(OPERATION), AppId::new(APP));
        Event::InstancesRevived { operation, app, instances: vec![InstanceId::new(instance)] }
    }

    #[test]
    fn what_goes_back_was_canceled_or_is_late_and_was_to() {
        let (undo, accepted) = cancels(OnTimeout::Undo);
        let (keep, _) = cancels(OnTimeout::Keep);
        let canceled = || vec![accepted.clone(), goes_back(Undoing::Canceled, 61_000)];
        let mut chosen = adding();
        let id = OperationId::new(OPERATION);
        chosen.operations.get_mut(&id).expect("it is under way").on_timeout = OnTimeout::Undo;
        let late = |before: &Shadow, after_ms| {
            let events = vec![goes_back(Undoing::TimedOut, after_ms + 60_000)];
            let shown = Shown { after_ms, ..Shown::new(before, events) };
            shown.to(an_undo_has_its_reason)
        };
        let rule = an_undo_has_its_reason;

        assert_eq!(Shown::new(&adding(), canceled()).asked(undo.clone()).to(rule), Ok(1));
        assert!(Shown::new(&adding(), canceled()).asked(keep).to(rule).is_err());
        let endless = vec![accepted.clone(), goes_back(Undoing::Canceled, 600_000)];
        assert!(Shown::new(&adding(), endless).asked(undo.clone()).to(rule).is_err());
        let mut twice = canceled();
        twice.push(goes_back(Undoing::Canceled, 61_000));
        assert!(Shown::new(&adding(), twice).asked(undo).to(rule).is_err());
        assert_eq!(late(&chosen, 61_000), Ok(1));
        assert!(late(&chosen, 5_000).is_err());
        assert!(late(&adding(), 61_000).is_err());
    }

    #[test]
    fn what_is_canceled_does_not_go_on() {
        let (undo, accepted) = cancels(OnTimeout::Undo);
        let (keep, _) = cancels(OnTimeout::Keep);
        let rule = a_canceled_operation_ends;
        let over = vec![accepted.clone(), ended(OPERATION, OperationStatus::Canceled)];
        let back = vec![accepted.clone(), goes_back(Undoing::Canceled, 61_000)];

        assert_eq!(Shown::new(&adding(), over).asked(keep.clone()).to(rule), Ok(1));
        assert_eq!(Shown::new(&adding(), back.clone()).asked(undo).to(rule), Ok(1));
        assert!(Shown::new(&adding(), back).asked(keep.clone()).to(rule).is_err());
        assert!(Shown::new(&adding(), vec![accepted]).asked(keep).to(rule).is_err());
    }

    #[test]
    fn what_is_given_up_leaves_nothing_half_done() {
        let over = || ended(OPERATION, OperationStatus::Canceled);
        let gives_up = |id| released(OPERATION, ReleaseCause::Canceled, &[(id, 0)]);
        let rule = what_is_given_up_is_given_up_whole;
        let mut undone = adding();
        undone.fold(&next(&adding(), vec![goes_back(Undoing::Canceled, 61_000), gives_up("i-2")]));

        assert_eq!(Shown::new(&adding(), vec![gives_up("i-2"), over()]).to(rule), Ok(2));
        assert!(Shown::new(&adding(), vec![over()]).to(rule).is_err());
        assert!(Shown::new(&undone, vec![over()]).to(rule).is_err(), "the ready one is kept");
    }

    #[test]
    fn an_undo_that_leaves_something_out_is_found() {
        let back = || goes_back(Undoing::Canceled, 61_000);
        let undone = |ids: &[(&str, usize)]| released(OPERATION, ReleaseCause::Undone, ids);
        let rule = an_undo_goes_as_far_as_it_can;

        let whole = vec![back(), undone(&[("i-1", 0), ("i-2", 0)])];
        assert_eq!(Shown::new(&adding(), whole).to(rule), Ok(2));
        assert!(Shown::new(&adding(), vec![back(), undone(&[("i-2", 0)])]).to(rule).is_err());
        assert_eq!(Shown::new(&releasing(), vec![back(), revived(LOST)]).to(rule), Ok(2));
        assert!(Shown::new(&releasing(), vec![back()]).to(rule).is_err());
    }

    #[test]
    fn what_was_told_to_stop_stays_away() {
        let back = || goes_back(Undoing::Canceled, 61_000);
        let rule = what_is_revived_was_not_told;
        let stopped = Shown { stopped: vec![LOST], ..Shown::new(&releasing(), vec![back(), revived(LOST)]) };

        assert_eq!(Shown::new(&releasing(), vec![back(), revived(LOST)]).to(rule), Ok(1));
        assert!(stopped.to(rule).is_err());
        assert!(Shown::new(&releasing(), vec![back(), revived(HELD)]).to(rule).is_err());
        assert!(Shown::new(&releasing(), vec![back(), revived(LEAVING)]).to(rule).is_err());
        assert!(Shown::new(&releasing(), vec![revived(LOST)]).to(rule).is_err());
    }
}
