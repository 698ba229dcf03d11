//! Data directories of earlier formats, recorded once and never changed (`tests/data/recorded/README.md`): each must
//! open with the binary of today and say what it said then. Whoever changes the format of the log, of a snapshot or of
//! the engine's records adds a recording with a test of its own here, and leaves these as they are.

use crate::rescale;
use anyhow::{Context, Result};
use ensemble_tests::client::Client;
use ensemble_tests::containers_can_run;
use ensemble_tests::server::{self, Engine};
use ensemble_tests::site::Site;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Recovery, and containers that start again.
const OPEN_AT_MOST: Duration = Duration::from_secs(60);

/// What is said differently each time, or once containers started again.
const NEVER_THE_SAME: [&str; 3] = ["RequestId", "Restarts", "Message"];

fn recording(format: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/recorded").join(format)
}

/// A site whose data directory is a copy of a recorded one, with a server of today on it.
fn opened(format: &str, engine: Engine) -> Result<Site> {
    let folder = recording(format);
    let mut site = Site::empty(engine)?;
    let archive = std::fs::File::open(folder.join("data.tar.gz"))?;
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(archive));
    archive.set_preserve_permissions(true);
    archive.unpack(site.path("."))?;
    site.restart_by(server::command_on_fleet(&site.data_dir(), &folder.join("fleet.toml")))?;
    Ok(site)
}

/// Compares every recorded answer with today's, until they agree or the time is up.
async fn says_what_it_said(client: &Client, format: &str) -> Result<()> {
    let mut answers: Vec<PathBuf> = std::fs::read_dir(recording(format).join("answers"))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    answers.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    anyhow::ensure!(answers.len() >= 6, "the recording is not whole: {answers:?}");
    let began = Instant::now();
    for path in answers {
        let recorded: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
        let name = path.file_stem().and_then(|name| name.to_str()).context("an answer has a name")?;
        let (action, app) = name.split_once('.').unwrap_or((name, ""));
        let mut parameters = vec![("AppId", app)];
        if action == "DescribeApplication" {
            parameters.extend([("AppVersions", "All"), ("Level", "RegionId")]);
        }
        parameters.retain(|(_, value)| !value.is_empty());
        loop {
            let today = client.ask(action, &parameters).await?;
            let Err(difference) = same("", &recorded, &today) else { break };
            anyhow::ensure!(began.elapsed() < OPEN_AT_MOST, "{name}{difference}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    Ok(())
}

/// Instances by their ids: in which order they are told says nothing.
fn in_order(items: &[Value]) -> Vec<&Value> {
    let mut items: Vec<&Value> = items.iter().collect();
    items.sort_by_key(|item| item["InstanceId"].as_str().unwrap_or_default());
    items
}

/// Whether everything that was said is said; more may be. The error is the first place where it is not.
fn same(place: &str, recorded: &Value, today: &Value) -> Result<(), String> {
    let differs = || Err(format!("{place}: recorded {recorded}, today {today}"));
    match (recorded, today) {
        (Value::Object(recorded), Value::Object(today)) => {
            let compared = recorded.iter().filter(|(name, _)| !NEVER_THE_SAME.contains(&name.as_str()));
            compared.into_iter().try_for_each(|(name, value)| {
                same(&format!("{place}/{name}"), value, today.get(name).unwrap_or(&Value::Null))
            })
        }
        (Value::Array(recorded), Value::Array(today)) if recorded.len() == today.len() => {
            let (recorded, today) = (in_order(recorded), in_order(today));
            let mut pairs = recorded.into_iter().zip(today).enumerate();
            pairs.try_for_each(|(at, (recorded, today))| same(&format!("{place}/{at}"), recorded, today))
        }
        (Value::String(one), Value::String(other)) if one != other => {
            // JSON within a string, as `Application` is.
            match (serde_json::from_str(one), serde_json::from_str(other)) {
                (Ok(one @ Value::Object(_)), Ok(other)) => same(place, &one, &other),
                _ => differs(),
            }
        }
        _ if recorded == today => Ok(()),
        _ => differs(),
    }
}

/// The recorded log is how today's begins.
fn log_begins_as_recorded(site: &Site, format: &str) -> Result<()> {
    let recorded = std::fs::read_to_string(recording(format).join("answers/log.ndjson"))?;
    let today = site.ensemble(&["log", "show", "--output", "ndjson"])?;
    anyhow::ensure!(!recorded.is_empty(), "no log was recorded");
    let mut today = today.lines();
    for line in recorded.lines() {
        let recorded: Value = serde_json::from_str(line)?;
        let today: Value = serde_json::from_str(today.next().context("the log lost its end")?)?;
        same("log", &recorded, &today).map_err(anyhow::Error::msg)?;
    }
    Ok(())
}

/// Opened, it is a directory like any other: the next write follows the last one that was recorded.
async fn goes_on(client: &Client, format: &str) -> Result<()> {
    let applications = client.ask("ListApplications", &[]).await?.to_string();
    let names = std::fs::read_dir(recording(format).join("answers"))?;
    let names: Vec<String> = names
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_, _>>()?;
    let app = names.iter().find_map(|name| name.strip_prefix("DescribeApplication.")?.strip_suffix(".json"));
    let app = app.context("an application was recorded")?;
    anyhow::ensure!(applications.contains(app), "{app} is not listed");
    let before = client.describe(app).await?["AppStatus"]["Revision"].as_u64().context("a number")?;

    let accepted = client
        .ask("RescaleApplication", &rescale(app, "Add", r#"[{"regionCode":"roof","count":1}]"#))
        .await?;
    client.settled(app, OPEN_AT_MOST).await?;

    let after = client.describe(app).await?["AppStatus"]["Revision"].as_u64().context("a number")?;
    let operation = [("OperationId", accepted["RequestId"].as_str().context("a text")?)];
    let operation = client.ask("DescribeOperation", &operation).await?;
    anyhow::ensure!(after > before, "revision {after} after {before}");
    anyhow::ensure!(operation["Operation"]["Status"] == "Succeeded", "{operation:#}");
    Ok(())
}

/// How often each pod was started again, wherever an answer says so.
fn restarts(value: &Value) -> Vec<u64> {
    match value {
        Value::Object(members) => {
            let own = members.get("Restarts").and_then(Value::as_u64);
            own.into_iter().chain(members.values().flat_map(restarts)).collect()
        }
        Value::Array(items) => items.iter().flat_map(restarts).collect(),
        Value::String(text) if text.starts_with('{') => {
            serde_json::from_str(text).map_or(Vec::new(), |value: Value| restarts(&value))
        }
        Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => Vec::new(),
    }
}

#[tokio::test]
async fn a_data_directory_of_format_1_opens_says_what_it_said_and_goes_on() {
    let mut site = opened("format-1", Engine::Simulated).unwrap();
    let client = site.client().unwrap();

    says_what_it_said(&client, "format-1").await.unwrap();
    log_begins_as_recorded(&site, "format-1").unwrap();
    goes_on(&client, "format-1").await.unwrap();
    site.clean().unwrap();
}

#[tokio::test]
async fn containers_of_a_data_directory_of_format_1_run_again() {
    if !containers_can_run() {
        return;
    }
    if std::env::consts::ARCH != "x86_64" {
        println!("SKIPPED containers_of_a_data_directory_of_format_1_run_again: recorded on x86-64");
        return;
    }
    let mut site = opened("format-1-containers", Engine::Embedded).unwrap();
    let client = site.client().unwrap();

    says_what_it_said(&client, "format-1-containers").await.unwrap();
    // What was written down as running runs no more: it was seen, and started again.
    let restarts = restarts(&client.ask("ListApplications", &[]).await.unwrap());
    assert_eq!(restarts, [1; 8], "eight pods were recorded");
    log_begins_as_recorded(&site, "format-1-containers").unwrap();
    goes_on(&client, "format-1-containers").await.unwrap();
    site.clean().unwrap();
}
