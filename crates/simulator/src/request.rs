//! What clients asked, and what became of it, as far as they know.

use crate::reference::Ruling;
use ensemble_model::command::{Accepted, Command};
use ensemble_model::decide::{MoveAnswer, PlanAnswer};
use ensemble_model::id::OperationId;
use ensemble_model::plan::{MovePlan, Plan};
use ensemble_model::refusal::Refusal;
use std::collections::BTreeMap;

/// Counts requests from 1.
pub(crate) type RequestNumber = u64;

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) client: usize,
    pub(crate) command: Command,
    pub(crate) outcome: Outcome,
    /// What it was planned on, where it carries `IfPlan`.
    pub(crate) plan: Option<Plan>,
    /// The same, of a rebalance.
    pub(crate) move_plan: Option<MovePlan>,
    /// What has to become of it, by the rules, on the state that it was decided on; where that can be told.
    pub(crate) ruling: Option<Ruling>,
    /// What the core's own `plan` says of it there.
    pub(crate) foretold: Option<Result<PlanAnswer, Refusal>>,
    /// The same, of a rebalance.
    pub(crate) foretold_moves: Option<Result<MoveAnswer, Refusal>>,
    /// It was sent twice, as it is.
    pub(crate) is_doubled: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// Not answered, and perhaps never will be.
    Unknown,
    Accepted(Accepted),
    Refused(Refusal),
}

/// Everything that was ever asked.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    all: BTreeMap<RequestNumber, Request>,
    by_id: BTreeMap<OperationId, RequestNumber>,
}

impl Requests {
    pub(crate) fn add(&mut self, request: Request) -> RequestNumber {
        let number = self.all.len() as u64 + 1;
        self.by_id.entry(request.command.request.request_id.clone()).or_insert(number);
        self.all.insert(number, request);
        number
    }

    pub(crate) fn get(&self, number: RequestNumber) -> Option<&Request> {
        self.all.get(&number)
    }

    pub(crate) fn get_mut(&mut self, number: RequestNumber) -> Option<&mut Request> {
        self.all.get_mut(&number)
    }

    /// The request that would become this operation.
    pub(crate) fn of(&self, operation: &OperationId) -> Option<&Request> {
        self.by_id.get(operation).and_then(|number| self.all.get(number))
    }

    pub(crate) fn answered(&mut self, number: RequestNumber, outcome: Outcome) {
        if let Some(request) = self.all.get_mut(&number) {
            request.outcome = outcome;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Request> {
        self.all.values()
    }
}
