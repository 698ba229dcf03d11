//! ModifyApplicationAttribute: changes what the application keeps to from now on; done in the accepting append.

use super::draft::Draft;
use super::{accept_and_end, check_revision, ending, owned};
use crate::application::Phase;
use crate::command::{Accepted, Command, ModifyApplication};
use crate::event::Event;
use crate::operation::Subject;
use crate::refusal::Refusal;

pub(super) fn on(
    draft: &mut Draft,
    command: &Command,
    modify: &ModifyApplication,
) -> Result<Accepted, Refusal> {
    let application = owned(&draft.state, &command.permit, &modify.app)?;
    // A change under way does not stand against it; what is being deleted takes nothing but a Delete.
    if matches!(application.phase, Phase::Deleting | Phase::DeleteFailed) {
        return Err(Refusal::BeingDeleted { app: application.id.clone() });
    }
    check_revision(application, modify.if_revision)?;
    let (app, min_ready) = (application.id.clone(), modify.min_ready);
    let outcome = format!("minReady is {min_ready}, was {}", application.resources.min_ready);
    let subject = Subject::Application(app.clone());
    let accepted = accept_and_end(draft, command, subject, &outcome, |draft| {
        draft.emit(Event::ApplicationModified { app: app.clone(), min_ready });
    });
    ending::settle_running(draft, &app);
    Ok(accepted)
}
