//! The n-th call of the store fails, for every n until nothing fails any more: opening a log, two lives of a writer with
//! a snapshot in each, recovery in between. A call fails before it did anything or after it did all of it; either way a
//! writer that was told ends, and the next start finds everything whole that was answered, and nothing half.

use super::tests::create;
use super::*;
use crate::high_water::OnTruncation;
use crate::start::recover;
use crate::store::sqlite::SqliteStore;
use crate::store::{Error as StoreError, Record};
use ensemble_model::command::{Change, ClientToken, Command, Direction, Partial, RescaleApplication};
use ensemble_model::fleet::{EngineKind, builtin};
use ensemble_model::id::{AccountId, AppId, Digest, EngineName, OperationId};
use ensemble_model::log::recovery;
use ensemble_model::operation::OnTimeout;
use ensemble_model::permit::{self, Principal};
use ensemble_model::selector::{Level, SelectorItem};
use ensemble_model::step::Settings;
use std::path::Path;
use std::sync::Mutex;
use tokio::sync::Semaphore;

/// More calls than the scenario makes; a test that gets there does not end by itself.
const CALLS_AT_MOST: usize = 100;

/// An answer or an end that takes longer does not come.
const AT_MOST: std::time::Duration = std::time::Duration::from_secs(30);

/// When the call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// It did nothing.
    Before,
    /// It did all of it, and nobody is told so.
    After,
}

/// A store whose `nth` call fails, counted over all who share the count.
struct Failing {
    inner: SqliteStore,
    plan: Arc<Plan>,
}

struct Plan {
    nth: usize,
    mode: Mode,
    /// What was called, in order.
    calls: Mutex<Vec<&'static str>>,
    snapshots_tried: Semaphore,
}

impl Plan {
    fn new(nth: usize, mode: Mode) -> Arc<Self> {
        Arc::new(Self { nth, mode, calls: Mutex::default(), snapshots_tried: Semaphore::new(0) })
    }

    /// The name of the call that failed.
    fn failed(&self) -> Option<&'static str> {
        self.calls.lock().unwrap().get(self.nth - 1).copied()
    }

    /// The calls after the one that failed.
    fn afterwards(&self) -> Vec<&'static str> {
        self.calls.lock().unwrap().iter().skip(self.nth).copied().collect()
    }

    async fn call<T>(
        &self,
        name: &'static str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let number = {
            let mut calls = self.calls.lock().unwrap();
            calls.push(name);
            calls.len()
        };
        if number != self.nth {
            return work.await;
        }
        if self.mode == Mode::After {
            work.await?;
        }
        let source = sqlx::Error::Io(std::io::Error::other("the disk failed"));
        Err(StoreError::Database { action: name, source })
    }
}

impl LogStore for Failing {
    async fn append(&self, epoch: Epoch, sequence: u64, record: &[u8]) -> Result<(), StoreError> {
        self.plan.call("append", self.inner.append(epoch, sequence, record)).await
    }

    async fn read_from(&self, sequence: u64, at_most: u32) -> Result<Vec<Record>, StoreError> {
        self.plan.call("read_from", self.inner.read_from(sequence, at_most)).await
    }

    async fn put_snapshot(&self, epoch: Epoch, sequence: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let put = self.plan.call("put_snapshot", self.inner.put_snapshot(epoch, sequence, bytes)).await;
        self.plan.snapshots_tried.add_permits(1);
        put
    }

    async fn get_snapshot(&self) -> Result<Option<Record>, StoreError> {
        self.plan.call("get_snapshot", self.inner.get_snapshot()).await
    }

    async fn fence(&self) -> Result<Epoch, StoreError> {
        self.plan.call("fence", self.inner.fence()).await
    }
}

/// What a client did: an application, two instances of it, and another application with three.
fn commands() -> [Command; 3] {
    let token = |command: Command, name: &str| {
        let token =
            ClientToken { token: name.to_owned(), fingerprint: Digest::new(format!("sha256:{name}")) };
        let mut request = command.request;
        request.request_id = OperationId::new(name.to_uppercase());
        request.client_token = Some(token);
        Command { request, ..command }
    };
    let anywhere = |count| vec![SelectorItem { region_code: None, isp: None, count, instances: Vec::new() }];
    let rescale = Change::Rescale(RescaleApplication {
        app: AppId::new("shop"),
        direction: Direction::Add,
        level: Level::AreaIspCode,
        selector: anywhere(2),
        to_version: None,
        timeout_s: 300,
        on_timeout: OnTimeout::Keep,
        partial: Partial::Refused,
        if_revision: None,
        if_plan: None,
    });
    let mut two = Command { change: rescale, seed: 8, ..create("shop") };
    two.request.action = "RescaleApplication".to_owned();
    let mut three = Command { seed: 9, ..create("game") };
    if let Change::Create(request) = &mut three.change {
        request.selector = anywhere(3);
    }
    [token(create("shop"), "one"), token(two, "two"), token(three, "three")]
}

/// How one server on the directory fared.
struct Life {
    /// Why it ended, in words.
    ended: Result<(), String>,
    /// What was answered to each command that was sent: nothing where the server was gone.
    answers: Vec<Option<Accepted>>,
}

/// Whether the first command of a life is followed by a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Snapshot {
    AfterTheFirst,
    Unknown,
}

/// A server from its start to its clean stop: a snapshot at every second entry, one command after the other.
async fn life(dir: &Path, plan: &Arc<Plan>, commands: &[Command], snapshot: Snapshot) -> Life {
    let mut answers = Vec::new();
    let ended = live(dir, plan, commands, snapshot, &mut answers).await;
    Life { ended, answers }
}

async fn live(
    dir: &Path,
    plan: &Arc<Plan>,
    commands: &[Command],
    snapshot: Snapshot,
    answers: &mut Vec<Option<Accepted>>,
) -> Result<(), String> {
    let inner = SqliteStore::open(&dir.join("log.sqlite")).await.unwrap();
    let store = Arc::new(Failing { inner: inner.clone(), plan: Arc::clone(plan) });
    let (mut writer, control) = open(dir, store).await?;
    writer.begin().await.map_err(|error| error.to_string())?;
    let (stop, stopped) = oneshot::channel();
    let running = tokio::spawn(writer.run(stopped));
    for command in commands {
        let answer = tokio::time::timeout(AT_MOST, control.submit(command.clone())).await;
        // Whoever waits is told, be it that there is no answer.
        let answer = answer.expect("every command is answered, or the server ends").ok();
        answers.push(answer.map(|decided| decided.expect("nothing here is refused")));
        if let ([Some(_)], Snapshot::AfterTheFirst) = (answers.as_slice(), snapshot) {
            // So that it is the same call every time.
            let tried = tokio::time::timeout(AT_MOST, plan.snapshots_tried.acquire()).await;
            tried.expect("a snapshot is put").unwrap().forget();
        }
    }
    drop(stop);
    let ended = tokio::time::timeout(AT_MOST, running).await.expect("the writer ends").unwrap();
    inner.close().await;
    ended.map_err(|error| error.to_string())
}

/// As `start::serve_until` does it, but for the engines.
async fn open(dir: &Path, store: Arc<Failing>) -> Result<(Writer<Failing>, Control), String> {
    let epoch = store.fence().await.map_err(|error| error.to_string())?;
    let recovered = recover::recover(store.as_ref(), dir).await.map_err(|error| error.to_string())?;
    let mark = dir.join("high-water");
    let high_water = HighWater::open(&mark, recovered.state.sequence(), OnTruncation::Refuse).unwrap();
    let clock = Clock::resume(recovered.state.last());
    let fleet = Arc::new(builtin::builtin(EngineKind::Simulated, EngineName::new("simulated")));
    let settings = Settings { snapshot_every: 2, ..Settings::new(epoch) };
    let mut core = ControlLoop::new(recovered, settings, clock.now());
    let first = core.start(clock.now(), &fleet).unwrap();
    let (_, observations) = mpsc::channel(1);
    let start = Start {
        core,
        first,
        clock,
        epoch,
        store,
        high_water,
        wishes: Wishes::default(),
        observations,
        metrics: Arc::new(Metrics::new()),
    };
    Ok(Writer::new(start))
}

/// The operations in the log, oldest first, and how many instances there are. Snapshot and records agree.
async fn kept(dir: &Path) -> (Vec<OperationId>, usize) {
    let store = SqliteStore::open(&dir.join("log.sqlite")).await.unwrap();
    let recovered = recover::recover(&store, dir).await.unwrap();
    let records = store.read_from(0, 1_000).await.unwrap();
    if records.first().is_some_and(|record| record.sequence == 1) {
        let replayed = recovery::recover(None, records.iter().map(|record| &record.bytes)).unwrap();
        assert_eq!(replayed.state, recovered.state, "snapshot and records say different things");
    }
    store.close().await;
    let principal = Principal::owner(AccountId::new("1"), "key");
    let permit = permit::authorize(&principal, "ens:DescribeApplication").unwrap();
    let account = recovered.state.account(&permit);
    let operations = account.operations(None);
    let ids = operations.iter().rev().map(|operation| operation.id.clone()).collect();
    (ids, ["shop", "game"].map(|app| account.instances(&AppId::new(app)).len()).iter().sum())
}

/// Whether the log holds exactly a beginning of what was sent, all that was answered included.
async fn check_whole(dir: &Path, commands: &[Command], answers: &[Option<Accepted>], case: &str) {
    let (kept, instances) = kept(dir).await;
    let sent: Vec<OperationId> = commands.iter().map(|command| command.request.request_id.clone()).collect();
    assert_eq!(kept, sent[..kept.len()], "{case}");
    assert_eq!(instances, [0, 0, 2, 5][kept.len()], "{case}: an operation is there whole or not at all");
    for (answer, operation) in answers.iter().zip(&sent) {
        let Some(answer) = answer else { continue };
        assert!(kept.contains(&answer.operation), "{case}: {operation} was answered and is lost");
    }
}

/// Whether the call that failed may have left its server running.
fn is_survived(failed: &str) -> bool {
    // A snapshot that is missing costs time at the next start and nothing else.
    failed == "put_snapshot"
}

async fn check(nth: usize, mode: Mode) -> Option<&'static str> {
    let dir = tempfile::tempdir().unwrap();
    let (dir, plan, commands) = (dir.path(), Plan::new(nth, mode), commands());

    let first = life(dir, &plan, &commands[..2], Snapshot::AfterTheFirst).await;
    let mut answers = first.answers;
    let mut ended = first.ended;
    if ended.is_ok() {
        let second = life(dir, &plan, &commands[2..], Snapshot::AfterTheFirst).await;
        answers.extend(second.answers);
        ended = second.ended;
    }

    let failed = plan.failed();
    let case = format!("call {nth}, {}, failed {mode:?}", failed.unwrap_or("none"));
    match failed {
        Some(name) if !is_survived(name) => {
            assert!(ended.is_err(), "{case}: it went on");
            let afterwards = plan.afterwards();
            assert!(!afterwards.contains(&"append"), "{case}: appended afterwards: {afterwards:?}");
        }
        Some(_) | None => {
            assert_eq!(ended, Ok(()), "{case}");
            assert!(answers.iter().all(Option::is_some) && answers.len() == 3, "{case}");
        }
    }
    check_whole(dir, &commands, &answers, &case).await;

    let sound = Plan::new(usize::MAX, mode);
    let again = life(dir, &sound, &commands, Snapshot::Unknown).await;

    assert_eq!(again.ended, Ok(()), "{case}");
    check_whole(dir, &commands, &again.answers, &case).await;
    let (kept, instances) = kept(dir).await;
    assert_eq!((kept.len(), instances), (3, 5), "{case}: a repeated command is executed once");
    failed
}

#[tokio::test]
async fn whichever_call_of_the_store_fails_nothing_is_lost_and_nothing_is_half() {
    for mode in [Mode::Before, Mode::After] {
        let mut failed = Vec::new();
        for nth in 1..=CALLS_AT_MOST {
            match check(nth, mode).await {
                Some(name) => failed.push(name),
                None => break,
            }
        }

        // Both starts, an append for the fleet and each command, both snapshots.
        let times = |name: &str| failed.iter().filter(|one| **one == name).count();
        assert_eq!((times("fence"), times("append"), times("put_snapshot")), (2, 4, 2), "{failed:?}");
        assert_eq!((times("get_snapshot"), times("read_from")), (2, 3), "{failed:?}");
    }
}
