//! What holds after any sequence of commands, reports and passing time, over several applications and restarts.

use crate::acts::{act, app, instances, perform};
use crate::house::{
    BEGIN, ENGINE, House, SHANGHAI, WUXI, create, deployed, fleet, item, permit, ready, rescale,
};
use ensemble_model::command::{Change, Command, DeleteApplication, Direction, RequestFacts};
use ensemble_model::id::{AppId, EdgeNodeId, EngineName, InstanceId, OperationId};
use ensemble_model::instance::Instance;
use ensemble_model::log::recovery::{Recovered, recover};
use ensemble_model::observation::{InstanceObservation, Observation, Reach};
use ensemble_model::operation::{Subject, TargetState};
use ensemble_model::spec::Resources;
use ensemble_model::step::{ControlLoop, Input, Output, Settings};
use ensemble_model::time::{LogTime, Now, WallTime};
use ensemble_model::wanted::Epoch;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn check_invariants(house: &House) {
    let state = house.state();
    let permit = permit();
    let view = state.account(&permit);
    let all = instances(house);

    let mut used: BTreeMap<EdgeNodeId, Resources> = BTreeMap::new();
    for own in view.own_instances() {
        let on_node = used.entry(own.node.clone()).or_default();
        *on_node = on_node.plus(own.resources);
        let runs = own.runs.as_ref().filter(|_| own.hosted_by.is_some());
        let hosted = runs.and_then(|runs| all.iter().find(|instance| instance.id == *runs));
        assert_eq!(own.hosted_by.as_ref(), hosted.map(|instance| &instance.app));
    }
    for instance in all.iter().filter(|instance| instance.host.is_none()) {
        let on_node = used.entry(instance.node.clone()).or_default();
        *on_node = on_node.plus(instance.resources);
    }
    for node in &state.fleet().nodes {
        let expected = used.get(&node.id).copied().unwrap_or_default();
        assert_eq!(state.used(&node.id), expected, "{}", node.id);
        assert!(node.capacity.holds(expected), "{} carries more than it can", node.id);
    }

    let deployments: BTreeSet<&str> = all.iter().map(|instance| instance.deployment.as_str()).collect();
    assert_eq!(deployments.len(), all.len());

    let mut running: BTreeMap<AppId, OperationId> = BTreeMap::new();
    for operation in view.operations(None) {
        let count = |state| operation.targets.iter().filter(|target| target.state == state).count() as u32;
        assert_eq!(operation.tally.waiting, count(TargetState::Waiting));
        assert_eq!(operation.tally.out_of_reach, count(TargetState::OutOfReach));
        assert_eq!(operation.tally.done, count(TargetState::Done));
        assert_eq!(operation.tally.given_up, count(TargetState::GivenUp));
        assert_eq!(operation.is_running(), operation.outcome.is_none());
        if operation.is_running() {
            let Subject::Application(app) = &operation.subject else { continue };
            assert!(
                running.insert(app.clone(), operation.id.clone()).is_none(),
                "two operations run on {app}"
            );
            assert!(operation.tally.waiting > 0, "nothing is left to wait for, and it still runs");
        }
    }
    for application in view.applications() {
        assert_eq!(application.operation.as_ref(), running.get(&application.id));
    }

    let wanted = state.wanted_for(&EngineName::new(ENGINE), Epoch(1));
    let ids = |pick: fn(&Instance) -> bool| -> BTreeSet<InstanceId> {
        all.iter().filter(|instance| pick(instance)).map(|instance| instance.id.clone()).collect()
    };
    let run = wanted.cells.iter().flat_map(|cell| &cell.run).map(|instance| instance.id.clone());
    // Who cannot be reached is not told that anything is to go.
    assert_eq!(run.collect::<BTreeSet<_>>(), ids(|instance| instance.is_held() || instance.untold));
    let release = wanted.cells.iter().flat_map(|cell| cell.release.clone());
    assert_eq!(release.collect::<BTreeSet<_>>(), ids(|instance| !instance.is_held() && !instance.untold));
}

/// A loop whose appends become durable only when the sequence of acts says so.
struct Slow {
    control: ControlLoop,
    now: Now,
    records: Vec<Vec<u8>>,
    in_flight: Option<u64>,
    asked: u64,
    reports: u64,
    answered: BTreeSet<u64>,
}

impl Slow {
    fn new() -> Self {
        let now = Now { log: LogTime(0), wall: WallTime(BEGIN) };
        let control = ControlLoop::new(Recovered::default(), Settings::new(Epoch(1)), now);
        let mut slow = Self {
            control,
            now,
            records: Vec::new(),
            in_flight: None,
            asked: 0,
            reports: 0,
            answered: BTreeSet::new(),
        };
        let outputs = slow.control.start(now, &fleet()).expect("nothing is in the way of the first fleet");
        slow.take(outputs);
        slow
    }

    fn step(&mut self, input: Input) {
        let outputs = self.control.step(self.now, input);
        self.take(outputs);
    }

    fn take(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Append { sequence, record } => {
                    assert_eq!(self.in_flight.replace(sequence), None, "two appends at a time");
                    self.records.push(record);
                }
                Output::Answer { ticket, answer } => {
                    assert!(self.answered.insert(ticket), "{ticket} is answered twice");
                    if let Ok(accepted) = answer {
                        let (state, permit) = (self.control.state(), permit());
                        assert!(
                            state.account(&permit).operation(&accepted.operation).is_some(),
                            "not durable yet"
                        );
                    }
                }
                Output::Converge { wanted, .. } => {
                    let state = self.control.state();
                    let permit = permit();
                    let run = wanted.cells.iter().flat_map(|cell| &cell.run);
                    for wanted in run {
                        assert!(state.account(&permit).instance(&wanted.id).is_some(), "not durable yet");
                    }
                }
                Output::Publish { state, entry } => assert_eq!(state.sequence(), entry.sequence),
                Output::FleetAnswer { .. } | Output::PutSnapshot { .. } => {}
                Output::Halt { reason } => panic!("{reason}"),
            }
        }
    }

    fn durable(&mut self) {
        if let Some(sequence) = self.in_flight.take() {
            self.step(Input::Appended { sequence });
        }
    }

    fn call(&mut self, number: u8, kind: u8) {
        self.asked += 1;
        let mut wish = create(&format!("shop-{number}"), vec![item(WUXI, None, 1)]);
        wish.app = app(number);
        let mut request = rescale(Direction::Add, vec![item(SHANGHAI, None, 2)]);
        request.app = app(number);
        let change = match kind {
            0 => Change::Create(Box::new(wish)),
            1 => Change::Rescale(request),
            _ => Change::Delete(DeleteApplication { app: app(number), timeout_s: 300, if_revision: None }),
        };
        let request = RequestFacts {
            request_id: OperationId::new(format!("O-{}", self.asked)),
            action: "Any".into(),
            source: String::new(),
            parameters: serde_json::Value::Null,
            client_token: None,
            nonce: None,
        };
        let command = Command { permit: permit(), request, seed: self.asked, change };
        self.step(Input::Command { ticket: self.asked, command: Box::new(command) });
    }
}

proptest! {
    #[test]
    fn however_slow_the_store_everything_leaves_once_and_only_when_durable(
        acts in prop::collection::vec((0..7_u8, 0..3_u8), 1..80),
    ) {
        let mut slow = Slow::new();
        for (kind, number) in acts {
            match kind {
                0..=2 => slow.call(number, kind),
                3 => slow.step(Input::Flush),
                4 => slow.durable(),
                5 => {
                    slow.now.log.0 += 100_000;
                    slow.step(Input::Tick);
                }
                _ => {
                    let permit = permit();
                    let instances = slow.control.state().account(&permit).instances(&app(number));
                    let seen = |id: &InstanceId| InstanceObservation { instance: id.clone(), presence: ready() };
                    let instances = instances.into_iter().map(|instance| deployed(seen(&instance.id), instance)).collect();
                    slow.reports += 1;
                    let (engine, epoch, number) = (EngineName::new(ENGINE), Epoch(1), slow.reports);
                    let reach = Reach::Listed;
                    slow.step(Input::Observed(Observation { engine, epoch, number, reach, instances, resolved: vec![] }));
                }
            }
        }
        // The first one may set off another batch, and so on; each ends what was under way.
        for _ in 0..4 {
            slow.step(Input::Flush);
            slow.durable();
        }

        prop_assert_eq!(slow.answered.len() as u64, slow.asked);
        let whole = recover(None, &slow.records).expect("the log is sound");
        prop_assert_eq!(&whole.state, &**slow.control.state());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn invariants_hold_after_every_step_and_the_log_says_all(acts in prop::collection::vec(act(), 1..40)) {
        let mut house = House::new();
        for act in acts.clone() {
            house = perform(house, act);
            check_invariants(&house);
        }
        let again = acts.into_iter().fold(House::new(), perform);
        prop_assert_eq!(&again.records, &house.records);

        let whole = recover(None, &house.records).expect("the log is sound");
        prop_assert_eq!(&whole.state, house.state());
        if let Some(snapshot) = house.snapshots.last() {
            let tail = recover(Some(snapshot), &house.records).expect("snapshot and log are sound");
            prop_assert_eq!(&tail.state, &whole.state);
            prop_assert_eq!(tail.chain, whole.chain);
        }
    }
}
