//! Who asks: several accounts, each with a few applications, that create, scale, plan, delete, ask twice, ask again what
//! was not answered, and ask for what cannot be. What they know of the world is what they were answered.

mod asks;
mod versions;

use crate::dice::Dice;
use crate::faults::{Fault, Faults};
use crate::request::Outcome;
use crate::request::Request;
use ensemble_model::application::{ApplicationMeta, Container, ResourceAttribute, Strategy, Workload};
use ensemble_model::command::{
    Change, ClientToken, Command, CreateApplication, DeleteApplication, Direction, Nonce, Partial,
    RequestFacts, RescaleApplication,
};
use ensemble_model::decide;
use ensemble_model::fleet::Fleet;
use ensemble_model::id::{AccountId, AppId, Digest, Isp, OperationId, SpecName, VersionName};
use ensemble_model::operation::OnTimeout;
use ensemble_model::permit::{Permit, Principal, authorize};
use ensemble_model::port::{PortRange, Protocol};
use ensemble_model::probe::{Probe, Question};
use ensemble_model::selector::{Level, SelectorItem};
use ensemble_model::state::State;
use ensemble_model::time::WallTime;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What hundreds at once are.
const FLOOD: u64 = 120;

const SPECS: [&str; 2] = ["ens.sn1.tiny", "ens.sn1.small"];

/// One account and what it believes to have.
pub(crate) struct Client {
    index: usize,
    dice: Dice,
    permit: Permit,
    apps: Vec<AppId>,
    most_apps: usize,
    made: u64,
    /// Has no applications, and a say about edge nodes.
    is_operator: bool,
}

/// What a client does with one act.
pub(crate) struct Act {
    pub(crate) requests: Vec<Request>,
    /// What is asked a moment later, whatever has become of them.
    pub(crate) second_thought: Option<Request>,
    /// Each of them is sent a second time.
    pub(crate) is_doubled: bool,
}

impl Client {
    pub(crate) fn new(index: usize, seed: u64, most_apps: usize) -> Self {
        let account = AccountId::new(format!("{:016}", 1_000_000_000_000_001 + index as u64));
        let principal = Principal::owner(account, format!("key-{index}"));
        Self {
            index,
            dice: Dice::stream(seed, &format!("client {index}")),
            permit: authorize(&principal, "ens:*").expect("an owner may do everything"),
            apps: Vec::new(),
            most_apps,
            made: 0,
            is_operator: false,
        }
    }

    pub(crate) fn operator(index: usize, seed: u64) -> Self {
        Self { is_operator: true, ..Self::new(index, seed, 0) }
    }

    pub(crate) fn permit(&self) -> Permit {
        self.permit.clone()
    }

    /// Milliseconds to its next act.
    pub(crate) fn pause(&mut self) -> i64 {
        self.dice.wait_ms(45_000)
    }

    pub(crate) fn act(&mut self, state: &Arc<State>, wall: WallTime, faults: &mut Faults) -> Act {
        let fleet = Arc::clone(state.fleet());
        if self.is_operator {
            let change = self.about_a_node(state);
            let nothing = Act { requests: Vec::new(), second_thought: None, is_doubled: false };
            return change.map_or(nothing, |change| {
                let action = change.action();
                self.one(change, action, wall, faults)
            });
        }
        if self.apps.is_empty() || (self.apps.len() < self.most_apps && self.dice.happens(300)) {
            let change = self.create(&fleet);
            return self.one(change, "CreateApplication", wall, faults);
        }
        let Some(app) = self.dice.pick(&self.apps).cloned() else {
            return Act { requests: Vec::new(), second_thought: None, is_doubled: false };
        };
        if faults.strikes(Fault::Flood, 4, &mut self.dice) {
            let mut requests = Vec::new();
            for _ in 0..FLOOD {
                let change = Change::Rescale(self.rescale(&app, &fleet, 1));
                requests.push(self.request(change, "RescaleApplication", wall));
            }
            return Act { requests, second_thought: None, is_doubled: false };
        }
        if self.dice.happens(20) || faults.strikes(Fault::OutOfOrderDelete, 15, &mut self.dice) {
            let change = Change::Delete(DeleteApplication {
                app: app.clone(),
                timeout_s: self.timeout(),
                if_revision: if self.dice.happens(500) { self.remembered(&app, state) } else { None },
            });
            return self.one(change, "DeleteApplication", wall, faults);
        }
        if self.dice.happens(550)
            && let Some(change) = self.ask(&app, state)
        {
            let (change, plan, move_plan) = self.planned(change, state);
            let action = change.action();
            let mut act = self.one(change, action, wall, faults);
            for request in &mut act.requests {
                (request.plan, request.move_plan) = (plan.clone(), move_plan.clone());
            }
            return act;
        }
        let mut rescale = self.rescale(&app, &fleet, 4);
        if faults.strikes(Fault::ImpossibleSelector, 30, &mut self.dice) {
            self.spoil(&mut rescale);
        }
        let mut plan = None;
        if self.dice.happens(300)
            && let Ok(planned) = decide::plan(state, &self.permit, &rescale)
        {
            rescale.if_plan = Some(planned.plan.id.clone());
            plan = Some(planned.plan);
        } else if self.dice.happens(200) {
            rescale.if_revision = self.remembered(&app, state);
        }
        let mut act = self.one(Change::Rescale(rescale), "RescaleApplication", wall, faults);
        for request in &mut act.requests {
            request.plan.clone_from(&plan);
        }
        act
    }

    /// The revision that it knows of: now and then an older one.
    fn remembered(&mut self, app: &AppId, state: &State) -> Option<u64> {
        let revision = state.account(&self.permit).application(app)?.revision;
        Some(revision.saturating_sub(u64::from(self.dice.happens(300))))
    }

    /// The same wish once more, under the same token: what a client does that was not answered.
    pub(crate) fn again(&mut self, request: &Request, wall: WallTime) -> Request {
        let mut again = request.clone();
        again.outcome = Outcome::Unknown;
        (again.ruling, again.foretold, again.foretold_moves) = (None, None, None);
        again.command.request.request_id = self.request_id();
        again.command.request.nonce = Some(self.nonce(wall));
        again.command.seed = self.dice.next();
        again
    }

    /// Learns what it was answered.
    pub(crate) fn hear(&mut self, request: &Request) {
        match (&request.command.change, &request.outcome) {
            (Change::Create(create), Outcome::Accepted(_)) if !self.apps.contains(&create.app) => {
                self.apps.push(create.app.clone());
            }
            (Change::Delete(delete), Outcome::Accepted(_)) => self.apps.retain(|app| *app != delete.app),
            (
                Change::Rescale(rescale),
                Outcome::Refused(ensemble_model::refusal::Refusal::UnknownApplication { .. }),
            ) => {
                self.apps.retain(|app| *app != rescale.app);
            }
            (_, _) => {}
        }
    }

    fn one(&mut self, change: Change, action: &str, wall: WallTime, faults: &mut Faults) -> Act {
        let is_doubled = faults.strikes(Fault::DuplicateRequest, 30, &mut self.dice);
        let request = self.request(change, action, wall);
        let second_thought = self.second_thought(&request, wall);
        Act { requests: vec![request], second_thought, is_doubled }
    }

    fn request(&mut self, change: Change, action: &str, wall: WallTime) -> Request {
        let token = ClientToken {
            token: format!("token-{}", self.dice.next()),
            fingerprint: Digest::new(format!("sha256:{:064x}", self.dice.next())),
        };
        let request = RequestFacts {
            request_id: self.request_id(),
            action: action.to_owned(),
            source: "192.0.2.1".to_owned(),
            parameters: json!({}),
            client_token: self.dice.happens(700).then_some(token),
            nonce: Some(self.nonce(wall)),
        };
        let command = Command { permit: self.permit.clone(), request, seed: self.dice.next(), change };
        Request {
            client: self.index,
            command,
            outcome: Outcome::Unknown,
            plan: None,
            move_plan: None,
            ruling: None,
            foretold: None,
            foretold_moves: None,
            is_doubled: false,
        }
    }

    fn request_id(&mut self) -> OperationId {
        OperationId::new(format!(
            "{:08X}-0000-4000-8000-{:012X}",
            self.dice.next() >> 32,
            self.dice.next() >> 16
        ))
    }

    fn nonce(&mut self, wall: WallTime) -> Nonce {
        Nonce {
            key_id: self.permit.key_id().to_owned(),
            nonce: format!("{:016x}", self.dice.next()),
            stamp: wall,
        }
    }

    fn timeout(&mut self) -> u32 {
        [60, 90, 300, 900, 3_600][self.dice.below(5) as usize]
    }

    fn on_timeout(&mut self) -> OnTimeout {
        if self.dice.happens(200) { OnTimeout::Undo } else { OnTimeout::Keep }
    }

    fn create(&mut self, fleet: &Fleet) -> Change {
        self.made += 1;
        let name = format!("app-{}-{}", self.index, self.made);
        let spec = SPECS[self.dice.below(2) as usize];
        let strategy = if self.dice.happens(500) { Strategy::Disperse } else { Strategy::Concentrate };
        let names = &["web", "side"][..self.dice.between(1, 2) as usize];
        let workloads = names.iter().zip(0..).map(|(name, at)| Workload {
            name: (*name).to_owned(),
            pod_count: self.dice.between(1, 2) as u32,
            service_config: None,
            ports: self.ports(at),
            containers: vec![container(name)],
        });
        let workloads = workloads.collect();
        let selector =
            if self.dice.happens(500) { Vec::new() } else { self.selector(fleet, Level::AreaIspCode, 3) };
        Change::Create(Box::new(CreateApplication {
            app: AppId::new(format!(
                "{:08x}-0000-4000-8000-{:012x}",
                self.dice.next() >> 32,
                self.dice.next() >> 16
            )),
            meta: ApplicationMeta {
                name,
                cluster: "poc".to_owned(),
                app_type: "Common".to_owned(),
                description: String::new(),
            },
            resources: attributes(spec, strategy, self.dice.below(6).saturating_sub(3) as u32),
            version: VersionName::new("v1"),
            workloads,
            pins: BTreeMap::from([("oci:/srv/hello".to_owned(), Digest::new(format!("sha256:{:064x}", 1)))]),
            level: Level::AreaIspCode,
            selector,
            timeout_s: self.timeout(),
            on_timeout: self.on_timeout(),
        }))
    }

    /// Of the workload at that place, which has a hundred of its own in each protocol: a few applications bind some, and
    /// two of them often the same.
    fn ports(&mut self, at: u16) -> Vec<PortRange> {
        if !self.dice.happens(300) {
            return Vec::new();
        }
        let count = self.dice.between(1, 3) as u16;
        let node = 30_000 + 100 * at + self.dice.below(6) as u16;
        let protocols: &[Protocol] = match self.dice.below(3) {
            0 => &[Protocol::Tcp],
            1 => &[Protocol::Udp],
            _ => &[Protocol::Tcp, Protocol::Udp],
        };
        let range = |protocol: &Protocol| PortRange { protocol: *protocol, node, container: 80, count };
        protocols.iter().map(range).collect()
    }

    fn rescale(&mut self, app: &AppId, fleet: &Fleet, most: u64) -> RescaleApplication {
        let direction = if self.dice.happens(600) { Direction::Add } else { Direction::Del };
        let level = if self.dice.happens(700) { Level::AreaIspCode } else { Level::RegionId };
        RescaleApplication {
            app: app.clone(),
            direction,
            level,
            selector: self.selector(fleet, level, most),
            to_version: None,
            timeout_s: self.timeout(),
            on_timeout: self.on_timeout(),
            partial: if self.dice.happens(400) { Partial::Allowed } else { Partial::Refused },
            if_revision: None,
            if_plan: None,
        }
    }

    fn selector(&mut self, fleet: &Fleet, level: Level, most: u64) -> Vec<SelectorItem> {
        let count = self.dice.between(1, 3);
        (0..count).map(|_| self.item(fleet, level, most)).collect()
    }

    fn item(&mut self, fleet: &Fleet, level: Level, most: u64) -> SelectorItem {
        let count = self.dice.between(1, most) as u32;
        let Some(node) = self.dice.pick(&fleet.nodes) else {
            return SelectorItem { region_code: None, isp: None, count, instances: Vec::new() };
        };
        let isp = if self.dice.happens(500) { self.dice.pick(&node.isps).cloned() } else { None };
        let mut codes = vec![node.id.to_string()];
        if level == Level::AreaIspCode {
            let mut district = node.district.clone();
            while let Some(code) = district {
                codes.push(code.to_string());
                district = fleet.districts.get(&code).and_then(|district| district.father.clone());
            }
        }
        SelectorItem { region_code: self.dice.pick(&codes).cloned(), isp, count, instances: Vec::new() }
    }

    /// Asks for what no node can meet.
    fn spoil(&mut self, rescale: &mut RescaleApplication) {
        let Some(item) = rescale.selector.first_mut() else { return };
        match self.dice.below(3) {
            0 => item.count = 1_000,
            1 => item.region_code = Some("cn-nowhere".to_owned()),
            _ => item.isp = Some(Isp::new("carrierpigeon")),
        }
    }
}

/// The second workload of an application has a probe.
fn container(workload: &str) -> Container {
    let probe = Probe {
        question: Question::Tcp { port: 8080 },
        initial_delay_s: 0,
        period_s: 1,
        timeout_s: 1,
        success_threshold: 1,
        failure_threshold: 1,
    };
    Container {
        name: "main".to_owned(),
        image: "oci:/srv/hello".to_owned(),
        command: Vec::new(),
        args: Vec::new(),
        env: Vec::new(),
        working_dir: None,
        readiness: Some(probe).filter(|_| workload == "side"),
        ports: Vec::new(),
    }
}

fn attributes(spec: &str, strategy: Strategy, min_ready: u32) -> ResourceAttribute {
    ResourceAttribute {
        resource_type: "Instance".to_owned(),
        resource_agent: "Container".to_owned(),
        instance_spec: SpecName::new(spec),
        system_disk_gb: 20,
        data_disk_gb: 20,
        bandwidth_out_mbit: 10,
        area_level: "National".to_owned(),
        strategy,
        ip_type: "Static".to_owned(),
        image_id: None,
        net_security_strategy: None,
        init_config: None,
        min_ready,
    }
}
