//! How instances that exist by themselves come, are looked up and go. Total, like all of `apply`.

use crate::id::{AppId, InstanceId};
use crate::own_instance::{HOSTINGS_AT_MOST, Hosting, OwnInstance};
use crate::state::{GoneOwn, State};
use crate::time::Now;
use std::sync::Arc;

impl State {
    pub(super) fn own(&mut self, own: &OwnInstance) {
        if let Some(operation) = self.operations.get_mut(&own.operation) {
            Arc::make_mut(operation).made.push_back(own.id.clone());
        }
        self.index_own(own);
        self.owned.insert(own.id.clone(), Arc::new(own.clone()));
    }

    /// Enters one wherever it is looked up; itself is inserted by the caller. It takes its room whatever runs on it.
    pub(in crate::state) fn index_own(&mut self, own: &OwnInstance) {
        self.owned_by_account.insert((own.account.clone(), own.id.clone()));
        self.owned_by_node.insert((own.node.clone(), own.id.clone()));
        let used = self.used.entry(own.node.clone()).or_default();
        *used = used.plus(own.resources);
    }

    pub(super) fn disown(&mut self, now: Now, id: &InstanceId) {
        let Some(own) = self.owned.remove(id) else { return };
        self.owned_by_account.remove(&(own.account.clone(), id.clone()));
        self.owned_by_node.remove(&(own.node.clone(), id.clone()));
        self.free(&own.node, own.resources);
        // It is released in the append that accepts the call, so that is the account's last one.
        let operations = (own.account.clone(), 0)..=(own.account.clone(), u64::MAX);
        let released_by = self.operations_by_account.range(operations).next_back().map(|(_, id)| id.clone());
        self.remember_gone_own(GoneOwn { own: Arc::unwrap_or_clone(own), at: now.wall, released_by }, now);
    }

    pub(super) fn host(&mut self, id: &InstanceId, app: &AppId, runs: &InstanceId) {
        if let Some(own) = self.owned.get_mut(id) {
            let own = Arc::make_mut(own);
            own.hosted_by = Some(app.clone());
            own.runs = Some(runs.clone());
            if own.hostings.len() == HOSTINGS_AT_MOST {
                own.hostings.remove(0);
            }
            own.hostings.push(Hosting { app: app.clone(), instance: runs.clone() });
        }
    }

    pub(super) fn give_back(&mut self, id: &InstanceId) {
        if let Some(own) = self.owned.get_mut(id) {
            Arc::make_mut(own).hosted_by = None;
        }
    }
}
