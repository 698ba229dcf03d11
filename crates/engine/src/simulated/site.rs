//! What is heard of a simulated world, and what it is told: all of it, but for edge nodes that are cut off. Pure, as the
//! world and the filter are that it puts together; times come in.

use super::faults::Fates;
use super::world::World;
use crate::Error;
use ensemble_model::id::{EdgeNodeId, EngineName, InstanceId};
use ensemble_model::observation::Observation;
use ensemble_model::wanted::Wanted;
use ensemble_supervision::faults::{Faults, Filter, Switched};
use std::collections::VecDeque;

/// Instances named in one observation; the report of the whole is the exception.
const REPORTED_AT_ONCE: usize = 1_000;

#[derive(Debug)]
pub(super) struct Site {
    world: World,
    /// Only where some edge node is cut off for a while.
    outage: Option<Outage>,
    /// Heard and not yet said. Emptied before anything more is taken from the world.
    said: VecDeque<Observation>,
    /// What was taken last is still on its way.
    saying: bool,
}

#[derive(Debug)]
struct Outage {
    filter: Filter,
    /// Until when, the last first.
    until: Vec<(i64, EdgeNodeId)>,
}

impl Site {
    /// `nodes` are those that the engine has.
    pub(super) fn new(name: EngineName, fates: Fates, nodes: &[EdgeNodeId]) -> Self {
        let cut_off = nodes.iter().filter_map(|node| Some((fates.cut_off_until_ms(node)?, node.clone())));
        let mut until: Vec<(i64, EdgeNodeId)> = cut_off.collect();
        until.sort_unstable_by(|one, other| other.cmp(one));
        let outage = (!until.is_empty()).then(|| {
            let mut filter = Filter::new(name.clone());
            filter.set(cut_off_at(&until));
            Outage { filter, until }
        });
        Self { world: World::new(name, fates), outage, said: VecDeque::new(), saying: false }
    }

    pub(super) fn converge(&mut self, wanted: Wanted, now_ms: i64) -> Result<(), Error> {
        match &mut self.outage {
            Some(outage) => self.world.converge(outage.filter.converge(wanted), now_ms),
            None => self.world.converge(wanted, now_ms),
        }
    }

    /// What was due by `now_ms` happens.
    pub(super) fn advance(&mut self, now_ms: i64) {
        self.world.advance(now_ms);
        let Some(outage) = &mut self.outage else { return };
        let before = outage.until.len();
        while outage.until.last().is_some_and(|(until_ms, _)| *until_ms <= now_ms) {
            outage.until.pop();
        }
        if outage.until.len() == before {
            return;
        }
        outage.filter.set(cut_off_at(&outage.until));
        let Switched { wanted, observations } = outage.filter.due();
        self.said.extend(observations);
        for wanted in wanted {
            // A stale epoch means that a newer leader has told the world something newer.
            self.world.converge(wanted, now_ms).unwrap_or_default();
        }
    }

    /// The next thing to say; what was taken before is said.
    pub(super) fn take_report(&mut self) -> Option<Observation> {
        while self.said.is_empty() {
            let Some(report) = self.world.take_report(REPORTED_AT_ONCE) else { break };
            match &mut self.outage {
                Some(outage) => self.said.extend(outage.filter.observe(report)),
                None => self.said.push_back(report),
            }
        }
        let report = self.said.pop_front();
        self.saying = report.is_some();
        report
    }

    /// When there will be something to do without being told.
    pub(super) fn next_due_ms(&self) -> Option<i64> {
        let back = self.outage.as_ref().and_then(|outage| outage.until.last()).map(|(until_ms, _)| *until_ms);
        let back = back.filter(|until_ms| *until_ms < i64::MAX);
        self.world.next_due_ms().into_iter().chain(back).min()
    }

    /// Everything that was due is done, and said.
    pub(super) fn is_at_rest(&self, now_ms: i64) -> bool {
        !self.saying
            && self.said.is_empty()
            && !self.world.has_report()
            && self.next_due_ms().is_none_or(|at_ms| at_ms > now_ms)
    }

    pub(super) fn knows(&self, instance: &InstanceId) -> bool {
        self.world.knows(instance)
    }
}

fn cut_off_at(until: &[(i64, EdgeNodeId)]) -> Faults {
    Faults { unreachable: until.iter().map(|(_, node)| node.clone()).collect(), ..Faults::default() }
}
