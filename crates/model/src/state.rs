//! What is believed, as a value: a clone shares structure with the original, so a reader's snapshot costs
//! nothing. Accounts are reached through a [`Permit`]; only `apply` changes anything.
//! What engines should hold is in `state::cells`; what is remembered of things gone, in `state::memory`.

mod apply;
mod cells;
mod draining;
pub(crate) mod image;
mod ledger;
mod memory;

use crate::application::{Application, Version};
use crate::fleet::{EdgeNode, Fleet};
use crate::id::{
    AccountId, AppId, Digest, EdgeNodeId, EngineName, InstanceId, Isp, OperationId, VersionName,
};
use crate::instance::Instance;
use crate::operation::Operation;
use crate::own_instance::OwnInstance;
use crate::permit::Permit;
use crate::spec::Resources;
use crate::time::{LogTime, Now, WallTime};
use crate::wanted::{CellKey, Epoch};
use imbl::{OrdMap, OrdSet};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) use apply::cell_of;
pub use draining::Draining;
pub use memory::{Gone, GoneOwn, TokenAnswer};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    pub(crate) fleet: Arc<Fleet>,
    /// Where each node stands in the fleet's list.
    pub(crate) places: Arc<BTreeMap<EdgeNodeId, usize>>,
    /// Sequence of the last log entry applied; 0 = none.
    pub(crate) sequence: u64,
    /// The times of the last log entry applied.
    pub(crate) last: Now,
    /// The leader that wrote it.
    pub(crate) epoch: Epoch,
    pub(crate) applications: OrdMap<AppId, Arc<Application>>,
    pub(crate) instances: OrdMap<InstanceId, Arc<Instance>>,
    pub(crate) operations: OrdMap<OperationId, Arc<Operation>>,
    /// The number of the next operation.
    pub(crate) next_number: u64,
    pub(crate) apps_by_account: OrdSet<(AccountId, AppId)>,
    /// By account, cluster and name: the name is free again once the application is gone.
    pub(crate) apps_by_name: OrdMap<(AccountId, String, String), AppId>,
    /// How many instances an application holds on a node and carrier, those being released left out; never 0.
    pub(crate) held: OrdMap<(AppId, EdgeNodeId, Isp), u32>,
    pub(crate) instances_by_node: OrdSet<(EdgeNodeId, InstanceId)>,
    /// Instances by themselves, whether or not an application runs on them.
    pub(crate) owned: OrdMap<InstanceId, Arc<OwnInstance>>,
    pub(crate) owned_by_account: OrdSet<(AccountId, InstanceId)>,
    pub(crate) owned_by_node: OrdSet<(EdgeNodeId, InstanceId)>,
    /// Which instances a cell has, and so an application: its cells lie side by side.
    pub(crate) cells: OrdSet<(CellKey, InstanceId)>,
    pub(crate) deployments: OrdSet<String>,
    pub(crate) operations_by_account: OrdMap<(AccountId, u64), OperationId>,
    pub(crate) operations_by_app: OrdMap<(AppId, u64), OperationId>,
    /// Running operations in the order of their deadlines.
    pub(crate) deadlines: OrdSet<(LogTime, OperationId)>,
    /// Running operations that are looked at again on a schedule, in the order of when.
    pub(crate) checks: OrdSet<(LogTime, OperationId)>,
    /// Which running operation waits for an instance, and where in its list of targets.
    pub(crate) targets: OrdMap<InstanceId, (OperationId, usize)>,
    /// Nodes whose engine cannot say how they are, and since when.
    pub(crate) unreachable: OrdMap<EdgeNodeId, WallTime>,
    /// Nodes that are to be emptied.
    pub(crate) draining: OrdMap<EdgeNodeId, Draining>,
    /// What instances, also those being released, take of each node.
    pub(crate) used: OrdMap<EdgeNodeId, Resources>,
    pub(crate) memory: memory::Memory,
}

impl State {
    /// The edge nodes are the operator's, not an account's: no permit is needed to read them.
    pub fn fleet(&self) -> &Arc<Fleet> {
        &self.fleet
    }

    /// The edge node `id`, without going through the fleet's list.
    pub fn node(&self, id: &EdgeNodeId) -> Option<&EdgeNode> {
        self.places.get(id).and_then(|place| self.fleet.nodes.get(*place))
    }

    /// The engine that runs `node`.
    pub fn engine_of(&self, node: &EdgeNodeId) -> Option<&EngineName> {
        self.node(node).map(|node| &node.engine)
    }

    /// Whether the node's engine could say how it is when it last reported.
    pub fn is_reachable(&self, node: &EdgeNodeId) -> bool {
        !self.unreachable.contains_key(node)
    }

    /// Nodes whose engine cannot say how they are.
    pub fn unreachable(&self) -> impl Iterator<Item = &EdgeNodeId> {
        self.unreachable.keys()
    }

    /// Since when the node's engine cannot say how it is.
    pub fn unreachable_since(&self, node: &EdgeNodeId) -> Option<WallTime> {
        self.unreachable.get(node).copied()
    }

    /// Nodes that are to be emptied.
    pub fn draining(&self) -> impl Iterator<Item = (&EdgeNodeId, &Draining)> {
        self.draining.iter()
    }

    /// The drain of one node.
    pub fn drain_of(&self, node: &EdgeNodeId) -> Option<&Draining> {
        self.draining.get(node)
    }

    /// Sequence of the last log entry applied; 0 = none.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The times of the last log entry applied; log time goes on from there (`decisions.md` §2.8).
    pub fn last(&self) -> Now {
        self.last
    }

    /// The leader that wrote the last log entry applied.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What is taken of `node`, by all accounts.
    pub fn used(&self, node: &EdgeNodeId) -> Resources {
        self.used.get(node).copied().unwrap_or_default()
    }

    /// Of all accounts.
    pub fn application_count(&self) -> usize {
        self.applications.len()
    }

    /// How many instances the log wants to run, of all accounts: all but those being released.
    pub fn held_instances(&self) -> usize {
        self.instances.values().filter(|instance| instance.is_held()).count()
    }

    /// Whether the instance is anybody's, be it on its way out. For the operator, who sees all accounts.
    pub fn knows_instance(&self, id: &InstanceId) -> bool {
        self.instances.contains_key(id) || self.owned.contains_key(id)
    }

    /// Every image that a version of any application is pinned to: as written, and its digest.
    pub fn pins(&self) -> impl Iterator<Item = (&String, &Digest)> {
        let versions = self.applications.values().flat_map(|application| application.versions.iter());
        versions.flat_map(|version| version.pins.iter())
    }

    /// The versions that are pinned to `digest`, of all accounts.
    pub fn pinned_by<'a>(
        &'a self,
        digest: &'a Digest,
    ) -> impl Iterator<Item = (&'a Application, &'a Version)> + 'a {
        let versions = self.applications.values().flat_map(|application| {
            application.versions.iter().map(move |version| (&**application, version))
        });
        versions.filter(move |(_, version)| version.pins.values().any(|pin| pin == digest))
    }

    /// How many instances are on `node`, of all accounts, those being released and those that carry nothing included.
    pub fn instance_count(&self, node: &EdgeNodeId) -> usize {
        self.instances_on(node).count() + self.bare_instances_on(node).count()
    }

    /// Instances by themselves on one node that carry nothing, of all accounts: they take their room all the same.
    pub(crate) fn bare_instances_on<'a>(
        &'a self,
        node: &'a EdgeNodeId,
    ) -> impl Iterator<Item = &'a Arc<OwnInstance>> + 'a {
        let first = (node.clone(), InstanceId::default());
        self.owned_by_node
            .range(first..)
            .take_while(move |(owner, _)| owner == node)
            .filter_map(|(_, id)| self.owned.get(id))
            .filter(|own| own.hosted_by.is_none())
    }

    /// The id that an account knows an instance by.
    pub fn shown_id<'a>(&'a self, id: &'a InstanceId) -> &'a InstanceId {
        self.instances.get(id).map_or(id, |instance| instance.shown_id())
    }

    /// What the holder of `permit` may see.
    pub fn account<'a>(&'a self, permit: &'a Permit) -> AccountView<'a> {
        AccountView { state: self, account: permit.account() }
    }

    /// All instances of one application, those being released included, cell by cell; for what decides, which holds
    /// the command's permit.
    pub(crate) fn instances_of<'a>(&'a self, app: &'a AppId) -> impl Iterator<Item = &'a Arc<Instance>> + 'a {
        let first = CellKey { app: app.clone(), ..CellKey::default() };
        self.cells
            .range((first, InstanceId::default())..)
            .take_while(move |(cell, _)| cell.app == *app)
            .filter_map(|(_, id)| self.instances.get(id))
    }

    /// Those of one application on one node, without going through all of either.
    pub(crate) fn instances_of_on<'a>(
        &'a self,
        app: &AppId,
        node: &EdgeNodeId,
    ) -> impl Iterator<Item = &'a Arc<Instance>> + 'a {
        let versions = self.applications.get(app).map(|application| Arc::clone(&application.versions));
        let names: Vec<VersionName> = versions
            .iter()
            .flat_map(|versions| versions.iter())
            .map(|version| version.name.clone())
            .collect();
        let (app, node) = (app.clone(), node.clone());
        names.into_iter().flat_map(move |version| {
            let (app, node) = (app.clone(), node.clone());
            let first = CellKey {
                app: app.clone(),
                version: version.clone(),
                node: node.clone(),
                isp: Isp::default(),
            };
            let on_node = self
                .cells
                .range((first, InstanceId::default())..)
                .take_while(move |(cell, _)| cell.node == node && cell.version == version && cell.app == app);
            on_node.filter_map(|(_, id)| self.instances.get(id))
        })
    }

    /// How many instances an application holds, by node and carrier, those being released left out.
    pub(crate) fn held_of<'a>(
        &'a self,
        app: &'a AppId,
    ) -> impl Iterator<Item = (&'a EdgeNodeId, &'a Isp, u32)> + 'a {
        let first = (app.clone(), EdgeNodeId::default(), Isp::default());
        let of_app = self.held.range(first..).take_while(move |((owner, ..), _)| owner == app);
        of_app.map(|((_, node, isp), count)| (node, isp, *count))
    }

    /// How many instances an application holds in all.
    pub(crate) fn held_count(&self, app: &AppId) -> u32 {
        self.held_of(app).fold(0, |sum, (_, _, count)| sum.saturating_add(count))
    }

    /// All instances on one node, of all accounts.
    pub(crate) fn instances_on<'a>(
        &'a self,
        node: &'a EdgeNodeId,
    ) -> impl Iterator<Item = &'a Arc<Instance>> + 'a {
        let first = (node.clone(), InstanceId::default());
        self.instances_by_node
            .range(first..)
            .take_while(move |(owner, _)| owner == node)
            .filter_map(|(_, id)| self.instances.get(id))
    }

    /// The running operation that waits for `instance`.
    pub(crate) fn waiting_for(&self, instance: &InstanceId) -> Option<&Arc<Operation>> {
        self.targets.get(instance).and_then(|(operation, _)| self.operations.get(operation))
    }
}

/// One account's part of the state. Another account's AppId looks like no AppId.
#[derive(Clone, Copy)]
pub struct AccountView<'a> {
    state: &'a State,
    account: &'a AccountId,
}

impl<'a> AccountView<'a> {
    pub fn state(&self) -> &'a State {
        self.state
    }

    pub fn application(&self, app: &AppId) -> Option<&'a Arc<Application>> {
        self.state.applications.get(app).filter(|application| application.account == *self.account)
    }

    /// In the order of their ids.
    pub fn applications(&self) -> impl Iterator<Item = &'a Arc<Application>> + 'a {
        let account = self.account;
        let state = self.state;
        let first = (account.clone(), AppId::default());
        state
            .apps_by_account
            .range(first..)
            .take_while(move |(owner, _)| owner == account)
            .filter_map(|(_, app)| state.applications.get(app))
    }

    /// The application of that name, unique per cluster.
    pub fn application_named(&self, cluster: &str, name: &str) -> Option<&'a Arc<Application>> {
        let key = (self.account.clone(), cluster.to_owned(), name.to_owned());
        self.state.apps_by_name.get(&key).and_then(|app| self.state.applications.get(app))
    }

    /// All instances of one application of the account, those being released included, in the order of their ids.
    pub fn instances(&self, app: &AppId) -> Vec<&'a Arc<Instance>> {
        let Some(application) = self.application(app) else { return Vec::new() };
        let mut instances: Vec<_> = self.state.instances_of(&application.id).collect();
        instances.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        instances
    }

    /// An instance of an application, by the id that the account knows it by.
    pub fn instance(&self, id: &InstanceId) -> Option<&'a Arc<Instance>> {
        let hosted = self.own_instance(id).and_then(|own| own.runs.as_ref());
        self.state.instances.get(hosted.unwrap_or(id)).filter(|found| found.account == *self.account)
    }

    /// An instance that is gone, for 24 hours: what it was and why it went.
    pub fn gone(&self, id: &InstanceId) -> Option<&'a Arc<Gone>> {
        let hosted = self.own_instance(id).and_then(|own| own.runs.as_ref());
        self.state.memory.gone.get(hosted.unwrap_or(id)).filter(|gone| gone.instance.account == *self.account)
    }

    /// An instance that existed by itself, for 24 hours after it was released.
    pub fn gone_own(&self, id: &InstanceId) -> Option<&'a Arc<GoneOwn>> {
        self.state.memory.gone_own.get(id).filter(|gone| gone.own.account == *self.account)
    }

    /// An instance of the account that exists by itself, whether or not an application runs on it.
    pub fn own_instance(&self, id: &InstanceId) -> Option<&'a Arc<OwnInstance>> {
        self.state.owned.get(id).filter(|own| own.account == *self.account)
    }

    /// All of them, in the order of their ids.
    pub fn own_instances(&self) -> impl Iterator<Item = &'a Arc<OwnInstance>> + 'a {
        let (account, state) = (self.account, self.state);
        let first = (account.clone(), InstanceId::default());
        state
            .owned_by_account
            .range(first..)
            .take_while(move |(owner, _)| owner == account)
            .filter_map(|(_, id)| state.owned.get(id))
    }

    /// Those on one node that carry nothing.
    pub fn bare_instances_on(&self, node: &'a EdgeNodeId) -> impl Iterator<Item = &'a Arc<OwnInstance>> + 'a {
        let account = self.account;
        self.state.bare_instances_on(node).filter(move |own| own.account == *account)
    }

    pub fn operation(&self, id: &OperationId) -> Option<&'a Arc<Operation>> {
        self.state.operations.get(id).filter(|operation| operation.account == *self.account)
    }

    /// Newest first; those of deleted applications included.
    pub fn operations(&self, app: Option<&AppId>) -> Vec<&'a Arc<Operation>> {
        let state = self.state;
        let ids: Vec<&OperationId> = match app {
            Some(app) => {
                let range = (app.clone(), 0)..=(app.clone(), u64::MAX);
                state.operations_by_app.range(range).rev().map(|(_, id)| id).collect()
            }
            None => {
                let range = (self.account.clone(), 0)..=(self.account.clone(), u64::MAX);
                state.operations_by_account.range(range).rev().map(|(_, id)| id).collect()
            }
        };
        ids.into_iter().filter_map(|id| self.operation(id)).collect()
    }
}
