//! What must hold of operations while a server is up: each ends.

use super::Broken;
use crate::shadow::Shadow;
use ensemble_model::operation::OperationStatus;
use ensemble_model::time::LogTime;

/// How long after a start deadlines may wait for engines to report (`decisions.md` §2.8), and the tick after it.
const GRACE_MS: i64 = 10_000 + TICK_MS;

const TICK_MS: i64 = 1_000;

/// `up_for_ms`: how long the server has been up.
pub(crate) fn check(shadow: &Shadow, log_now: LogTime, up_for_ms: i64) -> Result<(), Broken> {
    every_operation_ends_by_its_deadline(shadow, log_now, up_for_ms)
        .map_err(|detail| Broken { invariant: "every_operation_ends_by_its_deadline", detail })
}

/// An operation ends by its deadline, or, where the server was down then, once its engines have been waited for.
fn every_operation_ends_by_its_deadline(
    shadow: &Shadow,
    log_now: LogTime,
    up_for_ms: i64,
) -> Result<(), String> {
    if up_for_ms < GRACE_MS {
        return Ok(());
    }
    let running = shadow.apps.values().filter_map(|app| app.running.as_ref());
    for id in running {
        let Some(operation) = shadow.operations.get(id) else { continue };
        let late_ms = log_now.since(operation.deadline);
        if operation.status == OperationStatus::Running && late_ms > TICK_MS {
            return Err(format!("{id} is {late_ms} ms past its deadline"));
        }
    }
    Ok(())
}
