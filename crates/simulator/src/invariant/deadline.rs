//! What must hold of operations while a server is up: each ends.

use super::{Broken, Exercised, Verdict};
use crate::shadow::Shadow;
use ensemble_model::operation::OperationStatus;
use ensemble_model::time::LogTime;

/// How long after a start deadlines may wait for engines to report (`decisions.md` §2.7).
const GRACE_MS: i64 = 10_000;

/// A tick comes when it is due, but for an append that is under way.
const TICK_MS: i64 = 500;

/// A server that decides, and how it stands in time.
pub(crate) struct Up<'a> {
    pub(crate) shadow: &'a Shadow,
    pub(crate) log_now: LogTime,
    /// How long it has been up.
    pub(crate) up_for_ms: i64,
    /// Since when all engines that carry something have reported to it, if they have.
    pub(crate) heard_for_ms: Option<i64>,
}

pub(crate) fn check(up: &Up<'_>, exercised: &mut Exercised) -> Result<(), Broken> {
    exercised.note("every_operation_ends_by_its_deadline", every_operation_ends_by_its_deadline(up))
}

/// An operation ends by its deadline, or, where the server was down then, once its engines have reported, or have been
/// waited for.
fn every_operation_ends_by_its_deadline(up: &Up<'_>) -> Verdict {
    let has_waited = up.up_for_ms >= GRACE_MS + TICK_MS;
    let has_heard = up.heard_for_ms.is_some_and(|heard| heard >= TICK_MS);
    if !has_waited && !has_heard {
        return Ok(0);
    }
    let mut looked = 0;
    for id in up.shadow.apps.values().filter_map(|app| app.running.as_ref()) {
        let Some(operation) = up.shadow.operations.get(id) else { continue };
        looked += 1;
        let late_ms = up.log_now.since(operation.deadline);
        if operation.status == OperationStatus::Running && late_ms > TICK_MS {
            return Err(format!("{id} is {late_ms} ms past its deadline"));
        }
    }
    Ok(looked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::house::{NOW, accepted, house, next, planned};
    use ensemble_model::operation::OperationKind;

    #[test]
    fn what_is_late_is_found_once_engines_were_heard_or_waited_for() {
        let mut house = house();
        let add = accepted("OP-NEW", OperationKind::Add, &[("310100", 1)]);
        let begun = next(&house, vec![add, planned("OP-NEW", &[("cn-shanghai-unicom", "unicom", &["i-1"])])]);
        house.fold(&begun);
        let deadline = NOW.log.0 + 61_000;
        for (log_now, up_for_ms, heard_for_ms, is_right) in [
            (deadline + 400, 60_000, Some(60_000), true),
            (deadline + 600, 60_000, Some(60_000), false),
            (deadline + 600, 60_000, None, false),
            (deadline + 600, 5_000, None, true),
            (deadline + 600, 5_000, Some(600), false),
        ] {
            let up = Up { shadow: &house, log_now: LogTime(log_now), up_for_ms, heard_for_ms };

            assert_eq!(check(&up, &mut Exercised::default()).is_ok(), is_right, "{log_now} {up_for_ms}");
        }
    }
}
