//! Backup and restore with real containers: what runs is not touched before the operator says so, and images that came
//! from files come back with the backup.

use crate::{SETTLED_AT_MOST, add};
use ensemble_tests::client::instances;
use ensemble_tests::containers_can_run;
use ensemble_tests::machine::container_processes;
use ensemble_tests::server::Engine;
use ensemble_tests::site::Site;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const ONE: &str = r#"[{"regionCode":"cn-shanghai-cmcc","count":1}]"#;
const TWO: &str = r#"[{"regionCode":"cn-shanghai-cmcc","count":2}]"#;

async fn scale(site: &Site, app_id: &str, selector: &str) -> Value {
    let client = site.client().unwrap();
    client.ask("RescaleApplication", &add(app_id, selector)).await.unwrap();
    client.settled(app_id, SETTLED_AT_MOST).await.unwrap()
}

fn back_up(site: &Site) -> PathBuf {
    let file = site.data_dir().with_extension("backup");
    site.ensemble(&["backup", file.to_str().unwrap()]).unwrap();
    file
}

fn restore(site: &Site, file: &Path) {
    site.ensemble(&["restore", file.to_str().unwrap()]).unwrap();
}

/// Waits until all instances are in this state.
async fn all_are(site: &Site, app_id: &str, status: &str) -> Value {
    let (began, client) = (Instant::now(), site.client().unwrap());
    loop {
        let answer = client.ask("DescribeDeviceService", &[("AppId", app_id)]).await.unwrap();
        if instances(&answer).iter().all(|instance| instance["InstanceStatus"] == status) {
            return answer;
        }
        assert!(began.elapsed() < SETTLED_AT_MOST, "not all are {status}: {answer:#}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn containers_that_a_restored_log_does_not_know_run_until_the_operator_confirms() {
    if !containers_can_run() {
        return;
    }
    let mut site = Site::start(Engine::Embedded).unwrap();
    let app_id = site.create(&[]).await.unwrap();
    scale(&site, &app_id, TWO).await;
    let known = container_processes(&app_id);
    let file = back_up(&site);
    scale(&site, &app_id, ONE).await;
    let all = container_processes(&app_id);
    assert_eq!((known.len(), all.len()), (2, 3));

    // As after a log that was lost: the new directory stands where the old one stood, with what engines keep.
    site.take_server().kill().unwrap();
    let aside = site.data_dir().with_extension("aside");
    fs::rename(site.data_dir(), &aside).unwrap();
    restore(&site, &file);
    fs::remove_dir_all(site.data_dir().join("engine")).unwrap();
    fs::rename(aside.join("engine"), site.data_dir().join("engine")).unwrap();
    site.restart().unwrap();

    let seen = all_are(&site, &app_id, "Unknown").await;
    assert_eq!(instances(&seen).len(), 2);
    let outlook: Value =
        serde_json::from_str(&site.ensemble(&["restore", "--status", "-o", "json"]).unwrap()).unwrap();
    assert_eq!(
        (&outlook["Wanted"], &outlook["Held"], &outlook["UnknownCount"]),
        (&2.into(), &3.into(), &1.into()),
        "{outlook}"
    );
    assert_eq!(container_processes(&app_id), all, "nothing is started or ended before the confirmation");

    site.ensemble(&["restore", "--confirm", "--yes"]).unwrap();

    all_are(&site, &app_id, "Running").await;
    let began = Instant::now();
    while container_processes(&app_id) != known {
        assert!(began.elapsed() < SETTLED_AT_MOST, "{:?} {known:?}", container_processes(&app_id));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    site.clean().unwrap();
}

#[tokio::test]
async fn images_from_files_come_back_with_the_backup_and_containers_start_from_them() {
    if !containers_can_run() {
        return;
    }
    let mut site = Site::start(Engine::Embedded).unwrap();
    let app_id = site.create(&[]).await.unwrap();
    scale(&site, &app_id, TWO).await;
    let file = back_up(&site);
    site.clean().unwrap();
    assert_eq!(container_processes(&app_id).len(), 0);
    fs::remove_dir_all(site.data_dir()).unwrap();

    restore(&site, &file);
    site.restart().unwrap();
    assert_eq!(container_processes(&app_id).len(), 0, "nothing starts before the confirmation");
    site.ensemble(&["restore", "--confirm", "--yes"]).unwrap();

    let running = all_are(&site, &app_id, "Running").await;
    assert_eq!(container_processes(&app_id).len(), 2);
    let address = instances(&running)[0]["InternalIps"][0]["Ip"].as_str().unwrap();
    let page = site.client().unwrap().page(address).await.unwrap();
    assert_eq!(page["ENS_APP_ID"], app_id.as_str(), "{page}");
    site.clean().unwrap();
}
