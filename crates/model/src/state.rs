//! What is believed, as a value: a clone shares structure with the original, so a reader's snapshot costs
//! nothing. Accounts are reached through a [`Permit`]; only `apply` changes anything.

use crate::application::Application;
use crate::fleet::Fleet;
use crate::id::{AccountId, AppId, EdgeNodeId, InstanceId, OperationId};
use crate::instance::Instance;
use crate::operation::{Operation, Subject};
use crate::permit::Permit;
use crate::spec::Resources;
use imbl::{OrdMap, OrdSet};
use std::sync::Arc;

#[derive(Clone, Debug, Default)]
pub struct State {
    pub(crate) fleet: Arc<Fleet>,
    /// Sequence of the last log entry applied; 0 = none.
    pub(crate) sequence: u64,
    pub(crate) applications: OrdMap<AppId, Arc<Application>>,
    pub(crate) instances: OrdMap<InstanceId, Arc<Instance>>,
    pub(crate) operations: OrdMap<OperationId, Arc<Operation>>,
    pub(crate) apps_by_account: OrdSet<(AccountId, AppId)>,
    pub(crate) instances_by_app: OrdSet<(AppId, InstanceId)>,
    /// What instances, also those being released, take of each node.
    pub(crate) used: OrdMap<EdgeNodeId, Resources>,
}

impl State {
    /// The edge nodes are the operator's, not an account's: no permit is needed to read them.
    pub fn fleet(&self) -> &Arc<Fleet> {
        &self.fleet
    }

    /// Sequence of the last log entry applied; 0 = none.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// What is taken of `node`, by all accounts.
    pub fn used(&self, node: &EdgeNodeId) -> Resources {
        self.used.get(node).copied().unwrap_or_default()
    }

    /// What the holder of `permit` may see.
    pub fn account<'a>(&'a self, permit: &'a Permit) -> AccountView<'a> {
        AccountView { state: self, account: permit.account() }
    }

    /// All instances of one application, those being released included; for what decides, which holds the
    /// command's permit.
    pub(crate) fn instances_of<'a>(&'a self, app: &'a AppId) -> impl Iterator<Item = &'a Arc<Instance>> + 'a {
        let first = (app.clone(), InstanceId::default());
        self.instances_by_app
            .range(first..)
            .take_while(move |(owner, _)| owner == app)
            .filter_map(|(_, id)| self.instances.get(id))
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

    /// All instances of one application of the account, those being released included, in the order of their ids.
    pub fn instances(&self, app: &AppId) -> Vec<&'a Arc<Instance>> {
        let Some(application) = self.application(app) else { return Vec::new() };
        self.state.instances_of(&application.id).collect()
    }

    pub fn instance(&self, id: &InstanceId) -> Option<&'a Arc<Instance>> {
        self.state.instances.get(id).filter(|instance| instance.account == *self.account)
    }

    pub fn operation(&self, id: &OperationId) -> Option<&'a Arc<Operation>> {
        self.state.operations.get(id).filter(|operation| operation.account == *self.account)
    }

    /// Newest first; those of deleted applications included.
    pub fn operations(&self, app: Option<&AppId>) -> Vec<&'a Arc<Operation>> {
        let mut found: Vec<_> = self
            .state
            .operations
            .values()
            .filter(|operation| operation.account == *self.account)
            .filter(|operation| app.is_none_or(|app| operation.subject == Subject::Application(app.clone())))
            .collect();
        found.sort_by(|a, b| (b.accepted_at, &b.id).cmp(&(a.accepted_at, &a.id)));
        found
    }
}
