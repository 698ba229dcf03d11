//! The time that a simulated engine lives by: the machine's, or one that stands still until somebody steps it.

use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Milliseconds since a start.
#[derive(Clone, Debug)]
pub enum Clock {
    Running { since: Instant },
    Stepped(watch::Receiver<i64>),
}

impl Clock {
    pub fn running() -> Self {
        Self::Running { since: Instant::now() }
    }

    /// A clock that shows 0, and what steps it.
    pub fn stepped() -> (watch::Sender<i64>, Self) {
        let (step, shown) = watch::channel(0);
        (step, Self::Stepped(shown))
    }

    pub fn now_ms(&self) -> i64 {
        match self {
            Self::Running { since } => i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX),
            Self::Stepped(shown) => *shown.borrow(),
        }
    }

    /// Waits until it shows `at_ms` or more; for ever, where nobody is left to step it.
    pub async fn reached(&self, at_ms: i64) {
        match self {
            Self::Running { since } => {
                let after = Duration::from_millis(u64::try_from(at_ms).unwrap_or_default());
                match since.checked_add(after) {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            }
            Self::Stepped(shown) => {
                let mut shown = shown.clone();
                let reached = shown.wait_for(|now_ms| *now_ms >= at_ms).await.is_ok();
                if !reached {
                    std::future::pending::<()>().await;
                }
            }
        }
    }
}
