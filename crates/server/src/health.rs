//! Whether this server is well: live while its control loop turns, ready while it can also make changes durable.
//! The watchdog is fed by the same judgement. Must not be answered from memory: the loop itself is asked each time.

use crate::action::Services;
use crate::control::{Control, Turn};
use crate::gateway::listen::Phase;
use rustix::fs::{Access, StatVfsMountFlags, access, statvfs};
use std::path::Path;
use std::time::Duration;

/// How long the loop may take to come round.
const TURN_WITHIN: Duration = Duration::from_secs(2);

/// How long one append may take before the loop counts as stuck. A slow disk is not a stuck loop: a restart would not
/// mend it.
const APPEND_WITHIN: Duration = Duration::from_secs(20);

/// How long one append may take before changes should go elsewhere.
const PROMPT_APPEND_WITHIN: Duration = Duration::from_secs(5);

/// With less than this on the disk the next append may be the last.
const FREE_BYTES_AT_LEAST: u64 = 1 << 20;

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Ailment {
    #[error("the control loop stands still")]
    StandsStill,
    #[error("the log has been written to for {seconds} s without an end")]
    AppendHangs { seconds: u64 },
    #[error("the server is stopping")]
    Stopping,
    #[error("restored from a backup, and only observing; `ensemble restore --confirm` lets it act")]
    RestoreUnconfirmed,
    #[error("the log cannot be written: {reason}")]
    NotWritable { reason: String },
}

/// # Errors
/// What is wrong with the control loop.
pub(crate) async fn live(control: &Control) -> Result<(), Ailment> {
    judge(control.turn(TURN_WITHIN).await, APPEND_WITHIN)
}

/// # Errors
/// What keeps the server from answering and making durable.
pub(crate) async fn ready(services: &Services) -> Result<(), Ailment> {
    if *services.phase.borrow() != Phase::Serving {
        return Err(Ailment::Stopping);
    }
    if services.restoration.is_observing() {
        return Err(Ailment::RestoreUnconfirmed);
    }
    judge(services.control.turn(TURN_WITHIN).await, PROMPT_APPEND_WITHIN)?;
    check_writable(&services.log)
}

fn judge(turn: Option<Turn>, append_within: Duration) -> Result<(), Ailment> {
    match turn.ok_or(Ailment::StandsStill)?.append_under_way_for {
        Some(duration) if duration > append_within => {
            Err(Ailment::AppendHangs { seconds: duration.as_secs() })
        }
        Some(_) | None => Ok(()),
    }
}

fn check_writable(log: &Path) -> Result<(), Ailment> {
    let not_writable = |reason: String| Ailment::NotWritable { reason };
    access(log, Access::WRITE_OK).map_err(|error| not_writable(error.to_string()))?;
    let stat = statvfs(log).map_err(|error| not_writable(error.to_string()))?;
    if stat.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Err(not_writable("the file system is read-only".into()));
    }
    if stat.f_bavail.saturating_mul(stat.f_frsize) < FREE_BYTES_AT_LEAST {
        return Err(not_writable("the disk is full".into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_does_not_turn_or_appends_for_too_long_is_not_well() {
        let turn = |seconds| {
            Some(Turn { append_under_way_for: Some(Duration::from_secs(seconds)), next_wake: None })
        };
        for (turn, expected) in [
            (None, Err(Ailment::StandsStill)),
            (Some(Turn { append_under_way_for: None, next_wake: None }), Ok(())),
            (turn(19), Ok(())),
            (turn(21), Err(Ailment::AppendHangs { seconds: 21 })),
        ] {
            assert_eq!(judge(turn, APPEND_WITHIN), expected);
        }
    }

    #[test]
    fn a_log_that_is_gone_is_not_writable() {
        let gone = check_writable(Path::new("/nonexistent/log.sqlite"));

        assert!(matches!(gone, Err(Ailment::NotWritable { .. })), "{gone:?}");
        assert_eq!(check_writable(tempfile::NamedTempFile::new().unwrap().path()), Ok(()));
    }
}
