//! Out and in with real containers: what is answered is what runs and what can be reached, and afterwards nothing is
//! left on the machine.

use crate::{DOCUMENTED_SELECTOR, SETTLED_AT_MOST, add, del};
use ensemble_tests::client::instances;
use ensemble_tests::containers_can_run;
use ensemble_tests::machine::{container_processes, left_behind};
use ensemble_tests::server::Engine;
use ensemble_tests::site::Site;
use serde_json::Value;
use std::collections::BTreeSet;

#[tokio::test]
async fn an_application_scales_out_and_in_and_leaves_nothing() {
    if !containers_can_run() {
        return;
    }
    let mut site = Site::start(Engine::Embedded).unwrap();
    let client = site.client().unwrap();
    let app_id = site.create(&[]).await.unwrap();

    client.ask("RescaleApplication", &add(&app_id, DOCUMENTED_SELECTOR)).await.unwrap();
    let settled = client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();
    assert_eq!(settled["AppStatus"]["Phase"], "RUNNING", "{settled:#}");
    for instance in instances(&settled) {
        let page = client.page(address(instance)).await.unwrap();
        assert_eq!(page["ENS_INSTANCE_ID"], instance["InstanceId"]);
        assert_eq!(page["ENS_REGION_ID"], instance["RegionId"]);
        assert_eq!(page["ENS_APP_ID"], app_id.as_str());
    }
    assert_eq!(container_processes(&app_id).len(), 6);
    assert!(!left_behind(&site.data_dir()).is_empty(), "what is looked for afterwards is there now");

    let three = r#"[{"regionCode":"cn-shanghai-cmcc","count":3}]"#;
    client.ask("RescaleApplication", &del(&app_id, three)).await.unwrap();
    let settled = client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();
    let answered: BTreeSet<&str> =
        instances(&settled).iter().map(|instance| instance["InstanceId"].as_str().unwrap()).collect();
    let running = container_processes(&app_id);
    let running: BTreeSet<&str> = running.iter().map(|process| process.instance_id.as_str()).collect();
    assert_eq!(answered.len(), 3);
    assert_eq!(running, answered);

    client.delete(&app_id, SETTLED_AT_MOST).await.unwrap();
    assert!(container_processes(&app_id).is_empty());
    site.clean().unwrap();
}

#[tokio::test]
async fn a_container_that_was_shot_comes_back_as_the_same_instance() {
    if !containers_can_run() {
        return;
    }
    let mut site = Site::start(Engine::Embedded).unwrap();
    let client = site.client().unwrap();
    let app_id = site.create(&[]).await.unwrap();
    let one = r#"[{"regionCode":"cn-shanghai-cmcc","count":1}]"#;
    client.ask("RescaleApplication", &add(&app_id, one)).await.unwrap();
    client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();
    let before = container_processes(&app_id);
    let shot = before.first().unwrap();

    std::process::Command::new("kill").args(["-KILL", &shot.pid.to_string()]).status().unwrap();
    let began = std::time::Instant::now();
    let after = loop {
        let now = container_processes(&app_id);
        if now.len() == 1 && now != before {
            break now;
        }
        assert!(began.elapsed() < SETTLED_AT_MOST, "{now:?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };

    assert_eq!(after.first().unwrap().instance_id, shot.instance_id);
    site.clean().unwrap();
}

fn address(instance: &Value) -> &str {
    instance["InternalIps"][0]["Ip"].as_str().expect("a running instance has an address")
}
