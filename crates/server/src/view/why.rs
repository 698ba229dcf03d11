//! Why an instance is there, or is not any more: what placed it and released it, for which item of which selector, and
//! who asked. Told from what the state remembers; looks at a bounded part of the history.

use super::event;
use super::operation::{rescale_type, time};
use super::pulls::Pulls;
use ensemble_model::id::{AppId, InstanceId};
use ensemble_model::instance::{Instance, Origin};
use ensemble_model::operation::{Operation, Role, Target};
use ensemble_model::own_instance::OwnInstance;
use ensemble_model::state::{AccountView, GoneOwn};
use ensemble_model::time::WallTime;
use ensemble_wire::action::explain_instance::{Explained, Involved, Item, Scope};
use ensemble_wire::payload::operation::Step;

/// Targets of an application's operations that are looked at, the newest operation first.
const TARGETS_AT_MOST: usize = 1_000_000;

/// The instance, or what is remembered of it; nothing for one that was never the account's.
pub(crate) fn instance(account: AccountView<'_>, id: &InstanceId, pulls: &Pulls) -> Option<Explained> {
    if let Some(found) = account.instance(id) {
        return Some(explained(account, found, None, pulls));
    }
    // What ran on an instance of the account last is gone; the instance itself is not.
    match (account.own_instance(id), account.gone(id)) {
        (Some(own), _) => Some(by_itself(account, own)),
        (None, Some(gone)) => Some(explained(account, &gone.instance, Some(gone.at), pulls)),
        (None, None) => account.gone_own(id).map(|gone| given_up(account, gone)),
    }
}

/// The operations of `app` that `instance` was a target of, oldest first.
fn operations_about<'a>(
    account: AccountView<'a>,
    app: &AppId,
    instance: &InstanceId,
) -> Vec<(&'a Operation, &'a Target)> {
    let mut involved: Vec<(&Operation, &Target)> = Vec::new();
    let mut looked_at = 0;
    for operation in account.operations(Some(app)) {
        looked_at += operation.targets.len() + 1;
        if looked_at > TARGETS_AT_MOST {
            break;
        }
        if let Some(target) = operation.targets.iter().find(|target| target.instance == *instance) {
            involved.push((operation, target));
        }
    }
    // They come newest first.
    involved.reverse();
    involved
}

fn explained(
    account: AccountView<'_>,
    instance: &Instance,
    gone_at: Option<WallTime>,
    pulls: &Pulls,
) -> Explained {
    let involved = operations_about(account, &instance.app, &instance.id);
    let steps = involved.iter().flat_map(|(operation, _)| steps_of(operation, instance.shown_id()));
    Explained {
        instance_id: instance.shown_id().to_string(),
        app_id: Some(instance.app.to_string()),
        app_name: account.application(&instance.app).map(|application| application.meta.name.clone()),
        app_version: Some(instance.version.to_string()),
        ens_region_id: instance.node.to_string(),
        isp_code: instance.isp.to_string(),
        instance_spec: instance.spec.to_string(),
        origin: match instance.origin {
            Origin::Created => "Created".into(),
            Origin::Hosted => "Hosted".into(),
        },
        protected: instance.protected,
        instance_status: match gone_at {
            Some(_) => "Gone".into(),
            None => instance.status().as_str().to_owned(),
        },
        cause: instance.cause.clone(),
        created_at: time(instance.created_at),
        gone_at: gone_at.map(time),
        scope: Some(Scope {
            region_code: instance.scope.region_code.clone(),
            isp_code: instance.scope.isp.as_ref().map(ToString::to_string),
        }),
        pods: event::pods_of(account, instance, pulls),
        steps: steps.collect(),
        operations: involved.into_iter().map(|(operation, target)| served(operation, target)).collect(),
    }
}

/// An instance of the account that carries nothing, with what it carried before.
fn by_itself(account: AccountView<'_>, own: &OwnInstance) -> Explained {
    let made = account.operation(&own.operation).map(|made| involved(made, "Made", None));
    let hostings = own.hostings.iter();
    let carried: Vec<(&Operation, &Target)> =
        hostings.flat_map(|hosting| operations_about(account, &hosting.app, &hosting.instance)).collect();
    let steps = carried.iter().flat_map(|(operation, _)| steps_of(operation, &own.id)).collect();
    let carried = carried.into_iter().map(|(operation, target)| served(operation, target));
    Explained {
        instance_id: own.id.to_string(),
        app_id: own.hosted_by.as_ref().map(ToString::to_string),
        app_name: None,
        app_version: None,
        ens_region_id: own.node.to_string(),
        isp_code: own.isp.to_string(),
        instance_spec: own.spec.to_string(),
        origin: "Own".into(),
        protected: false,
        instance_status: "Running".into(),
        cause: None,
        created_at: time(own.created_at),
        gone_at: None,
        scope: None,
        pods: Vec::new(),
        operations: made.into_iter().chain(carried).collect(),
        steps,
    }
}

/// One that its account gave up.
fn given_up(account: AccountView<'_>, gone: &GoneOwn) -> Explained {
    let mut explained = by_itself(account, &gone.own);
    let released = gone.released_by.as_ref().and_then(|id| account.operation(id));
    explained.operations.extend(released.map(|released| involved(released, "Released", None)));
    explained.instance_status = "Gone".into();
    explained.cause = Some("released".into());
    explained.gone_at = Some(time(gone.at));
    explained
}

fn served(operation: &Operation, target: &Target) -> Involved {
    // What an operation took back was placed by it first.
    let role = match operation.role(target) {
        Role::Comes => "Placed",
        Role::Goes if operation.undoing.is_some() => "Undone",
        Role::Goes => "Released",
    };
    let asked = operation.items.iter().find(|asked| asked.item == target.item);
    let item = asked.map(|asked| Item {
        index: asked.item,
        region_code: asked.region_code.clone(),
        isp_code: asked.isp.as_ref().map(ToString::to_string),
        wanted: asked.wanted,
        by_name: asked.by_name,
    });
    let made_room =
        operation.targets.iter().find(|other| other.replaced_by.as_ref() == Some(&target.instance));
    Involved {
        replaces: made_room.map(|old| old.instance.to_string()),
        replaced_by: target.replaced_by.as_ref().map(ToString::to_string),
        ..involved(operation, role, item)
    }
}

fn involved(operation: &Operation, role: &str, item: Option<Item>) -> Involved {
    Involved {
        role: role.to_owned(),
        operation_id: operation.id.to_string(),
        action: operation.action.clone(),
        rescale_type: rescale_type(operation.kind),
        principal: operation.caller.principal.clone(),
        access_key_id: operation.caller.key_id.clone(),
        source_ip: operation.caller.source.clone(),
        accepted_at: time(operation.accepted_at),
        status: operation.status.as_str().to_owned(),
        outcome: operation.outcome.clone(),
        item,
        replaces: None,
        replaced_by: None,
    }
}

/// A step about an instance begins with its id.
fn steps_of(operation: &Operation, id: &InstanceId) -> impl Iterator<Item = Step> {
    let begins = format!("`{id}` ");
    let about = operation.steps.iter().filter(move |step| step.text.starts_with(&begins));
    about.map(|step| Step { at: time(step.at), text: step.text.clone() })
}
