//! What was answered is kept, whatever happens to the server; and a server that cannot keep anything says so.

use crate::harness::{Server, log_path, options, template};
use ensemble_model::wanted::Epoch;
use ensemble_server::store::{self, LogStore, Record};
use ensemble_server::{Error, control};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const ADD_TWO: &str = r#"[{"regionCode":"cn-shanghai-cmcc","count":2}]"#;

fn add_two(app: &str) -> Vec<(&str, &str)> {
    vec![("AppId", app), ("RescaleType", "Add"), ("ResourceSelector", ADD_TWO)]
}

#[tokio::test]
async fn an_accepted_write_survives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    let app = server.create("hello").await;
    let accepted = server.call("RescaleApplication", &add_two(&app)).send().await.member("RequestId");
    server.kill().await;

    let server = Server::start(dir.path()).await;

    let operation = server.finished(&accepted).await;
    assert_eq!((&operation["Wanted"], &operation["Ready"]), (&2.into(), &2.into()), "{operation}");
    assert_eq!(operation["AppId"], app.as_str());
}

#[tokio::test]
async fn a_kill_at_any_point_loses_nothing_that_was_answered() {
    let dir = tempfile::tempdir().unwrap();
    let mut apps: Vec<(String, String)> = Vec::new();
    for round in 0..5 {
        let server = Server::start(dir.path()).await;
        for (name, operation) in &apps {
            let kept = server.operation(operation).await;
            assert_eq!(kept["Status"], "Succeeded", "{name} in round {round}");
        }
        for write in 0..3 {
            let name = format!("app-{round}-{write}");
            let answer = server.call("CreateApplication", &[("Template", &template(&name))]).send().await;
            apps.push((name, answer.member("RequestId")));
        }
        server.kill().await;
    }
}

#[tokio::test]
async fn an_accepted_write_is_not_replayed_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    let app = server.create("hello").await;
    let call = server.call("RescaleApplication", &add_two(&app)).v1().bytes();
    assert_eq!(server.raw(&call).await.status, 200);
    server.kill().await;

    let server = Server::start(dir.path()).await;

    // The address is another one, but V1 signs no header.
    assert_eq!(server.raw(&call).await.code(), "SignatureNonceUsed");
}

#[tokio::test]
async fn a_second_server_is_refused_and_the_first_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;

    let second = Server::try_start(options(dir.path()), |store| store).await;

    assert!(matches!(second, Err(Error::DataDir(_))));
    server.create("hello").await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_that_stopped_leaves_neither_an_endpoint_nor_a_log_in_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    let expected = format!("http://{}\n", server.address);

    assert_eq!(std::fs::read_to_string(dir.path().join("endpoint")).unwrap(), expected);
    server.stop().await.unwrap();
    assert!(!dir.path().join("endpoint").exists());
    assert!(!dir.path().join("log.sqlite-wal").exists(), "the log is one file that can be copied");
}

/// Runs statements on the log of a stopped server.
async fn damage(dir: &std::path::Path, statement: &'static str) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(log_path(dir));
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::query(statement).execute(&pool).await.unwrap();
    pool.close().await;
}

#[tokio::test]
async fn a_log_whose_tail_was_cut_is_refused_unless_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    server.create("kept").await;
    server.create("lost").await;
    server.stop().await.unwrap();
    damage(dir.path(), "DELETE FROM log WHERE sequence = (SELECT max(sequence) FROM log)").await;

    let Err(refused) = Server::try_start(options(dir.path()), |store| store).await else { panic!("started") };
    assert!(matches!(refused, Error::HighWater(_)), "{refused}");
    assert!(refused.to_string().contains("sequence"), "{refused}");

    let accepting = ensemble_server::Options { accept_truncated_log: true, ..options(dir.path()) };
    let server = Server::try_start(accepting, |store| store).await.unwrap();
    // The name of the lost one is free again.
    server.create("lost").await;
    server.stop().await.unwrap();
    Server::start(dir.path()).await.stop().await.unwrap();
}

#[tokio::test]
async fn a_log_of_another_version_or_with_damage_is_refused() {
    for (statement, expected) in [
        (
            "UPDATE log SET record = CAST('ensemble-log 2' || substr(CAST(record AS TEXT), 15) AS BLOB) WHERE sequence = 1",
            "another version",
        ),
        ("UPDATE log SET record = CAST(CAST(record AS TEXT) || ' ' AS BLOB) WHERE sequence = 1", "checksum"),
        ("DELETE FROM log WHERE sequence = 1", "missing"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(dir.path()).await;
        server.create("hello").await;
        server.stop().await.unwrap();
        damage(dir.path(), statement).await;

        let Err(refused) = Server::try_start(options(dir.path()), |store| store).await else {
            panic!("started")
        };

        let Error::Log { fault, .. } = &refused else { panic!("{refused}") };
        assert!(fault.to_string().contains(expected), "{fault}");
    }
}

/// Fails every append once told so.
struct Failing<S> {
    inner: S,
    fails: Arc<AtomicBool>,
}

impl<S: LogStore> LogStore for Failing<S> {
    async fn append(&self, epoch: Epoch, sequence: u64, record: &[u8]) -> Result<(), store::Error> {
        if self.fails.load(Ordering::SeqCst) {
            let source = sqlx::Error::Io(std::io::Error::other("the disk is gone"));
            return Err(store::Error::Database { action: "append to", source });
        }
        self.inner.append(epoch, sequence, record).await
    }

    async fn read_from(&self, sequence: u64, at_most: u32) -> Result<Vec<Record>, store::Error> {
        self.inner.read_from(sequence, at_most).await
    }

    async fn put_snapshot(&self, epoch: Epoch, sequence: u64, bytes: &[u8]) -> Result<(), store::Error> {
        self.inner.put_snapshot(epoch, sequence, bytes).await
    }

    async fn get_snapshot(&self) -> Result<Option<Record>, store::Error> {
        self.inner.get_snapshot().await
    }

    async fn fence(&self) -> Result<Epoch, store::Error> {
        self.inner.fence().await
    }
}

#[tokio::test]
async fn a_failed_append_answers_nobody_with_success_and_stops_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let fails = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&fails);
    let server =
        Server::try_start(options(dir.path()), move |inner| Failing { inner, fails: told }).await.unwrap();
    let app = server.create("hello").await;
    fails.store(true, Ordering::SeqCst);

    let answer = server.call("RescaleApplication", &add_two(&app)).send().await;
    let ended = server.ended().await;

    assert_eq!((answer.status, answer.code().as_str()), (503, "ServiceUnavailable"));
    assert!(matches!(ended, Err(Error::Control(control::Error::Append(_)))), "{ended:?}");
    let server = Server::start(dir.path()).await;
    let accepted = server.call("RescaleApplication", &add_two(&app)).send().await.member("RequestId");
    assert_eq!(server.finished(&accepted).await["Ready"], 2, "nothing of the failed write is there");
}

#[tokio::test]
async fn a_server_that_another_one_shut_out_stops() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    let app = server.create("hello").await;
    // Past the lock, as on a file system that has none.
    damage(dir.path(), "UPDATE leader SET epoch = epoch + 1").await;

    let answer = server.call("RescaleApplication", &add_two(&app)).send().await;

    assert_eq!(answer.status, 503);
    let ended = server.ended().await;
    assert!(
        matches!(ended, Err(Error::Control(control::Error::Append(store::Error::Fenced { .. })))),
        "{ended:?}"
    );
}

#[tokio::test]
async fn the_log_is_read_beside_a_running_server_and_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    server.create("hello").await;
    let kinds = |entries: &[ensemble_model::event::Entry]| {
        let events = entries.iter().flat_map(|entry| &entry.events);
        events.map(|event| serde_json::to_value(event).unwrap()["event"].clone()).collect::<Vec<_>>()
    };

    let running = ensemble_server::read_log(dir.path(), 1, 100).await.unwrap();
    server.stop().await.unwrap();
    let stopped = ensemble_server::read_log(dir.path(), 2, 1).await.unwrap();

    assert_eq!(kinds(&running)[..2], ["fleet_installed", "application_created"]);
    assert_eq!(stopped, running[1..2]);
    assert!(ensemble_server::read_log(&dir.path().join("nowhere"), 1, 1).await.is_err());
}
