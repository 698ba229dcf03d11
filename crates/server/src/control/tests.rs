//! What waits together is appended together, and nothing leaves before it is durable, whatever the store does.

use super::handle::Unavailable;
use super::*;
use crate::high_water::OnTruncation;
use crate::store::{Error as StoreError, Record};
use ensemble_model::application::{ApplicationMeta, Container, ResourceAttribute, Strategy, Workload};
use ensemble_model::command::{Change, Command, CreateApplication, RequestFacts};
use ensemble_model::fleet::{EngineKind, builtin};
use ensemble_model::id::{AccountId, AppId, EngineName, OperationId, SpecName, VersionName};
use ensemble_model::log::recovery::Recovered;
use ensemble_model::operation::OnTimeout;
use ensemble_model::permit::{self, Principal};
use ensemble_model::selector::Level;
use ensemble_model::step::Settings;
use ensemble_model::time::Now;
use futures_util::FutureExt;
use std::collections::BTreeMap;
use std::sync::Mutex;
use tokio::sync::Semaphore;

/// Keeps records in memory, and each append waits until it is let through.
struct Gated {
    gate: Semaphore,
    begun: Semaphore,
    records: Mutex<Vec<Record>>,
}

impl LogStore for Gated {
    async fn append(&self, _: Epoch, sequence: u64, record: &[u8]) -> Result<(), StoreError> {
        self.begun.add_permits(1);
        self.gate.acquire().await.unwrap().forget();
        self.records.lock().unwrap().push(Record { sequence, bytes: record.to_vec() });
        Ok(())
    }

    async fn read_from(&self, _: u64, _: u32) -> Result<Vec<Record>, StoreError> {
        Ok(self.records.lock().unwrap().clone())
    }

    async fn put_snapshot(&self, _: Epoch, _: u64, _: &[u8]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn get_snapshot(&self) -> Result<Option<Record>, StoreError> {
        Ok(None)
    }

    async fn fence(&self) -> Result<Epoch, StoreError> {
        Ok(Epoch(1))
    }
}

struct Bench {
    _dir: tempfile::TempDir,
    store: Arc<Gated>,
    control: Control,
    writer: Writer<Gated>,
}

/// A writer over a log that holds the fleet.
async fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let store =
        Arc::new(Gated { gate: Semaphore::new(1), begun: Semaphore::new(0), records: Mutex::default() });
    let clock = Clock::resume(Now::default());
    let fleet = Arc::new(builtin::builtin(EngineKind::Simulated, EngineName::new("simulated")));
    let mut core = ControlLoop::new(Recovered::default(), Settings::new(Epoch(1)), clock.now());
    let first = core.start(clock.now(), &fleet).unwrap();
    let (_, observations) = mpsc::channel(1);
    let high_water = HighWater::open(&dir.path().join("high-water"), 0, OnTruncation::Refuse).unwrap();
    let (mut writer, control) = Writer::new(Start {
        core,
        first,
        clock,
        epoch: Epoch(1),
        store: Arc::clone(&store),
        high_water,
        wishes: Wishes::default(),
        observations,
        metrics: Arc::new(Metrics::new()),
    });
    writer.begin().await.unwrap();
    Bench { _dir: dir, store, control, writer }
}

pub(super) fn create(name: &str) -> Command {
    let principal = Principal::owner(AccountId::new("1"), "key");
    Command {
        permit: permit::authorize(&principal, "ens:CreateApplication").unwrap(),
        request: RequestFacts {
            request_id: OperationId::new(name.to_uppercase()),
            action: "CreateApplication".into(),
            source: "127.0.0.1".into(),
            parameters: serde_json::json!({}),
            client_token: None,
            nonce: None,
        },
        seed: 7,
        change: Change::Create(Box::new(CreateApplication {
            app: AppId::new(name),
            meta: ApplicationMeta {
                name: name.into(),
                cluster: "default".into(),
                app_type: "Common".into(),
                description: String::new(),
            },
            resources: ResourceAttribute {
                resource_type: "Ens".into(),
                resource_agent: String::new(),
                instance_spec: SpecName::new("ens.sn1.tiny"),
                system_disk_gb: 20,
                data_disk_gb: 0,
                bandwidth_out_mbit: 10,
                area_level: "National".into(),
                strategy: Strategy::Disperse,
                ip_type: String::new(),
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
                containers: vec![Container {
                    name: "web".into(),
                    image: "web".into(),
                    command: Vec::new(),
                    args: Vec::new(),
                    env: Vec::new(),
                    working_dir: None,
                    readiness: None,
                    ports: Vec::new(),
                }],
            }],
            pins: BTreeMap::new(),
            level: Level::AreaIspCode,
            selector: Vec::new(),
            timeout_s: 300,
            on_timeout: OnTimeout::Keep,
        })),
    }
}

#[tokio::test]
async fn commands_that_wait_together_share_one_append() {
    let Bench { _dir, store, control, writer } = bench().await;
    let mut answers: Vec<_> = (0..100)
        .map(|index| {
            let control = control.clone();
            Box::pin(async move { control.submit(create(&format!("app-{index}"))).await })
        })
        .collect();
    for answer in &mut answers {
        assert!(answer.as_mut().now_or_never().is_none(), "answered before anything runs");
    }
    store.gate.add_permits(1);

    let (stop, stopped) = oneshot::channel();
    drop(stop);
    writer.run(stopped).await.unwrap();

    for answer in answers {
        answer.await.unwrap().unwrap();
    }
    assert_eq!(store.read_from(0, 9).await.unwrap().len(), 2, "one for the fleet, one for all commands");
    assert_eq!(control.state().sequence(), 2);
}

#[tokio::test]
async fn nothing_is_answered_or_shown_before_it_is_durable() {
    let Bench { _dir, store, control, writer } = bench().await;
    let (stop, stopped) = oneshot::channel();
    let running = tokio::spawn(writer.run(stopped));
    let mut answer = Box::pin(control.submit(create("shop")));
    assert!(answer.as_mut().now_or_never().is_none());

    // The fleet's append was one, the command's is the other.
    store.begun.acquire_many(2).await.unwrap().forget();
    assert!(answer.as_mut().now_or_never().is_none());
    assert_eq!(control.state().sequence(), 1);

    store.gate.add_permits(1);
    assert_eq!(answer.await.unwrap().unwrap().app, Some(AppId::new("shop")));
    assert_eq!(control.state().sequence(), 2);
    drop(stop);
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let bench = bench().await;
    let mut answers: Vec<_> = (0..COMMANDS_AT_MOST)
        .map(|index| {
            let control = bench.control.clone();
            Box::pin(async move { control.submit(create(&format!("app-{index}"))).await })
        })
        .collect();
    for answer in &mut answers {
        assert!(answer.as_mut().now_or_never().is_none());
    }

    let refused = bench.control.submit(create("one-more")).await;

    assert_eq!(refused.unwrap_err(), Unavailable::Busy);
}

#[tokio::test]
async fn a_writer_that_stopped_takes_nothing() {
    let Bench { _dir, control, writer, .. } = bench().await;
    let (stop, stopped) = oneshot::channel();
    drop(stop);
    writer.run(stopped).await.unwrap();

    assert_eq!(control.submit(create("late")).await.unwrap_err(), Unavailable::Stopped);
}
