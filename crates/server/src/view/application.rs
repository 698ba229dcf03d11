//! `Application` of DescribeApplication and `AppInfo` of ListApplications (ens-api.md §2.6, §2.7): the same facts in
//! the form of each action's own example.

use super::{Selection, detail, status_text};
use ensemble_model::application::{Application, ResourceAttribute, Strategy};
use ensemble_model::fleet::Fleet;
use ensemble_model::instance::Instance;
use ensemble_wire::action::{Level, Parts};
use ensemble_wire::payload::application as payload;
use ensemble_wire::payload::to_pascal_case;
use ensemble_wire::time;
use std::sync::Arc;

/// What of an application is shown, and how.
pub(crate) struct Frame<'a> {
    pub(crate) fleet: &'a Fleet,
    pub(crate) selection: &'a Selection,
    pub(crate) level: Level,
    pub(crate) parts: Parts,
}

/// `instances` are all those of `application`.
pub(crate) fn described(
    application: &Application,
    instances: &[&Arc<Instance>],
    frame: &Frame<'_>,
) -> payload::Application {
    let info = frame.parts.app_info;
    payload::Application {
        app_meta_data: info.then(|| meta_data(application)),
        app_status: payload::AppStatus {
            phase: application.phase.as_str().to_owned(),
            status_descrip: status_text(&application.status),
            update_time: time::spaced(application.updated_at.0),
            revision: application.revision,
        },
        resource_attribute: info.then(|| resource_attribute(&application.resources)),
        workload_attribute: info.then(|| workloads(application)),
        detail_stat: detail_stat(application, instances, frame),
    }
}

/// `instances` are all those of `application`.
pub(crate) fn listed(
    application: &Application,
    instances: &[&Arc<Instance>],
    frame: &Frame<'_>,
) -> payload::AppInfo {
    let info = frame.parts.app_info;
    payload::AppInfo {
        app_meta_data: info.then(|| meta_data(application)),
        app_status: payload::ListedStatus {
            phase: application.phase.as_str().to_owned(),
            status_descrip: status_text(&application.status),
            update_time: time::spaced(application.updated_at.0),
            order_status: None,
            revision: application.revision,
        },
        resource_attribute: info.then(|| listed_resource_attribute(&application.resources)),
        workload_attribute: info.then(|| workloads(application)),
        detail_stat: detail_stat(application, instances, frame),
    }
}

fn detail_stat(
    application: &Application,
    instances: &[&Arc<Instance>],
    frame: &Frame<'_>,
) -> Option<payload::DetailStat> {
    let Frame { fleet, selection, level, parts } = frame;
    parts.detail_stat.then(|| detail::detail_stat(application, instances, fleet, selection, (*level, *parts)))
}

fn meta_data(application: &Application) -> payload::AppMetaData {
    payload::AppMetaData {
        app_id: application.id.to_string(),
        app_name: application.meta.name.clone(),
        cluster_name: application.meta.cluster.clone(),
        app_stable_version: application.stable_version.to_string(),
        app_type: application.meta.app_type.clone(),
        description: application.meta.description.clone(),
        create_time: time::spaced(application.created_at.0),
    }
}

fn resource_attribute(resources: &ResourceAttribute) -> payload::ResourceAttribute {
    payload::ResourceAttribute {
        resource_type: resources.resource_type.clone(),
        resource_agent: resources.resource_agent.clone(),
        instance_spec: resources.instance_spec.to_string(),
        system_disk_size: resources.system_disk_gb,
        data_disk_size: resources.data_disk_gb,
        bandwith_out: resources.bandwidth_out_mbit,
        scheduling_strategy: strategy(resources.strategy).to_owned(),
        area_level: resources.area_level.clone(),
        ip_type: resources.ip_type.clone(),
        inventory_type: resources.resource_type.clone(),
        image_id: resources.image_id.clone(),
        net_security_info: resources.net_security_strategy.as_ref().map(to_pascal_case),
        init_config: resources.init_config.as_ref().map(to_pascal_case),
        min_ready: Some(resources.min_ready).filter(|floor| *floor > 0),
    }
}

fn listed_resource_attribute(resources: &ResourceAttribute) -> payload::ListedResourceAttribute {
    payload::ListedResourceAttribute {
        net_security_info: resources.net_security_strategy.as_ref().map(to_pascal_case),
        init_config: resources.init_config.as_ref().map(to_pascal_case),
        inventory_type: resources.resource_type.clone(),
        instance_spec: resources.instance_spec.to_string(),
        system_disk_size: resources.system_disk_gb,
        data_disk_size: resources.data_disk_gb,
        bandwith_out: resources.bandwidth_out_mbit,
        scheduling_strategy: strategy(resources.strategy).to_owned(),
        image_id: resources.image_id.clone(),
        resource_type: resources.resource_agent.clone(),
        area_level: resources.area_level.clone(),
        ip_type: resources.ip_type.clone(),
        resource_agent: resources.resource_agent.clone(),
    }
}

fn strategy(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::Disperse => "Disperse",
        Strategy::Concentrate => "Concentrate",
    }
}

/// The workloads of the stable version.
fn workloads(application: &Application) -> Vec<payload::WorkloadAttribute> {
    let stable = application.version(&application.stable_version);
    let workloads = stable.map(|version| version.workloads.as_slice()).unwrap_or_default();
    workloads
        .iter()
        .map(|workload| payload::WorkloadAttribute {
            name: workload.name.clone(),
            pod_count: workload.pod_count,
            count: workload.pod_count,
            service_config: workload.service_config.as_ref().map(to_pascal_case),
        })
        .collect()
}
