//! Takes wishes to one engine, the newest last, and tries again while it cannot be told: so that an engine that cannot be
//! reached holds up nobody.

use crate::faults::Driver;
use crate::mailbox::Mailbox;
use ensemble_engine::Error;
use ensemble_model::id::EngineName;
use std::sync::Arc;
use std::time::Duration;
use tokio::time;

/// Between two tries to reach an engine: doubles from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Delivers for as long as it is polled, or until the engine obeys a newer server.
pub(crate) async fn deliver(name: EngineName, engine: Driver, mailbox: Arc<Mailbox>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let wanted = mailbox.take().await;
        match engine.converge(wanted.clone()).await {
            Ok(()) => {
                mailbox.delivered();
                pause = FIRST_PAUSE;
            }
            Err(error @ Error::StaleEpoch { .. }) => {
                tracing::error!(engine = %name, "engine `{name}` obeys a newer server: {error}");
                return;
            }
            Err(error) => {
                tracing::warn!(engine = %name, "engine `{name}` was not told what is wanted: {error}");
                mailbox.put_back(wanted);
                time::sleep(pause).await;
                pause = LONGEST_PAUSE.min(pause * 2);
            }
        }
    }
}
