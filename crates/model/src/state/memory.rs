//! What is remembered of things gone: answers to client tokens, nonces of accepted writes, ended operations,
//! released instances. Each is bounded by age and number (`decisions.md` §2.3, §2.11, §2.12, §4.1).
//! Ended operations themselves stay in the state; here is only when they go.

use super::State;
use super::ledger::{Bounds, Forgotten, Ledger, Reason};
use crate::command::{ClientToken, Nonce};
use crate::id::{AccountId, AppId, Digest, InstanceId, OperationId};
use crate::instance::Instance;
use crate::own_instance::OwnInstance;
use crate::time::{Now, WallTime};
use imbl::OrdMap;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const HOUR_MS: i64 = 3_600_000;

const TOKENS: Bounds = Bounds { age_ms: 24 * HOUR_MS, per_owner: 100_000, in_all: 1_000_000 };
/// Counted from the request's own stamp, as the gateway does.
const NONCES: Bounds = Bounds { age_ms: HOUR_MS / 4, per_owner: 200_000, in_all: 2_000_000 };
const OPERATIONS: Bounds = Bounds { age_ms: 7 * 24 * HOUR_MS, per_owner: 20_000, in_all: 200_000 };
const GONE: Bounds = Bounds { age_ms: 24 * HOUR_MS, per_owner: 20_000, in_all: 200_000 };

/// Action and token: what a client token is unique for within its account.
type TokenKey = (String, String);

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Memory {
    pub(crate) tokens: OrdMap<(AccountId, TokenKey), Arc<TokenAnswer>>,
    token_ages: Ledger<AccountId, TokenKey>,
    /// By key id and nonce.
    pub(crate) nonces: OrdMap<(String, String), WallTime>,
    nonce_ages: Ledger<String, String>,
    /// Stamps at or before this can no longer be told from replays, by key id.
    pub(crate) nonce_floors: OrdMap<String, WallTime>,
    ended: Ledger<AccountId, OperationId>,
    pub(crate) gone: OrdMap<InstanceId, Arc<Gone>>,
    gone_ages: Ledger<AccountId, InstanceId>,
    pub(crate) gone_own: OrdMap<InstanceId, Arc<GoneOwn>>,
    gone_own_ages: Ledger<AccountId, InstanceId>,
}

/// What an accepted call with a client token was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenAnswer {
    pub fingerprint: Digest,
    pub at: WallTime,
    pub operation: OperationId,
    pub app: Option<AppId>,
    pub revision: u64,
}

/// An instance as it was when the last of it went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gone {
    pub instance: Instance,
    pub at: WallTime,
}

/// An instance by itself as it was when it was given up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GoneOwn {
    pub own: OwnInstance,
    pub at: WallTime,
    pub released_by: Option<OperationId>,
}

impl Memory {
    pub(super) fn restore_token(&mut self, account: AccountId, key: TokenKey, answer: Arc<TokenAnswer>) {
        self.token_ages.restore(account.clone(), key.clone(), answer.at);
        self.tokens.insert((account, key), answer);
    }

    pub(super) fn restore_nonce(&mut self, nonce: Nonce) {
        let Nonce { key_id, nonce, stamp } = nonce;
        self.nonce_ages.restore(key_id.clone(), nonce.clone(), stamp);
        self.nonces.insert((key_id, nonce), stamp);
    }

    pub(super) fn restore_ended(&mut self, account: AccountId, operation: OperationId, ended_at: WallTime) {
        self.ended.restore(account, operation, ended_at);
    }

    pub(super) fn restore_gone(&mut self, gone: Arc<Gone>) {
        let id = gone.instance.id.clone();
        self.gone_ages.restore(gone.instance.account.clone(), id.clone(), gone.at);
        self.gone.insert(id, gone);
    }

    pub(super) fn restore_gone_own(&mut self, gone: Arc<GoneOwn>) {
        let id = gone.own.id.clone();
        self.gone_own_ages.restore(gone.own.account.clone(), id.clone(), gone.at);
        self.gone_own.insert(id, gone);
    }
}

impl State {
    /// The answer that a client token got within the last 24 hours.
    pub(crate) fn answered(
        &self,
        account: &AccountId,
        action: &str,
        token: &str,
        now: WallTime,
    ) -> Option<&TokenAnswer> {
        let key = (account.clone(), (action.to_owned(), token.to_owned()));
        let answer = self.memory.tokens.get(&key)?;
        (now.0.saturating_sub(answer.at.0) <= TOKENS.age_ms).then_some(answer)
    }

    /// Nonces of accepted writes that are still to be refused, oldest stamp in no particular order.
    pub fn nonces(&self) -> impl Iterator<Item = Nonce> {
        self.memory.nonces.iter().map(|((key_id, nonce), stamp)| Nonce {
            key_id: key_id.clone(),
            nonce: nonce.clone(),
            stamp: *stamp,
        })
    }

    /// Per access key, the newest stamp of a nonce that had to go for want of room: requests stamped at or before
    /// it are refused as expired (`decisions.md` §4.1).
    pub fn nonce_floors(&self) -> impl Iterator<Item = (&str, WallTime)> {
        self.memory.nonce_floors.iter().map(|(key_id, stamp)| (key_id.as_str(), *stamp))
    }

    /// Whether an accepted write already carried this nonce, or whether that can no longer be told.
    pub(crate) fn nonce_used(&self, nonce: &Nonce) -> bool {
        self.memory.nonces.contains_key(&(nonce.key_id.clone(), nonce.nonce.clone()))
            || self.memory.nonce_floors.get(&nonce.key_id).is_some_and(|floor| nonce.stamp <= *floor)
    }

    pub(super) fn remember_token(
        &mut self,
        account: &AccountId,
        action: &str,
        token: &ClientToken,
        answer: TokenAnswer,
    ) {
        let key = (action.to_owned(), token.token.clone());
        let memory = &mut self.memory;
        let at = answer.at;
        if let Some(before) = memory.tokens.insert((account.clone(), key.clone()), Arc::new(answer)) {
            // Used again after its time: or the age of the first use would take the second with it.
            memory.token_ages.take_out(account, &key, before.at);
        }
        for Forgotten { owner, key, .. } in memory.token_ages.keep(account, key, at, at, TOKENS) {
            memory.tokens.remove(&(owner, key));
        }
    }

    pub(super) fn remember_nonce(&mut self, nonce: &Nonce, now: WallTime) {
        let memory = &mut self.memory;
        memory.nonces.insert((nonce.key_id.clone(), nonce.nonce.clone()), nonce.stamp);
        let forgotten = memory.nonce_ages.keep(&nonce.key_id, nonce.nonce.clone(), nonce.stamp, now, NONCES);
        for Forgotten { at, owner, key, reason } in forgotten {
            memory.nonces.remove(&(owner.clone(), key));
            if reason == Reason::Bound {
                let floor = memory.nonce_floors.entry(owner).or_insert(at);
                *floor = (*floor).max(at);
            }
        }
    }

    /// From now on the operation is history, and goes when it is too old or too many came after it.
    pub(super) fn remember_ended(
        &mut self,
        account: &AccountId,
        operation: &OperationId,
        ended_at: WallTime,
        now: WallTime,
    ) {
        for Forgotten { key, .. } in
            self.memory.ended.keep(account, operation.clone(), ended_at, now, OPERATIONS)
        {
            let Some(forgotten) = self.operations.remove(&key) else { continue };
            self.operations_by_account.remove(&(forgotten.account.clone(), forgotten.number));
            if let Some(app) = forgotten.subject.app() {
                self.operations_by_app.remove(&(app.clone(), forgotten.number));
            }
        }
    }

    pub(super) fn remember_gone_own(&mut self, gone: GoneOwn, now: Now) {
        let (account, id, at) = (gone.own.account.clone(), gone.own.id.clone(), gone.at);
        self.memory.gone_own.insert(id.clone(), Arc::new(gone));
        for Forgotten { key, .. } in self.memory.gone_own_ages.keep(&account, id, at, now.wall, GONE) {
            self.memory.gone_own.remove(&key);
        }
    }

    pub(super) fn remember_gone(&mut self, gone: Gone, now: Now) {
        let (account, id) = (gone.instance.account.clone(), gone.instance.id.clone());
        let at = gone.at;
        self.memory.gone.insert(id.clone(), Arc::new(gone));
        for Forgotten { key, .. } in self.memory.gone_ages.keep(&account, id, at, now.wall, GONE) {
            self.memory.gone.remove(&key);
        }
    }
}
