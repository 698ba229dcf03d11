//! Which container a call means: it names an instance, and pod and container only where there is more than one.

use ensemble_model::id::{EngineName, InstanceId};
use ensemble_model::instance::{Instance, Pod};
use ensemble_model::state::AccountView;
use ensemble_wire::error::{Error, Reason};
use std::collections::BTreeSet;

/// One container of one pod, and the engine that has it.
#[derive(Clone)]
pub(super) struct Container {
    pub(super) engine: EngineName,
    pub(super) instance: InstanceId,
    pub(super) workload: String,
    pub(super) index: u32,
    pub(super) name: String,
}

impl Container {
    /// # Errors
    /// `InvalidParameter.PodName` or `.ContainerName` where it is needed and missing, or names none.
    pub(super) fn find(
        account: &AccountView<'_>,
        instance: &Instance,
        pod_name: Option<&str>,
        container: Option<&str>,
    ) -> Result<Self, Error> {
        let pod = pod(account, instance, pod_name)?;
        let name = container_name(account, instance, pod, container)?;
        let engine = account.state().engine_of(&instance.node).cloned().ok_or_else(|| {
            Error::call_interface(format!("The fleet no longer has the edge node {}.", instance.node))
                .with_reason(Reason::EngineUnavailable)
        })?;
        let (workload, index) = (pod.workload.clone(), pod.index);
        Ok(Self { engine, instance: instance.id.clone(), workload, index, name })
    }
}

fn pod<'a>(account: &AccountView<'_>, instance: &'a Instance, asked: Option<&str>) -> Result<&'a Pod, Error> {
    let app_name = account.application(&instance.app).map_or("", |found| &found.meta.name);
    let name = |pod: &Pod| instance.device_name(app_name, &pod.workload, pod.index);
    let found = match (asked, instance.pods.as_slice()) {
        (None, [only]) => Some(only),
        (None, _) => None,
        // The name of an application that is gone is not known any more; the rest of the device's name is.
        (Some(asked), pods) => pods
            .iter()
            .find(|pod| asked == name(pod) || { app_name.is_empty() && asked.ends_with(&name(pod)) }),
    };
    found.ok_or_else(|| {
        let names: Vec<String> = instance.pods.iter().take(20).map(name).collect();
        let detail =
            format!("PodName: instance {} has the devices {}.", instance.shown_id(), names.join(", "));
        Error::invalid_parameter("PodName", detail)
    })
}

fn container_name(
    account: &AccountView<'_>,
    instance: &Instance,
    pod: &Pod,
    asked: Option<&str>,
) -> Result<String, Error> {
    let application = account.application(&instance.app);
    let version = application.and_then(|application| application.version(&instance.version));
    let workload =
        version.and_then(|version| version.workloads.iter().find(|workload| workload.name == pod.workload));
    let Some(workload) = workload else {
        // The application is gone, and with it what its containers are called.
        let missing = || {
            Error::invalid_parameter(
                "ContainerName",
                "ContainerName: the application is gone, so it is needed.",
            )
        };
        return asked.map(str::to_owned).ok_or_else(missing);
    };
    let names: BTreeSet<&str> = workload.containers.iter().map(|container| container.name.as_str()).collect();
    let found = match asked {
        Some(asked) => names.get(asked),
        None if names.len() == 1 => names.first(),
        None => None,
    };
    found.map(|name| (*name).to_owned()).ok_or_else(|| {
        let names: Vec<&str> = names.iter().copied().collect();
        let detail = format!("ContainerName: the pod has the containers {}.", names.join(", "));
        Error::invalid_parameter("ContainerName", detail)
    })
}
