//! What engines should hold, read from the state: complete for one engine, or for the cells that changed.
//! Decides nothing: an instance runs while it is held, and until whoever runs it can be told that it is released.

use super::State;
use crate::id::{AppId, EdgeNodeId, EngineName, InstanceId, Isp, VersionName};
use crate::instance::Instance;
use crate::port::Exposed;
use crate::spec::{self, Resources};
use crate::wanted::{
    CellKey, CellTemplate, Coverage, Epoch, Wanted, WantedCell, WantedHost, WantedInstance, WantedWorkload,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Templates made so far: cells of one version share theirs.
type Templates = BTreeMap<(AppId, VersionName), Arc<CellTemplate>>;

impl State {
    /// Everything that `engine` should hold: what is in none of these cells goes.
    pub fn wanted_for(&self, engine: &EngineName, epoch: Epoch) -> Wanted {
        let mut templates = Templates::new();
        let mut cells: Vec<WantedCell> = Vec::new();
        for (key, id) in self.cells.iter().filter(|(key, _)| self.engine_of(&key.node) == Some(engine)) {
            if cells.last().is_none_or(|last| last.key != *key) {
                cells.push(self.empty_cell(key, &mut templates));
            }
            if let Some((cell, instance)) = cells.last_mut().zip(self.instances.get(id)) {
                wish(cell, instance);
            }
        }
        Wanted { epoch, sequence: self.sequence(), coverage: Coverage::Complete, cells }
    }

    /// What the engines of `cells` should hold in them; a cell that holds nothing any more is listed empty.
    pub fn wanted_in(&self, cells: &BTreeSet<CellKey>, epoch: Epoch) -> BTreeMap<EngineName, Wanted> {
        let mut templates = Templates::new();
        let mut by_engine: BTreeMap<EngineName, Wanted> = BTreeMap::new();
        for key in cells {
            // A node that left the fleet carries nothing, so nobody has to be told.
            let Some(engine) = self.engine_of(&key.node) else { continue };
            let wanted = by_engine.entry(engine.clone()).or_insert_with(|| Wanted {
                epoch,
                sequence: self.sequence(),
                coverage: Coverage::Listed,
                cells: Vec::new(),
            });
            wanted.cells.push(self.wanted_cell(key, &mut templates));
        }
        by_engine
    }

    /// The cells of one version that hold anything.
    pub(crate) fn cells_of(&self, app: &AppId, version: &VersionName) -> Vec<CellKey> {
        let first = CellKey {
            app: app.clone(),
            version: version.clone(),
            node: EdgeNodeId::default(),
            isp: Isp::default(),
        };
        let cells = self.cells.range((first, InstanceId::default())..).map(|(key, _)| key);
        let mut cells: Vec<CellKey> =
            cells.take_while(|key| key.app == *app && key.version == *version).cloned().collect();
        cells.dedup();
        cells
    }

    fn wanted_cell(&self, key: &CellKey, templates: &mut Templates) -> WantedCell {
        let mut cell = self.empty_cell(key, templates);
        let listed = self.cells.range((key.clone(), InstanceId::default())..);
        let ids = listed.take_while(|(other, _)| other == key).map(|(_, id)| id);
        ids.filter_map(|id| self.instances.get(id)).for_each(|instance| wish(&mut cell, instance));
        cell
    }

    fn empty_cell(&self, key: &CellKey, templates: &mut Templates) -> WantedCell {
        let template = templates
            .entry((key.app.clone(), key.version.clone()))
            .or_insert_with(|| Arc::new(self.template(&key.app, &key.version)))
            .clone();
        WantedCell { key: key.clone(), template, run: Vec::new(), release: Vec::new() }
    }

    /// Empty when the application is gone: its cells hold nothing then.
    fn template(&self, app: &AppId, version: &VersionName) -> CellTemplate {
        let application = self.applications.get(app);
        let found = application
            .and_then(|application| application.version(version).map(|found| (application, found)));
        let Some((application, version)) = found else {
            let (limits, workloads, pins) = (Resources::default(), Vec::new(), BTreeMap::new());
            return CellTemplate { app_name: String::new(), limits, workloads, pins };
        };
        let workloads = version.workloads.iter().map(|workload| WantedWorkload {
            name: workload.name.clone(),
            pod_count: workload.pod_count,
            exposed: (!workload.ports.is_empty())
                .then(|| Exposed { publish: None, ports: workload.ports.clone() }),
            containers: workload.containers.clone(),
        });
        CellTemplate {
            app_name: application.meta.name.clone(),
            limits: spec::resources(&application.resources.instance_spec).unwrap_or_default(),
            workloads: workloads.collect(),
            pins: version.pins.clone(),
        }
    }
}

fn wish(cell: &mut WantedCell, instance: &Instance) {
    // One that goes back to what was before must find what nobody was told to stop (`decisions.md` §9.4).
    if instance.is_held() || instance.untold {
        cell.run.push(wanted_instance(instance));
    } else {
        cell.release.push(instance.id.clone());
    }
}

fn wanted_instance(instance: &Instance) -> WantedInstance {
    WantedInstance {
        id: instance.id.clone(),
        deployment: instance.deployment.clone(),
        host: instance.host.clone().map(|id| WantedHost { id, limits: instance.resources }),
    }
}
