//! What survives the end of a server, however it ends: everything it answered, and every container.

use crate::{DOCUMENTED_SELECTOR, SETTLED_AT_MOST, add};
use ensemble_tests::client::instances;
use ensemble_tests::containers_can_run;
use ensemble_tests::machine::container_processes;
use ensemble_tests::server::Engine;
use ensemble_tests::site::Site;
use std::collections::BTreeSet;

const ONE_MORE: &str = r#"[{"regionCode":"cn-shanghai-cmcc","count":1}]"#;

#[tokio::test]
async fn what_was_answered_is_there_after_a_power_cut() {
    let mut site = Site::start(Engine::Simulated).unwrap();
    let app_id = site.create(&[]).await.unwrap();
    let parameters = add(&app_id, DOCUMENTED_SELECTOR);
    let accepted = site.client().unwrap().ask("RescaleApplication", &parameters).await.unwrap();
    let operation_id = accepted["RequestId"].as_str().unwrap();

    site.take_server().kill().unwrap();
    site.restart().unwrap();

    let client = site.client().unwrap();
    let settled = client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();
    assert_eq!(settled["AppStatus"]["Phase"], "RUNNING");
    assert_eq!(instances(&settled).len(), 6);
    let operation = client.ask("DescribeOperation", &[("OperationId", operation_id)]).await.unwrap();
    assert_eq!(operation["Operation"]["Status"], "Succeeded");
}

#[tokio::test]
async fn many_power_cuts_lose_and_repeat_nothing() {
    let mut site = Site::start(Engine::Simulated).unwrap();
    let app_id = site.create(&[]).await.unwrap();

    for wanted in 1..=5 {
        site.client().unwrap().ask("RescaleApplication", &add(&app_id, ONE_MORE)).await.unwrap();
        site.take_server().kill().unwrap();
        site.restart().unwrap();

        let settled = site.client().unwrap().settled(&app_id, SETTLED_AT_MOST).await.unwrap();
        assert_eq!(instances(&settled).len(), wanted);
    }
}

#[tokio::test]
async fn a_client_token_is_remembered_over_a_restart() {
    let mut site = Site::start(Engine::Simulated).unwrap();
    let app_id = site.create(&[]).await.unwrap();
    let mut parameters = add(&app_id, ONE_MORE).to_vec();
    parameters.push(("ClientToken", "once"));
    let first = site.client().unwrap().ask("RescaleApplication", &parameters).await.unwrap();
    site.client().unwrap().settled(&app_id, SETTLED_AT_MOST).await.unwrap();

    site.take_server().terminate().unwrap();
    site.restart().unwrap();

    let again = site.client().unwrap().ask("RescaleApplication", &parameters).await.unwrap();
    assert_eq!(again, first);
    let settled = site.client().unwrap().settled(&app_id, SETTLED_AT_MOST).await.unwrap();
    assert_eq!(instances(&settled).len(), 1);
}

#[tokio::test]
async fn containers_outlive_a_killed_server_and_are_taken_over() {
    if !containers_can_run() {
        return;
    }
    let mut site = Site::start(Engine::Embedded).unwrap();
    let app_id = site.create(&[]).await.unwrap();
    let client = site.client().unwrap();
    client.ask("RescaleApplication", &add(&app_id, DOCUMENTED_SELECTOR)).await.unwrap();
    client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();
    let before = container_processes(&app_id);
    assert_eq!(before.len(), 6);

    site.take_server().kill().unwrap();
    assert_eq!(container_processes(&app_id), before, "no container ends with its server");
    site.restart().unwrap();
    // One more: when it is there, the new server has looked at all of them.
    let client = site.client().unwrap();
    client.ask("RescaleApplication", &add(&app_id, ONE_MORE)).await.unwrap();
    let settled = client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();

    let after = container_processes(&app_id);
    assert_eq!(instances(&settled).len(), 7);
    assert_eq!(after.len(), 7);
    assert!(before.is_subset(&after), "the same processes go on: {before:?} {after:?}");
    site.clean().unwrap();
    assert_eq!(container_processes(&app_id).len(), 0);
}

#[tokio::test]
async fn a_server_killed_while_containers_start_leaves_exactly_what_was_wanted() {
    if !containers_can_run() {
        return;
    }
    let mut site = Site::start(Engine::Embedded).unwrap();
    let app_id = site.create(&[]).await.unwrap();

    let client = site.client().unwrap();
    client.ask("RescaleApplication", &add(&app_id, DOCUMENTED_SELECTOR)).await.unwrap();
    site.take_server().kill().unwrap();
    site.restart().unwrap();

    let settled = site.client().unwrap().settled(&app_id, SETTLED_AT_MOST).await.unwrap();
    assert_eq!(settled["AppStatus"]["Phase"], "RUNNING", "{settled:#}");
    let wanted: BTreeSet<String> = instances(&settled)
        .iter()
        .map(|instance| instance["InstanceId"].as_str().unwrap().to_owned())
        .collect();
    let running = container_processes(&app_id);
    assert_eq!(running.len(), 6, "none lost, none doubled: {running:?}");
    assert_eq!(running.into_iter().map(|process| process.instance_id).collect::<BTreeSet<_>>(), wanted);
    site.clean().unwrap();
}

#[tokio::test]
async fn containers_stay_when_the_server_is_asked_to_end() {
    if !containers_can_run() {
        return;
    }
    let mut site = Site::start(Engine::Embedded).unwrap();
    let app_id = site.create(&[]).await.unwrap();
    let client = site.client().unwrap();
    client.ask("RescaleApplication", &add(&app_id, ONE_MORE)).await.unwrap();
    client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();
    let before = container_processes(&app_id);

    let ended = site.take_server().terminate().unwrap();

    assert!(ended.status.success());
    assert_eq!(before.len(), 1);
    assert_eq!(container_processes(&app_id), before);
    site.clean().unwrap();
}
