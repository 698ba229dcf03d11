//! What of a report is news: whatever was said later, about an instance or about its node, counts. Reports may come
//! late, twice and out of turn. Not part of the log: a leader's epoch begins with nothing heard. Changes no state.
//!
//! In whatever order the reports of one engine come, each any number of times, in the end a node is reachable as if
//! they had come in turn, and so is every instance (ready, pods, known or unknown) of which something was said after
//! its node was last cut off. What comes late is passed over as a whole: of an instance that was not heard of since its
//! node was cut off, details may be older; it is not unknown for a cut that is heard of only after the node is back.
//! What an operation made of a report that was news when it came (ready in time, hopeless) stays, as does the first
//! resolution of an image.

use crate::id::{EdgeNodeId, EngineName, InstanceId};
use crate::instance::Instance;
use crate::observation::{InstanceObservation, Observation, Presence, Reach, ResolvedImage};
use crate::state::State;
use std::collections::{BTreeMap, BTreeSet};

/// Entries that are kept beyond twice those that the state has use for, before they are looked through.
const SLACK: usize = 1_000;

/// The numbers of the reports that were heard, within one epoch.
#[derive(Clone, Debug, Default)]
pub struct Freshness {
    engines: BTreeMap<EngineName, Heard>,
}

/// Of one engine. What the last report of the whole is newer than is not kept.
#[derive(Clone, Debug, Default)]
struct Heard {
    whole: u64,
    instances: BTreeMap<InstanceId, u64>,
    nodes: BTreeMap<EdgeNodeId, HeardOfNode>,
}

#[derive(Clone, Copy, Debug, Default)]
struct HeardOfNode {
    cut_off: u64,
    /// Something on it was named, so it could be reached.
    named: u64,
}

/// What is new in a report, about what is the engine's to speak about.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// Nodes that can be spoken about no more, and again.
    pub(crate) lost: Vec<EdgeNodeId>,
    pub(crate) back: Vec<EdgeNodeId>,
    /// What a report of the whole does not name is gone.
    pub(crate) instances: Vec<InstanceObservation>,
    pub(crate) resolved: Vec<ResolvedImage>,
}

impl Freshness {
    /// Takes note of a report; returns what is newer than what was heard before.
    pub(crate) fn sift(&mut self, state: &State, observation: Observation) -> News {
        let Observation { engine, epoch: _, number, reach, mut instances, resolved } = observation;
        let mut news = News { resolved, ..News::default() };
        if !state.fleet().engines.contains_key(&engine) {
            return news;
        }
        let heard = self.engines.entry(engine.clone()).or_default();
        if number <= heard.whole {
            return news;
        }
        let ours = |node: &EdgeNodeId| state.engine_of(node) == Some(&engine);
        if let Reach::Unreachable(nodes) = &reach {
            let nodes: BTreeSet<&EdgeNodeId> = nodes.iter().collect();
            let nodes = nodes.into_iter().filter(|node| ours(node) && heard.cut_off(node, number));
            news.lost = nodes.filter(|node| state.is_reachable(node)).cloned().collect();
        }
        match &reach {
            Reach::Whole => {
                news.back = state.unreachable().filter(|node| ours(node)).cloned().collect();
                news.back.retain(|node| heard.of(node).cut_off < number);
                instances.extend(unnamed(state, &engine, &instances));
            }
            // Whoever says how something on a node is can reach it.
            Reach::Listed | Reach::Unreachable(_) => {
                let named = instances.iter().filter_map(|seen| state.instances.get(&seen.instance));
                let nodes: BTreeSet<&EdgeNodeId> = named.map(|instance| &instance.node).collect();
                let nodes = nodes.into_iter().filter(|node| ours(node) && heard.name(node, number));
                news.back = nodes.filter(|node| !state.is_reachable(node)).cloned().collect();
            }
        }
        let is_new = |seen: &InstanceObservation| {
            let found = state.instances.get(&seen.instance).filter(|found| ours(&found.node));
            found.is_some_and(|found| heard.is_new(found, &seen.presence, number))
        };
        news.instances = instances.into_iter().filter(is_new).collect();
        if reach == Reach::Whole {
            heard.whole = number;
            heard.instances.retain(|_, named| *named > number);
            heard.nodes.retain(|_, node| node.cut_off.max(node.named) > number);
        }
        heard.forget_what_is_not_in(state);
        news
    }
}

impl Heard {
    fn of(&self, node: &EdgeNodeId) -> HeardOfNode {
        self.nodes.get(node).copied().unwrap_or_default()
    }

    /// Something on the node was named; says whether that is the last that was heard of it.
    fn name(&mut self, node: &EdgeNodeId, number: u64) -> bool {
        let before = self.of(node);
        if number > before.named {
            self.nodes.insert(node.clone(), HeardOfNode { named: number, ..before });
        }
        number > before.named.max(before.cut_off)
    }

    /// The same of a node that was cut off.
    fn cut_off(&mut self, node: &EdgeNodeId, number: u64) -> bool {
        let before = self.of(node);
        let cut_off = before.cut_off.max(number);
        self.nodes.insert(node.clone(), HeardOfNode { cut_off, ..before });
        number > before.named.max(before.cut_off)
    }

    fn is_new(&mut self, instance: &Instance, presence: &Presence, number: u64) -> bool {
        let last = self.instances.entry(instance.id.clone()).or_default();
        if number <= *last {
            return false;
        }
        *last = number;
        // From before the node was cut off, or while it is, only this holds: what is confirmed gone does not come again.
        let is_gone = *presence == Presence::Gone && !instance.is_held();
        is_gone || number > self.of(&instance.node).cut_off
    }

    /// About what is gone an old report says nothing anyway.
    fn forget_what_is_not_in(&mut self, state: &State) {
        if self.instances.len() > 2 * state.instances.len() + SLACK {
            self.instances.retain(|id, _| state.instances.contains_key(id));
        }
        if self.nodes.len() > 2 * state.fleet().nodes.len() + SLACK {
            self.nodes.retain(|node, _| state.node(node).is_some());
        }
    }
}

/// What a report of everything does not name, of what is held. One that is being released is gone only when it is named:
/// a report from before its engine heard of it may arrive when it already runs.
fn unnamed(state: &State, engine: &EngineName, named: &[InstanceObservation]) -> Vec<InstanceObservation> {
    let named: BTreeSet<&InstanceId> = named.iter().map(|seen| &seen.instance).collect();
    let nodes = state.fleet().nodes.iter().filter(|node| node.engine == *engine);
    let instances = nodes.flat_map(|node| state.instances_on(&node.id));
    let gone = instances.filter(|instance| instance.is_held() && !named.contains(&instance.id));
    gone.map(|instance| InstanceObservation { instance: instance.id.clone(), presence: Presence::Gone })
        .collect()
}
