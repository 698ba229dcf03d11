//! A hundred thousand instances: what is decided about one application costs what that application costs, not what
//! everything costs.

use crate::house::{BEGIN, create, deployed, item, permit, ready, rescale};
use ensemble_model::command::{Change, Command, Direction, RequestFacts};
use ensemble_model::fleet::{EdgeNode, EngineKind, Fleet};
use ensemble_model::id::{AppId, EdgeNodeId, EngineName, InstanceId, Isp, OperationId};
use ensemble_model::log::format::Chain;
use ensemble_model::log::recovery::Recovered;
use ensemble_model::log::snapshot::Snapshot;
use ensemble_model::observation::{InstanceObservation, Observation, Reach};
use ensemble_model::spec::Resources;
use ensemble_model::step::{ControlLoop, Input, Output, Settings};
use ensemble_model::time::{LogTime, Now, WallTime};
use ensemble_model::wanted::Epoch;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

const NOW: Now = Now { log: LogTime(0), wall: WallTime(BEGIN) };
const NODES: usize = 500;

struct Site {
    control: ControlLoop,
    commands: u64,
    reports: u64,
}

fn fleet() -> Arc<Fleet> {
    let engine = EngineName::new("here");
    let node = |number: usize| EdgeNode {
        id: EdgeNodeId::new(format!("node-{number:04}")),
        name: String::new(),
        name_en: String::new(),
        district: None,
        isps: vec![Isp::new("cmcc")],
        capacity: Resources { vcpu: 2_000, memory_mib: 4_000_000 },
        engine: EngineName::new("here"),
        area: String::new(),
        province: String::new(),
        province_en: String::new(),
    };
    Arc::new(Fleet {
        engines: BTreeMap::from([(engine, EngineKind::Simulated)]),
        nodes: (0..NODES).map(node).collect(),
        districts: BTreeMap::new(),
    })
}

impl Site {
    fn new() -> Self {
        let mut control = ControlLoop::new(Recovered::default(), Settings::new(Epoch(1)), NOW);
        let outputs = control.start(NOW, &fleet()).expect("nothing is in the way of the first fleet");
        let mut site = Self { control, commands: 0, reports: 0 };
        site.carry_out(outputs);
        site
    }

    fn carry_out(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Append { sequence, .. } => {
                    let more = self.control.step(NOW, Input::Appended { sequence });
                    self.carry_out(more);
                }
                Output::Answer { answer, .. } => drop(answer.expect("there is room")),
                Output::FleetAnswer { .. }
                | Output::Converge { .. }
                | Output::Publish { .. }
                | Output::PutSnapshot { .. } => {}
                Output::Halt { reason } => panic!("{reason}"),
            }
        }
    }

    fn step(&mut self, input: Input) {
        for input in [input, Input::Flush] {
            let outputs = self.control.step(NOW, input);
            self.carry_out(outputs);
        }
    }

    fn command(&mut self, change: Change) {
        self.commands += 1;
        let request = RequestFacts {
            request_id: OperationId::new(format!("O-{}", self.commands)),
            action: "RescaleApplication".into(),
            source: "127.0.0.1".into(),
            parameters: serde_json::json!({}),
            client_token: None,
            nonce: None,
        };
        let command = Command { permit: permit(), request, seed: self.commands, change };
        self.step(Input::Command { ticket: self.commands, command: Box::new(command) });
    }

    fn create(&mut self, number: usize) {
        let mut wish = create(&format!("shop-{number}"), Vec::new());
        wish.app = AppId::new(format!("app-{number:03}"));
        self.command(Change::Create(Box::new(wish)));
    }

    fn add(&mut self, number: usize, items: usize, count: u32) {
        let selector =
            (0..items).map(|at| item(&format!("node-{:04}", (number * 7 + at * 5) % NODES), None, count));
        let mut request = rescale(Direction::Add, selector.collect());
        request.app = AppId::new(format!("app-{number:03}"));
        self.command(Change::Rescale(request));
    }

    fn make_ready(&mut self, number: usize) {
        let permit = permit();
        let app = AppId::new(format!("app-{number:03}"));
        let view = self.control.state().account(&permit);
        let waiting = view.instances(&app).into_iter().filter(|instance| !instance.ready);
        let seen = |id: &InstanceId| InstanceObservation { instance: id.clone(), presence: ready() };
        let instances = waiting.map(|instance| deployed(seen(&instance.id), instance)).collect();
        self.reports += 1;
        let (engine, epoch, reach, number) = (EngineName::new("here"), Epoch(1), Reach::Listed, self.reports);
        self.step(Input::Observed(Observation { engine, epoch, number, reach, instances, resolved: vec![] }));
    }

    /// The median time of adding one instance and seeing it become ready.
    #[expect(clippy::disallowed_methods, reason = "what is tested here is how long it takes")]
    fn time_of_one_more(&mut self, number: usize) -> Duration {
        let mut times: Vec<Duration> = (0..21)
            .map(|_| {
                let begin = Instant::now();
                self.add(number, 1, 1);
                self.make_ready(number);
                begin.elapsed()
            })
            .collect();
        times.sort();
        times[times.len() / 2]
    }
}

#[test]
fn one_more_instance_costs_the_same_beside_a_hundred_thousand() {
    let mut site = Site::new();
    for number in 0..100 {
        site.create(number);
        site.add(number, 100, 10);
        site.make_ready(number);
    }
    site.create(100);

    let time = site.time_of_one_more(100);

    // A few hundred microseconds on two busy cores; going through all instances once would take longer than this.
    assert!(time < Duration::from_millis(4), "{time:?}");
    let state = site.control.state();
    let snapshot = Snapshot { state: state.clone(), chain: Chain::default() }.encode();
    assert_eq!(Snapshot::decode(&snapshot).unwrap().state, *state);
    let used: u32 = state.fleet().nodes.iter().map(|node| state.used(&node.id).vcpu).sum();
    assert_eq!(used, 2 * (100_000 + 21));
}
