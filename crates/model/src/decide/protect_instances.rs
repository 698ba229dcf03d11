//! ProtectInstances and UnprotectInstances: a protected instance is taken only when it is named (`decisions.md` §9.1).

use super::draft::Draft;
use super::{accept_and_end, ending};
use crate::command::{Accepted, Command, ProtectInstances, Protection};
use crate::event::Event;
use crate::id::{AppId, InstanceId};
use crate::operation::Subject;
use crate::refusal::Refusal;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn on(
    draft: &mut Draft,
    command: &Command,
    protect: &ProtectInstances,
) -> Result<Accepted, Refusal> {
    let mut by_app: BTreeMap<AppId, Vec<InstanceId>> = BTreeMap::new();
    // Naming one twice is naming it.
    let named: BTreeSet<&InstanceId> = protect.instances.iter().collect();
    for id in &named {
        let id = *id;
        let view = draft.state.account(&command.permit);
        let Some(instance) = view.instance(id) else {
            if view.own_instance(id).is_none() {
                return Err(Refusal::UnknownInstance { instance: id.clone() });
            }
            let reason = "is managed by no application, so nothing takes it".to_owned();
            return Err(Refusal::InstanceInTheWay { instance: id.clone(), reason });
        };
        if !instance.is_held() {
            let reason = "is being released already".to_owned();
            return Err(Refusal::InstanceInTheWay { instance: id.clone(), reason });
        }
        by_app.entry(instance.app.clone()).or_default().push(instance.id.clone());
    }
    let count = ending::instances(named.len() as u32);
    let outcome = match protect.protection {
        Protection::On => format!("{count} protected: taken only when named"),
        Protection::Off => format!("{count} no longer protected"),
    };
    // One application's history has it; several have it in the account's.
    let subject = match by_app.len() {
        1 => by_app.keys().next().cloned().map_or(Subject::Account, Subject::Application),
        _ => Subject::Account,
    };
    let apps: Vec<AppId> = by_app.keys().cloned().collect();
    let accepted = accept_and_end(draft, command, subject, &outcome, |draft| {
        for (app, instances) in by_app {
            draft.emit(Event::InstancesProtected { app, instances, protection: protect.protection });
        }
    });
    apps.iter().for_each(|app| ending::settle_running(draft, app));
    Ok(accepted)
}
