//! The typed view of DescribeDeviceService (ens-api.md §4.2).

use super::district::unit;
use super::{addresses, port, shown_status};
use ensemble_model::application::Application;
use ensemble_model::fleet::Fleet;
use ensemble_model::instance::{Instance, Pod};
use ensemble_wire::action::Level;
use ensemble_wire::payload::device::{AppMetaData, AppStatus, DeviceInfo, ResourceInfo};
use ensemble_wire::time;

pub(crate) fn status(application: &Application) -> AppStatus {
    let status = &application.status;
    // Plain text here, unlike everywhere else: that is what the action's own example shows.
    let text = if status.description.is_empty() { &status.status } else { &status.description };
    AppStatus {
        phase: application.phase.as_str().to_owned(),
        status_descrip: text.clone(),
        update_time: time::iso_minutes(application.updated_at.0),
    }
}

pub(crate) fn meta_data(application: &Application) -> AppMetaData {
    AppMetaData {
        app_id: application.id.to_string(),
        app_name: application.meta.name.clone(),
        app_stable_version: application.stable_version.to_string(),
        app_type: application.meta.app_type.clone(),
        cluster_name: application.meta.cluster.clone(),
        create_time: time::iso_without_zone(application.created_at.0),
        description: application.meta.description.clone(),
    }
}

pub(crate) fn resource_info(application: &Application, instance: &Instance, fleet: &Fleet) -> ResourceInfo {
    let node = fleet.node(instance.node.as_str());
    let unit = node.map(|node| unit(fleet, node, Level::RegionId));
    let (area_code, area_name, region_name) =
        unit.map(|unit| (unit.area_code, unit.area_name, unit.region_name)).unwrap_or_default();
    let device = |pod: &Pod| DeviceInfo {
        name: instance.device_name(&application.meta.name, &pod.workload, pod.index),
        network: port::of_pod(application, instance, pod),
        status: shown_status(instance, pod).as_str().to_owned(),
    };
    ResourceInfo {
        app_version: instance.version.to_string(),
        area_code,
        area_name,
        create_time: time::iso_minutes(instance.created_at.0),
        device_infos: instance.pods.iter().map(device).collect(),
        instance_id: instance.shown_id().to_string(),
        instance_status: instance.status().as_str().to_owned(),
        internal_ips: addresses(instance),
        public_ips: Vec::new(),
        region_code: instance.node.to_string(),
        region_id: instance.node.to_string(),
        region_name,
    }
}
