//! ConfirmRestore: the operator lets a restored server act. Written down first, then told to the control loop.

use super::{Answer, Context};
use crate::restored::{self, Outlook, Restored};
use ensemble_model::permit::Permit;
use ensemble_wire::action::confirm_restore::{Request, Response, Restore, UNKNOWN_AT_MOST};
use ensemble_wire::error::{Code, Error};
use ensemble_wire::parameters::Flag;
use jiff::Timestamp;
use std::sync::Arc;

pub(super) async fn handle(context: &Context, permit: Permit, request: Request) -> Result<Answer, Error> {
    context.check_owner(&permit)?;
    let services = &context.services;
    let looking = Arc::clone(services);
    let held = blocking(move || looking.engines.held()).await.map_err(|error| {
        tracing::error!("could not look at what engines hold: {error}");
        Error::call_interface("An engine cannot say what it holds; the server's log says more.")
    })?;
    // As it is before: afterwards there is nothing unknown.
    let outlook = restored::outlook(&context.state(), &held);
    if request.dry_run == Flag::No && services.restoration.record().is_some() {
        if services.restoration.is_observing() {
            let writing = Arc::clone(services);
            blocking(move || writing.restoration.confirm(Timestamp::now())).await.map_err(|error| {
                tracing::error!("the confirmation was not kept: {error}");
                Error::new(Code::InternalError).with_detail("The confirmation could not be written down.")
            })?;
            tracing::info!("the restore is confirmed: from here on the server acts");
        }
        // Each time: whoever asked before may have gone between the two. A loop that acts stays as it is.
        services.control.confirm().await.map_err(|unavailable| {
            Error::new(Code::ServiceUnavailable).with_detail(unavailable.to_string())
        })?;
    }
    let restore = restore(services.restoration.record(), &outlook);
    Ok(Answer::of(&Response { restore, request_id: context.request_id.clone() }))
}

/// Work that waits for the disk, off the threads that answer others. It ends also when nobody waits for it any more.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("looking and writing down do not panic")
}

fn restore(record: Option<Restored>, outlook: &Outlook) -> Restore {
    let mut told = Restore {
        status: "None".to_owned(),
        wanted: outlook.wanted,
        held: outlook.held,
        unknown_count: outlook.unknown.len(),
        unknown: outlook.unknown.iter().take(UNKNOWN_AT_MOST).map(ToString::to_string).collect(),
        ..Restore::default()
    };
    if let Some(record) = record {
        let status = if record.is_confirmed() { "Confirmed" } else { "Observing" };
        status.clone_into(&mut told.status);
        told.taken_at = record.taken_at.to_string();
        told.restored_at = record.restored_at.to_string();
        told.confirmed_at = record.confirmed_at.map(|at| at.to_string()).unwrap_or_default();
        told.sequence = record.sequence;
    }
    told
}
