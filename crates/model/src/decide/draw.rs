//! Draws instance ids and deployment names from a command's seed: the same command on the same state draws the
//! same ones. What is taken is drawn again. Not for secrets.

use crate::event::PlannedInstance;
use crate::id::{InstanceId, OperationId};
use crate::state::State;
use std::collections::BTreeSet;

const ID_ALPHABET: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const ID_LENGTH: usize = 25;
const DEPLOYMENT_LENGTH: usize = 8;

pub(crate) struct Draw<'a> {
    state: &'a State,
    random: SplitMix,
    ids: BTreeSet<InstanceId>,
    deployments: BTreeSet<String>,
}

impl<'a> Draw<'a> {
    pub(crate) fn new(state: &'a State, seed: u64) -> Self {
        Self { state, random: SplitMix(seed), ids: BTreeSet::new(), deployments: BTreeSet::new() }
    }

    pub(crate) fn instances(&mut self, count: u32) -> Vec<PlannedInstance> {
        (0..count).map(|_| self.instance(None)).collect()
    }

    /// One that runs on an instance of the account, or takes the place of another.
    pub(crate) fn hosted(&mut self, host: &InstanceId) -> PlannedInstance {
        PlannedInstance { host: Some(host.clone()), ..self.instance(None) }
    }

    /// `replaces` is the instance that makes room for it.
    pub(crate) fn instance(&mut self, replaces: Option<&InstanceId>) -> PlannedInstance {
        let (id, deployment) = (self.id(), self.deployment());
        PlannedInstance { id, deployment, host: None, replaces: replaces.cloned() }
    }

    pub(crate) fn id(&mut self) -> InstanceId {
        // 36^25 ids: a second round is already unlikely, so the loop ends.
        loop {
            let id = InstanceId::new(format!("i-{}", self.text(ID_ALPHABET, ID_LENGTH)));
            let memory = &self.state.memory;
            let is_remembered = memory.gone.contains_key(&id) || memory.gone_own.contains_key(&id);
            let taken = self.state.knows_instance(&id) || is_remembered;
            if !taken && self.ids.insert(id.clone()) {
                return id;
            }
        }
    }

    pub(crate) fn deployment(&mut self) -> String {
        // 26^8 names, 2 * 10^11: with a million taken, one in 200,000 draws is repeated.
        loop {
            let deployment = self.text(&ID_ALPHABET[10..], DEPLOYMENT_LENGTH);
            if !self.state.deployments.contains(&deployment) && self.deployments.insert(deployment.clone()) {
                return deployment;
            }
        }
    }

    /// An upper-case UUID of version 4, as RequestIds are, for what nobody called by itself.
    pub(crate) fn operation(&mut self) -> OperationId {
        let (high, low) = (self.random.next(), self.random.next());
        let (high, low) = (high & !0xf000 | 0x4000, low & !(0b11 << 62) | 0b10 << 62);
        OperationId::new(format!(
            "{:08X}-{:04X}-{:04X}-{:04X}-{:012X}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xffff,
            low >> 48,
            low & 0xffff_ffff_ffff
        ))
    }

    fn text(&mut self, alphabet: &[u8], length: usize) -> String {
        (0..length).map(|_| char::from(alphabet[self.random.below(alphabet.len())])).collect()
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): every seed gives its own full-length sequence.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The bias of the multiplication is below 2^-58 for an alphabet.
    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_documented_shape() {
        let state = State::default();

        let drawn = Draw::new(&state, 7).instances(100);

        for PlannedInstance { id, deployment, .. } in &drawn {
            let rest = id.as_str().strip_prefix("i-").unwrap();
            assert_eq!(rest.len(), ID_LENGTH);
            assert!(rest.bytes().all(|byte| ID_ALPHABET.contains(&byte)), "{id}");
            assert_eq!(deployment.len(), DEPLOYMENT_LENGTH);
            assert!(deployment.bytes().all(|byte| byte.is_ascii_lowercase()), "{deployment}");
        }
    }

    #[test]
    fn the_same_seed_draws_the_same_and_another_seed_others() {
        let state = State::default();

        let first = Draw::new(&state, 1).instances(10);

        assert_eq!(Draw::new(&state, 1).instances(10), first);
        assert!(Draw::new(&state, 2).instances(10).iter().all(|other| !first.contains(other)));
    }

    #[test]
    fn what_is_taken_is_drawn_again() {
        let mut state = State::default();
        let first = Draw::new(&state, 1).instances(1).remove(0);
        state.deployments.insert(first.deployment.clone());

        let second = Draw::new(&state, 1).instances(1).remove(0);

        assert_eq!(second.id, first.id);
        assert_ne!(second.deployment, first.deployment);
    }
}
