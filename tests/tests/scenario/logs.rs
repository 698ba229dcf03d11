//! `ensemble logs` over several pods: each line whole, once, under the name of its pod, also over links that break, and
//! of instances that come while others are followed.

use crate::{SETTLED_AT_MOST, add, del};
use ensemble_tests::client::Client;
use ensemble_tests::containers_can_run;
use ensemble_tests::cutter::{Cutter, Cutting, Then};
use ensemble_tests::image;
use ensemble_tests::server::{self, Engine};
use ensemble_tests::site::Site;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const TWO: &str = r#"[{"regionCode":"cn-shanghai-cmcc","count":2}]"#;
const ONE: &str = r#"[{"regionCode":"cn-wuxi-telecom_unicom_cmcc-3","ispCode":"telecom","count":1}]"#;

/// Numbers its lines, on both streams, and says in each whose it is.
const PROGRAM: &str = "trap 'exit 0' TERM; i=0; while :; do i=$((i+1)); echo \"$i $ENS_POD_NAME.\"; \
                       echo \"$i $ENS_POD_NAME.\" >&2; sleep 0.05; done";

async fn two_instances(site: &Site, client: &Client) -> String {
    let layout = site.path("image");
    image::of_machine(&["sleep"]).unwrap().write_layout(&layout).unwrap();
    let app_id = site.create_of(&format!("oci:{}", layout.display()), &["-c", PROGRAM]).await.unwrap();
    client.ask("RescaleApplication", &add(&app_id, TWO)).await.unwrap();
    client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();
    app_id
}

/// The numbers that were told of each pod, as far as its lines are what the program wrote.
fn numbers(text: &str) -> BTreeMap<String, Vec<u32>> {
    let mut numbers: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    // The last one may still be on its way.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    for line in whole.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [pod, number, named] = words.as_slice() else { panic!("a torn line: {line:?}") };
        assert_eq!(*named, format!("{pod}."), "a line under another's name: {line:?}");
        numbers.entry((*pod).to_owned()).or_default().push(number.parse().unwrap());
    }
    numbers
}

/// Each number comes twice, on stdout and on stderr, and none is left out.
fn check_whole(pod: &str, numbers: &[u32]) {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    for number in numbers {
        *counts.entry(*number).or_default() += 1;
    }
    let (first, last) = (*counts.keys().next().unwrap(), *counts.keys().last().unwrap());
    // Of the last the other half may be on its way, of the first it may have been before.
    for number in first + 1..last {
        assert_eq!(counts.get(&number), Some(&2), "{number} of {pod}, of {first} to {last}");
    }
}

struct Followed {
    process: Child,
    output: std::path::PathBuf,
}

impl Followed {
    fn begin(site: &Site, url: &str, words: &[&str]) -> Self {
        let credentials: toml::Table =
            std::fs::read_to_string(site.data_dir().join("credentials.toml")).unwrap().parse().unwrap();
        let output = site.path("followed");
        let mut command = Command::new(server::binary());
        server::without_key(&mut command);
        let process = command
            .env("ENSEMBLE_ACCESS_KEY_ID", credentials["access_key_id"].as_str().unwrap())
            .env("ENSEMBLE_ACCESS_KEY_SECRET", credentials["access_key_secret"].as_str().unwrap())
            .args(["--endpoint", url])
            .args(words)
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(&output).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, output }
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.output).unwrap()
    }

    async fn until(&mut self, what: &str, condition: impl Fn(&str) -> bool) {
        let began = Instant::now();
        while !condition(&self.text()) {
            assert!(began.elapsed() < SETTLED_AT_MOST, "waited in vain for {what}: {}", self.text());
            assert!(self.process.try_wait().unwrap().is_none(), "it ended before {what}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn ended(&mut self) -> Option<i32> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status.code();
            }
            assert!(began.elapsed() < SETTLED_AT_MOST, "it does not end");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        // Ended already, where all went well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_of_several_pods_are_told_apart_and_in_order() {
    if !containers_can_run() {
        return;
    }
    let mut site = Site::start(Engine::Embedded).unwrap();
    let client = site.client().unwrap();
    let app_id = two_instances(&site, &client).await;
    tokio::time::sleep(Duration::from_secs(2)).await;

    let all = numbers(&site.ensemble(&["logs", &app_id]).unwrap());
    let last = numbers(&site.ensemble(&["logs", &app_id, "--tail", "4", "--container", "web"]).unwrap());
    let recent = numbers(&site.ensemble(&["logs", &app_id, "--since", "1s"]).unwrap());
    let documents = site.ensemble(&["logs", &app_id, "-o", "ndjson"]).unwrap();

    assert_eq!(all.len(), 2, "{all:?}");
    for (pod, of_pod) in &all {
        assert_eq!(of_pod[..2], [1, 1], "{pod}");
        check_whole(pod, of_pod);
        assert_eq!(last[pod].len(), 4);
        assert!(recent[pod][0] > 1 && recent[pod].len() < of_pod.len() + 40, "{recent:?}");
    }
    let documents: Vec<Value> = documents.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let times: Vec<&str> = documents.iter().map(|document| document["At"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "lines of all pods are in the order of their times");
    let instances: BTreeSet<&str> =
        documents.iter().map(|document| document["InstanceId"].as_str().unwrap()).collect();
    assert_eq!(instances.len(), 2);
    let ids: Vec<&str> = instances.into_iter().collect();
    let named = site.ensemble(&["logs", ids[0], ids[1], "--tail", "1"]).unwrap();
    assert!(ids.iter().all(|id| named.contains(&format!("{id} "))), "{named}");
    site.clean().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_are_followed_over_breaking_links_with_those_that_come() {
    if !containers_can_run() {
        return;
    }
    let mut site = Site::start(Engine::Embedded).unwrap();
    let client = site.client().unwrap();
    let app_id = two_instances(&site, &client).await;
    let cutting = Cutting {
        action: "DescribeInstanceLogs",
        bytes_below: 6_000,
        at_most: 12,
        seed: 11,
        then: Then::Closed,
    };
    let cutter = Cutter::start(&site.server().url, cutting).await.unwrap();
    let mut followed = Followed::begin(&site, &cutter.url, &["logs", &app_id, "--follow", "--tail", "2"]);

    followed.until("both pods", |text| numbers(text).len() == 2).await;
    client.ask("RescaleApplication", &add(&app_id, ONE)).await.unwrap();
    followed.until("a pod that came", |text| numbers(text).len() == 3).await;
    followed.until("links to break", |_| cutter.cuts().all >= 6).await;
    let enough = |text: &str| numbers(text).values().all(|of_pod| of_pod.len() > 150);
    followed.until("lines of all", enough).await;
    client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();
    client.ask("RescaleApplication", &del(&app_id, ONE)).await.unwrap();
    client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();
    client.delete(&app_id, SETTLED_AT_MOST).await.unwrap();

    assert_eq!(followed.ended().await, Some(0), "it ends with what it follows");
    let told = numbers(&followed.text());
    let lines: usize = told.values().map(Vec::len).sum();
    println!("{lines} lines of {} pods over {:?}", told.len(), cutter.cuts());
    for (pod, of_pod) in &told {
        check_whole(pod, of_pod);
    }
    let from_the_start = told.values().filter(|of_pod| of_pod[0] == 1).count();
    assert_eq!(from_the_start, 1, "the one that came is shown from its first line on");
    site.clean().unwrap();
}
