//! `DetailStat`: an application's instances counted by version, unit and carrier, down to devices (ens-api.md §2.6).
//! Instances being released are listed and not counted (`decisions.md` §1.9).

use super::district::{Unit, unit};
use super::{Selection, addresses, port, shown_status};
use ensemble_model::application::{Application, Version};
use ensemble_model::fleet::Fleet;
use ensemble_model::instance::{Instance, InstanceStatus, Pod, PodStatus};
use ensemble_wire::action::{Level, Parts};
use ensemble_wire::payload::application::{
    AppVersionStat, DetailStat, Device, DistrictStat, InstanceStat, PodCountStat,
};
use ensemble_wire::time;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is counted of a set of instances.
#[derive(Clone, Default)]
struct Counts<'a> {
    total: usize,
    running: usize,
    /// In the order in which workloads were first met.
    pods: Vec<PodCounts<'a>>,
}

#[derive(Clone)]
struct PodCounts<'a> {
    workload: &'a str,
    running: usize,
    produced: usize,
}

/// Counts what the selection takes of `instances`, which are all those of `application`.
pub(super) fn detail_stat(
    application: &Application,
    instances: &[&Arc<Instance>],
    fleet: &Fleet,
    selection: &Selection,
    (level, parts): (Level, Parts),
) -> DetailStat {
    let mut all = Counts::default();
    let mut versions = Vec::new();
    for version in selection.versions(application) {
        let of_version: Vec<&Instance> = instances
            .iter()
            .map(|instance| &***instance)
            .filter(|instance| instance.version == version.name && selection.takes(fleet, instance))
            .collect();
        let counts = Counts::of(version, &of_version);
        all.add(&counts);
        let districts = parts
            .district_stat
            .then(|| district_stats(application, version, &of_version, fleet, (level, parts)));
        versions.push(AppVersionStat {
            app_version: version.name.to_string(),
            descrip: version.description.clone(),
            create_time: time::spaced(version.created_at.0),
            instance_total_count: counts.total,
            instance_running_count: counts.running,
            pod_count_stat: counts.pod_count_stat(parts),
            district_stat: districts,
        });
    }
    DetailStat {
        level: level.as_str().to_owned(),
        instance_total_count: all.total,
        instance_running_count: all.running,
        pod_count_stat: all.pod_count_stat(parts),
        app_version_stat: parts.app_version_stat.then_some(versions),
    }
}

fn district_stats(
    application: &Application,
    version: &Version,
    instances: &[&Instance],
    fleet: &Fleet,
    (level, parts): (Level, Parts),
) -> Vec<DistrictStat> {
    let mut groups: BTreeMap<(Unit, &str), Vec<&Instance>> = BTreeMap::new();
    for instance in instances {
        let Some(node) = fleet.node(instance.node.as_str()) else { continue };
        groups.entry((unit(fleet, node, level), instance.isp.as_str())).or_default().push(instance);
    }
    let district = |((unit, isp), members): ((Unit, &str), Vec<&Instance>)| {
        let counts = Counts::of(version, &members);
        let region_ids: BTreeSet<String> = members.iter().map(|instance| instance.node.to_string()).collect();
        DistrictStat {
            area_code: unit.area_code,
            area_name: unit.area_name,
            region_code: unit.region_code,
            region_name: unit.region_name,
            isp_code: isp.to_owned(),
            region_ids: region_ids.into_iter().collect(),
            instance_total_count: counts.total,
            instance_running_count: counts.running,
            pod_count_stat: counts.pod_count_stat(parts),
            instance_stat: parts.instance_stat.then(|| {
                members.iter().map(|instance| instance_stat(application, version, instance, parts)).collect()
            }),
        }
    };
    groups.into_iter().map(district).collect()
}

fn instance_stat(
    application: &Application,
    version: &Version,
    instance: &Instance,
    parts: Parts,
) -> InstanceStat {
    let workload = |name: &str| {
        let pods = || instance.pods.iter().filter(|pod| pod.workload == name);
        let devices: Vec<Device> = pods().map(|pod| device(application, instance, pod)).collect();
        PodCountStat {
            name: name.to_owned(),
            running_count: pods().filter(|pod| is_running(shown_status(instance, pod))).count(),
            produced_count: pods().filter(|pod| is_produced(shown_status(instance, pod))).count(),
            devices: Some(devices),
        }
    };
    let stats = || version.workloads.iter().map(|declared| workload(&declared.name)).collect();
    InstanceStat {
        instance_id: instance.shown_id().to_string(),
        public_ips: Vec::new(),
        internal_ips: addresses(instance),
        region_id: instance.node.to_string(),
        nc_name: String::new(),
        instance_status: instance.status().as_str().to_owned(),
        create_time: time::spaced(instance.created_at.0),
        pod_count_stat: parts.pod_count_stat.then(stats),
        app_version_descrip: version.description.clone(),
    }
}

fn device(application: &Application, instance: &Instance, pod: &Pod) -> Device {
    Device {
        name: instance.device_name(&application.meta.name, &pod.workload, pod.index),
        status: shown_status(instance, pod).as_str().to_owned(),
        ports: Some(port::of_pod(application, instance, pod)).filter(|ports| !ports.is_empty()),
        restarts: pod.restarts,
        message: pod.message.clone(),
    }
}

fn is_running(status: PodStatus) -> bool {
    status == PodStatus::Running
}

/// Whether a pod exists by now, as far as its engine can say.
fn is_produced(status: PodStatus) -> bool {
    match status {
        PodStatus::Starting | PodStatus::Running | PodStatus::Failed | PodStatus::Stopped => true,
        PodStatus::Unknown | PodStatus::Pending | PodStatus::Pulling => false,
    }
}

impl<'a> Counts<'a> {
    fn of(version: &'a Version, instances: &[&Instance]) -> Self {
        let empty = |name: &'a str| PodCounts { workload: name, running: 0, produced: 0 };
        let pods = version.workloads.iter().map(|workload| empty(&workload.name)).collect();
        let mut counts = Self { total: 0, running: 0, pods };
        for instance in instances.iter().filter(|instance| instance.is_held()) {
            counts.total += 1;
            counts.running += usize::from(instance.status() == InstanceStatus::Running);
            for pod in &instance.pods {
                let status = shown_status(instance, pod);
                if let Some(count) = counts.pods.iter_mut().find(|count| count.workload == pod.workload) {
                    count.running += usize::from(is_running(status));
                    count.produced += usize::from(is_produced(status));
                }
            }
        }
        counts
    }

    fn add(&mut self, other: &Self) {
        self.total += other.total;
        self.running += other.running;
        for count in &other.pods {
            match self.pods.iter_mut().find(|known| known.workload == count.workload) {
                Some(known) => {
                    known.running += count.running;
                    known.produced += count.produced;
                }
                None => self.pods.push(count.clone()),
            }
        }
    }

    fn pod_count_stat(&self, parts: Parts) -> Option<Vec<PodCountStat>> {
        let stat = |count: &PodCounts<'_>| PodCountStat {
            name: count.workload.to_owned(),
            running_count: count.running,
            produced_count: count.produced,
            devices: None,
        };
        parts.pod_count_stat.then(|| self.pods.iter().map(stat).collect())
    }
}
