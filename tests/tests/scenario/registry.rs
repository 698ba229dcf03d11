//! Images from a registry, Debian's `docker-registry`, over a network that may be bad: pulled once, resumed, pinned, shown
//! with their progress, refused with what to do, and run.

use crate::{SETTLED_AT_MOST, add};
use ensemble_tests::client::{Client, instances};
use ensemble_tests::containers_can_run;
use ensemble_tests::image::{Form, architecture, hello_edge, index};
use ensemble_tests::machine::container_processes;
use ensemble_tests::proxy::{Place, Proxy, Trouble};
use ensemble_tests::registry::{Access, PASSWORD, Registry, USER, is_installed};
use ensemble_tests::server::Engine;
use ensemble_tests::site::Site;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

const THREE: &str = r#"[{"regionCode":"cn-shanghai-cmcc","count":3}]"#;
const ONE: &str = r#"[{"regionCode":"cn-shanghai-cmcc","count":1}]"#;
/// Large enough to be cut and to be seen on its way.
const PADDING: usize = 6 << 20;

fn can_run() -> bool {
    containers_can_run() && is_installed()
}

fn address(instance: &Value) -> &str {
    instance["InternalIps"][0]["Ip"].as_str().expect("a running instance has an address")
}

/// The steps of an operation, one after the other.
async fn steps(client: &Client, operation_id: &str) -> String {
    let operation = client.ask("DescribeOperation", &[("OperationId", operation_id)]).await.unwrap();
    let steps = operation["Operation"]["Steps"].as_array().unwrap();
    steps.iter().filter_map(|step| step["Text"].as_str()).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn an_image_of_a_registry_is_pulled_once_resumed_and_serves_on_three_instances() {
    if !can_run() {
        return;
    }
    let registry = Registry::start(Access::Anybody).await.unwrap();
    registry.push("edge/hello", "v1", &hello_edge(Form::OciGzip, PADDING).unwrap()).await.unwrap();
    let trouble = Trouble { cuts: 2, cut_after: 2 << 20, pause: Duration::ZERO };
    let proxy = Proxy::start(&registry.address, trouble).unwrap();
    let mut site = Site::start(Engine::Embedded).unwrap();
    let client = site.client().unwrap();
    let app_id = site.create_of(&format!("{}/edge/hello:v1", proxy.address), &[]).await.unwrap();
    assert!(proxy.seen().is_empty(), "acceptance asks no registry");

    client.ask("RescaleApplication", &add(&app_id, THREE)).await.unwrap();
    let settled = client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();

    assert_eq!(settled["AppStatus"]["Phase"], "RUNNING", "{settled:#}");
    for instance in instances(&settled) {
        assert_eq!(client.page(address(instance)).await.unwrap()["ENS_INSTANCE_ID"], instance["InstanceId"]);
    }
    assert_eq!(container_processes(&app_id).len(), 3);
    let large = proxy.large();
    assert_eq!(large.len(), 3, "cut twice: {large:#?}");
    assert_eq!(large[0].range, None);
    let mut sent = 0;
    for (before, after) in large.iter().zip(&large[1..]) {
        assert_eq!(before.path, after.path);
        sent += before.bytes;
        let from: u64 =
            after.range.as_deref().unwrap()["bytes=".len()..].trim_end_matches('-').parse().unwrap();
        assert!(from > 0 && from <= sent, "it goes on where it was cut: {from} of {sent}");
    }
    let sent: u64 = large.iter().map(|seen| seen.bytes).sum();
    assert!(sent < PADDING as u64 * 11 / 10, "{sent} bytes sent for {PADDING}");
    let manifests = proxy.seen().iter().filter(|seen| seen.path.contains("/manifests/")).count();
    assert_eq!(manifests, 2, "once by tag, once by digest, however many instances wait");
    site.clean().unwrap();
}

#[tokio::test]
async fn every_kind_of_layer_manifest_and_index_runs() {
    if !can_run() {
        return;
    }
    let registry = Registry::start(Access::Anybody).await.unwrap();
    let mut site = Site::start(Engine::Embedded).unwrap();
    let client = site.client().unwrap();
    let mut images = Vec::new();
    for (number, form) in Form::ALL.into_iter().enumerate() {
        let tag = format!("v{number}");
        let digest = registry.push("edge/hello", &tag, &hello_edge(form, 0).unwrap()).await.unwrap();
        images.push((format!("{}/edge/hello:{tag}", registry.address), digest));
    }
    let (ours, strange) = (hello_edge(Form::OciZstd, 16).unwrap(), hello_edge(Form::OciGzip, 32).unwrap());
    let digest = registry.push("edge/multi", "ours", &ours).await.unwrap();
    registry.push("edge/multi", "strange", &strange).await.unwrap();
    // The attestation must be there to be listed.
    registry.push_document("edge/multi", b"an attestation").await.unwrap();
    let entries = [(&strange, "mips", None), (&strange, "arm", Some("v5")), (&ours, architecture(), None)];
    let bytes = index(&entries).unwrap();
    let media_type = "application/vnd.oci.image.index.v1+json";
    registry.put_manifest("edge/multi", "all", media_type, &bytes).await.unwrap();
    images.push((format!("{}/edge/multi:all", registry.address), digest.clone()));
    images.push((format!("{}/edge/multi:whatever@{digest}", registry.address), digest));

    for (image, digest) in &images {
        let app_id = site.create_of(image, &[]).await.unwrap();
        client.ask("RescaleApplication", &add(&app_id, ONE)).await.unwrap();

        let settled = client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();

        assert_eq!(settled["AppStatus"]["Phase"], "RUNNING", "{image}: {settled:#}");
        let listed = client.ask("DescribeImages", &[]).await.unwrap();
        let listed = listed["Images"].as_array().unwrap();
        let found = listed.iter().find(|listed| listed["Digest"] == digest.as_str());
        let found = found.unwrap_or_else(|| panic!("{image}: {listed:#?}"));
        assert!(found["References"].as_array().unwrap().contains(&Value::from(image.as_str())), "{found:#}");
        client.delete(&app_id, SETTLED_AT_MOST).await.unwrap();
    }
    site.clean().unwrap();
}

#[tokio::test]
async fn a_version_stays_what_it_was_first_resolved_to_whatever_the_tag_means_later() {
    if !can_run() {
        return;
    }
    let registry = Registry::start(Access::Anybody).await.unwrap();
    let first = registry.push("edge/hello", "latest", &hello_edge(Form::OciGzip, 0).unwrap()).await.unwrap();
    let mut site = Site::start(Engine::Embedded).unwrap();
    let client = site.client().unwrap();
    let app_id = site.create_of(&format!("{}/edge/hello", registry.address), &[]).await.unwrap();
    client.ask("RescaleApplication", &add(&app_id, ONE)).await.unwrap();
    client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();
    let second =
        registry.push("edge/hello", "latest", &hello_edge(Form::OciGzip, 99).unwrap()).await.unwrap();
    assert_ne!(first, second);

    // Another server on the same log, and a store that lost everything.
    site.take_server().terminate().unwrap();
    for place in ["images", "layers"] {
        std::fs::remove_dir_all(site.data_dir().join("engine/embedded/images").join(place)).unwrap();
    }
    site.restart().unwrap();
    let client = site.client().unwrap();
    client.ask("RescaleApplication", &add(&app_id, ONE)).await.unwrap();
    let settled = client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();

    assert_eq!(settled["AppStatus"]["Phase"], "RUNNING", "{settled:#}");
    let listed = client.ask("DescribeImages", &[]).await.unwrap();
    assert_eq!(listed["Images"][0]["Digest"], first.as_str(), "{listed:#}");
    assert_eq!(listed["Images"].as_array().unwrap().len(), 1);
    site.clean().unwrap();
}

#[tokio::test]
async fn a_pull_shows_its_progress_in_bytes() {
    if !can_run() {
        return;
    }
    let registry = Registry::start(Access::Anybody).await.unwrap();
    registry.push("edge/hello", "v1", &hello_edge(Form::OciGzip, PADDING).unwrap()).await.unwrap();
    let trouble = Trouble { pause: Duration::from_millis(60), ..Trouble::default() };
    let proxy = Proxy::start(&registry.address, trouble).unwrap();
    let mut site = Site::start(Engine::Embedded).unwrap();
    let client = site.client().unwrap();
    let app_id = site.create_of(&format!("{}/edge/hello:v1", proxy.address), &[]).await.unwrap();
    let accepted = client.ask("RescaleApplication", &add(&app_id, ONE)).await.unwrap();
    let operation_id = accepted["RequestId"].as_str().unwrap();

    let mut seen: Vec<u64> = Vec::new();
    let mut shown = String::new();
    let began = Instant::now();
    loop {
        let answer = client.ask("DescribeOperation", &[("OperationId", operation_id)]).await.unwrap();
        let node = &answer["Operation"]["Nodes"][0];
        if let Some(bytes) = node["Pulled"]["Bytes"].as_u64() {
            assert!(bytes <= node["Pulled"]["TotalBytes"].as_u64().unwrap(), "{node:#}");
            assert_eq!(node["States"]["Pulling"], 1, "{node:#}");
            seen.push(bytes);
            if shown.is_empty() {
                shown = site.ensemble(&["instances", &app_id]).unwrap();
            }
        }
        if answer["Operation"]["Status"] != "Running" {
            assert_eq!(answer["Operation"]["Status"], "Succeeded", "{answer:#}");
            break;
        }
        assert!(began.elapsed() < SETTLED_AT_MOST, "{answer:#}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    assert!(seen.len() > 2 && seen.is_sorted() && seen.first() != seen.last(), "{seen:?}");
    let line = shown.lines().nth(1).unwrap_or_default();
    assert!(line.contains("Pulling") && line.contains(" %"), "{shown}");
    site.clean().unwrap();
}

#[tokio::test]
async fn a_watcher_sees_progress_as_events_that_are_in_no_log() {
    if !can_run() {
        return;
    }
    let registry = Registry::start(Access::Anybody).await.unwrap();
    registry.push("edge/hello", "v1", &hello_edge(Form::OciGzip, PADDING).unwrap()).await.unwrap();
    let trouble = Trouble { pause: Duration::from_millis(20), ..Trouble::default() };
    let proxy = Proxy::start(&registry.address, trouble).unwrap();
    let mut site = Site::start(Engine::Embedded).unwrap();
    let client = site.client().unwrap();
    let app_id = site.create_of(&format!("{}/edge/hello:v1", proxy.address), &[]).await.unwrap();
    let accepted = client.ask("RescaleApplication", &add(&app_id, ONE)).await.unwrap();

    // Ends with the operation.
    let operation = [("OperationId", accepted["RequestId"].as_str().unwrap())];
    let stream = client.send("Watch", &operation).await.unwrap();
    let text = tokio::time::timeout(SETTLED_AT_MOST, stream.text()).await.unwrap().unwrap();

    let (told, logged): (Vec<&str>, Vec<&str>) = text
        .split("\n\n")
        .filter(|block| block.contains("event: instance"))
        .partition(|block| block.contains("\"Pulled\""));
    assert!(told.len() > 2, "{text}");
    assert!(logged.iter().any(|block| block.contains("\"Status\":\"Running\"")), "{text}");
    let numbered = told.iter().filter(|block| block.starts_with("id: ")).count();
    assert!(numbered <= 1, "only the transition itself is in the log: {text}");
    site.clean().unwrap();
}

#[tokio::test]
async fn a_cache_beyond_its_bound_gives_up_by_itself_what_nothing_needs() {
    if !can_run() {
        return;
    }
    let registry = Registry::start(Access::Anybody).await.unwrap();
    registry.push("edge/hello", "v1", &hello_edge(Form::OciGzip, PADDING).unwrap()).await.unwrap();
    let mut site = Site::configured(Engine::Embedded, "[images]\ncache_size = \"1MiB\"\n").unwrap();
    let client = site.client().unwrap();
    let app_id = site.create_of(&format!("{}/edge/hello:v1", registry.address), &[]).await.unwrap();
    client.ask("RescaleApplication", &add(&app_id, ONE)).await.unwrap();
    client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();
    client.ask("PruneImages", &[]).await.unwrap();
    let listed = client.ask("DescribeImages", &[]).await.unwrap();
    assert_eq!(listed["CacheBytes"], 1 << 20);
    assert!(listed["TotalBytes"].as_u64().unwrap() > PADDING as u64, "pinned, however large: {listed:#}");

    client.delete(&app_id, SETTLED_AT_MOST).await.unwrap();
    let began = Instant::now();
    loop {
        let listed = client.ask("DescribeImages", &[]).await.unwrap();
        if listed["Images"].as_array().unwrap().is_empty() && listed["TotalBytes"] == 0 {
            break;
        }
        assert!(began.elapsed() < SETTLED_AT_MOST, "{listed:#}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    site.clean().unwrap();
}

#[tokio::test]
async fn what_a_registry_does_not_have_or_give_fails_at_once_and_says_what_to_do() {
    if !can_run() {
        return;
    }
    let open = Registry::start(Access::Anybody).await.unwrap();
    let closed = Registry::start(Access::WithPassword).await.unwrap();
    let built = hello_edge(Form::OciGzip, 0).unwrap();
    open.push("edge/hello", "v1", &built).await.unwrap();
    closed.push("edge/hello", "v1", &built).await.unwrap();
    let (open, closed) = (&open.address, &closed.address);
    let mut site = Site::start(Engine::Embedded).unwrap();
    let client = site.client().unwrap();
    let absent = format!("sha256:{}", "0".repeat(64));
    for (image, expected) in [
        (format!("{open}/edge/hello:v9"), format!("registry `{open}` has no `edge/hello:v9`")),
        (format!("{open}/edge/hello@{absent}"), format!("has no `edge/hello@{absent}`")),
        (format!("{closed}/edge/hello:v1"), format!("`[registries.\"{closed}\"] credentials`")),
    ] {
        let app_id = site.create_of(&image, &[]).await.unwrap();
        let accepted = client.ask("RescaleApplication", &add(&app_id, ONE)).await.unwrap();
        let began = Instant::now();

        let settled = client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();

        assert!(began.elapsed() < Duration::from_secs(20), "long before the deadline");
        assert_eq!(settled["AppStatus"]["Phase"], "UPDATE_FAILED", "{settled:#}");
        let told = steps(&client, accepted["RequestId"].as_str().unwrap()).await;
        assert!(told.contains(&expected), "{image}: {told}");
        client.delete(&app_id, SETTLED_AT_MOST).await.unwrap();
    }
    site.clean().unwrap();
}

#[tokio::test]
async fn a_registry_that_comes_back_before_the_deadline_is_asked_again() {
    if !can_run() {
        return;
    }
    let registry = Registry::start(Access::Anybody).await.unwrap();
    registry.push("edge/hello", "v1", &hello_edge(Form::OciGzip, 0).unwrap()).await.unwrap();
    // Nobody listens here until later.
    let place = Place::take().unwrap();
    let mut site = Site::start(Engine::Embedded).unwrap();
    let client = site.client().unwrap();
    let app_id = site.create_of(&format!("{}/edge/hello:v1", place.address), &[]).await.unwrap();
    client.ask("RescaleApplication", &add(&app_id, ONE)).await.unwrap();

    let began = Instant::now();
    while !site.ensemble(&["instances", &app_id, "-o", "wide"]).unwrap().contains("cannot be reached") {
        assert!(began.elapsed() < SETTLED_AT_MOST, "the cause is shown meanwhile");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let _proxy = place.open(&registry.address, Trouble::default()).unwrap();
    let settled = client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();

    assert_eq!(settled["AppStatus"]["Phase"], "RUNNING", "{settled:#}");
    site.clean().unwrap();
}

#[tokio::test]
async fn credentials_of_the_configuration_open_a_registry_and_stay_out_of_the_log() {
    if !can_run() {
        return;
    }
    let registry = Registry::start(Access::WithPassword).await.unwrap();
    registry.push("edge/hello", "v1", &hello_edge(Form::OciGzip, 0).unwrap()).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let credentials = directory.path().join("registry.toml");
    std::fs::write(&credentials, format!("username = \"{USER}\"\npassword = \"{PASSWORD}\"\n")).unwrap();
    let configuration = format!(
        "[log]\nlevel = \"debug\"\n[registries.\"{}\"]\ncredentials = \"{}\"\n",
        registry.address,
        credentials.display()
    );

    std::fs::set_permissions(&credentials, std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = Site::configured(Engine::Embedded, &configuration).err().unwrap();
    assert!(format!("{refused:#}").contains("chmod 600"), "{refused:#}");
    std::fs::set_permissions(&credentials, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut site = Site::configured(Engine::Embedded, &configuration).unwrap();
    let client = site.client().unwrap();
    let app_id = site.create_of(&format!("{}/edge/hello:v1", registry.address), &[]).await.unwrap();
    client.ask("RescaleApplication", &add(&app_id, ONE)).await.unwrap();
    let settled = client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();

    assert_eq!(settled["AppStatus"]["Phase"], "RUNNING", "{settled:#}");
    let log = site.server().log();
    assert!(!log.contains(PASSWORD) && !log.contains("ZWRnZTpzM2NyZXQ"), "{log}");
    site.clean().unwrap();
}

#[tokio::test]
async fn images_are_listed_and_pruned_but_never_what_a_version_pins() {
    if !can_run() {
        return;
    }
    let registry = Registry::start(Access::Anybody).await.unwrap();
    registry.push("edge/hello", "v1", &hello_edge(Form::OciGzip, 0).unwrap()).await.unwrap();
    registry.push("edge/other", "v1", &hello_edge(Form::OciGzip, 64).unwrap()).await.unwrap();
    let mut site = Site::start(Engine::Embedded).unwrap();
    let client = site.client().unwrap();
    let mut apps = Vec::new();
    for repository in ["hello", "other"] {
        let app_id =
            site.create_of(&format!("{}/edge/{repository}:v1", registry.address), &[]).await.unwrap();
        client.ask("RescaleApplication", &add(&app_id, ONE)).await.unwrap();
        client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();
        apps.push(app_id);
    }
    let listed = site.ensemble(&["image", "list"]).unwrap();
    assert!(listed.contains("edge/hello:v1") && listed.contains("edge/other:v1"), "{listed}");

    site.ensemble(&["image", "prune", "--all", "-y"]).unwrap();
    let kept: Value =
        serde_json::from_str(&site.ensemble(&["image", "list", "-o", "json"]).unwrap()).unwrap();
    assert_eq!(kept.as_array().unwrap().len(), 2, "both are pinned: {kept:#}");
    // Released, but the version still means it.
    client.ask("RescaleApplication", &crate::del(&apps[0], ONE)).await.unwrap();
    client.settled(&apps[0], SETTLED_AT_MOST).await.unwrap();
    client.delete(&apps[1], SETTLED_AT_MOST).await.unwrap();
    site.ensemble(&["image", "prune", "--all", "-y"]).unwrap();
    let kept = site.ensemble(&["image", "list"]).unwrap();
    assert!(kept.contains("edge/hello:v1") && !kept.contains("edge/other:v1"), "{kept}");
    site.clean().unwrap();
}
