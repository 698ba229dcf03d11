//! What must hold of answers, of starts and of what watchers see.

use super::{Broken, check_all};
use crate::request::{Outcome, Request, Requests};
use crate::shadow::Shadow;
use ensemble_model::event::Entry;
use ensemble_model::state::State;

pub(crate) struct Answered<'a> {
    pub(crate) request: &'a Request,
    pub(crate) outcome: &'a Outcome,
    /// Of what is durable now.
    pub(crate) shadow: &'a Shadow,
}

type Verdict = Result<(), String>;

pub(crate) fn check(answered: &Answered<'_>) -> Result<(), Broken> {
    check_all!(answered; a_yes_is_durable_before_it_leaves, a_no_changed_nothing)
}

/// When a client hears yes, the operation is in the log.
fn a_yes_is_durable_before_it_leaves(answered: &Answered<'_>) -> Verdict {
    match answered.outcome {
        Outcome::Accepted(accepted) if !answered.shadow.operations.contains_key(&accepted.operation) => {
            Err(format!("{} is answered and not in the log", accepted.operation))
        }
        Outcome::Accepted(_) | Outcome::Refused(_) | Outcome::Unknown => Ok(()),
    }
}

/// When a client hears no, its request is not in the log.
fn a_no_changed_nothing(answered: &Answered<'_>) -> Verdict {
    let id = &answered.request.command.request.request_id;
    // The same signed request sent twice is refused once, whatever became of the other.
    let was_doubled = answered.request.is_doubled;
    match answered.outcome {
        Outcome::Refused(refusal) if !was_doubled && answered.shadow.operations.contains_key(id) => {
            Err(format!("{id} is refused ({refusal}) and in the log"))
        }
        Outcome::Accepted(_) | Outcome::Refused(_) | Outcome::Unknown => Ok(()),
    }
}

/// A process that has started and what should be there by then.
pub(crate) struct Recovered<'a> {
    pub(crate) state: &'a State,
    pub(crate) shadow: &'a Shadow,
    /// The state that was live when the last entry became durable, if it was seen.
    pub(crate) live: Option<&'a State>,
    pub(crate) requests: &'a Requests,
}

pub(crate) fn check_recovered(recovered: &Recovered<'_>) -> Result<(), Broken> {
    check_all!(recovered; the_replayed_state_is_the_live_one, an_acknowledged_write_is_never_lost)
}

/// Reading the log gives the state that wrote it.
fn the_replayed_state_is_the_live_one(recovered: &Recovered<'_>) -> Verdict {
    if recovered.state.sequence() != recovered.shadow.sequence {
        let (found, wanted) = (recovered.state.sequence(), recovered.shadow.sequence);
        return Err(format!("it ends at sequence {found}, {wanted} is durable"));
    }
    match recovered.live {
        Some(live) if live.sequence() == recovered.state.sequence() && live != recovered.state => {
            Err(format!("the states at sequence {} differ", live.sequence()))
        }
        Some(_) | None => Ok(()),
    }
}

/// Whatever was answered with yes is still there.
fn an_acknowledged_write_is_never_lost(recovered: &Recovered<'_>) -> Verdict {
    for request in recovered.requests.iter() {
        if let Outcome::Accepted(accepted) = &request.outcome
            && !recovered.shadow.operations.contains_key(&accepted.operation)
        {
            return Err(format!("{} was answered and is not in the log", accepted.operation));
        }
    }
    Ok(())
}

/// What a watcher sees follows what it saw, whole and in order.
pub(crate) fn check_published(last: u64, entry: &Entry, durable: u64) -> Result<(), Broken> {
    let broken = |detail| Err(Broken { invariant: "a_watcher_misses_nothing", detail });
    if last != 0 && entry.sequence != last + 1 {
        return broken(format!("{} is published after {last}", entry.sequence));
    }
    if entry.sequence > durable {
        return broken(format!("{} is published, {durable} is durable", entry.sequence));
    }
    Ok(())
}
