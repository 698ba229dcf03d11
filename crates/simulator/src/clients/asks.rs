//! What clients ask beside scaling by area: for instances by name and by themselves, for protection, floors and balance,
//! to cancel what is under way; and, of the first of them, who is the operator, about edge nodes.

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
use ensemble_model::selector::{Level, SelectorItem};
use ensemble_model::state::State;
use ensemble_model::time::WallTime;
use serde_json::Value;

impl Client {
    /// Something of that, where there is something to ask for.
    pub(super) fn ask(&mut self, app: &AppId, state: &State) -> Option<Change> {
        Some(match self.dice.below(14) {
            0..=2 => Change::Rescale(self.by_name(app, state)),
            3 => self.run(state),
            4 => self.give_up(state)?,
            5 => self.protect(app, state)?,
            6 => {
                let min_ready = self.dice.below(3) as u32;
                let if_revision = if self.dice.happens(300) { self.remembered(app, state) } else { None };
                Change::Modify(ModifyApplication { app: app.clone(), min_ready, if_revision })
            }
            7 => self.rebalance(app, state),
            8..=10 => {
                // Mostly what is under way.
                let account = state.account(&self.permit);
                let running = account.application(app).and_then(|found| found.operation.clone());
                let newest = account.operations(Some(app)).first().map(|newest| newest.id.clone());
                let operation = running.or(newest)?;
                Change::Cancel(CancelOperation { operation, mode: self.on_timeout_evenly() })
            }
            _ => self.about_a_node(state)?,
        })
    }

    /// Cancels what it has only just asked for.
    pub(super) fn second_thought(&mut self, request: &Request, wall: WallTime) -> Option<Request> {
        let is_rescale = matches!(request.command.change, Change::Rescale(_));
        if !is_rescale || !self.dice.happens(250) {
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
    fn by_name(&mut self, app: &AppId, state: &State) -> RescaleApplication {
        let direction = if self.dice.happens(500) { Direction::Add } else { Direction::Del };
        let account = state.account(&self.permit);
        let mut known: Vec<InstanceId> = match direction {
            Direction::Add => account.own_instances().map(|own| own.id.clone()).collect(),
            Direction::Del => {
                account.instances(app).into_iter().map(|found| found.shown_id().clone()).collect()
            }
        };
        // What cannot be reached, first, now and then: nobody there is told until it is back.
        if self.dice.happens(300) {
            known.retain(|id| account.instance(id).is_some_and(|found| found.unknown));
        }
        let mut named = Vec::new();
        for _ in 0..self.dice.between(1, 3) {
            let Some(at) = self.dice.index(known.len()) else { break };
            named.push(known.swap_remove(at));
        }
        if let Some(first) = named.first().cloned().filter(|_| self.dice.happens(60)) {
            named.push(first);
        }
        if self.dice.happens(60) {
            named.push(InstanceId::new("i-of-nobody"));
        }
        let count = named.len() as u32;
        RescaleApplication {
            app: app.clone(),
            direction,
            level: Level::InstanceId,
            selector: vec![SelectorItem { region_code: None, isp: None, count, instances: named }],
            to_version: None,
            timeout_s: self.timeout(),
            on_timeout: self.on_timeout(),
            partial: Partial::Refused,
            if_revision: None,
            if_plan: None,
        }
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

    /// As it is planned now, half of the time.
    fn rebalance(&mut self, app: &AppId, state: &State) -> Change {
        let mut asked = RebalanceApplication {
            app: app.clone(),
            max_moves: self.dice.between(1, 4) as u32,
            timeout_s: self.timeout(),
            if_revision: None,
            if_plan: None,
        };
        if self.dice.happens(500) {
            let planned = decide::plan_rebalance(state, &self.permit, &asked);
            asked.if_plan = planned.ok().map(|planned| planned.plan.id);
        }
        Change::Rebalance(asked)
    }

    /// Mostly about nodes that stand out.
    fn about_a_node(&mut self, state: &State) -> Option<Change> {
        if self.index != 0 {
            return None;
        }
        let draining: Vec<EdgeNodeId> = state.draining().map(|(node, _)| node.clone()).collect();
        let lost: Vec<EdgeNodeId> = state.unreachable().cloned().collect();
        let any = self.dice.pick(&state.fleet().nodes).map(|node| node.id.clone());
        let (node, change) = match self.dice.below(10) {
            0..=4 => (self.dice.pick(&draining).cloned().or(any)?, NodeChange::Resume),
            5..=7 => (any?, NodeChange::Drain),
            _ => {
                let replacement =
                    if self.dice.happens(500) { Replacement::Wanted } else { Replacement::None };
                let node = self.dice.pick(&lost).cloned().or(any)?;
                (node, NodeChange::Lose { replacement, timeout_s: self.timeout() })
            }
        };
        Some(Change::Node(ChangeNode { node, change }))
    }
}
