//! The state as plain lists, for snapshots: only what cannot be derived. Indices are built anew, so an image of
//! the state and the state itself are one and the same thing.

use super::apply::{cell_of, name_key};
use super::memory::{Gone, GoneOwn, TokenAnswer};
use super::{Draining, State};
use crate::application::Application;
use crate::command::Nonce;
use crate::fleet::Fleet;
use crate::id::{AccountId, EdgeNodeId, Share, Texts};
use crate::instance::Instance;
use crate::operation::{Operation, Subject, TargetState};
use crate::own_instance::OwnInstance;
use crate::time::{Now, WallTime};
use crate::wanted::Epoch;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::thread;

#[derive(Serialize, Deserialize)]
pub(crate) struct Image {
    sequence: u64,
    last: Now,
    epoch: Epoch,
    next_number: u64,
    fleet: Arc<Fleet>,
    unreachable: Vec<EdgeNodeId>,
    /// Since when, in the same order; shorter in images from before this was kept.
    #[serde(default)]
    unreachable_since: Vec<WallTime>,
    #[serde(default)]
    draining: Vec<(EdgeNodeId, Draining)>,
    #[serde(default)]
    owned: Vec<Arc<OwnInstance>>,
    applications: Vec<Arc<Application>>,
    instances: Vec<Arc<Instance>>,
    operations: Vec<Arc<Operation>>,
    tokens: Vec<Token>,
    nonces: Vec<Nonce>,
    nonce_floors: Vec<(String, WallTime)>,
    gone: Vec<Arc<Gone>>,
    #[serde(default)]
    gone_own: Vec<Arc<GoneOwn>>,
}

#[derive(Serialize, Deserialize)]
struct Token {
    account: AccountId,
    action: String,
    token: String,
    answer: Arc<TokenAnswer>,
}

impl Image {
    pub(crate) fn of(state: &State) -> Self {
        let tokens = state.memory.tokens.iter().map(|((account, (action, token)), answer)| Token {
            account: account.clone(),
            action: action.clone(),
            token: token.clone(),
            answer: answer.clone(),
        });
        let floors = state.nonce_floors().map(|(key_id, stamp)| (key_id.to_owned(), stamp));
        Self {
            sequence: state.sequence,
            last: state.last,
            epoch: state.epoch,
            next_number: state.next_number,
            fleet: state.fleet.clone(),
            unreachable: state.unreachable.keys().cloned().collect(),
            unreachable_since: state.unreachable.values().copied().collect(),
            draining: state
                .draining
                .iter()
                .map(|(node, draining)| (node.clone(), draining.clone()))
                .collect(),
            owned: state.owned.values().cloned().collect(),
            applications: state.applications.values().cloned().collect(),
            instances: state.instances.values().cloned().collect(),
            operations: state.operations.values().cloned().collect(),
            tokens: tokens.collect(),
            nonces: state.nonces().collect(),
            nonce_floors: floors.collect(),
            gone: state.memory.gone.values().cloned().collect(),
            gone_own: state.memory.gone_own.values().cloned().collect(),
        }
    }

    pub(crate) fn into_state(self) -> State {
        let since = self.unreachable_since.into_iter().chain(std::iter::repeat(self.last.wall));
        let mut state = State {
            sequence: self.sequence,
            last: self.last,
            epoch: self.epoch,
            next_number: self.next_number,
            unreachable: self.unreachable.into_iter().zip(since).collect(),
            draining: self.draining.into_iter().collect(),
            ..State::default()
        };
        state.install(&self.fleet);
        let mut texts = Texts::default();
        for mut application in self.applications {
            Arc::make_mut(&mut application).id.share(&mut texts);
            state.apps_by_account.insert((application.account.clone(), application.id.clone()));
            state.apps_by_name.insert(name_key(&application), application.id.clone());
            state.applications.insert(application.id.clone(), application);
        }
        state.take_in_instances(self.instances, &mut texts);
        for mut own in self.owned {
            share_texts_of_own(Arc::make_mut(&mut own), &mut texts);
            state.index_own(&own);
            state.owned.insert(own.id.clone(), own);
        }
        for mut operation in self.operations {
            share_texts_of_operation(Arc::make_mut(&mut operation), &mut texts);
            state.take_in(operation);
        }
        for Token { account, action, token, answer } in self.tokens {
            state.memory.restore_token(account, (action, token), answer);
        }
        for nonce in self.nonces {
            state.memory.restore_nonce(nonce);
        }
        state.memory.nonce_floors = self.nonce_floors.into_iter().collect();
        for gone in self.gone {
            state.memory.restore_gone(gone);
        }
        for gone in self.gone_own {
            state.memory.restore_gone_own(gone);
        }
        state
    }
}

impl State {
    /// Enters all instances wherever they are looked up: with 100,000 of them this is much of a start, so two threads
    /// share it. One cannot notice from the result.
    fn take_in_instances(&mut self, mut instances: Vec<Arc<Instance>>, texts: &mut Texts) {
        for instance in &mut instances {
            share_texts(Arc::make_mut(instance), texts);
        }
        let by_node = thread::scope(|scope| {
            let by_node = scope.spawn(|| {
                let mut half = Self::default();
                instances.iter().for_each(|instance| half.index_by_node(instance));
                half
            });
            for instance in &instances {
                self.index_by_application(&cell_of(instance), instance);
                self.instances.insert(instance.id.clone(), Arc::clone(instance));
            }
            by_node.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        self.instances_by_node = by_node.instances_by_node;
        self.deployments = by_node.deployments;
        self.used = by_node.used;
    }

    /// Enters an operation wherever it is looked up; its instances are there already.
    fn take_in(&mut self, operation: Arc<Operation>) {
        let id = operation.id.clone();
        self.operations_by_account.insert((operation.account.clone(), operation.number), id.clone());
        if let Some(app) = operation.subject.app() {
            self.operations_by_app.insert((app.clone(), operation.number), id.clone());
        }
        if let Some(ended_at) = operation.ended_at {
            self.memory.restore_ended(operation.account.clone(), id.clone(), ended_at);
        } else {
            self.deadlines.insert((operation.deadline, id.clone()));
            if let Some(schedule) = operation.rollout.as_ref().and_then(|rollout| rollout.schedule.as_ref()) {
                self.checks.insert((schedule.next_check, id.clone()));
            }
            for (at, target) in operation.targets.iter().enumerate() {
                let awaited = match target.state {
                    TargetState::Waiting | TargetState::OutOfReach | TargetState::Done => {
                        self.instances.contains_key(&target.instance)
                    }
                    TargetState::GivenUp => false,
                };
                if awaited {
                    self.targets.insert(target.instance.clone(), (id.clone(), at));
                }
            }
        }
        self.operations.insert(id, operation);
    }
}

/// The ids of an instance that it has in common with others.
fn share_texts(instance: &mut Instance, texts: &mut Texts) {
    instance.account.share(texts);
    instance.app.share(texts);
    instance.version.share(texts);
    instance.node.share(texts);
    instance.isp.share(texts);
    instance.spec.share(texts);
    instance.operation.share(texts);
}

fn share_texts_of_own(own: &mut OwnInstance, texts: &mut Texts) {
    own.account.share(texts);
    own.spec.share(texts);
    own.node.share(texts);
    own.isp.share(texts);
    own.operation.share(texts);
}

fn share_texts_of_operation(operation: &mut Operation, texts: &mut Texts) {
    operation.account.share(texts);
    if let Subject::Application(app) = &mut operation.subject {
        app.share(texts);
    }
    for target in &mut operation.targets {
        target.node.share(texts);
        target.isp.share(texts);
    }
}
