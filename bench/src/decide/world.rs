//! A state of a given size, made as a server makes it: commands are decided, their events applied, and an engine reports
//! what it runs. One application owns a tenth of all instances all over the country, the others a hundred each in their
//! district.

use crate::client::selector;
use crate::server::{DISTRICTS, Engine, Fleet};
use anyhow::{Context, Result, ensure};
use ensemble_model::application::{ApplicationMeta, Container, ResourceAttribute, Strategy, Workload};
use ensemble_model::command::{
    Change, Command, CreateApplication, Direction, Partial, RequestFacts, RescaleApplication,
};
use ensemble_model::decide;
use ensemble_model::event::{Entry, Event};
use ensemble_model::fleet::file;
use ensemble_model::id::{AccountId, AppId, EngineName, InstanceId, Isp, OperationId, SpecName, VersionName};
use ensemble_model::instance::PodStatus;
use ensemble_model::observation::{InstanceObservation, Observation, PodObservation, Presence, Reach};
use ensemble_model::operation::OnTimeout;
use ensemble_model::permit::{Permit, Principal, authorize};
use ensemble_model::selector::{Level, SelectorItem};
use ensemble_model::state::State;
use ensemble_model::time::{LogTime, Now, WallTime};
use ensemble_model::wanted::Epoch;
use serde_json::json;
use std::sync::Arc;

/// The largest number that one selector item may have.
const PER_ITEM: usize = 1_000;
const PER_SMALL_APPLICATION: usize = 100;
const EPOCH: Epoch = Epoch(1);
const BEGAN_MS: i64 = 1_700_000_000_000;
const TIMEOUT_S: u32 = 600;

pub(super) struct World {
    pub(super) state: State,
    permit: Permit,
    engine: EngineName,
    reports: u64,
    commands: u64,
}

/// Where an application's instances are to be.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Country,
    District(&'static str),
    Node(String),
}

impl World {
    /// `nodes` edge nodes, and no instance.
    pub(super) fn empty(nodes: usize, vcpu_per_node: usize) -> Result<Self> {
        let text = Fleet::generated(Engine::Simulated, nodes, vcpu_per_node).text();
        let fleet = file::parse(&text.context("a generated fleet has a text")?)
            .map_err(|mistakes| anyhow::anyhow!("{mistakes:?}"))?;
        let engine = fleet.engines.keys().next().cloned().context("a generated fleet has an engine")?;
        let owner = Principal::owner(AccountId::new("1000000000000001"), "measured");
        let permit = authorize(&owner, "ens:RescaleApplication")?;
        let mut world = Self { state: State::default(), permit, engine, reports: 0, commands: 0 };
        world.apply(vec![Event::FleetInstalled { fleet: Arc::new(fleet) }]);
        Ok(world)
    }

    /// Fills it with `instances` that run; returns the application that owns a tenth, and small ones with their districts.
    pub(super) fn fill(&mut self, instances: usize) -> Result<(AppId, Vec<(AppId, Place)>)> {
        let owner = self.create()?;
        self.grow(&owner, &Place::Country, instances / 10)?;
        let mut small = Vec::new();
        for index in 0..(instances - instances / 10) / PER_SMALL_APPLICATION {
            let app = self.create()?;
            let place = Place::District(DISTRICTS[index % DISTRICTS.len()]);
            self.grow(&app, &place, PER_SMALL_APPLICATION)?;
            small.push((app, place));
        }
        ensure!(self.state.held_instances() == instances, "{} instances", self.state.held_instances());
        Ok((owner, small))
    }

    /// An application without instances.
    pub(super) fn create(&mut self) -> Result<AppId> {
        let app = AppId::new(uuid::Uuid::from_u64_pair(0x4000, self.commands).to_string());
        let change = Change::Create(Box::new(creation(&app, self.commands)));
        let command = self.command("CreateApplication", json!({"Template": "as given"}), change);
        self.carry_out(&command)?;
        Ok(app)
    }

    /// What a call of RescaleApplication becomes.
    pub(super) fn rescale(
        &mut self,
        app: &AppId,
        direction: Direction,
        place: &Place,
        count: usize,
    ) -> Command {
        let (region, level) = match place {
            Place::Country => (None, Level::AreaIspCode),
            Place::District(code) => (Some((*code).to_owned()), Level::AreaIspCode),
            Place::Node(id) => (Some(id.clone()), Level::RegionId),
        };
        let parameters = json!({
            "AppId": app.as_str(),
            "RescaleType": format!("{direction:?}"),
            "ResourceSelector": selector(region.as_deref().unwrap_or_default(), count),
        });
        let item = SelectorItem {
            region_code: region,
            isp: Some(Isp::new("cmcc")),
            count: u32::try_from(count).unwrap_or(u32::MAX),
            instances: Vec::new(),
        };
        let change = Change::Rescale(RescaleApplication {
            app: app.clone(),
            direction,
            level,
            selector: vec![item],
            to_version: None,
            timeout_s: TIMEOUT_S,
            on_timeout: OnTimeout::Keep,
            partial: Partial::Refused,
            if_revision: None,
            if_plan: None,
        });
        self.command("RescaleApplication", parameters, change)
    }

    pub(super) fn now(&self) -> Now {
        let ms = i64::try_from(self.state.sequence()).unwrap_or(i64::MAX);
        Now { log: LogTime(ms), wall: WallTime(BEGAN_MS + ms) }
    }

    pub(super) fn permit(&self) -> &Permit {
        &self.permit
    }

    fn command(&mut self, action: &str, parameters: serde_json::Value, change: Change) -> Command {
        self.commands += 1;
        let id = uuid::Uuid::from_u64_pair(0x5000, self.commands).to_string().to_uppercase();
        let request = RequestFacts {
            request_id: OperationId::new(id),
            action: action.into(),
            source: "127.0.0.1".into(),
            parameters,
            client_token: None,
            nonce: None,
        };
        Command { permit: self.permit.clone(), request, seed: self.commands, change }
    }

    fn grow(&mut self, app: &AppId, place: &Place, count: usize) -> Result<()> {
        let mut left = count;
        while left > 0 {
            let now = left.min(PER_ITEM);
            let command = self.rescale(app, Direction::Add, place, now);
            let planned = self.carry_out(&command)?;
            self.report_ready(&planned);
            left -= now;
        }
        Ok(())
    }

    /// Decides and applies; returns the instances that it plans.
    fn carry_out(&mut self, command: &Command) -> Result<Vec<InstanceId>> {
        let decision = decide::decide(&self.state, command, self.now())?;
        let mut planned = Vec::new();
        for event in &decision.events {
            if let Event::InstancesPlanned { placements, .. } = event {
                let instances = placements.iter().flat_map(|placement| &placement.instances);
                planned.extend(instances.map(|instance| instance.id.clone()));
            }
        }
        self.apply(decision.events);
        Ok(planned)
    }

    fn deployment_of(&self, instance: &InstanceId) -> String {
        let found = self.state.account(&self.permit).instance(instance);
        found.map(|instance| instance.deployment.clone()).unwrap_or_default()
    }

    fn report_ready(&mut self, planned: &[InstanceId]) {
        self.reports += 1;
        let instances = planned.iter().map(|instance| InstanceObservation {
            instance: instance.clone(),
            presence: Presence::Here {
                deployment: self.deployment_of(instance),
                pods: vec![PodObservation {
                    workload: "web".into(),
                    index: 0,
                    status: PodStatus::Running,
                    address: Some([10, 1, 2, 3].into()),
                    exposed_at: None,
                    restarts: 0,
                    message: String::new(),
                }],
                ready: true,
                hopeless: None,
            },
        });
        let observation = Observation {
            engine: self.engine.clone(),
            epoch: EPOCH,
            number: self.reports,
            reach: Reach::Listed,
            instances: instances.collect(),
            resolved: Vec::new(),
        };
        let events = decide::observe(&self.state, observation, self.now());
        self.apply(events);
    }

    fn apply(&mut self, events: Vec<Event>) {
        let entry = Entry { sequence: self.state.sequence() + 1, now: self.now(), epoch: EPOCH, events };
        self.state.apply(&entry);
    }
}

fn creation(app: &AppId, number: u64) -> CreateApplication {
    let container = Container {
        name: "web".into(),
        image: "hello:v1".into(),
        command: Vec::new(),
        args: Vec::new(),
        env: Vec::new(),
        working_dir: None,
        readiness: None,
        ports: Vec::new(),
    };
    CreateApplication {
        app: app.clone(),
        meta: ApplicationMeta {
            name: format!("shop-{number}"),
            cluster: "default".into(),
            app_type: "Common".into(),
            description: String::new(),
        },
        resources: ResourceAttribute {
            resource_type: "VM".into(),
            resource_agent: "false".into(),
            instance_spec: SpecName::new("ens.sn1.stiny"),
            system_disk_gb: 20,
            data_disk_gb: 0,
            bandwidth_out_mbit: 0,
            area_level: "National".into(),
            strategy: Strategy::Disperse,
            ip_type: "ipv4".into(),
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
        pins: std::collections::BTreeMap::new(),
        level: Level::AreaIspCode,
        selector: Vec::new(),
        timeout_s: TIMEOUT_S,
        on_timeout: OnTimeout::Keep,
    }
}
