//! What must hold of answers.

use super::{Broken, Exercised, Verdict, check_all};
use crate::reference::{Ruling, Why};
use crate::request::{Outcome, Request};
use crate::shadow::Shadow;
use ensemble_model::command::{Accepted, Change};
use ensemble_model::plan::Plan;
use ensemble_model::refusal::Refusal;
use std::collections::BTreeMap;

pub(crate) struct Answered<'a> {
    pub(crate) request: &'a Request,
    pub(crate) outcome: &'a Outcome,
    /// Of what is durable now.
    pub(crate) shadow: &'a Shadow,
}

pub(crate) fn check(answered: &Answered<'_>, exercised: &mut Exercised) -> Result<(), Broken> {
    check_all!(answered, exercised;
        a_yes_is_durable_before_it_leaves,
        a_no_changed_nothing,
        a_repeated_token_gets_the_first_answer,
        an_answer_tells_the_revision,
        another_accounts_application_looks_like_none,
        an_answer_is_what_the_rules_say,
        a_refusal_was_foretold,
    )
}

fn yes<'a>(answered: &Answered<'a>) -> Option<&'a Accepted> {
    match answered.outcome {
        Outcome::Accepted(accepted) => Some(accepted),
        Outcome::Refused(_) | Outcome::Unknown => None,
    }
}

fn no<'a>(answered: &Answered<'a>) -> Option<&'a Refusal> {
    match answered.outcome {
        Outcome::Refused(refusal) => Some(refusal),
        Outcome::Accepted(_) | Outcome::Unknown => None,
    }
}

/// When a client hears yes, the operation is in the log.
fn a_yes_is_durable_before_it_leaves(answered: &Answered<'_>) -> Verdict {
    let Some(accepted) = yes(answered) else { return Ok(0) };
    match answered.shadow.operations.contains_key(&accepted.operation) {
        true => Ok(1),
        false => Err(format!("{} is answered and not in the log", accepted.operation)),
    }
}

/// When a client hears no, its request is not in the log.
fn a_no_changed_nothing(answered: &Answered<'_>) -> Verdict {
    let Some(refusal) = no(answered) else { return Ok(0) };
    let id = &answered.request.command.request.request_id;
    // The same signed request sent twice is refused once, whatever became of the other.
    match !answered.request.is_doubled && answered.shadow.operations.contains_key(id) {
        true => Err(format!("{id} is refused ({refusal}) and in the log")),
        false => Ok(1),
    }
}

/// A client token that comes again is answered with the operation that it made, and with no other.
fn a_repeated_token_gets_the_first_answer(answered: &Answered<'_>) -> Verdict {
    let Some(accepted) = yes(answered) else { return Ok(0) };
    let facts = &answered.request.command.request;
    if accepted.operation == facts.request_id {
        return Ok(0);
    }
    let Some(token) = &facts.client_token else {
        return Err(format!("{} is answered with {}", facts.request_id, accepted.operation));
    };
    let account = answered.request.command.permit.account();
    let key = (account.clone(), facts.action.clone(), token.token.clone());
    let first = answered.shadow.tokens.get(&key).map(|first| &first.operation);
    if first != Some(&accepted.operation) {
        return Err(format!("{} repeats {first:?} and hears {}", facts.request_id, accepted.operation));
    }
    Ok(1)
}

/// The revision in an answer is the one that the operation made.
fn an_answer_tells_the_revision(answered: &Answered<'_>) -> Verdict {
    let Some(accepted) = yes(answered) else { return Ok(0) };
    let made = answered.shadow.operations.get(&accepted.operation);
    match made.is_some_and(|made| made.revision == accepted.revision && made.app == accepted.app) {
        true => Ok(1),
        false => Err(format!("{accepted:?} is answered, the log says {made:?}")),
    }
}

/// Whoever asks for another account's application hears that there is none.
fn another_accounts_application_looks_like_none(answered: &Answered<'_>) -> Verdict {
    let command = &answered.request.command;
    let app = match &command.change {
        Change::Create(_) => return Ok(0),
        Change::Rescale(rescale) => &rescale.app,
        Change::Delete(delete) => &delete.app,
        Change::Modify(modify) => &modify.app,
        Change::Rebalance(rebalance) => &rebalance.app,
        Change::Upgrade(upgrade) => &upgrade.app,
        Change::Rollback(rollback) => &rollback.app,
        Change::DeleteVersion(delete) => &delete.app,
        Change::Cancel(_)
        | Change::RunInstances(_)
        | Change::ReleaseInstance(_)
        | Change::Protect(_)
        | Change::Node(_) => return Ok(0),
    };
    let owner = answered.shadow.apps.get(app).map(|app| &app.account);
    if owner.is_none_or(|owner| owner == command.permit.account()) {
        return Ok(0);
    }
    match no(answered) {
        Some(
            Refusal::UnknownApplication { .. }
            | Refusal::NonceUsed { .. }
            | Refusal::TokenReused { .. }
            | Refusal::Overloaded,
        ) => Ok(1),
        Some(_) | None => Err(format!("{app} of {owner:?} is answered with {:?}", answered.outcome)),
    }
}

/// Yes or no, and why not, down to how many are missing of each item, is what the rules say of the state that it was
/// decided on.
fn an_answer_is_what_the_rules_say(answered: &Answered<'_>) -> Verdict {
    let Some(ruling) = &answered.request.ruling else { return Ok(0) };
    let facts = &answered.request.command.request;
    let is_right = match (answered.outcome, ruling) {
        (Outcome::Unknown, _) => return Ok(0),
        // What was said before is said again, whatever the rules say now.
        (Outcome::Accepted(accepted), _) if accepted.operation != facts.request_id => return Ok(0),
        (Outcome::Accepted(_), Ruling::Done(_) | Ruling::ByItsPlan) => true,
        (Outcome::Accepted(_), Ruling::Refused(_)) => false,
        (Outcome::Refused(refusal), Ruling::ByItsPlan) => {
            matches!(refusal, Refusal::MovesChanged { .. } | Refusal::NothingToMove { .. })
                || reason(refusal).is_none()
        }
        // What is over is forgotten one day.
        (Outcome::Refused(Refusal::UnknownOperation { .. }), Ruling::Refused(Why::NotCancelable)) => true,
        (Outcome::Refused(refusal), ruling) => match reason(refusal) {
            None => return Ok(0),
            Some(why) => *ruling == Ruling::Refused(why),
        },
    };
    match is_right {
        true => Ok(1),
        false => {
            Err(format!("{} has to be {ruling:?} and is answered {:?}", facts.request_id, answered.outcome))
        }
    }
}

/// A refusal in the words of the reference; nothing where that has none for it.
fn reason(refusal: &Refusal) -> Option<Why> {
    Some(match refusal {
        Refusal::UnknownApplication { .. } => Why::UnknownApplication,
        Refusal::Busy { .. } => Why::Busy,
        Refusal::BeingDeleted { .. } => Why::BeingDeleted,
        Refusal::StaleRevision { .. } => Why::Stale,
        Refusal::NameTaken { .. } => Why::NameTaken,
        Refusal::Selector { .. } => Why::Unreadable,
        Refusal::EngineDown { .. } => Why::EngineDown,
        Refusal::PlanChanged { .. } => Why::PlanChanged,
        Refusal::Shortage { plan } | Refusal::TooMany { plan } => Why::Short(missing(plan)),
        Refusal::UnknownInstance { .. } => Why::UnknownInstance,
        Refusal::UnknownOperation { .. } => Why::UnknownOperation,
        Refusal::InstanceInTheWay { .. } => Why::InstanceInTheWay,
        Refusal::NotCancelable { .. } => Why::NotCancelable,
        Refusal::NodeInTheWay { .. } => Why::NodeInTheWay,
        Refusal::UnknownNode { .. } => Why::UnknownNode,
        Refusal::MovesChanged { .. } => Why::PlanChanged,
        Refusal::NothingToMove { .. } => Why::NothingToMove,
        Refusal::UnknownVersion { .. }
        | Refusal::UnknownSpec { .. }
        | Refusal::TokenReused { .. }
        | Refusal::NonceUsed { .. }
        | Refusal::Template { .. }
        | Refusal::Version { .. }
        | Refusal::NodesInUse { .. }
        | Refusal::RestoreUnconfirmed
        | Refusal::EngineInUse { .. }
        | Refusal::Overloaded => return None,
    })
}

fn missing(plan: &Plan) -> BTreeMap<usize, u32> {
    let short = plan.items.iter().filter_map(|item| item.shortage.as_ref().map(|short| (item.index, short)));
    short.map(|(index, short)| (index, short.missing)).collect()
}

/// What is refused on a state is what `plan` said on it stands against the request.
fn a_refusal_was_foretold(answered: &Answered<'_>) -> Verdict {
    let Some(refusal) = no(answered).filter(|refusal| reason(refusal).is_some()) else { return Ok(0) };
    let Request { foretold, foretold_moves, .. } = answered.request;
    let of_rescale = foretold.as_ref().map(|said| said.as_ref().map(|answer| answer.blocked.as_ref()));
    let of_moves = foretold_moves.as_ref().map(|said| said.as_ref().map(|answer| answer.blocked.as_ref()));
    let Some(foretold) = of_rescale.or(of_moves) else { return Ok(0) };
    let said = match (foretold, refusal) {
        (Ok(blocked), _) => blocked,
        // A plan says what is wrong with the input first, a write that its application is busy (`decisions.md` §3).
        (Err(_), Refusal::Busy { .. } | Refusal::BeingDeleted { .. }) => return Ok(0),
        (Err(fault), _) => Some(fault),
    };
    match said == Some(refusal) {
        true => Ok(1),
        false => Err(format!("{refusal:?} is answered, {said:?} was foretold")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::house::{self, asked, house};
    use ensemble_model::command::Direction;
    use ensemble_model::decide::PlanAnswer;
    use ensemble_model::id::{AppId, OperationId, PlanId};
    use ensemble_model::operation::OperationKind;

    const NEW: &str = "OP-NEW";

    fn accepted(operation: &str, revision: u64) -> Outcome {
        Outcome::Accepted(Accepted {
            operation: OperationId::new(operation),
            app: Some(AppId::new(house::APP)),
            revision,
        })
    }

    fn unknown() -> Refusal {
        Refusal::UnknownApplication { app: AppId::new(house::APP) }
    }

    /// Which invariant an answer breaks, once [`NEW`] is durable.
    fn broken(request: &Request, outcome: &Outcome) -> Option<&'static str> {
        let mut shadow = house();
        let new = house::accepted(NEW, OperationKind::Add, &[("310100", 1)]);
        shadow.fold(&house::next(&house(), vec![new]));
        let answered = Answered { request, outcome, shadow: &shadow };
        check(&answered, &mut Exercised::default()).err().map(|broken| broken.invariant)
    }

    fn add(id: &str) -> Request {
        asked(id, Direction::Add, &[("310100", 1)])
    }

    #[test]
    fn a_yes_is_what_the_log_says() {
        // Accepted, given up, ended: the house's application is at 3.
        for (id, outcome, expected) in [
            (NEW, accepted(NEW, 4), None),
            (NEW, accepted(NEW, 3), Some("an_answer_tells_the_revision")),
            ("OP-NEVER", accepted("OP-NEVER", 4), Some("a_yes_is_durable_before_it_leaves")),
            (NEW, Outcome::Refused(unknown()), Some("a_no_changed_nothing")),
        ] {
            assert_eq!(broken(&add(id), &outcome), expected, "{outcome:?}");
        }
    }

    #[test]
    fn a_token_that_comes_again_gets_the_first_answer() {
        let mut again = add("OP-AGAIN");
        assert_eq!(
            broken(&again, &accepted(house::ENDED, 1)),
            Some("a_repeated_token_gets_the_first_answer")
        );
        again.command.request.client_token = Some(house::token(house::ENDED));
        assert_eq!(broken(&again, &accepted(house::ENDED, 1)), None);
        assert_eq!(broken(&again, &accepted(NEW, 4)), Some("a_repeated_token_gets_the_first_answer"));
    }

    #[test]
    fn another_accounts_application_is_none() {
        let mut trespass = add("OP-TRESPASS");
        house::rescale_of(&mut trespass).app = AppId::new(house::APP_OF_ANOTHER);
        let busy = Refusal::BeingDeleted { app: AppId::new(house::APP_OF_ANOTHER) };

        let found = broken(&trespass, &Outcome::Refused(busy));

        assert_eq!(found, Some("another_accounts_application_looks_like_none"));
        assert_eq!(broken(&trespass, &Outcome::Refused(unknown())), None);
    }

    #[test]
    fn an_answer_is_as_ruled_and_foretold() {
        let refused = |why| Some(Ruling::Refused(why));
        let short = |missing| Why::Short(BTreeMap::from([(0, missing)]));
        let plan = |missing| Plan {
            id: PlanId::new("p"),
            items: vec![ensemble_model::plan::PlannedItem {
                index: 0,
                wanted: 9,
                placements: Vec::new(),
                shortage: Some(ensemble_model::plan::Shortage {
                    missing,
                    alternatives: Vec::new(),
                    remedies: Vec::new(),
                }),
            }],
        };
        let shortage = |missing| Refusal::Shortage { plan: Box::new(plan(missing)) };
        let foretold = |blocked| {
            Some(Ok(PlanAnswer { plan: plan(2), revision: 3, before: 1, after: 1, fits: false, blocked }))
        };
        let rules = Some("an_answer_is_what_the_rules_say");
        for (ruling, foretold, outcome, expected) in [
            (Some(Ruling::Done(Vec::new())), None, accepted(NEW, 4), None),
            (refused(Why::Busy), None, accepted(NEW, 4), rules),
            (refused(short(2)), foretold(Some(shortage(2))), Outcome::Refused(shortage(2)), None),
            (refused(short(1)), None, Outcome::Refused(shortage(2)), rules),
            (Some(Ruling::Done(Vec::new())), None, Outcome::Refused(shortage(2)), rules),
            (None, foretold(None), Outcome::Refused(shortage(2)), Some("a_refusal_was_foretold")),
        ] {
            let id = if matches!(outcome, Outcome::Accepted(_)) { NEW } else { "OP-REFUSED" };
            let request = Request { ruling, foretold, ..add(id) };

            assert_eq!(broken(&request, &outcome), expected, "{outcome:?}");
        }
    }

    #[test]
    fn what_its_plan_decides_is_done_or_refused_for_its_plan() {
        let ruled = |outcome: Outcome| {
            let id = if matches!(outcome, Outcome::Accepted(_)) { NEW } else { "OP-REFUSED" };
            broken(&Request { ruling: Some(Ruling::ByItsPlan), ..add(id) }, &outcome)
        };
        let app = AppId::new(house::APP);
        let nothing = Refusal::NothingToMove { app: app.clone(), reason: String::new() };

        assert_eq!(ruled(accepted(NEW, 4)), None);
        assert_eq!(ruled(Outcome::Refused(nothing)), None);
        let busy = Refusal::BeingDeleted { app };
        assert_eq!(ruled(Outcome::Refused(busy)), Some("an_answer_is_what_the_rules_say"));
    }
}
