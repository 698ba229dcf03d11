//! CreateApplication: with an empty selector the application is RUNNING in the accepting append; with items it
//! is planned and refused like a rescale (`decisions.md` §2.9).

use super::draft::Draft;
use super::planning::{asked, first_plan, resources_of};
use super::rescale_application::plan_instances;
use super::{Asked, LEVELS_AT_MOST, accept, accepted, ending, nests_deeper};
use crate::command::{Accepted, Command, CreateApplication};
use crate::event::{Event, NewApplication};
use crate::operation::{OperationKind, Subject};
use crate::refusal::Refusal;

pub(super) fn on(
    draft: &mut Draft,
    command: &Command,
    create: &CreateApplication,
) -> Result<Accepted, Refusal> {
    check(draft, command, create)?;
    let plan = first_plan(&draft.state, &create.resources, create.level, &create.selector)?;
    let app = &create.app;
    draft.emit(Event::ApplicationCreated {
        application: Box::new(NewApplication {
            app: app.clone(),
            account: command.permit.account().clone(),
            meta: create.meta.clone(),
            resources: create.resources.clone(),
            version: create.version.clone(),
            workloads: create.workloads.clone(),
            pins: create.pins.clone(),
        }),
    });
    let description = match plan.placed() {
        0 => "create application without instances".to_owned(),
        count => {
            format!("create application with {} of version {}", ending::instances(count), create.version)
        }
    };
    let asked = Asked {
        subject: Subject::Application(app.clone()),
        kind: OperationKind::Create,
        timeout_s: create.timeout_s,
        on_timeout: create.on_timeout,
        items: asked(&plan, &create.selector),
        skipped: Vec::new(),
        description,
    };
    accept(draft, command, asked);
    plan_instances(draft, command, app, (&create.version, &create.selector), &plan);
    let accepted = accepted(draft, command, Some(app));
    ending::settle(draft, &accepted.operation);
    Ok(accepted)
}

fn check(draft: &Draft, command: &Command, create: &CreateApplication) -> Result<(), Refusal> {
    let view = draft.state.account(&command.permit);
    let (cluster, name) = (&create.meta.cluster, &create.meta.name);
    if let Some(other) = view.application_named(cluster, name) {
        let (name, cluster, app) = (name.clone(), cluster.clone(), other.id.clone());
        return Err(Refusal::NameTaken { name, cluster, app });
    }
    // The caller draws 122 random bits, so this is a caller that sends one twice.
    if draft.state.applications.contains_key(&create.app) {
        let text = format!("the id `{}` is taken", create.app);
        return Err(Refusal::Template { path: "AppId".into(), text });
    }
    check_depth(create)?;
    resources_of(&create.resources).map(|_| ())
}

/// What is kept as given is read back from the log, whose reader gives up on JSON that is nested too deep: a
/// template must not be able to write what cannot be read.
fn check_depth(create: &CreateApplication) -> Result<(), Refusal> {
    let CreateApplication { resources, workloads, .. } = create;
    let services = workloads
        .iter()
        .enumerate()
        .map(|(at, workload)| (format!("workload[{at}].serviceConfig"), workload.service_config.as_ref()));
    let attributes = [
        ("resourceAttribute.netSecurityStrategy".to_owned(), resources.net_security_strategy.as_ref()),
        ("resourceAttribute.initConfig".to_owned(), resources.init_config.as_ref()),
    ];
    for (path, value) in services.chain(attributes) {
        if value.is_some_and(|value| nests_deeper(value, LEVELS_AT_MOST)) {
            return Err(Refusal::Template {
                path,
                text: format!("is nested more than {LEVELS_AT_MOST} levels deep"),
            });
        }
    }
    Ok(())
}
