//! What clients ask beside scaling by area: for instances by name and by themselves, for protection, floors and balance,
//! to cancel what is under way; and what the operator asks, about edge nodes.

use super::Client;
use crate::request::Request;
use ensemble_model::application::Strategy;
use ensemble_model::command::{
    CancelOperation, Change, ChangeNode, Direction, InstanceNames, ModifyApplication, NodeChange, Partial,
    ProtectInstances, Protection, RebalanceApplication, ReleaseInstance, Replacement, RescaleApplication,
    RunInstances,
};
use ensemble_model::decide;
use ensemble_model::id::{AppId, EdgeNodeId, InstanceId, SpecName};
use ensemble_model::operation::OnTimeout;
use ensemble_model::plan::{MovePlan, Plan};
use ensemble_model::selector::{Level, SelectorItem};
use ensemble_model::state::State;
use ensemble_model::time::WallTime;
use serde_json::Value;

impl Client {
    /// Something of that, where there is something to ask for.
    pub(super) fn ask(&mut self, app: &AppId, state: &State) -> Option<Change> {
        let is_cut_off = state.account(&self.permit).instances(app).iter().any(|found| found.unknown);
        if is_cut_off && self.dice.happens(400) {
            return Some(Change::Rescale(self.by_name(app, Direction::Del, state)));
        }
        Some(match self.dice.below(21) {
            16..=20 => self.about_a_version(app, state)?,
            0..=2 => Change::Rescale(self.by_name(app, Direction::Del, state)),
            3..=5 => Change::Rescale(self.by_name(app, Direction::Add, state)),
            6..=7 => self.run(state),
            8 => self.give_up(state)?,
            9..=10 => self.protect(app, state)?,
            11 => {
                let min_ready = self.dice.below(3) as u32;
                let if_revision = if self.dice.happens(300) { self.remembered(app, state) } else { None };
                Change::Modify(ModifyApplication { app: app.clone(), min_ready, if_revision })
            }
            12..=13 => self.rebalance(app, state),
            _ => {
                // Mostly what is under way.
                let account = state.account(&self.permit);
                let running = account.application(app).and_then(|found| found.operation.clone());
                let newest = account.operations(Some(app)).first().map(|newest| newest.id.clone());
                let operation = running.or(newest)?;
                Change::Cancel(CancelOperation { operation, mode: self.on_timeout_evenly() })
            }
        })
    }

    /// Cancels what it has only just asked for.
    pub(super) fn second_thought(&mut self, request: &Request, wall: WallTime) -> Option<Request> {
        let per_mille = match &request.command.change {
            // What nobody was told to stop can be had back.
            Change::Rescale(asked) if asked.level == Level::InstanceId => 400,
            Change::Create(_) | Change::Rescale(_) | Change::Rebalance(_) | Change::Upgrade(_) => 150,
            _ => 0,
        };
        if !self.dice.happens(per_mille) {
            return None;
        }
        let operation = request.command.request.request_id.clone();
        let change = Change::Cancel(CancelOperation { operation, mode: self.on_timeout_evenly() });
        let action = change.action();
        Some(self.request(change, action, wall))
    }

    fn on_timeout_evenly(&mut self) -> OnTimeout {
        if self.dice.happens(500) { OnTimeout::Undo } else { OnTimeout::Keep }
    }

    /// Instances that it holds, or that exist by themselves; now and then one that is not to be had.
    fn by_name(&mut self, app: &AppId, direction: Direction, state: &State) -> RescaleApplication {
        let account = state.account(&self.permit);
        let mut known: Vec<InstanceId> = match direction {
            Direction::Add => account.own_instances().map(|own| own.id.clone()).collect(),
            Direction::Del => {
                account.instances(app).into_iter().map(|found| found.shown_id().clone()).collect()
            }
        };
        let mut named = Vec::new();
        for _ in 0..self.dice.between(1, 3) {
            let Some(at) = self.dice.index(known.len()) else { break };
            named.push(known.swap_remove(at));
        }
        // Beside what can be reached, now and then, what cannot: nobody there is told until it is back.
        known.retain(|id| account.instance(id).is_some_and(|found| found.unknown));
        if self.dice.happens(500) {
            named.extend(self.dice.pick(&known).cloned());
        }
        if let Some(first) = named.first().cloned().filter(|_| self.dice.happens(60)) {
            named.push(first);
        }
        if self.dice.happens(60) {
            named.push(self.not_to_be_had(app, state));
        }
        let selector = self.in_items(named, state);
        RescaleApplication {
            app: app.clone(),
            direction,
            level: Level::InstanceId,
            selector,
            to_version: None,
            timeout_s: self.timeout(),
            on_timeout: self.on_timeout(),
            partial: Partial::Refused,
            if_revision: None,
            if_plan: None,
        }
    }

    /// Nobody's, another application's, hosted already, or managed by none.
    fn not_to_be_had(&mut self, app: &AppId, state: &State) -> InstanceId {
        let account = state.account(&self.permit);
        let others = account.applications().filter(|other| other.id != *app);
        let of_others = others.flat_map(|other| account.instances(&other.id));
        let mut known: Vec<InstanceId> = of_others.map(|found| found.shown_id().clone()).collect();
        known.extend(account.own_instances().map(|own| own.id.clone()));
        known.push(InstanceId::new("i-of-nobody"));
        self.dice.pick(&known).cloned().unwrap_or_default()
    }

    /// Some say beside the ids where they are; mostly they are right.
    fn in_items(&mut self, mut named: Vec<InstanceId>, state: &State) -> Vec<SelectorItem> {
        let mut items = Vec::new();
        let rest = if self.dice.happens(300) { named.split_off(named.len() / 2) } else { Vec::new() };
        for instances in [named, rest] {
            if instances.is_empty() && !items.is_empty() {
                continue;
            }
            let account = state.account(&self.permit);
            let own = instances.first().and_then(|id| account.own_instance(id));
            let place = own.map(|own| (own.node.to_string(), own.isp.clone())).or_else(|| {
                let found = instances.first().and_then(|id| account.instance(id))?;
                Some((found.node.to_string(), found.isp.clone()))
            });
            let place = place.filter(|_| self.dice.happens(200));
            let count = instances.len() as u32 + u32::from(self.dice.happens(20));
            let (region_code, isp) = place.unzip();
            items.push(SelectorItem { region_code, isp, count, instances });
        }
        items
    }

    fn run(&mut self, state: &State) -> Change {
        let item = self.item(state.fleet(), Level::AreaIspCode, 2);
        Change::RunInstances(Box::new(RunInstances {
            spec: SpecName::new(super::SPECS[self.dice.below(2) as usize]),
            level: Level::AreaIspCode,
            item,
            strategy: if self.dice.happens(500) { Strategy::Disperse } else { Strategy::Concentrate },
            names: InstanceNames::Numbered("share".to_owned()),
            tags: Vec::new(),
            echoed: Value::Null,
        }))
    }

    fn give_up(&mut self, state: &State) -> Option<Change> {
        let own: Vec<InstanceId> =
            state.account(&self.permit).own_instances().map(|own| own.id.clone()).collect();
        let instance = self.dice.pick(&own).cloned()?;
        Some(Change::ReleaseInstance(ReleaseInstance { instance }))
    }

    fn protect(&mut self, app: &AppId, state: &State) -> Option<Change> {
        let known: Vec<InstanceId> = state
            .account(&self.permit)
            .instances(app)
            .into_iter()
            .map(|found| found.shown_id().clone())
            .collect();
        let instances = vec![self.dice.pick(&known).cloned()?];
        let protection = if self.dice.happens(600) { Protection::On } else { Protection::Off };
        Some(Change::Protect(ProtectInstances { instances, protection }))
    }

    fn rebalance(&mut self, app: &AppId, state: &State) -> Change {
        let if_revision = if self.dice.happens(200) { self.remembered(app, state) } else { None };
        Change::Rebalance(RebalanceApplication {
            app: app.clone(),
            max_moves: self.dice.between(1, 4) as u32,
            timeout_s: self.timeout(),
            if_revision,
            if_plan: None,
        })
    }

    /// As it is planned now, a part of the time, with that plan.
    pub(super) fn planned(
        &mut self,
        mut change: Change,
        state: &State,
    ) -> (Change, Option<Plan>, Option<MovePlan>) {
        let (mut plan, mut move_plan) = (None, None);
        match &mut change {
            Change::Rescale(asked) if self.dice.happens(300) => {
                plan = decide::plan(state, &self.permit, asked).ok().map(|planned| planned.plan);
                asked.if_plan = plan.as_ref().map(|plan| plan.id.clone());
            }
            Change::Rebalance(asked) if self.dice.happens(500) => {
                move_plan =
                    decide::plan_rebalance(state, &self.permit, asked).ok().map(|planned| planned.plan);
                asked.if_plan = move_plan.as_ref().map(|plan| plan.id.clone());
            }
            _ => {}
        }
        (change, plan, move_plan)
    }

    /// What the operator asks, mostly about nodes that stand out.
    pub(super) fn about_a_node(&mut self, state: &State) -> Option<Change> {
        let draining: Vec<EdgeNodeId> = state.draining().map(|(node, _)| node.clone()).collect();
        let lost: Vec<EdgeNodeId> = state.unreachable().cloned().collect();
        let any = self.dice.pick(&state.fleet().nodes).map(|node| node.id.clone());
        let (node, change) = match self.dice.below(10) {
            0..=3 => (self.dice.pick(&draining).cloned().or(any)?, NodeChange::Resume),
            4..=6 => (any?, NodeChange::Drain),
            _ => {
                let replacement =
                    if self.dice.happens(650) { Replacement::Wanted } else { Replacement::None };
                let node = self.dice.pick(&lost).cloned().or(any)?;
                (node, NodeChange::Lose { replacement, timeout_s: self.timeout() })
            }
        };
        Some(Change::Node(ChangeNode { node, change }))
    }
}
