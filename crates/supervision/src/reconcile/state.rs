//! What the decision is made from: wishes, records, facts. Plain data, gathered by `scan` and by what actions report;
//! nothing here reads a disk, a kernel or a clock.

use crate::layout::{self, ContainerKey};
use crate::pod::PodKey;
use crate::probing::Readiness;
use crate::record::{Attempt, Exit, InstanceRecord, Prospect, Running};
use ensemble_model::id::{AppId, Digest, InstanceId, VersionName};
use ensemble_model::port::Exposed;
use ensemble_model::wanted::{CellKey, CellTemplate, Coverage, Taken, Wanted, WantedCell, WantedHost};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// Everything the engine was told, merged.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    taken: Taken,
    run: BTreeMap<InstanceId, Target>,
    release: BTreeMap<InstanceId, CellKey>,
    knowledge: Knowledge,
}

/// Whether every cell of this engine was named at least once: before that, an instance of an unheard cell may be
/// wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Knowledge {
    #[default]
    Some,
    All,
}

/// One instance as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub cell: CellKey,
    pub deployment: String,
    pub host: Option<InstanceId>,
    pub template: Arc<CellTemplate>,
}

/// What the wishes say about one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish<'a> {
    Run(&'a Target),
    Release,
    /// Not heard of yet: to be left alone.
    Unheard,
}

impl Wishes {
    /// Takes over what of it is newer than what was taken; says which instances that names.
    pub fn take(&mut self, wanted: Wanted) -> BTreeSet<InstanceId> {
        let wanted = self.taken.take(wanted);
        if wanted.coverage == Coverage::Complete {
            self.knowledge = Knowledge::All;
            self.run.retain(|_, target| self.taken.is_known(&target.cell));
            self.release.retain(|_, cell| self.taken.is_known(cell));
        }
        let mut named = BTreeSet::new();
        for cell in wanted.cells {
            self.take_cell(cell, &mut named);
        }
        named
    }

    fn take_cell(&mut self, cell: WantedCell, named: &mut BTreeSet<InstanceId>) {
        self.run.retain(|_, target| target.cell != cell.key);
        self.release.retain(|_, key| *key != cell.key);
        for id in cell.release {
            named.insert(id.clone());
            self.release.insert(id, cell.key.clone());
        }
        for instance in cell.run {
            let target = Target {
                cell: cell.key.clone(),
                deployment: instance.deployment,
                template: template_on(instance.host.as_ref(), &cell.template),
                host: instance.host.map(|host| host.id),
            };
            named.insert(instance.id.clone());
            // Wanted wins: an instance never disappears because two lists disagree.
            self.release.remove(&instance.id);
            self.run.insert(instance.id, target);
        }
    }

    pub fn wish(&self, id: &InstanceId, recorded: Option<&CellKey>) -> Wish<'_> {
        if let Some(target) = self.run.get(id) {
            return Wish::Run(target);
        }
        let cell_is_heard = recorded.is_some_and(|cell| self.taken.is_known(cell));
        if self.knowledge == Knowledge::All || cell_is_heard || self.release.contains_key(id) {
            Wish::Release
        } else {
            Wish::Unheard
        }
    }

    pub fn knowledge(&self) -> Knowledge {
        self.knowledge
    }

    pub fn running(&self) -> impl Iterator<Item = (&InstanceId, &Target)> {
        self.run.iter()
    }

    pub fn releasing(&self) -> impl Iterator<Item = &InstanceId> {
        self.release.keys()
    }
}

/// A host has limits of its own.
fn template_on(host: Option<&WantedHost>, template: &Arc<CellTemplate>) -> Arc<CellTemplate> {
    match host.filter(|host| host.limits != template.limits) {
        Some(host) => Arc::new(CellTemplate { limits: host.limits, ..(**template).clone() }),
        None => Arc::clone(template),
    }
}

impl Target {
    pub fn record(&self, id: &InstanceId) -> InstanceRecord {
        InstanceRecord {
            id: id.clone(),
            cell: self.cell.clone(),
            deployment: self.deployment.clone(),
            host: self.host.clone(),
            template: (*self.template).clone(),
        }
    }

    /// Whether the record is of this target, perhaps from before all of its images were pinned.
    pub fn matches(&self, record: &InstanceRecord) -> bool {
        let CellTemplate { app_name, limits, workloads, pins } = &record.template;
        let wanted = &*self.template;
        record.cell == self.cell
            && record.deployment == self.deployment
            && (app_name, limits, workloads) == (&wanted.app_name, &wanted.limits, &wanted.workloads)
            && pins.iter().all(|(image, pin)| wanted.pins.get(image) == Some(pin))
    }
}

/// What stands on the disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    pub instances: BTreeMap<InstanceId, InstanceRecord>,
    pub containers: BTreeMap<ContainerKey, ContainerRecords>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerRecords {
    pub attempt: Option<Attempt>,
    pub running: Option<Running>,
    pub exit: Option<Exit>,
}

impl ContainerRecords {
    /// How the present attempt ended.
    pub fn end_of_attempt(&self) -> Option<&Exit> {
        let attempt = self.attempt?;
        self.exit.as_ref().filter(|exit| exit.attempt == attempt.number)
    }

    /// What the present attempt's supervisor wrote when the program was made.
    pub fn running_attempt(&self) -> Option<&Running> {
        let attempt = self.attempt?;
        self.running.as_ref().filter(|running| running.attempt == attempt.number)
    }
}

/// What the kernel says, and what the engine itself is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    pub boot_id: String,
    /// Containers whose supervisor holds its lock.
    pub held: BTreeSet<ContainerKey>,
    /// Instances whose control group is whole.
    pub groups: BTreeSet<InstanceId>,
    /// Pods that have a namespace and an interface.
    pub networks: BTreeMap<PodKey, IpAddr>,
    /// The addresses of instances, by pods of theirs that node ports lead to.
    pub exposed: BTreeMap<PodKey, IpAddr>,
    /// Pods whose network is there in part: cut short while it was made or removed, or touched by somebody else.
    pub remnants: BTreeSet<PodKey>,
    /// What is there and in no record.
    pub strays: BTreeSet<Stray>,
    /// What actions are under way for.
    pub busy: BTreeSet<Subject>,
    /// Actions that failed and are waited for.
    pub failures: BTreeMap<Subject, Failure>,
    /// When a supervisor was asked to stop, in milliseconds after boot.
    pub asked_to_stop: BTreeMap<ContainerKey, u64>,
    /// What containers with a probe were last held to be, by the attempt that was asked.
    pub readiness: BTreeMap<ContainerKey, (u32, Readiness)>,
    /// Images that are in the store.
    pub images: BTreeSet<Digest>,
    /// Images that are being pulled right now.
    pub pulling: BTreeSet<Digest>,
    /// What images without a pin led to: told, and not pinned yet.
    pub resolved: BTreeMap<ImageOf, Digest>,
}

/// An image of a version, by the reference as written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageOf {
    pub app: AppId,
    pub version: VersionName,
    pub image: String,
}

/// Things without a record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stray {
    /// A directory under `instances` without a readable record, by its name.
    Directory(String),
    /// A group in our subtree, by its name.
    Group(String),
    Network(PodKey),
}

/// What an action is about. Two actions about one subject never run at once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    Instance(InstanceId),
    Pod(PodKey),
    Container(ContainerKey),
    Stray(Stray),
    /// An image that has a pin.
    Image(Digest),
    /// One that has none yet.
    Resolution(ImageOf),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How often in a row.
    pub streak: u32,
    pub at_boot_ms: u64,
    pub reason: String,
    pub prospect: Prospect,
}

/// One step. Every one may be done twice, and may be cut short anywhere: the next decision starts from what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Write the instance's record and make its control group.
    Prepare(InstanceRecord),
    Attach {
        pod: PodKey,
        app: AppId,
        exposed: Option<Exposed>,
    },
    Start {
        container: ContainerKey,
        attempt: Attempt,
    },
    /// The supervisor is gone without an exit record: empty the group and write that it was lost.
    Collect {
        container: ContainerKey,
        attempt: Attempt,
        loss: Loss,
    },
    /// Ask the supervisor to stop its container.
    Stop(ContainerKey),
    /// It was asked long ago: end the container's processes and the supervisor.
    Kill(ContainerKey),
    Detach(PodKey),
    /// Nothing of it runs any more: keep the logs, remove everything else.
    Retire(InstanceId),
    Sweep(Stray),
    /// Find out which image a reference means.
    Resolve(ImageOf),
    /// Get a pinned image into the store.
    Fetch {
        image: String,
        pin: Digest,
    },
}

/// Why nobody saw how an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    SupervisorEnded,
    NeverStarted,
    /// It ran in this boot, which is over.
    MachineRestarted {
        boot_id: String,
    },
}

impl Subject {
    pub fn is_of(&self, instance: &InstanceId) -> bool {
        match self {
            Self::Instance(id) => id == instance,
            Self::Pod(pod) => pod.instance == *instance,
            Self::Container(key) => key.pod.instance == *instance,
            Self::Stray(_) | Self::Image(_) | Self::Resolution(_) => false,
        }
    }

    /// What has to be seen to before a container with this image can start.
    pub fn of_image(cell: &CellKey, template: &CellTemplate, image: &str) -> Self {
        match template.pins.get(image) {
            Some(pin) => Self::Image(pin.clone()),
            None => Self::Resolution(ImageOf {
                app: cell.app.clone(),
                version: cell.version.clone(),
                image: image.to_owned(),
            }),
        }
    }

    /// Whether it is about an image, which many instances may wait for.
    pub fn is_image(&self) -> bool {
        match self {
            Self::Image(_) | Self::Resolution(_) => true,
            Self::Instance(_) | Self::Pod(_) | Self::Container(_) | Self::Stray(_) => false,
        }
    }
}

impl Stray {
    /// Whether it lies where this instance's directory, group or networks would.
    pub fn is_of(&self, id: &InstanceId) -> bool {
        match self {
            Self::Directory(name) => *name == layout::name(id.as_str()),
            Self::Group(name) => *name == layout::instance_group(id),
            Self::Network(pod) => pod.instance == *id,
        }
    }
}

impl Loss {
    pub fn reason(&self) -> &'static str {
        match self {
            Self::SupervisorEnded => "its supervisor ended",
            Self::NeverStarted => "its supervisor ended before it was started",
            Self::MachineRestarted { .. } => "the machine was restarted",
        }
    }
}

impl Action {
    pub fn subject(&self) -> Subject {
        match self {
            Self::Prepare(record) => Subject::Instance(record.id.clone()),
            Self::Retire(id) => Subject::Instance(id.clone()),
            Self::Attach { pod, .. } | Self::Detach(pod) => Subject::Pod(pod.clone()),
            Self::Start { container, .. }
            | Self::Collect { container, .. }
            | Self::Stop(container)
            | Self::Kill(container) => Subject::Container(container.clone()),
            Self::Sweep(stray) => Subject::Stray(stray.clone()),
            Self::Resolve(of) => Subject::Resolution(of.clone()),
            Self::Fetch { pin, .. } => Subject::Image(pin.clone()),
        }
    }
}

/// All pods of an instance, in the template's order.
pub fn pods(id: &InstanceId, template: &CellTemplate) -> Vec<PodKey> {
    let workloads = template.workloads.iter();
    let pods =
        workloads.flat_map(|workload| (0..workload.pod_count).map(|index| (workload.name.clone(), index)));
    pods.map(|(workload, index)| PodKey::new(id.clone(), workload, index)).collect()
}

/// All containers of an instance, in the template's order.
pub fn containers(id: &InstanceId, template: &CellTemplate) -> Vec<ContainerKey> {
    let mut keys = Vec::new();
    for workload in &template.workloads {
        for index in 0..workload.pod_count {
            let pod = PodKey::new(id.clone(), workload.name.clone(), index);
            let names = workload.containers.iter().map(|container| container.name.clone());
            keys.extend(names.map(|container| ContainerKey { pod: pod.clone(), container }));
        }
    }
    keys
}

/// The image of a container, as its template writes it.
pub fn image_of<'a>(template: &'a CellTemplate, key: &ContainerKey) -> Option<&'a str> {
    let workload = template.workloads.iter().find(|workload| workload.name == key.pod.workload)?;
    let container = workload.containers.iter().find(|container| container.name == key.container)?;
    Some(&container.image)
}

/// Every image of a template, as written; some of them twice.
pub fn images(template: &CellTemplate) -> impl Iterator<Item = &str> {
    let containers = template.workloads.iter().flat_map(|workload| &workload.containers);
    containers.map(|container| container.image.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ensemble_model::spec::Resources;
    use std::collections::BTreeMap;

    #[test]
    fn what_is_hosted_has_the_limits_of_its_host() {
        let limits = Resources { vcpu: 1, memory_mib: 512 };
        let more = Resources { vcpu: 4, memory_mib: 8_192 };
        let (workloads, pins) = (Vec::new(), BTreeMap::new());
        let template = Arc::new(CellTemplate { app_name: "shop".into(), limits, workloads, pins });
        let host = |limits| WantedHost { id: InstanceId::new("i-own"), limits };

        assert_eq!(template_on(Some(&host(more)), &template).limits, more);
        assert!(Arc::ptr_eq(&template_on(Some(&host(limits)), &template), &template));
        assert!(Arc::ptr_eq(&template_on(None, &template), &template));
    }
}
