//! The truth of a cluster: units that were made, what their programs do, which addresses their pods have. Times come in;
//! how a program behaves is drawn when it is made. Nothing here knows what is wanted.

use super::super::{Running, Surroundings};
use crate::agenda::Moment;
use crate::dice::Dice;
use crate::faults::Fault;
use ensemble_model::id::{AppId, EdgeNodeId, InstanceId, Isp, VersionName};
use ensemble_model::instance::PodStatus;
use ensemble_model::observation::{PodObservation, Presence};
use ensemble_model::wanted::{CellKey, WantedCell, WantedInstance};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

/// From starting a program to calling it ready.
const READY_MS: i64 = 200;

pub(super) struct Site {
    name: String,
    dice: Dice,
    units: BTreeMap<InstanceId, Unit>,
    addresses: BTreeSet<u32>,
    orphans: u64,
}

/// One instance as the cluster has it: all its pods live and die together.
struct Unit {
    cell: CellKey,
    deployment: String,
    pods: Vec<UnitPod>,
    phase: Phase,
    restarts: u32,
    /// It exits so long after each start.
    crashes_after_ms: Option<i64>,
    /// Its image is not there.
    hopeless: bool,
}

struct UnitPod {
    workload: String,
    index: u32,
    name: String,
    address: u32,
}

#[derive(Clone, Copy)]
enum Phase {
    Starting { until: Moment },
    Pulling { until: Moment },
    Up { since: Moment },
    Waiting { until: Moment },
    Stopping { until: Moment },
}

impl Site {
    pub(super) fn new(name: String, dice: Dice) -> Self {
        Self { name, dice, units: BTreeMap::new(), addresses: BTreeSet::new(), orphans: 0 }
    }

    /// Every unit, with its cell and its deployment.
    pub(super) fn units(&self) -> impl Iterator<Item = (&InstanceId, &CellKey, &str)> {
        self.units.iter().map(|(id, unit)| (id, &unit.cell, unit.deployment.as_str()))
    }

    pub(super) fn has(&self, id: &InstanceId) -> bool {
        self.units.contains_key(id)
    }

    pub(super) fn node_of(&self, id: &InstanceId) -> Option<&EdgeNodeId> {
        self.units.get(id).map(|unit| &unit.cell.node)
    }

    pub(super) fn make(
        &mut self,
        cell: &WantedCell,
        instance: &WantedInstance,
        around: &mut Surroundings<'_>,
    ) {
        let mut pods = Vec::new();
        for workload in &cell.template.workloads {
            for index in 0..workload.pod_count {
                let name =
                    cell.template.pod_name(&cell.key.version, &instance.deployment, &workload.name, index);
                let address = self.free_address();
                pods.push(UnitPod { workload: workload.name.clone(), index, name, address });
            }
        }
        let faults = &mut *around.faults;
        let crashes_after_ms =
            faults.strikes(Fault::CrashLoop, 40, &mut self.dice).then(|| self.dice.ms(50, 20_000));
        let hopeless = faults.strikes(Fault::ImageMissing, 10, &mut self.dice);
        let phase = if faults.strikes(Fault::StartFails, 40, &mut self.dice) {
            Phase::Waiting { until: around.now.plus_ms(self.dice.ms(1_000, 20_000)) }
        } else if faults.strikes(Fault::StartHangs, 15, &mut self.dice) {
            Phase::Starting { until: around.now.plus_ms(self.dice.ms(60_000, 900_000)) }
        } else if faults.strikes(Fault::ImageMissing, 30, &mut self.dice) {
            Phase::Pulling { until: around.now.plus_ms(self.dice.ms(5_000, 300_000)) }
        } else {
            Phase::Starting { until: around.now.plus_ms(self.dice.ms(20, 900)) }
        };
        let deployment = instance.deployment.clone();
        let unit =
            Unit { cell: cell.key.clone(), deployment, pods, phase, restarts: 0, crashes_after_ms, hopeless };
        self.units.insert(instance.id.clone(), unit);
    }

    /// Something that nobody asked for, as an interrupted change by hand leaves it.
    pub(super) fn make_orphan(&mut self, around: &mut Surroundings<'_>) {
        self.orphans += 1;
        let address = self.free_address();
        let node = self
            .units
            .values()
            .next()
            .map_or_else(|| EdgeNodeId::new("nowhere"), |unit| unit.cell.node.clone());
        let cell =
            CellKey { app: AppId::new("orphan"), version: VersionName::new("v0"), node, isp: Isp::new("") };
        let name = format!("orphan-{}-{}", self.name, self.orphans);
        let id = InstanceId::new(format!("i-{name}"));
        let pods = vec![UnitPod { workload: "web".into(), index: 0, name, address }];
        let phase = Phase::Up { since: around.now };
        let deployment = String::new();
        let unit =
            Unit { cell, deployment, pods, phase, restarts: 0, crashes_after_ms: None, hopeless: false };
        self.units.insert(id, unit);
    }

    fn free_address(&mut self) -> u32 {
        // The lowest free one, so that addresses come round again as soon as they may.
        let mut free = 1;
        for taken in &self.addresses {
            if *taken != free {
                break;
            }
            free += 1;
        }
        self.addresses.insert(free);
        free
    }

    pub(super) fn stop(&mut self, id: &InstanceId, around: &mut Surroundings<'_>) {
        let Some(unit) = self.units.get_mut(id) else { return };
        match unit.phase {
            Phase::Stopping { .. } => {}
            Phase::Up { .. } => {
                let ends_at_once = around.faults.strikes(Fault::ExitsWhileStopping, 100, &mut self.dice);
                let after = if ends_at_once { 1 } else { self.dice.ms(50, 10_500) };
                unit.phase = Phase::Stopping { until: around.now.plus_ms(after) };
            }
            Phase::Starting { .. } | Phase::Pulling { .. } | Phase::Waiting { .. } => {
                unit.phase = Phase::Stopping { until: around.now.plus_ms(self.dice.ms(1, 300)) };
            }
        }
    }

    pub(super) fn advance(&mut self, around: &mut Surroundings<'_>) {
        let calm = around.faults.is_calm();
        let mut gone = Vec::new();
        for (id, unit) in &mut self.units {
            if calm {
                unit.settle(around.now);
            }
            match unit.phase {
                Phase::Starting { until } | Phase::Waiting { until } | Phase::Pulling { until }
                    if until <= around.now && !unit.hopeless =>
                {
                    unit.phase = Phase::Up { since: around.now };
                }
                Phase::Up { since } => {
                    let ends = unit.crashes_after_ms.map(|after| since.plus_ms(after));
                    if ends.is_some_and(|ends| ends <= around.now) {
                        unit.restarts += 1;
                        let pause = (1_000 << unit.restarts.min(6)).min(60_000);
                        unit.phase = Phase::Waiting { until: around.now.plus_ms(pause) };
                    }
                }
                Phase::Stopping { until } if until <= around.now => gone.push(id.clone()),
                Phase::Starting { .. }
                | Phase::Waiting { .. }
                | Phase::Pulling { .. }
                | Phase::Stopping { .. } => {}
            }
        }
        for id in gone {
            self.remove(&id);
        }
    }

    fn remove(&mut self, id: &InstanceId) {
        if let Some(unit) = self.units.remove(id) {
            for pod in unit.pods {
                self.addresses.remove(&pod.address);
            }
        }
    }

    pub(super) fn next_due(&self) -> Option<Moment> {
        self.units.values().filter_map(Unit::next_due).min()
    }

    pub(super) fn reboot(&mut self, node: &EdgeNodeId) {
        let here: Vec<InstanceId> =
            self.units.iter().filter(|(_, unit)| unit.cell.node == *node).map(|(id, _)| id.clone()).collect();
        for id in here {
            self.remove(&id);
        }
    }

    pub(super) fn presence(&self, id: &InstanceId) -> Presence {
        let Some(unit) = self.units.get(id) else { return Presence::Gone };
        let (status, message) = match unit.phase {
            Phase::Starting { .. } => (PodStatus::Starting, ""),
            Phase::Pulling { .. } => (PodStatus::Pulling, ""),
            Phase::Waiting { .. } => (PodStatus::Failed, "exited 1"),
            Phase::Up { .. } | Phase::Stopping { .. } => (PodStatus::Running, ""),
        };
        let pods = unit.pods.iter().map(|pod| PodObservation {
            workload: pod.workload.clone(),
            index: pod.index,
            status,
            address: Some(IpAddr::V4(address(pod.address))),
            exposed_at: None,
            restarts: unit.restarts,
            message: message.to_owned(),
        });
        let ready = matches!(unit.phase, Phase::Up { .. });
        let hopeless = unit.hopeless.then(|| "image `example` is not there".to_owned());
        let deployment = unit.deployment.clone();
        Presence::Here { deployment, pods: pods.collect(), ready, hopeless }
    }

    pub(super) fn truth(&self) -> Vec<Running> {
        let units = self.units.iter();
        units
            .flat_map(|(id, unit)| {
                unit.pods.iter().map(move |pod| Running {
                    instance: id.clone(),
                    workload: pod.workload.clone(),
                    index: pod.index,
                    node: unit.cell.node.clone(),
                    host: 0,
                    name: pod.name.clone(),
                    address: Some(address(pod.address).to_string()),
                    is_up: matches!(unit.phase, Phase::Up { .. } | Phase::Stopping { .. }),
                })
            })
            .collect()
    }
}

fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 80, 0, 0)) + number)
}

impl Unit {
    fn next_due(&self) -> Option<Moment> {
        match self.phase {
            Phase::Starting { until } | Phase::Pulling { until } | Phase::Waiting { until } => {
                (!self.hopeless).then_some(until)
            }
            Phase::Stopping { until } => Some(until),
            Phase::Up { since } => self.crashes_after_ms.map(|after| since.plus_ms(after)),
        }
    }

    /// Once nothing is broken any more, programs run on and images are there.
    fn settle(&mut self, now: Moment) {
        self.crashes_after_ms = None;
        self.hopeless = false;
        let soon = now.plus_ms(READY_MS);
        match &mut self.phase {
            Phase::Starting { until } | Phase::Pulling { until } | Phase::Waiting { until } => {
                *until = (*until).min(soon);
            }
            Phase::Up { .. } | Phase::Stopping { .. } => {}
        }
    }
}
