//! Every invariant of entries is shown something wrong, and has to say so; and what is right, and has to let it pass.

use super::*;
use crate::invariant::Verdict;
use crate::invariant::house::*;
use crate::request::{Outcome, Request};
use ensemble_model::command::{Change, DeleteApplication, Direction, Partial};
use ensemble_model::event::ReleaseCause;
use ensemble_model::id::{AccountId, AppId, EdgeNodeId, Isp, OperationId, PlanId};

use ensemble_model::decide::PlanAnswer;
use ensemble_model::operation::{OperationKind, OperationStatus, SkippedItem, Subject};
use ensemble_model::plan::{Placement, Plan, PlannedItem};
use ensemble_model::refusal::Refusal;
use ensemble_model::time::LogTime;
use ensemble_model::wanted::Epoch;

const NEW: &str = "OP-NEW";

/// What a single rule is shown.
pub(super) struct Shown {
    pub(super) before: Shadow,
    pub(super) events: Vec<Event>,
    pub(super) requests: Vec<Request>,
    /// What hosts have begun to stop.
    pub(super) stopped: Vec<&'static str>,
    /// Milliseconds after the house was made.
    pub(super) after_ms: i64,
}

impl Shown {
    pub(super) fn new(before: &Shadow, events: Vec<Event>) -> Self {
        Self { before: before.clone(), events, requests: Vec::new(), stopped: Vec::new(), after_ms: 1_000 }
    }

    pub(super) fn asked(self, request: Request) -> Self {
        Self { requests: self.requests.into_iter().chain([request]).collect(), ..self }
    }

    /// What the rule says of it.
    pub(super) fn to(self, rule: fn(&Seen<'_>) -> Verdict) -> Verdict {
        let mut entry = next(&self.before, self.events);
        entry.now.log = LogTime(NOW.log.0 + self.after_ms);
        let (after, read) = read(&self.before, entry);
        let mut requests = Requests::default();
        for request in self.requests {
            requests.add(request);
        }
        rule(&Seen {
            before: &self.before,
            entry: &read.entry,
            moments: &read.moments,
            after: &after,
            requests: &requests,
            running: &BTreeSet::new(),
            stopped: &self.stopped.into_iter().map(InstanceId::new).collect(),
        })
    }
}

/// Which invariant an entry breaks, after `request` was made and while `running` still runs.
fn broken_by(before: &Shadow, entry: Entry, request: Request, running: &[&str]) -> Option<&'static str> {
    let (after, read) = read(before, entry);
    let running = running.iter().map(|id| InstanceId::new(*id)).collect();
    let seen = Seen {
        before,
        entry: &read.entry,
        moments: &read.moments,
        after: &after,
        requests: &requests(request),
        running: &running,
        stopped: &BTreeSet::new(),
    };
    check(&seen, &mut Exercised::default()).err().map(|broken| broken.invariant)
}

fn broken(events: Vec<Event>) -> Option<&'static str> {
    let house = house();
    broken_by(&house, next(&house, events), add(2), &[])
}

/// An Add of so many in Shanghai: one node holds two of the application, the other one.
fn add(count: u32) -> Request {
    asked(NEW, Direction::Add, &[("310100", count)])
}

fn accepted_add(count: u32) -> Event {
    accepted(NEW, OperationKind::Add, &[("310100", count)])
}

/// Where the rules put an Add of two.
fn as_ruled() -> Event {
    planned(NEW, &[(OTHER_NODE, "unicom", &["i-1", "i-2"])])
}

fn is_ready(id: &str) -> Event {
    Event::InstanceObserved { instance: InstanceId::new(id), ready: true, pods: Vec::new() }
}

fn change(mut event: Event, change: impl FnOnce(&mut AcceptedOperation)) -> Event {
    if let Event::OperationAccepted { operation } = &mut event {
        change(operation);
    }
    event
}

/// A Del of so many of what is at `code`.
fn del(code: &str, count: u32, victims: &[(&str, usize)]) -> (Request, Vec<Event>) {
    let items = [(code, count)];
    let events = vec![accepted(NEW, OperationKind::Del, &items), released(NEW, ReleaseCause::Asked, victims)];
    (asked(NEW, Direction::Del, &items), events)
}

fn broken_by_del(code: &str, count: u32, victims: &[(&str, usize)]) -> Option<&'static str> {
    let house = house();
    let (request, events) = del(code, count, victims);
    broken_by(&house, next(&house, events), request, &[])
}

#[test]
fn what_is_right_passes() {
    assert_eq!(broken(vec![accepted_add(2), as_ruled()]), None);
    assert_eq!(broken_by_del(NODE, 1, &[(UNREADY, 0)]), None);
    // What nobody can see goes last of all.
    assert_eq!(broken_by_del("All", 3, &[(UNREADY, 0), (HELD, 0), (ELSEWHERE, 0)]), None);
    assert_eq!(broken(vec![gone(LEAVING)]), None);
}

#[test]
fn time_and_epoch_only_go_forward() {
    let house = house();
    let mut earlier = next(&house, Vec::new());
    earlier.now.log = LogTime(NOW.log.0 - 1);
    let mut older = next(&house, Vec::new());
    older.epoch = Epoch(2);

    assert_eq!(broken_by(&house, earlier, add(2), &[]), Some("log_time_never_falls"));
    assert_eq!(broken_by(&house, older, add(2), &[]), Some("an_older_epoch_writes_nothing"));
}

#[test]
fn an_operation_has_one_end() {
    for (events, expected) in [
        (vec![ended(ENDED, OperationStatus::Succeeded)], "an_ended_operation_never_changes"),
        (vec![planned(ENDED, &[(OTHER_NODE, "unicom", &["i-1"])])], "an_ended_operation_never_changes"),
        (vec![planned("OP-NEVER", &[(OTHER_NODE, "unicom", &["i-1"])])], "an_ended_operation_never_changes"),
        (
            vec![accepted_add(2), as_ruled(), ended(NEW, OperationStatus::Succeeded)],
            "an_operation_succeeds_only_when_all_is_done",
        ),
        (
            vec![accepted_add(2), as_ruled(), is_ready("i-1"), is_ready("i-2")],
            "an_operation_that_waits_for_nothing_has_ended",
        ),
        (
            vec![Event::ApplicationDeleted { app: AppId::new(APP) }],
            "an_application_goes_with_its_last_instance",
        ),
        (
            vec![accepted_add(2), as_ruled(), ended(NEW, OperationStatus::Superseded)],
            "what_is_superseded_gives_way_to_a_delete",
        ),
    ] {
        assert_eq!(broken(events), Some(expected));
    }
}

#[test]
fn one_thing_is_done_at_a_time_and_once() {
    let twice = accepted("OP-SECOND", OperationKind::Add, &[("310100", 1)]);
    for (events, expected) in [
        (
            vec![accepted_add(2), planned(NEW, &[(OTHER_NODE, "unicom", &["i-1", HELD])])],
            "no_instance_is_planned_twice",
        ),
        (
            vec![accepted_add(2), planned(NEW, &[(OTHER_NODE, "unicom", &["i-1", "i-1"])])],
            "no_instance_is_planned_twice",
        ),
        (vec![accepted_add(2), as_ruled(), twice], "one_operation_at_a_time"),
    ] {
        assert_eq!(broken(events), Some(expected));
    }
}

#[test]
fn nothing_is_placed_on_what_is_being_deleted() {
    let mut house = house();
    let delete = next(
        &house,
        vec![accepted("OP-DELETE", OperationKind::Delete, &[]), ended("OP-DELETE", OperationStatus::Failed)],
    );
    house.fold(&delete);

    let found = broken_by(&house, next(&house, vec![accepted_add(2), as_ruled()]), add(2), &[]);

    assert_eq!(found, Some("one_operation_at_a_time"));
}

#[test]
fn a_write_is_there_whole_or_not_at_all() {
    let mut house = house();
    let begun = next(&house, vec![accepted_add(2)]);
    house.fold(&begun);
    assert_eq!(
        broken_by(&house, next(&house, vec![as_ruled()]), add(2), &[]),
        Some("a_write_is_whole_in_its_entry")
    );

    assert_eq!(broken(vec![created("app", ACCOUNT)]), Some("a_write_is_whole_in_its_entry"));

    let house = self::house();
    let mut delete = add(2);
    delete.command.change =
        Change::Delete(DeleteApplication { app: AppId::new(APP), timeout_s: 60, if_revision: None });
    let half = vec![
        accepted(NEW, OperationKind::Delete, &[]),
        released(NEW, ReleaseCause::Asked, &[(HELD, 0), (UNREADY, 0), (ELSEWHERE, 0), (LEAVING, 0)]),
    ];
    assert_eq!(broken_by(&house, next(&house, half), delete, &[]), Some("a_write_is_whole_in_its_entry"));
}

#[test]
fn only_what_somebody_asked_for_is_accepted() {
    let nobody = accepted("OP-NOBODY", OperationKind::Add, &[("310100", 2)]);
    let of_another = change(accepted_add(2), |operation| operation.account = AccountId::new(ANOTHER_ACCOUNT));
    let late = change(accepted_add(2), |operation| operation.deadline = LogTime(NOW.log.0 + 99_000));
    let another_kind = accepted(NEW, OperationKind::Create, &[("310100", 2)]);
    for wrong in [nobody, of_another, late, another_kind] {
        let planned = match &wrong {
            Event::OperationAccepted { operation } => {
                planned(operation.id.as_str(), &[(OTHER_NODE, "unicom", &["i-1", "i-2"])])
            }
            _ => as_ruled(),
        };

        assert_eq!(broken(vec![wrong, planned]), Some("only_what_was_asked_is_accepted"));
    }
}

#[test]
fn what_was_refused_is_not_in_the_log() {
    let house = house();
    let mut refused = add(2);
    refused.outcome = Outcome::Refused(Refusal::Overloaded);

    let found = broken_by(&house, next(&house, vec![accepted_add(2), as_ruled()]), refused, &[]);

    assert_eq!(found, Some("a_refusal_leaves_no_event"));
}

#[test]
fn tokens_and_nonces_count_once() {
    let house = house();
    let mut with_old_token = add(2);
    with_old_token.command.request.client_token = Some(token(ENDED));
    let again = change(accepted_add(2), |operation| operation.client_token = Some(token(ENDED)));
    let mut with_old_nonce = add(2);
    with_old_nonce.command.request.nonce = Some(nonce(ENDED));
    let replayed = change(accepted_add(2), |operation| operation.nonce = Some(nonce(ENDED)));

    let found = broken_by(&house, next(&house, vec![again.clone(), as_ruled()]), with_old_token.clone(), &[]);
    assert_eq!(found, Some("one_execution_per_client_token"));
    let found = broken_by(&house, next(&house, vec![replayed, as_ruled()]), with_old_nonce, &[]);
    assert_eq!(found, Some("one_execution_per_nonce"));

    // A day later the token means nothing any more.
    let mut tomorrow = next(&house, vec![again, as_ruled()]);
    tomorrow.now.wall = NOW.wall.plus_ms(24 * 3_600_000 + 1);
    assert_eq!(broken_by(&house, tomorrow, with_old_token, &[]), None);
}

#[test]
fn a_revision_that_is_named_is_the_one_that_is_changed() {
    let house = house();
    let current = house.apps.get(&AppId::new(APP)).unwrap().revision;
    for (named, expected) in [(current, None), (current - 1, Some("a_stale_write_is_refused"))] {
        let mut request = add(2);
        rescale_of(&mut request).if_revision = Some(named);

        let found = broken_by(&house, next(&house, vec![accepted_add(2), as_ruled()]), request, &[]);

        assert_eq!(found, expected);
    }
}

#[test]
fn a_delete_names_the_revision_before_it_ended_what_was_under_way() {
    let mut house = house();
    let begun = next(&house, vec![accepted("OP-BEGUN", OperationKind::Add, &[("310100", 1)])]);
    house.fold(&begun);
    let current = house.apps.get(&AppId::new(APP)).unwrap().revision;
    let everything = [(HELD, 0), (UNREADY, 0), (ELSEWHERE, 0), (LEAVING, 0), (LOST, 0)];
    let events = vec![
        ended("OP-BEGUN", OperationStatus::Superseded),
        accepted(NEW, OperationKind::Delete, &[]),
        released(NEW, ReleaseCause::Asked, &everything),
    ];
    for (named, expected) in [(current, None), (current + 1, Some("a_stale_write_is_refused"))] {
        let mut request = add(2);
        let delete = DeleteApplication { app: AppId::new(APP), timeout_s: 60, if_revision: Some(named) };
        request.command.change = Change::Delete(delete);

        assert_eq!(broken_by(&house, next(&house, events.clone()), request, &[]), expected);
    }
}

#[test]
fn nothing_of_another_account_is_touched() {
    let (request, mut events) = del(NODE, 1, &[(OF_ANOTHER, 0)]);
    let house = house();
    assert_eq!(
        broken_by(&house, next(&house, events.clone()), request.clone(), &[]),
        Some("an_operation_stays_in_its_account")
    );

    if let Some(Event::InstancesReleasing { app, .. }) = events.last_mut() {
        *app = AppId::new(APP_OF_ANOTHER);
    }
    assert_eq!(
        broken_by(&house, next(&house, events), request, &[]),
        Some("an_operation_stays_in_its_account")
    );
}

#[test]
fn room_and_reach_are_kept() {
    // Four of six places are taken, what is being released included.
    let full = planned(NEW, &[(NODE, "cmcc", &["i-1", "i-2", "i-3"])]);
    let house = house();
    let found = broken_by(&house, next(&house, vec![accepted_add(3), full]), add(3), &[]);
    assert_eq!(found, Some("nothing_is_placed_onto_a_full_node"));
    let lost = planned(NEW, &[(LOST_NODE, "cmcc", &["i-1", "i-2"])]);
    assert_eq!(broken(vec![accepted_add(2), lost]), Some("nothing_is_placed_onto_an_unreachable_node"));
    let nowhere = planned(NEW, &[("nowhere", "cmcc", &["i-1", "i-2"])]);
    assert_eq!(broken(vec![accepted_add(2), nowhere]), Some("nothing_is_placed_onto_a_full_node"));
}

#[test]
fn every_item_is_done_whole_or_named() {
    let house = house();
    let skips = change(accepted_add(2), |operation| {
        operation.items.clear();
        operation.skipped = vec![SkippedItem { item: 0, wanted: 2, reason: String::new() }];
    });
    let mut forbids = add(2);
    rescale_of(&mut forbids).partial = Partial::Refused;
    let mut allows = add(2);
    rescale_of(&mut allows).partial = Partial::Allowed;
    let one = planned(NEW, &[(OTHER_NODE, "unicom", &["i-1"])]);
    for (request, events) in [
        (forbids, vec![skips.clone(), as_ruled()]),
        // Skipped and done.
        (allows, vec![skips, as_ruled()]),
        (add(2), vec![accepted_add(2), one]),
        // For another count than was asked.
        (add(3), vec![accepted_add(2), as_ruled()]),
    ] {
        assert_eq!(
            broken_by(&house, next(&house, events), request, &[]),
            Some("asked_is_placed_plus_refused")
        );
    }
}

#[test]
fn a_plan_is_what_executes() {
    let house = house();
    let plan = |node: &str| Plan {
        id: PlanId::new("p"),
        items: vec![PlannedItem {
            index: 0,
            wanted: 2,
            placements: vec![Placement {
                node: EdgeNodeId::new(node),
                isp: Isp::new("unicom"),
                count: 2,
                before: 1,
                instances: Vec::new(),
            }],
            shortage: None,
        }],
    };
    let foretold = |node: &str, fits: bool| {
        let blocked = None;
        Ok(PlanAnswer { plan: plan(node), revision: 3, before: 4, after: 6, fits, blocked })
    };
    for (plan, foretold, expected) in [
        (Some(plan(OTHER_NODE)), Some(foretold(OTHER_NODE, true)), None),
        (Some(plan(NODE)), None, Some("what_was_planned_is_what_executes")),
        (None, Some(foretold(NODE, true)), Some("what_was_foretold_is_what_executes")),
        (None, Some(foretold(OTHER_NODE, false)), Some("what_was_foretold_is_what_executes")),
        (None, Some(Err(Refusal::Overloaded)), Some("what_was_foretold_is_what_executes")),
    ] {
        let request = Request { plan, foretold, ..add(2) };

        let found = broken_by(&house, next(&house, vec![accepted_add(2), as_ruled()]), request, &[]);

        assert_eq!(found, expected);
    }
}

#[test]
fn an_add_goes_where_the_rules_say() {
    let uneven = planned(NEW, &[(NODE, "cmcc", &["i-1", "i-2"])]);
    assert_eq!(broken(vec![accepted_add(2), uneven]), Some("it_goes_where_the_rules_say"));
}

#[test]
fn a_del_takes_what_it_may_in_the_order_of_the_rules() {
    for (code, count, victims, expected) in [
        (NODE, 1, &[(ELSEWHERE, 0)][..], "a_del_touches_only_what_was_asked_for"),
        (NODE, 2, &[(UNREADY, 0), ("i-nobodys", 0)], "an_operation_stays_in_its_account"),
        (NODE, 1, &[(LEAVING, 0)], "a_del_touches_only_what_was_asked_for"),
        (NODE, 1, &[(HELD, 0)], "a_del_takes_the_broken_first"),
        ("All", 1, &[(LOST, 0)], "a_del_takes_the_broken_first"),
    ] {
        assert_eq!(broken_by_del(code, count, victims), Some(expected), "{victims:?}");
    }
}

#[test]
fn nothing_is_given_up_without_a_reason() {
    let mut house = house();
    let begun = next(&house, vec![accepted_add(2), as_ruled()]);
    house.fold(&begun);
    let ready = Event::InstanceObserved { instance: InstanceId::new("i-1"), ready: true, pods: Vec::new() };
    let at_deadline = |events| {
        let mut entry = next(&house, events);
        entry.now.log = LogTime(NOW.log.0 + 61_000);
        entry
    };
    let give_up = |id| released(NEW, ReleaseCause::Deadline, &[(id, 0)]);
    for (entry, expected) in [
        (at_deadline(vec![give_up("i-1")]), None),
        (next(&house, vec![give_up("i-1")]), Some("a_release_has_its_reason")),
        (at_deadline(vec![ready, give_up("i-1")]), Some("a_release_has_its_reason")),
        (at_deadline(vec![give_up(HELD)]), Some("a_release_has_its_reason")),
    ] {
        assert_eq!(broken_by(&house, entry, add(2), &[]), expected);
    }
}

#[test]
fn what_is_out_of_reach_or_wanted_or_running_is_not_gone() {
    let mut house = house();
    let cut_off = Event::NodesUnreachable { nodes: vec![EdgeNodeId::new(NODE)] };
    assert_eq!(broken(vec![gone(HELD)]), Some("an_unreachable_node_is_not_emptied"));
    let found = broken_by(&house, next(&house, vec![gone(LEAVING)]), add(2), &[LEAVING]);
    assert_eq!(found, Some("what_is_gone_runs_nowhere"));
    let found = broken_by(&house, next(&house, vec![cut_off.clone(), gone(LEAVING)]), add(2), &[LEAVING]);
    assert_eq!(found, Some("an_unreachable_node_is_not_emptied"));

    let begun = next(&house, vec![accepted_add(2), as_ruled(), cut_off]);
    house.fold(&begun);
    let other = Event::NodesUnreachable { nodes: vec![EdgeNodeId::new(OTHER_NODE)] };
    let mut late = next(&house, vec![other, released(NEW, ReleaseCause::Deadline, &[("i-1", 0)])]);
    late.now.log = LogTime(NOW.log.0 + 61_000);
    assert_eq!(broken_by(&house, late, add(2), &[]), Some("an_unreachable_node_is_not_emptied"));
}

#[test]
fn the_subject_of_the_house_is_its_application() {
    // The tests above are about nothing if the house is empty.
    let house = house();
    let ended = house.operations.get(&OperationId::new(ENDED)).unwrap();
    assert_eq!((ended.targets.len(), house.instances.len()), (5, 6));
    assert_eq!(ended.status, OperationStatus::Failed);
    let Event::OperationAccepted { operation } = accepted_add(1) else { panic!("an acceptance") };
    assert_eq!(operation.subject, Subject::Application(AppId::new(APP)));
}
