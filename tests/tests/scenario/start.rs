//! How a server starts and ends: one line on stdout, one server a directory, TERM drains.

use ensemble_tests::server::{Engine, command};
use ensemble_tests::site::Site;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

#[tokio::test]
async fn stdout_is_the_ready_line_and_nothing_else() {
    let mut site = Site::start(Engine::Simulated).unwrap();
    site.client().unwrap().ask("ListApplications", &[]).await.unwrap();

    let ended = site.take_server().terminate().unwrap();

    assert!(ended.status.success(), "{}", ended.status);
    assert_eq!(ended.later_stdout, Vec::<String>::new());
}

#[tokio::test]
async fn a_second_server_on_one_data_directory_is_refused_and_the_first_goes_on() {
    let site = Site::start(Engine::Simulated).unwrap();

    let second = command(&site.data_dir(), Engine::Simulated).output().unwrap();

    assert_eq!(second.status.code(), Some(1));
    assert!(second.stdout.is_empty(), "{}", String::from_utf8_lossy(&second.stdout));
    site.client().unwrap().ask("ListApplications", &[]).await.unwrap();
}

#[test]
fn the_key_is_the_owners_alone_and_is_kept() {
    let mut site = Site::start(Engine::Simulated).unwrap();
    let path = site.data_dir().join("credentials.toml");
    let first = std::fs::read_to_string(&path).unwrap();

    site.take_server().terminate().unwrap();
    site.restart().unwrap();

    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), first);
    let secret =
        first.lines().find_map(|line| line.strip_prefix("access_key_secret = ")).unwrap().trim_matches('"');
    assert!(!site.server().log().contains(secret));
}

#[test]
fn another_key_in_the_environment_is_refused() {
    let mut site = Site::start(Engine::Simulated).unwrap();
    site.take_server().terminate().unwrap();

    let refused = command(&site.data_dir(), Engine::Simulated)
        .env("ENSEMBLE_ACCESS_KEY_ID", "LTAI5tSomebodyElse")
        .env("ENSEMBLE_ACCESS_KEY_SECRET", "another")
        .output()
        .unwrap();

    assert_eq!(refused.status.code(), Some(1));
}

#[tokio::test]
async fn a_term_closes_open_streams_and_ends_well_within_its_ten_seconds() {
    let mut site = Site::start(Engine::Simulated).unwrap();
    let app_id = site.create(&[]).await.unwrap();
    let mut stream = site.client().unwrap().send("Watch", &[("AppId", &app_id)]).await.unwrap();
    let first = stream.chunk().await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&first).contains("event"), "{first:?}");

    site.server().send_term().unwrap();
    while let Ok(Some(_)) = stream.chunk().await {}

    let status = site.take_server().wait(Duration::from_secs(10)).unwrap();
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn every_answer_of_a_draining_server_is_whole_or_the_connection_is_refused() {
    let mut site = Site::start(Engine::Simulated).unwrap();
    let client = site.client().unwrap();
    let calling = async {
        for _ in 0..40 {
            // A refused connection is how a server that ended answers.
            let Ok(response) = client.send("DescribeEnsRegions", &[]).await else { break };
            let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
            assert!(body["RequestId"].is_string(), "{body}");
        }
    };

    // The first call is under way when TERM arrives.
    tokio::join!(calling, async { site.server().send_term().unwrap() });

    assert!(site.take_server().wait(Duration::from_secs(15)).unwrap().success());
}
