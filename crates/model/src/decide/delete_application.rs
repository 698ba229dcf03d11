//! DeleteApplication: always accepted, also while something else runs or another Delete does. It ends the running
//! operation and goes on from what is there (`decisions.md` §2.1).

use super::draft::Draft;
use super::{Asked, accept, accepted, check_revision, ending, owned};
use crate::command::{Accepted, Command, DeleteApplication};
use crate::event::{Event, ReleaseCause, ReleasedInstance};
use crate::operation::{OnTimeout, OperationKind, Subject};
use crate::refusal::Refusal;

pub(super) fn on(
    draft: &mut Draft,
    command: &Command,
    delete: &DeleteApplication,
) -> Result<Accepted, Refusal> {
    let application = owned(&draft.state, &command.permit, &delete.app)?.clone();
    check_revision(&application, delete.if_revision)?;
    if let Some(running) = &application.operation {
        ending::supersede(draft, running, &command.request.request_id);
    }
    let app = application.id.clone();
    let instances: Vec<ReleasedInstance> = draft
        .state
        .instances_of(&app)
        .map(|instance| ReleasedInstance { id: instance.id.clone(), item: 0 })
        .collect();
    let asked = Asked {
        subject: Subject::Application(app.clone()),
        kind: OperationKind::Delete,
        timeout_s: delete.timeout_s,
        on_timeout: OnTimeout::Keep,
        items: Vec::new(),
        skipped: Vec::new(),
        description: format!("delete application with {}", ending::instances(instances.len() as u32)),
    };
    accept(draft, command, asked);
    let operation = command.request.request_id.clone();
    if !instances.is_empty() {
        let cause = ReleaseCause::Asked;
        draft.emit(Event::InstancesReleasing {
            operation: operation.clone(),
            app: app.clone(),
            cause,
            instances,
        });
    }
    let accepted = accepted(draft, command, Some(&app));
    ending::settle(draft, &operation);
    Ok(accepted)
}
