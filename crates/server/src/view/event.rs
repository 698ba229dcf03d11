//! What Watch says of an application and an instance (`decisions.md` §5).

use super::pulls::{self, Pulls};
use super::{port, shown_status, status_text};
use ensemble_model::application::Application;
use ensemble_model::id::{AppId, InstanceId};
use ensemble_model::instance::{Instance, InstanceStatus, Pod, PodStatus};
use ensemble_model::state::AccountView;
use ensemble_wire::payload::event as payload;
use ensemble_wire::time::spaced;

pub(crate) fn application(account: AccountView<'_>, application: &Application) -> payload::Application {
    let instances = account.instances(&application.id);
    let held = || instances.iter().filter(|instance| instance.is_held());
    payload::Application {
        app_id: application.id.to_string(),
        app_name: application.meta.name.clone(),
        phase: application.phase.as_str().to_owned(),
        status_descrip: status_text(&application.status),
        revision: application.revision,
        instance_total_count: held().count(),
        instance_running_count: held()
            .filter(|instance| instance.status() == InstanceStatus::Running)
            .count(),
    }
}

/// An application that is no more.
pub(crate) fn gone_application(app: &AppId) -> payload::Application {
    payload::Application {
        app_id: app.to_string(),
        app_name: String::new(),
        phase: "GONE".into(),
        status_descrip: String::new(),
        revision: 0,
        instance_total_count: 0,
        instance_running_count: 0,
    }
}

/// An instance as it is, or as it was when it went; nothing for one that was never the account's.
pub(crate) fn instance(
    account: AccountView<'_>,
    id: &InstanceId,
    pulls: &Pulls,
) -> Option<payload::Instance> {
    if let Some(instance) = account.instance(id) {
        return Some(shown(instance, instance.status().as_str(), pods_of(account, instance, pulls)));
    }
    let gone = account.gone(id)?;
    Some(shown(&gone.instance, "Gone", Vec::new()))
}

fn shown(instance: &Instance, status: &str, pods: Vec<payload::Pod>) -> payload::Instance {
    payload::Instance {
        instance_id: instance.shown_id().to_string(),
        app_id: instance.app.to_string(),
        app_version: instance.version.to_string(),
        ens_region_id: instance.node.to_string(),
        isp_code: instance.isp.to_string(),
        instance_status: status.to_owned(),
        create_time: spaced(instance.created_at.0),
        pods,
    }
}

/// The devices of an instance of the account.
pub(super) fn pods_of(account: AccountView<'_>, instance: &Instance, pulls: &Pulls) -> Vec<payload::Pod> {
    let application = account.application(&instance.app);
    let app_name = application.map_or("", |application| &application.meta.name);
    let shown = |pod: &Pod| payload::Pod {
        name: instance.device_name(app_name, &pod.workload, pod.index),
        workload: pod.workload.clone(),
        index: pod.index,
        status: shown_status(instance, pod).as_str().to_owned(),
        address: pod.address.map(|address| address.to_string()),
        ports: application.map(|application| port::of_pod(application, instance, pod)).unwrap_or_default(),
        restarts: pod.restarts,
        message: pod.message.clone(),
        pulled: match shown_status(instance, pod) {
            PodStatus::Pulling => pulls::progress(pulls, pulls::images(account, instance, pod)),
            _ => None,
        },
    };
    instance.pods.iter().map(shown).collect()
}
