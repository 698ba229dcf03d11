//! Versions over the running server: new ones in real containers, a canary, one that cannot run, and the way back.

use crate::{SETTLED_AT_MOST, add};
use ensemble_tests::client::{Client, instances};
use ensemble_tests::containers_can_run;
use ensemble_tests::machine::container_processes;
use ensemble_tests::server::{Engine, image};
use ensemble_tests::site::Site;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// `page → version` of every instance that answers.
async fn versions(client: &Client, settled: &Value) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for instance in instances(settled) {
        let address = instance["InternalIps"][0]["Ip"].as_str().unwrap();
        let page = client.page(address).await.unwrap();
        assert_eq!(page["ENS_APP_VERSION"], instance["AppVersion"], "{instance}");
        let id = instance["InstanceId"].as_str().unwrap().to_owned();
        found.insert(id, page["ENS_APP_VERSION"].as_str().unwrap().to_owned());
    }
    found
}

async fn upgrade(client: &Client, app_id: &str, template: &Value) -> Value {
    let template = template.to_string();
    let parameters = [("AppId", app_id), ("Template", template.as_str()), ("Timeout", "60")];
    match client.call("UpgradeApplication", &parameters).await.unwrap() {
        Ok(answer) => answer,
        Err(refusal) => json!({ "Code": refusal.code, "Detail": refusal.body["Detail"] }),
    }
}

async fn status(client: &Client, app_id: &str) -> (String, String, String) {
    let answer = client.ask("DescribeDeviceService", &[("AppId", app_id)]).await.unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (
        text(&answer["AppStatus"]["Phase"]),
        text(&answer["AppMetaData"]["AppStableVersion"]),
        text(&answer["AppStatus"]["StatusDescrip"]),
    )
}

fn containers(arguments: &[&str]) -> Value {
    let image = format!("oci:{}", image().display());
    json!([{"name": "web", "podSpec": {"containers": [{"name": "web", "image": image, "args": arguments}]}}])
}

#[tokio::test]
async fn real_containers_go_to_a_version_by_canary_and_back() {
    if !containers_can_run() {
        return;
    }
    let mut site = Site::start(Engine::Embedded).unwrap();
    let client = site.client().unwrap();
    let app_id = site.create(&[]).await.unwrap();
    let two_and_one =
        r#"[{"regionCode":"cn-shanghai-cmcc","count":2},{"regionCode":"cn-nanjing-cmcc","count":1}]"#;
    client.ask("RescaleApplication", &add(&app_id, two_and_one)).await.unwrap();
    let settled = client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();
    let before = versions(&client, &settled).await;

    let canary = json!({"toAppVersion": "v2", "descrip": "second", "upgradeStrategy":
        {"name": "ScheduleToRegionId", "parameters": {"operator": "In", "values": ["cn-nanjing-cmcc"]}}});
    let answer = upgrade(&client, &app_id, &canary).await;
    assert!(answer["TaskId"].as_str().is_some_and(|id| id.len() == 36), "{answer}");
    let settled = client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();
    let after = versions(&client, &settled).await;
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>(), "the same instances");
    assert_eq!(after.values().filter(|version| *version == "v2").count(), 1);
    assert_eq!(
        status(&client, &app_id).await,
        ("RUNNING".into(), "v1".into(), "update to version:v2 success: 1 of 1 instance".into())
    );

    upgrade(&client, &app_id, &json!({"toAppVersion": "v2"})).await;
    let settled = client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();
    assert!(versions(&client, &settled).await.values().all(|version| version == "v2"));
    assert_eq!(status(&client, &app_id).await.1, "v2");

    client.ask("RollbackApplication", &[("AppId", &app_id), ("FromAppVersion", "v2")]).await.unwrap();
    let settled = client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();
    assert!(versions(&client, &settled).await.values().all(|version| version == "v1"));
    client.ask("DeleteAppVersion", &[("AppId", &app_id), ("AppVersion", "v2")]).await.unwrap();
    assert_eq!(container_processes(&app_id).len(), 3);

    client.delete(&app_id, SETTLED_AT_MOST).await.unwrap();
    assert!(container_processes(&app_id).is_empty());
    site.clean().unwrap();
}

#[tokio::test]
async fn a_version_that_does_not_run_stops_and_the_rest_keeps_answering() {
    if !containers_can_run() {
        return;
    }
    let mut site = Site::start(Engine::Embedded).unwrap();
    let client = site.client().unwrap();
    let app_id = site.create(&[]).await.unwrap();
    client
        .ask("RescaleApplication", &add(&app_id, r#"[{"regionCode":"cn-shanghai-cmcc","count":3}]"#))
        .await
        .unwrap();
    client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();

    let broken = json!({"toAppVersion": "v2", "workload": containers(&["exit", "3"]), "autoUpgradeStrategy":
        {"name": "AdjustToPodUsage", "checkInterval": 1, "rules": [{"regionCodes": ["All"], "maxUpgradingCount": 1}]}});
    let answer = upgrade(&client, &app_id, &broken).await;
    assert!(answer["RequestId"].is_string(), "{answer}");
    let answer = client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();

    let (phase, stable, description) = status(&client, &app_id).await;
    assert_eq!((&*phase, &*stable), ("UPDATE_FAILED", "v1"), "{description}");
    assert!(
        description.contains("does not become ready with version v2 (3 restarts, exited 3)"),
        "{description}"
    );
    assert!(description.contains("0 of 3 run the new version"), "{description}");
    let old = instances(&answer).iter().filter(|instance| instance["AppVersion"] == "v1").count();
    assert_eq!(old, 2, "no more than one was taken");

    client.ask("RollbackApplication", &[("AppId", &app_id), ("FromAppVersion", "v2")]).await.unwrap();
    let settled = client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();
    assert!(versions(&client, &settled).await.values().all(|version| version == "v1"));
    client.delete(&app_id, SETTLED_AT_MOST).await.unwrap();
    site.clean().unwrap();
}

#[tokio::test]
async fn templates_of_upgrades_are_read_strictly() {
    let site = Site::start(Engine::Simulated).unwrap();
    let client = site.client().unwrap();
    let app_id = site.create(&[]).await.unwrap();
    let strategy = |name: &str, parameters: Value| json!({"toAppVersion": "v2", "upgradeStrategy": {"name": name, "parameters": parameters}});
    let auto = |auto: Value| json!({"toAppVersion": "v2", "autoUpgradeStrategy": auto});

    for (template, detail) in [
        (json!({}), "Template.toAppVersion is required"),
        (json!({"toAppVersion": "-"}), "Template.toAppVersion `-` is not a letter"),
        (strategy("ScheduleToIsp", json!({})), "did you mean ScheduleToISP?"),
        (strategy("ScheduleToISP", json!({"operator": "in", "values": ["cmcc"]})), "did you mean In?"),
        (strategy("ScheduleToISP", json!({"values": []})), "values is empty"),
        (strategy("ScheduleToISP", json!({"values": ["cmc"]})), "unknown carrier `cmc`"),
        (auto(json!({"name": "AdjustToPodUsage", "startHourPoint": "25"})), "is not an hour from 0 to 24"),
        (
            auto(json!({"name": "AdjustToPodUsage", "startTime": "2021-02-19"})),
            "is not `yyyy-MM-dd HH:mm:ss`",
        ),
        (
            json!({"toAppVersion": "v2", "workload": [{"name": "web", "podSpec": {"image": "x"}}]}),
            "podSpec.image is not supported",
        ),
    ] {
        let answer = upgrade(&client, &app_id, &template).await;

        assert_eq!(answer["Code"], "InvalidParameter", "{template}");
        assert!(answer["Detail"].as_str().is_some_and(|text| text.contains(detail)), "{template}: {answer}");
    }
    let refusal =
        client.call("RollbackApplication", &[("AppId", &*app_id), ("FromAppVersion", "v7")]).await.unwrap();
    assert_eq!(refusal.unwrap_err().code, "InvalidParameter.FromAppVersion");
    let refusal =
        client.call("DeleteAppVersion", &[("AppId", &*app_id), ("AppVersion", "v1")]).await.unwrap();
    assert_eq!(refusal.unwrap_err().code, "InvalidParameter.AppVersion");
}
