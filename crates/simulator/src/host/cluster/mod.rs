//! A cluster of many edge nodes, and the engine that drives it from afar: pods outlive whoever drives them, nodes come and
//! go. `site` is the truth of what runs; here is the driver, which is level-triggered as the engine trait demands and
//! forgets everything when it dies. Shares nothing with the product's engines but the words of the trait.

mod site;

use super::{Running, StaleEpoch, Surroundings};
use crate::agenda::Moment;
use crate::dice::Dice;
use crate::faults::Fault;
use ensemble_model::id::{EdgeNodeId, EngineName, InstanceId};
use ensemble_model::observation::{InstanceObservation, Observation, Presence, Reach};
use ensemble_model::wanted::{CellKey, Coverage, Epoch, Wanted, WantedCell};
use site::Site;
use std::collections::{BTreeMap, BTreeSet};

/// Old reports that a fault may bring up again.
const KEPT_REPORTS: usize = 8;

pub(crate) struct Cluster {
    name: EngineName,
    dice: Dice,
    site: Site,
    /// The newest epoch that the cluster's own store has seen.
    epoch: Epoch,
    driver: Option<Driver>,
    /// Nodes out of reach, until when.
    cut_off: BTreeMap<EdgeNodeId, Moment>,
    old_reports: Vec<Observation>,
    number: u64,
    /// Instances of which something was asked to stop.
    pub(super) stopped: Vec<InstanceId>,
}

/// What is known only while somebody drives.
#[derive(Default)]
struct Driver {
    cells: BTreeMap<CellKey, (u64, WantedCell)>,
    /// Of the newest complete list: what it did not name is not wanted.
    complete: Option<u64>,
    told: BTreeMap<InstanceId, Presence>,
    has_told_whole: bool,
    told_cut_off: BTreeSet<EdgeNodeId>,
    /// Asked to be confirmed gone, also when nothing is found.
    to_confirm: BTreeSet<InstanceId>,
}

impl Cluster {
    pub(crate) fn new(name: EngineName, seed: u64) -> Self {
        let dice = Dice::stream(seed, name.as_str());
        Self {
            site: Site::new(name.to_string(), Dice::stream(seed, &format!("{name}/site"))),
            name,
            dice,
            epoch: Epoch::default(),
            driver: None,
            cut_off: BTreeMap::new(),
            old_reports: Vec::new(),
            number: 0,
            stopped: Vec::new(),
        }
    }

    pub(crate) fn converge(
        &mut self,
        wanted: Wanted,
        around: &mut Surroundings<'_>,
    ) -> Result<(), StaleEpoch> {
        if wanted.epoch < self.epoch {
            return Err(StaleEpoch);
        }
        self.epoch = wanted.epoch;
        let Some(driver) = &mut self.driver else { return Ok(()) };
        let sequence = wanted.sequence;
        if wanted.coverage == Coverage::Complete && driver.complete.is_none_or(|newest| newest <= sequence) {
            driver.complete = Some(sequence);
            driver.cells.retain(|_, (taken, _)| *taken > sequence);
        }
        for cell in wanted.cells {
            let is_older = driver.cells.get(&cell.key).is_some_and(|(taken, _)| *taken > sequence);
            if !is_older {
                // Asked again, confirmed again.
                driver.told.retain(|id, _| !cell.release.contains(id));
                driver.to_confirm.extend(cell.release.iter().cloned());
                driver.cells.insert(cell.key.clone(), (sequence, cell));
            }
        }
        self.drive(around);
        Ok(())
    }

    /// Makes what is wanted, stops what is not, where it can be reached.
    fn drive(&mut self, around: &mut Surroundings<'_>) {
        let Some(driver) = &self.driver else { return };
        let mut wanted = BTreeMap::new();
        for (_, cell) in driver.cells.values() {
            for instance in &cell.run {
                wanted.insert(&instance.id, (cell, instance));
            }
        }
        let unwanted: Vec<InstanceId> = self
            .site
            .units()
            .filter(|(id, cell, deployment)| {
                let is_heard = driver.complete.is_some() || driver.cells.contains_key(cell);
                let another = wanted.get(id).is_some_and(|(wanted, instance)| {
                    wanted.key != **cell || instance.deployment != **deployment
                });
                (is_heard && !wanted.contains_key(id)) || another
            })
            .filter(|(_, cell, _)| !self.cut_off.contains_key(&cell.node))
            .map(|(id, ..)| id.clone())
            .collect();
        for id in unwanted {
            self.site.stop(&id, around);
            self.stopped.push(id);
        }
        for (id, (cell, instance)) in wanted {
            if !self.cut_off.contains_key(&cell.key.node) && !self.site.has(id) {
                self.site.make(cell, instance, around);
            }
        }
    }

    pub(crate) fn advance(&mut self, around: &mut Surroundings<'_>) -> Vec<Observation> {
        self.cut_off.retain(|_, until| *until > around.now);
        self.site.advance(around);
        self.drive(around);
        let mut reports = self.news();
        for at in 0..reports.len() {
            if around.faults.strikes(Fault::DoubleReport, 20, &mut self.dice) {
                reports.push(reports[at].clone());
            }
        }
        self.mischief(around, &mut reports);
        reports
    }

    /// What is to be told and was not.
    fn news(&mut self) -> Vec<Observation> {
        let Some(driver) = &mut self.driver else { return Vec::new() };
        let cut_off: BTreeSet<EdgeNodeId> = self.cut_off.keys().cloned().collect();
        let mut reports = Vec::new();
        if cut_off.difference(&driver.told_cut_off).next().is_some() {
            let nodes = cut_off.iter().cloned().collect();
            reports.push((Reach::Unreachable(nodes), Vec::new()));
        }
        let came_back = driver.told_cut_off.difference(&cut_off).next().is_some();
        if came_back {
            // What was told of them before counts for nothing.
            let back = &driver.told_cut_off - &cut_off;
            let of_them = |id: &InstanceId| self.site.node_of(id).is_some_and(|node| back.contains(node));
            driver.told.retain(|id, _| !of_them(id));
        }
        driver.told_cut_off = cut_off;
        let whole =
            driver.complete.is_some() && self.cut_off.is_empty() && (!driver.has_told_whole || came_back);
        let mut seen = BTreeMap::new();
        for (id, cell, _) in self.site.units() {
            if !self.cut_off.contains_key(&cell.node) {
                seen.insert(id.clone(), self.site.presence(id));
            }
        }
        let nodes: BTreeMap<&InstanceId, &EdgeNodeId> = driver
            .cells
            .values()
            .flat_map(|(_, cell)| cell.release.iter().map(|id| (id, &cell.key.node)))
            .collect();
        for id in driver.told.keys().chain(&driver.to_confirm) {
            let out_of_reach = nodes.get(id).is_some_and(|node| self.cut_off.contains_key(*node))
                || self.site.node_of(id).is_some_and(|node| self.cut_off.contains_key(node));
            if !out_of_reach {
                seen.entry(id.clone()).or_insert(Presence::Gone);
            }
        }
        let told = &driver.told;
        let news: Vec<InstanceObservation> = seen
            .into_iter()
            .filter(|(id, presence)| whole || told.get(id) != Some(presence))
            .map(|(instance, presence)| InstanceObservation { instance, presence })
            .collect();
        for InstanceObservation { instance, presence } in &news {
            driver.told.insert(instance.clone(), presence.clone());
            driver.to_confirm.remove(instance);
        }
        if whole {
            driver.has_told_whole = true;
            reports.push((Reach::Whole, news));
        } else if !news.is_empty() {
            reports.push((Reach::Listed, news));
        }
        reports.into_iter().map(|(reach, instances)| self.observation(reach, instances)).collect()
    }

    fn observation(&mut self, reach: Reach, instances: Vec<InstanceObservation>) -> Observation {
        self.number += 1;
        let observation = Observation {
            engine: self.name.clone(),
            epoch: self.epoch,
            number: self.number,
            reach,
            instances,
            resolved: Vec::new(),
        };
        if self.old_reports.len() == KEPT_REPORTS {
            self.old_reports.remove(0);
        }
        self.old_reports.push(observation.clone());
        observation
    }

    /// Reports that nobody should believe.
    fn mischief(&mut self, around: &mut Surroundings<'_>, reports: &mut Vec<Observation>) {
        if self.driver.is_none() {
            return;
        }
        for fault in [Fault::StaleReport, Fault::OlderAfterNewer] {
            let old = self
                .dice
                .pick(&self.old_reports)
                .filter(|old| (fault == Fault::StaleReport) == (old.epoch < self.epoch));
            if let Some(old) = old.cloned()
                && around.faults.strikes(fault, 10, &mut self.dice)
            {
                reports.push(old);
            }
        }
        if around.faults.strikes(Fault::UnknownReported, 5, &mut self.dice) {
            let instance = InstanceId::new(format!("i-unheardof{}", self.dice.below(1_000)));
            let presence = match self.dice.happens(500) {
                true => Presence::Gone,
                false => Presence::Here {
                    deployment: String::new(),
                    pods: Vec::new(),
                    ready: true,
                    hopeless: None,
                },
            };
            let report = self.observation(Reach::Listed, vec![InstanceObservation { instance, presence }]);
            reports.push(report);
        }
        if around.faults.strikes(Fault::OrphanFound, 2, &mut self.dice) {
            self.site.make_orphan(around);
        }
    }

    pub(crate) fn unsaid(&mut self, report: &Observation) {
        let Some(driver) = &mut self.driver else { return };
        for InstanceObservation { instance, presence } in &report.instances {
            driver.told.remove(instance);
            if *presence == Presence::Gone {
                driver.to_confirm.insert(instance.clone());
            }
        }
        match &report.reach {
            Reach::Whole => driver.has_told_whole = false,
            Reach::Listed => {}
            Reach::Unreachable(_) => {
                // An earlier cut may have been heard of: what is forgotten here must still be taken back.
                driver.told_cut_off.clear();
                driver.has_told_whole = false;
            }
        }
    }

    /// While nobody drives it nobody looks either: what its programs did in between is seen when somebody does.
    pub(crate) fn next_due(&self) -> Option<Moment> {
        self.driver.as_ref()?;
        let back = self.cut_off.values().min().copied();
        back.into_iter().chain(self.site.next_due()).min()
    }

    pub(crate) fn kill_engine(&mut self) {
        self.driver = None;
    }

    pub(crate) fn open_engine(&mut self, epoch: Epoch, around: &mut Surroundings<'_>) {
        if epoch >= self.epoch {
            self.epoch = epoch;
            self.number = 0;
            self.driver = Some(Driver::default());
            self.site.advance(around);
        }
    }

    pub(crate) fn reboot(&mut self, node: &EdgeNodeId) {
        self.site.reboot(node);
    }

    pub(crate) fn cut_off(&mut self, nodes: &BTreeMap<EdgeNodeId, Moment>, around: &mut Surroundings<'_>) {
        self.cut_off.clone_from(nodes);
        self.cut_off.retain(|_, until| *until > around.now);
    }

    pub(crate) fn truth(&self) -> Vec<Running> {
        self.site.truth()
    }
}
