//! A backup beside a server that works, and the server of what was restored: it only observes until it is confirmed.

use crate::harness::{Server, template};
use ensemble_server::{backup, restored};
use futures_util::future::join_all;
use serde_json::Value;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const ADD_TWO: &str = r#"[{"regionCode":"cn-shanghai-cmcc","count":2}]"#;

fn add_two(app: &str) -> Vec<(&str, &str)> {
    vec![("AppId", app), ("RescaleType", "Add"), ("ResourceSelector", ADD_TWO)]
}

/// A server with one application of two instances, and a backup of it.
async fn backed_up(dir: &Path) -> (Server, String) {
    let server = Server::start(&dir.join("old")).await;
    let app = server.create("hello").await;
    let accepted = server.call("RescaleApplication", &add_two(&app)).send().await.member("RequestId");
    server.finished(&accepted).await;
    backup::write(&dir.join("old"), &dir.join("backup"), &[], |_| {}).await.unwrap();
    (server, app)
}

async fn restore(dir: &Path) {
    backup::restore(&dir.join("backup"), &dir.join("new"), |_| {}).await.unwrap();
}

async fn restore_of(server: &Server, dry_run: &str) -> Value {
    let answer = server.call("ConfirmRestore", &[("DryRun", dry_run)]).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["Restore"].clone()
}

async fn statuses(server: &Server, app: &str) -> Vec<String> {
    let answer = server.call("DescribeDeviceService", &[("AppId", app)]).get().send().await.json();
    let infos = answer["ResourceInfos"].as_array().unwrap();
    infos.iter().map(|info| info["InstanceStatus"].as_str().unwrap().to_owned()).collect()
}

/// Waits until the engine has said how the two instances are.
async fn both_run(server: &Server, app: &str) {
    let running = async {
        while statuses(server, app).await != ["Running", "Running"] {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), running).await.expect("the engine reports");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_holds_every_write_that_was_answered_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("old")).await;
    let (answered, enough) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let writer = async |writer: usize| {
        for write in 0.. {
            if enough.load(Ordering::Relaxed) {
                return;
            }
            let name = format!("app-{writer}-{write}");
            let answer = server.call("CreateApplication", &[("Template", &template(&name))]).send().await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            answered.lock().unwrap().push(name);
        }
    };
    let backing_up = async {
        while answered.lock().unwrap().len() < 40 {
            tokio::task::yield_now().await;
        }
        let before = answered.lock().unwrap().clone();
        let manifest =
            backup::write(&dir.path().join("old"), &dir.path().join("backup"), &[], |_| {}).await.unwrap();
        enough.store(true, Ordering::Relaxed);
        (before, manifest)
    };

    let (_, (before, manifest)) = tokio::join!(join_all((0..8).map(writer)), backing_up);
    server.stop().await.unwrap();
    restore(dir.path()).await;
    let server = Server::start(&dir.path().join("new")).await;

    let listed = server.call("ListApplications", &[("OutAppInfoParams", "{}")]).send().await.text;
    let missing: Vec<&String> =
        before.iter().filter(|name| !listed.contains(&format!("{name}\\\""))).collect();
    assert!(missing.is_empty(), "{missing:?} of {} were answered and are not there: {listed}", before.len());
    assert!(manifest.applications >= before.len(), "{manifest:?}");
}

#[tokio::test]
async fn a_restored_server_observes_refuses_writes_and_acts_once_confirmed() {
    let dir = tempfile::tempdir().unwrap();
    let (old, app) = backed_up(dir.path()).await;
    old.stop().await.unwrap();
    restore(dir.path()).await;

    let server = Server::start(&dir.path().join("new")).await;

    assert_eq!(statuses(&server, &app).await, ["Unknown", "Unknown"], "nobody has looked at them");
    let refused = server.call("RescaleApplication", &add_two(&app)).send().await;
    assert_eq!((refused.status, refused.member("Reason")), (400, "RestoreUnconfirmed".into()));
    assert!(refused.member("Detail").contains("ensemble restore --confirm"), "{}", refused.text);
    let ready = server.raw(b"GET /readyz HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").await;
    assert_eq!(ready.status, 503, "what takes no writes is not ready");
    assert!(ready.text.contains("ensemble restore --confirm"), "{}", ready.text);
    let before = restore_of(&server, "true").await;
    assert_eq!((&before["Status"], &before["Wanted"]), (&"Observing".into(), &2.into()), "{before}");
    assert_eq!(statuses(&server, &app).await, ["Unknown", "Unknown"], "a dry run confirms nothing");

    let after = restore_of(&server, "false").await;

    assert_eq!(after["Status"], "Confirmed", "{after}");
    both_run(&server, &app).await;
    let ready = server.raw(b"GET /readyz HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").await;
    assert_eq!(ready.status, 200, "{}", ready.text);
    let accepted = server.call("RescaleApplication", &add_two(&app)).send().await.member("RequestId");
    assert_eq!(server.finished(&accepted).await["Status"], "Succeeded");
    assert_eq!(statuses(&server, &app).await, ["Running"; 4]);
}

#[tokio::test]
async fn no_restart_confirms_by_itself_and_a_confirmation_outlives_one() {
    let dir = tempfile::tempdir().unwrap();
    let (old, app) = backed_up(dir.path()).await;
    old.stop().await.unwrap();
    restore(dir.path()).await;
    let new = dir.path().join("new");

    let server = Server::start(&new).await;
    assert!(restored::confirm_offline(&new).is_err(), "a server has the directory");
    server.kill().await;
    let server = Server::start(&new).await;
    assert_eq!(restore_of(&server, "true").await["Status"], "Observing");
    server.stop().await.unwrap();
    assert!(restored::confirm_offline(&new).unwrap());

    let server = Server::start(&new).await;
    assert_eq!(restore_of(&server, "true").await["Status"], "Confirmed");
    both_run(&server, &app).await;
    assert_eq!(server.call("RescaleApplication", &add_two(&app)).send().await.status, 200);
}

#[tokio::test]
async fn what_was_signed_before_the_restore_is_not_taken_again() {
    let dir = tempfile::tempdir().unwrap();
    let (old, app) = backed_up(dir.path()).await;
    // Accepted behind the backup, which knows nothing of its nonce.
    let call = old.call("RescaleApplication", &add_two(&app)).v1().minutes_off(-1).bytes();
    assert_eq!(old.raw(&call).await.status, 200);
    old.stop().await.unwrap();
    restore(dir.path()).await;
    let server = Server::start(&dir.path().join("new")).await;
    restore_of(&server, "false").await;

    let replayed = server.raw(&call).await;

    assert_eq!(replayed.code(), "InvalidTimeStamp.Expired", "{}", replayed.text);
}

#[tokio::test]
async fn a_server_that_was_not_restored_has_nothing_to_confirm() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;

    assert_eq!(restore_of(&server, "false").await["Status"], "None");

    server.create("hello").await;
}
