//! DeleteAppVersion: forgets a version that no instance carries; done in the accepting append (`decisions.md` §9.10).

use super::draft::Draft;
use super::planning::check_idle;
use super::{accept_and_end, check_revision, ending, owned};
use crate::command::{Accepted, Command, DeleteAppVersion};
use crate::event::Event;
use crate::operation::Subject;
use crate::refusal::{Refusal, listed};

pub(super) fn on(
    draft: &mut Draft,
    command: &Command,
    request: &DeleteAppVersion,
) -> Result<Accepted, Refusal> {
    let application = owned(&draft.state, &command.permit, &request.app)?.clone();
    check_idle(&draft.state, &application)?;
    check_revision(&application, request.if_revision)?;
    let (app, version) = (application.id.clone(), request.version.clone());
    let refuse = |text: String| Err(Refusal::Version { parameter: "AppVersion", text });
    if application.version(&version).is_none() {
        let names = application.versions.iter().map(|known| format!("`{}`", known.name));
        return refuse(format!("there is no version `{version}`; there are {}", listed(names)));
    }
    if application.stable_version == version {
        return refuse(format!("`{version}` is the stable version; upgrade to another one first"));
    }
    let carried = draft.state.instances_of(&app).filter(|instance| instance.version == version).count();
    if carried > 0 {
        let count = ending::instances(carried as u32);
        return refuse(format!("`{version}` is carried by {count}; roll them back or upgrade them first"));
    }
    let outcome = format!("deleted version `{version}`");
    let subject = Subject::Application(app.clone());
    Ok(accept_and_end(draft, command, subject, &outcome, |draft| {
        draft.emit(Event::VersionDeleted { app, version });
    }))
}
