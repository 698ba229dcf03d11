//! A watcher whose link breaks again and again sees what one with a whole link sees: the same events in the same order,
//! none of them twice. And a write whose answer is lost is done once.

use crate::{SETTLED_AT_MOST, add, del};
use ensemble_tests::cutter::{Cutter, Cutting, Then};
use ensemble_tests::server::{self, Engine};
use ensemble_tests::site::Site;
use serde_json::Value;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// A watcher ends with what it watches; this is only so that a broken one does not hang.
const WATCHED_AT_MOST: Duration = Duration::from_secs(120);

/// The command line, calling the server of this site at another address.
fn ensemble_at(site: &Site, url: &str, words: &[&str]) -> Command {
    let credentials: toml::Table =
        std::fs::read_to_string(site.data_dir().join("credentials.toml")).unwrap().parse().unwrap();
    let mut command = Command::new(server::binary());
    server::without_key(&mut command);
    command
        .env("ENSEMBLE_ACCESS_KEY_ID", credentials["access_key_id"].as_str().unwrap())
        .env("ENSEMBLE_ACCESS_KEY_SECRET", credentials["access_key_secret"].as_str().unwrap())
        .args(["--endpoint", url])
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

async fn output(command: Command) -> Output {
    let mut command = tokio::process::Command::from(command);
    command.kill_on_drop(true);
    tokio::time::timeout(WATCHED_AT_MOST, command.output()).await.unwrap().unwrap()
}

fn lines(output: &Output) -> Vec<String> {
    String::from_utf8(output.stdout.clone()).unwrap().lines().map(str::to_owned).collect()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn an_application_is_watched_over_a_link_that_breaks_as_over_a_whole_one() {
    let site = Site::start(Engine::Simulated).unwrap();
    let client = site.client().unwrap();
    let app_id = site.create(&[]).await.unwrap();
    let cutting = Cutting { action: "Watch", bytes_below: 10_000, at_most: 60, seed: 6, then: Then::Closed };
    let cutter = Cutter::start(&site.server().url, cutting).await.unwrap();
    let words = ["watch", &app_id, "--since", "0", "-o", "ndjson"];

    let changing = async {
        for round in 0..10 {
            let several = format!(r#"[{{"regionCode":"cn-shanghai-cmcc","count":{}}}]"#, 4 + round % 3);
            client.ask("RescaleApplication", &add(&app_id, &several)).await.unwrap();
            client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();
            client.ask("RescaleApplication", &del(&app_id, &several)).await.unwrap();
            client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();
        }
        client.delete(&app_id, SETTLED_AT_MOST).await.unwrap();
    };
    let (whole, cut, ()) = tokio::join!(
        output(ensemble_at(&site, &site.server().url, &words)),
        output(ensemble_at(&site, &cutter.url, &words)),
        changing
    );

    assert_eq!(whole.status.code(), Some(0), "{}", stderr(&whole));
    assert_eq!(cut.status.code(), Some(0), "{}", stderr(&cut));
    let (whole, cut_lines) = (lines(&whole), lines(&cut));
    assert_eq!(cut_lines, whole, "{:?}\n{}", cutter.cuts(), stderr(&cut));
    let kinds =
        |kind: &str| whole.iter().filter(|line| line.contains(&format!("\"event\":\"{kind}\""))).count();
    assert!(kinds("instance") > 50 && kinds("operation") > 20, "{} lines", whole.len());
    assert_eq!(kinds("resync"), 0, "everything was still known");
    let last: Value = serde_json::from_str(whole.last().unwrap()).unwrap();
    assert_eq!(last["data"]["Phase"], "GONE", "the end of a deleted application is not lost");
    let cuts = cutter.cuts();
    assert!(cuts.all >= 10 && cuts.within_an_event >= 5, "{cuts:?}");
}

#[tokio::test]
async fn an_operation_is_picked_up_again_until_its_end() {
    let site = Site::start(Engine::Simulated).unwrap();
    let client = site.client().unwrap();
    let app_id = site.create(&[]).await.unwrap();
    let cutting = Cutting { action: "Watch", bytes_below: 20_000, at_most: 12, seed: 7, then: Then::Closed };
    let cutter = Cutter::start(&site.server().url, cutting).await.unwrap();
    let many = r#"[{"regionCode":"cn-shanghai-cmcc","count":9},{"regionCode":"cn-wuxi-telecom_unicom_cmcc-3","count":9}]"#;
    let answer = client.ask("RescaleApplication", &add(&app_id, many)).await.unwrap();
    let operation = answer["RequestId"].as_str().unwrap();
    let words = ["watch", operation, "--since", "0", "-o", "ndjson"];

    let (whole, cut) = tokio::join!(
        output(ensemble_at(&site, &site.server().url, &words)),
        output(ensemble_at(&site, &cutter.url, &words))
    );

    assert_eq!((whole.status.code(), cut.status.code()), (Some(0), Some(0)), "{}", stderr(&cut));
    assert_eq!(lines(&cut), lines(&whole), "{:?}\n{}", cutter.cuts(), stderr(&cut));
    assert!(cutter.cuts().all > 0);
    let last: Value = serde_json::from_str(lines(&cut).last().unwrap()).unwrap();
    assert_eq!(last["data"]["Status"], "Succeeded");
    let behind_the_end = last["id"].as_str().unwrap();
    let again = output(ensemble_at(
        &site,
        &site.server().url,
        &["watch", operation, "--since", behind_the_end, "-o", "ndjson"],
    ));
    assert_eq!(lines(&again.await), Vec::<String>::new(), "nothing comes twice");
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_done_once() {
    let site = Site::start(Engine::Simulated).unwrap();
    let app_id = site.create(&[]).await.unwrap();
    let cutting =
        Cutting { action: "RescaleApplication", bytes_below: 0, at_most: 2, seed: 8, then: Then::Closed };
    let cutter = Cutter::start(&site.server().url, cutting).await.unwrap();

    let scaled =
        output(ensemble_at(&site, &cutter.url, &["rescale", &app_id, "--add", "cn-shanghai-cmcc=3"])).await;

    assert_eq!(scaled.status.code(), Some(0), "{}", stderr(&scaled));
    assert_eq!(cutter.cuts().all, 2);
    let instances = site.ensemble(&["instances", &app_id, "-o", "name"]).unwrap();
    assert_eq!(instances.lines().count(), 3);
}
