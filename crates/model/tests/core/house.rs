//! A control loop with a log in memory and an engine that does what the test says. Shared by the scenario tests.

use ensemble_model::application::{
    Application, ApplicationMeta, Container, Phase, ResourceAttribute, Strategy, Workload,
};
use ensemble_model::command::{
    Accepted, Change, Command, CreateApplication, DeleteApplication, Direction, InstanceNames, Partial,
    RequestFacts, RescaleApplication, RunInstances,
};
use ensemble_model::fleet::builtin::builtin;
use ensemble_model::fleet::{EngineKind, Fleet};
use ensemble_model::id::{
    AccountId, AppId, Digest, EdgeNodeId, EngineName, InstanceId, Isp, OperationId, SpecName, VersionName,
};
use ensemble_model::instance::{Instance, PodStatus};
use ensemble_model::log::recovery::{Recovered, recover};
use ensemble_model::observation::{
    InstanceObservation, Observation, PodObservation, Presence, Reach, ResolvedImage,
};
use ensemble_model::operation::{OnTimeout, Operation};
use ensemble_model::own_instance::Tag;
use ensemble_model::permit::{Permit, Principal, authorize};
use ensemble_model::refusal::Refusal;
use ensemble_model::selector::{Level, SelectorItem};
use ensemble_model::state::State;
use ensemble_model::step::{ControlLoop, Input, Output, Settings};
use ensemble_model::time::{LogTime, Now, WallTime};
use ensemble_model::wanted::{Epoch, Wanted};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) const SHANGHAI: &str = "cn-shanghai-cmcc";
pub(crate) const WUXI: &str = "cn-wuxi-telecom_unicom_cmcc-3";
pub(crate) const ENGINE: &str = "here";
/// Wall time of the first entry: 2026-01-01.
pub(crate) const BEGIN: i64 = 1_767_225_600_000;

pub(crate) struct House {
    pub(crate) control: ControlLoop,
    pub(crate) records: Vec<Vec<u8>>,
    pub(crate) now: Now,
    pub(crate) told: Vec<Wanted>,
    pub(crate) snapshots: Vec<Vec<u8>>,
    pub(crate) halted: Option<String>,
    tickets: u64,
    reports: u64,
    answers: BTreeMap<u64, Result<Accepted, Refusal>>,
    fleet_answers: Vec<Result<(), Refusal>>,
}

pub(crate) fn fleet() -> Arc<Fleet> {
    Arc::new(builtin(EngineKind::Simulated, EngineName::new(ENGINE)))
}

pub(crate) fn permit() -> Permit {
    permit_of("1000000000000001")
}

pub(crate) fn permit_of(account: &str) -> Permit {
    authorize(&Principal::owner(AccountId::new(account), "key"), "ens:Any").expect("an owner may do anything")
}

pub(crate) fn app() -> AppId {
    AppId::new("00000000-0000-4000-8000-000000000001")
}

pub(crate) fn item(region: &str, isp: Option<&str>, count: u32) -> SelectorItem {
    SelectorItem { region_code: Some(region.into()), isp: isp.map(Isp::new), count, instances: Vec::new() }
}

/// An item that names instances.
pub(crate) fn named(instances: &[InstanceId]) -> SelectorItem {
    let count = instances.len() as u32;
    SelectorItem { region_code: None, isp: None, count, instances: instances.to_vec() }
}

/// A rescale by name.
pub(crate) fn by_name(direction: Direction, selector: Vec<SelectorItem>) -> RescaleApplication {
    RescaleApplication { level: Level::InstanceId, ..rescale(direction, selector) }
}

impl House {
    pub(crate) fn new() -> Self {
        Self::from(Recovered::default(), LogTime(0), WallTime(BEGIN))
    }

    /// An application with `count` ready instances in Shanghai.
    pub(crate) fn with_ready(count: u32) -> Self {
        let mut house = Self::new();
        house.create(Vec::new()).expect("the name is free");
        house.add(vec![item(SHANGHAI, None, count)]).expect("there is room");
        house.ready(&house.held());
        house
    }

    pub(crate) fn from(recovered: Recovered, log: LogTime, wall: WallTime) -> Self {
        let now = Now { log, wall };
        let mut settings = Settings::new(Epoch(1));
        settings.snapshot_every = 5;
        let control = ControlLoop::new(recovered, settings, now);
        let (records, told, snapshots) = (Vec::new(), Vec::new(), Vec::new());
        let mut house = Self {
            control,
            records,
            now,
            told,
            snapshots,
            halted: None,
            tickets: 0,
            reports: 0,
            answers: BTreeMap::new(),
            fleet_answers: Vec::new(),
        };
        let outputs = house.control.start(now, &fleet()).expect("the fleet never changes here");
        house.carry_out(outputs);
        house
    }

    /// The same log, read by a new process.
    pub(crate) fn restarted(mut self) -> Self {
        self.begin_anew();
        self
    }

    pub(crate) fn state(&self) -> &State {
        self.control.state()
    }

    /// The clock goes on while nobody looks.
    pub(crate) fn jump(&mut self, seconds: i64) {
        self.now = Now {
            log: LogTime(self.now.log.0 + seconds * 1_000),
            wall: WallTime(self.now.wall.0 + seconds * 1_000),
        };
    }

    /// The process starts now, on the log as it is.
    pub(crate) fn begin_anew(&mut self) {
        let recovered = recover(None, &self.records).expect("the log is sound");
        let records = std::mem::take(&mut self.records);
        *self = Self::from(recovered, self.now.log, self.now.wall);
        self.records.splice(..0, records);
    }

    pub(crate) fn pass(&mut self, seconds: i64) {
        self.jump(seconds);
        self.step(Input::Tick);
    }

    /// Takes one input in and makes everything durable that came of it.
    pub(crate) fn step(&mut self, input: Input) {
        let outputs = self.control.step(self.now, input);
        self.carry_out(outputs);
        let outputs = self.control.step(self.now, Input::Flush);
        self.carry_out(outputs);
    }

    fn carry_out(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Append { sequence, record } => {
                    self.records.push(record);
                    let more = self.control.step(self.now, Input::Appended { sequence });
                    self.carry_out(more);
                }
                Output::Answer { ticket, answer } => {
                    assert!(self.answers.insert(ticket, answer).is_none(), "{ticket} is answered twice");
                }
                Output::FleetAnswer { answer, .. } => self.fleet_answers.push(answer),
                Output::Converge { wanted, .. } => self.told.push(wanted),
                Output::Publish { .. } => {}
                Output::PutSnapshot { snapshot, .. } => self.snapshots.push(snapshot.encode()),
                Output::Halt { reason } => self.halted = Some(reason),
            }
        }
    }

    pub(crate) fn call(&mut self, command: Command) -> Result<Accepted, Refusal> {
        self.tickets += 1;
        self.step(Input::Command { ticket: self.tickets, command: Box::new(command) });
        self.answers.remove(&self.tickets).expect("a command is answered once what it decided is durable")
    }

    /// Puts another fleet in force.
    pub(crate) fn refit(&mut self, fleet: Fleet) -> Result<(), Refusal> {
        self.tickets += 1;
        self.step(Input::Fleet { ticket: self.tickets, fleet: Arc::new(fleet) });
        self.fleet_answers.pop().expect("a fleet is answered once it is durable or refused")
    }

    pub(crate) fn create(&mut self, selector: Vec<SelectorItem>) -> Result<Accepted, Refusal> {
        let command = self.command(Change::Create(Box::new(create("shop", selector))));
        self.call(command)
    }

    pub(crate) fn add(&mut self, selector: Vec<SelectorItem>) -> Result<Accepted, Refusal> {
        self.rescale(rescale(Direction::Add, selector))
    }

    pub(crate) fn del(&mut self, selector: Vec<SelectorItem>) -> Result<Accepted, Refusal> {
        self.rescale(rescale(Direction::Del, selector))
    }

    /// Asks for `change`, and that it be accepted.
    pub(crate) fn change(&mut self, change: Change) -> Result<Accepted, Refusal> {
        let command = self.command(change);
        self.call(command)
    }

    pub(crate) fn rescale(&mut self, request: RescaleApplication) -> Result<Accepted, Refusal> {
        let command = self.command(Change::Rescale(request));
        self.call(command)
    }

    pub(crate) fn delete(&mut self) -> Result<Accepted, Refusal> {
        self.call(self.delete_command())
    }

    pub(crate) fn delete_command(&self) -> Command {
        self.command(Change::Delete(DeleteApplication { app: app(), timeout_s: 300, if_revision: None }))
    }

    /// A command of the account with a RequestId and a seed of its own.
    pub(crate) fn command(&self, change: Change) -> Command {
        let number = self.tickets + 1 + self.state().sequence() * 1_000;
        let request = RequestFacts {
            request_id: OperationId::new(format!("OPERATION-{number}")),
            action: change.action().into(),
            source: "127.0.0.1".into(),
            parameters: json!({}),
            client_token: None,
            nonce: None,
        };
        Command { permit: permit(), request, seed: number, change }
    }

    pub(crate) fn phase(&self) -> Option<Phase> {
        self.state().account(&permit()).application(&app()).map(|application| application.phase)
    }

    /// `status/step/description` of the application.
    pub(crate) fn status(&self) -> String {
        let status = self.application().status.clone();
        format!("{}/{}/{}", status.status, status.step, status.description)
    }

    pub(crate) fn revision(&self) -> u64 {
        self.application().revision
    }

    pub(crate) fn operation_of_app(&self) -> OperationId {
        self.application().operation.clone().expect("an operation runs")
    }

    fn application(&self) -> Arc<Application> {
        self.state().account(&permit()).application(&app()).expect("the application exists").clone()
    }

    pub(crate) fn held_on(&self, node: &str) -> Vec<InstanceId> {
        let permit = permit();
        let instances = self.state().account(&permit).instances(&app());
        let here = instances.into_iter().filter(|i| i.is_held() && i.node.as_str() == node);
        here.map(|i| i.id.clone()).collect()
    }

    pub(crate) fn held(&self) -> Vec<InstanceId> {
        self.ids(|held| held)
    }

    pub(crate) fn releasing(&self) -> Vec<InstanceId> {
        self.ids(|held| !held)
    }

    fn ids(&self, keep: impl Fn(bool) -> bool) -> Vec<InstanceId> {
        let permit = permit();
        let instances = self.state().account(&permit).instances(&app());
        instances.into_iter().filter(|i| keep(i.is_held())).map(|i| i.id.clone()).collect()
    }

    pub(crate) fn observe(&mut self, reach: Reach, instances: Vec<InstanceObservation>) {
        self.tell(reach, instances, Vec::new());
    }

    /// The engine says what this image of version v1 led to.
    pub(crate) fn resolve(&mut self, image: &str, digest: &str) {
        let resolved = ResolvedImage {
            app: app(),
            version: VersionName::new("v1"),
            image: image.into(),
            digest: Digest::new(digest),
        };
        self.tell(Reach::Listed, Vec::new(), vec![resolved]);
    }

    fn tell(&mut self, reach: Reach, instances: Vec<InstanceObservation>, resolved: Vec<ResolvedImage>) {
        self.reports += 1;
        let instances = self.deployed(instances);
        let (engine, number) = (EngineName::new(ENGINE), self.reports);
        self.step(Input::Observed(Observation {
            engine,
            epoch: Epoch(1),
            number,
            reach,
            instances,
            resolved,
        }));
    }

    /// Reports that name no deployment tell of the one that is wanted now.
    pub(crate) fn deployed(&self, mut seen: Vec<InstanceObservation>) -> Vec<InstanceObservation> {
        for InstanceObservation { instance, presence } in &mut seen {
            if let Some(found) = self.state().account(&permit()).instance(instance) {
                told_of(presence, found);
            }
        }
        seen
    }

    pub(crate) fn report(&mut self, instances: &[InstanceId], seen: impl Fn() -> Presence) {
        let instances = instances.iter();
        let instances = instances
            .map(|instance| InstanceObservation { instance: instance.clone(), presence: seen() })
            .collect();
        self.observe(Reach::Listed, instances);
    }

    pub(crate) fn ready(&mut self, instances: &[InstanceId]) {
        self.report(instances, ready);
    }

    pub(crate) fn gone(&mut self, instances: &[InstanceId]) {
        self.report(instances, || Presence::Gone);
    }

    pub(crate) fn unreachable(&mut self, node: &str) {
        self.observe(Reach::Unreachable(vec![EdgeNodeId::new(node)]), Vec::new());
    }

    /// The engine is there again, and says how everything is.
    pub(crate) fn back(&mut self) {
        let held = self.held();
        let seen = held.iter().map(|id| InstanceObservation { instance: id.clone(), presence: ready() });
        self.observe(Reach::Whole, seen.collect());
    }

    pub(crate) fn instance(&self, id: &InstanceId) -> Arc<Instance> {
        self.state().account(&permit()).instance(id).expect("the instance exists").clone()
    }

    /// The newest operation of the account.
    pub(crate) fn last_operation(&self) -> Arc<Operation> {
        self.state().account(&permit()).operations(None)[0].clone()
    }

    /// The refusal of a call, in words.
    pub(crate) fn refused(&mut self, change: Change) -> String {
        self.change(change).expect_err("it is refused").to_string()
    }

    pub(crate) fn used_vcpu(&self, node: &str) -> u32 {
        self.state().used(&EdgeNodeId::new(node)).vcpu
    }
}

/// The same of the deployment that is wanted now, where it names none.
pub(crate) fn deployed(mut seen: InstanceObservation, instance: &Instance) -> InstanceObservation {
    told_of(&mut seen.presence, instance);
    seen
}

fn told_of(presence: &mut Presence, instance: &Instance) {
    if let Presence::Here { deployment, .. } = presence
        && deployment.is_empty()
    {
        deployment.clone_from(&instance.deployment);
    }
}

pub(crate) fn ready() -> Presence {
    Presence::Here {
        deployment: String::new(),
        pods: vec![pod(PodStatus::Running)],
        ready: true,
        hopeless: None,
    }
}

pub(crate) fn starting() -> Presence {
    Presence::Here {
        deployment: String::new(),
        pods: vec![pod(PodStatus::Starting)],
        ready: false,
        hopeless: None,
    }
}

/// In restart back-off.
pub(crate) fn crashed() -> Presence {
    let pod = PodObservation { message: "exited 3".into(), ..pod(PodStatus::Failed) };
    Presence::Here { deployment: String::new(), pods: vec![pod], ready: false, hopeless: None }
}

pub(crate) fn hopeless() -> Presence {
    Presence::Here {
        deployment: String::new(),
        pods: vec![pod(PodStatus::Failed)],
        ready: false,
        hopeless: Some("no executable `/nothing` in the image".into()),
    }
}

fn pod(status: PodStatus) -> PodObservation {
    PodObservation {
        workload: "web".into(),
        index: 0,
        status,
        address: None,
        exposed_at: None,
        restarts: 0,
        message: String::new(),
    }
}

pub(crate) fn rescale(direction: Direction, selector: Vec<SelectorItem>) -> RescaleApplication {
    RescaleApplication {
        app: app(),
        direction,
        level: Level::AreaIspCode,
        selector,
        to_version: None,
        timeout_s: 300,
        on_timeout: OnTimeout::Keep,
        partial: Partial::Refused,
        if_revision: None,
        if_plan: None,
    }
}

pub(crate) fn create(name: &str, selector: Vec<SelectorItem>) -> CreateApplication {
    let container = Container {
        name: "web".into(),
        image: "oci:/image".into(),
        command: Vec::new(),
        args: Vec::new(),
        env: Vec::new(),
        working_dir: None,
        readiness: None,
        ports: Vec::new(),
    };
    CreateApplication {
        app: app(),
        meta: ApplicationMeta {
            name: name.into(),
            cluster: "default".into(),
            app_type: "Common".into(),
            description: String::new(),
        },
        resources: ResourceAttribute {
            resource_type: "Ens".into(),
            resource_agent: "Linux".into(),
            instance_spec: SpecName::new("ens.sn1.tiny"),
            system_disk_gb: 20,
            data_disk_gb: 0,
            bandwidth_out_mbit: 10,
            area_level: "National".into(),
            strategy: Strategy::Disperse,
            ip_type: "PublicIP".into(),
            image_id: None,
            net_security_strategy: None,
            init_config: None,
            min_ready: 0,
        },
        version: VersionName::new("v1"),
        workloads: vec![Workload {
            name: "web".into(),
            pod_count: 1,
            service_config: None,
            ports: Vec::new(),
            containers: vec![container],
        }],
        pins: BTreeMap::new(),
        level: Level::AreaIspCode,
        selector,
        timeout_s: 1_800,
        on_timeout: OnTimeout::Keep,
    }
}

/// Instances of the account by themselves, on one node.
pub(crate) fn run(spec: &str, node: &str, count: u32) -> Change {
    Change::RunInstances(Box::new(RunInstances {
        spec: SpecName::new(spec),
        level: Level::RegionId,
        item: item(node, None, count),
        strategy: Strategy::Disperse,
        names: InstanceNames::Numbered("batch".into()),
        tags: vec![Tag { key: "team".into(), value: "video".into() }],
        echoed: Value::Null,
    }))
}
