//! An application that cannot run: the operation fails, says why, and gives back what it took.

use crate::{SETTLED_AT_MOST, add};
use ensemble_tests::client::instances;
use ensemble_tests::containers_can_run;
use ensemble_tests::machine::container_processes;
use ensemble_tests::server::Engine;
use ensemble_tests::site::Site;

const TWO: &str = r#"[{"regionCode":"cn-shanghai-cmcc","count":2}]"#;

#[tokio::test]
async fn a_crash_loop_fails_at_the_deadline_and_its_logs_stay_readable() {
    if !containers_can_run() {
        return;
    }
    let mut site = Site::start(Engine::Embedded).unwrap();
    let client = site.client().unwrap();
    let app_id = site.create(&["exit", "7"]).await.unwrap();
    let mut parameters = add(&app_id, TWO).to_vec();
    parameters.push(("Timeout", "3"));
    let accepted = client.ask("RescaleApplication", &parameters).await.unwrap();
    let operation_id = accepted["RequestId"].as_str().unwrap();

    let settled = client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();

    assert_eq!(settled["AppStatus"]["Phase"], "UPDATE_FAILED", "{settled:#}");
    let operation = client.ask("DescribeOperation", &[("OperationId", operation_id)]).await.unwrap();
    assert_eq!(operation["Operation"]["Status"], "Failed");
    assert_eq!(operation["Operation"]["Ready"], 0);
    site.clean().unwrap();
    assert!(container_processes(&app_id).is_empty());
}

#[tokio::test]
async fn what_a_container_wrote_can_be_read() {
    if !containers_can_run() {
        return;
    }
    let mut site = Site::start(Engine::Embedded).unwrap();
    let client = site.client().unwrap();
    let app_id = site.create(&[]).await.unwrap();
    client.ask("RescaleApplication", &add(&app_id, TWO)).await.unwrap();
    let settled = client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();

    for instance in instances(&settled) {
        let instance_id = instance["InstanceId"].as_str().unwrap();
        let logs = client.ask("DescribeInstanceLogs", &[("InstanceId", instance_id)]).await.unwrap();

        assert_eq!(logs["Lines"][0]["Text"], "listening on 0.0.0.0:8080", "{logs:#}");
        assert_eq!(logs["Lines"][0]["Stream"], "stdout");
    }
    site.clean().unwrap();
}
