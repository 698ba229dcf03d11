//! Watch, ours: an application or an operation as it changes (`decisions.md` §5). What is sent is chosen by
//! `crate::watch`.

use super::{Answer, Context};
use crate::watch::{Subject, stream};
use ensemble_model::id::{AppId, OperationId};
use ensemble_model::permit::Permit;
use ensemble_wire::action::watch::{Request, Subject as Asked};
use ensemble_wire::error::Error;
use std::sync::Arc;

pub(super) async fn handle(context: &Context, permit: Permit, request: Request) -> Result<Answer, Error> {
    let state = context.state();
    let account = state.account(&permit);
    let subject = match request.subject {
        Asked::Application(id) => {
            let app = AppId::new(id);
            // Whoever comes back learns how it ended: an application's operations outlive it.
            let was = || request.since.is_some() && !account.operations(Some(&app)).is_empty();
            if account.application(&app).is_none() && !was() {
                return Err(Error::unknown_application(app.as_str()));
            }
            Subject::Application(app)
        }
        Asked::Operation(id) => {
            let operation = OperationId::new(id);
            account.operation(&operation).ok_or_else(|| super::unknown_operation(&operation))?;
            Subject::Operation(operation)
        }
    };
    let services = &context.services;
    let pulls = {
        let services = Arc::clone(services);
        move || services.engines.pulls()
    };
    let (control, phase) = (services.control.clone(), services.phase.clone());
    let events = stream(control, permit, subject, request.since, phase, pulls);
    Ok(Answer::Events(Box::pin(events)))
}
