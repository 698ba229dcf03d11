//! The server as an emulator for somebody's tests: nothing is kept, faults come as they were asked for, and time is
//! stepped.

use crate::add;
use ensemble_tests::client::Client;
use ensemble_tests::cutter::{Cutter, Cutting, Then};
use ensemble_tests::server::{self, Engine, Server};
use ensemble_tests::site::Site;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const NODE: &str = "cn-shanghai-cmcc";

struct Emulator {
    server: Server,
    client: Client,
    /// What it says after the ready line.
    exports: BTreeMap<String, String>,
    _log: tempfile::TempDir,
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(server::binary());
    command.args(["serve", "--engine", "simulated", "--ephemeral"]).args(arguments);
    server::without_key(&mut command);
    command
}

impl Emulator {
    fn start(arguments: &[&str]) -> Self {
        let log = tempfile::tempdir().unwrap();
        let server = Server::start_by(command(arguments), &log.path().join("emulator")).unwrap();
        let mut exports = BTreeMap::new();
        for _ in 0..6 {
            let line = server.line().unwrap();
            let (name, value) = line.strip_prefix("export ").unwrap().split_once('=').unwrap();
            exports.insert(name.to_owned(), value.trim_matches('\'').to_owned());
        }
        let client = Client::new(
            &exports["ENSEMBLE_ENDPOINT"],
            &exports["ENSEMBLE_ACCESS_KEY_ID"],
            &exports["ENSEMBLE_ACCESS_KEY_SECRET"],
        );
        Self { client: client.unwrap(), server, exports, _log: log }
    }

    /// On a clock that stands still.
    fn stepped(arguments: &[&str]) -> Self {
        Self::start(&[&["--clock", "manual"], arguments].concat())
    }

    /// The AppId of a new application with `count` instances on their way on `NODE`.
    async fn application(&self, count: usize, timeout: &str) -> String {
        let app_id = self.create().await;
        let selector = json!([{"regionCode": NODE, "count": count}]).to_string();
        let mut parameters = add(&app_id, &selector).to_vec();
        parameters.push(("Timeout", timeout));
        self.client.ask("RescaleApplication", &parameters).await.unwrap();
        app_id
    }

    async fn create(&self) -> String {
        let template = json!({
            "appMetaData": {"appName": "shop"},
            "resourceAttribute": {"instanceSpec": "ens.sn1.stiny"},
            "resourceSelector": [],
            "workload": [{"name": "web", "podSpec": {"containers": [{"name": "web", "image": "shop:v1"}]}}],
        });
        let answer =
            self.client.ask("CreateApplication", &[("Template", &template.to_string())]).await.unwrap();
        answer["AppId"].as_str().unwrap().to_owned()
    }

    async fn advance(&self, seconds: u32) -> Value {
        self.client.ask("AdvanceClock", &[("Seconds", &seconds.to_string())]).await.unwrap()
    }

    /// The application's phase, and its instances by id with their status.
    async fn looks(&self, app_id: &str) -> (String, Vec<(String, String)>) {
        let answer = self.client.ask("DescribeDeviceService", &[("AppId", app_id)]).await.unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let resources = answer["ResourceInfos"].as_array().cloned().unwrap_or_default();
        let mut instances: Vec<(String, String)> =
            resources.iter().map(|one| (text(&one["InstanceId"]), text(&one["InstanceStatus"]))).collect();
        instances.sort();
        (text(&answer["AppStatus"]["Phase"]), instances)
    }

    async fn phase(&self, app_id: &str) -> String {
        self.looks(app_id).await.0
    }

    /// The directory that it works in, as the kernel knows it.
    fn directory(&self) -> PathBuf {
        let open = fs::read_dir(format!("/proc/{}/fd", self.server.pid())).unwrap();
        let paths = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        let lock = paths
            .into_iter()
            .find(|path| path.ends_with("lock") && path.to_string_lossy().contains("ensemble-ephemeral-"));
        lock.unwrap().parent().unwrap().to_owned()
    }
}

/// `serve` that is refused: its exit code and what it says.
fn refused(command: &mut Command) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(stdout.is_empty(), "{}", String::from_utf8_lossy(&stdout));
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[tokio::test]
async fn it_says_where_it_is_and_nothing_of_it_is_left() {
    let emulator = Emulator::start(&[]);
    let authority = emulator.server.url.strip_prefix("http://").unwrap();
    assert_eq!(emulator.exports["ALIBABA_CLOUD_ENDPOINT"], authority);
    assert_eq!(
        emulator.exports["ALIBABA_CLOUD_ACCESS_KEY_SECRET"],
        emulator.exports["ENSEMBLE_ACCESS_KEY_SECRET"]
    );
    let directory = emulator.directory();
    emulator.create().await;
    assert!(directory.join("credentials.toml").exists());

    let ended = emulator.server.terminate().unwrap();

    assert!(ended.status.success() && ended.later_stdout.is_empty(), "{:?}", ended.later_stdout);
    assert!(!directory.exists());
}

#[test]
fn it_is_ready_in_under_half_a_second() {
    let start = |_| {
        let began = Instant::now();
        let _emulator = Emulator::start(&[]);
        began.elapsed()
    };

    // The best of some, since others use the machine as well.
    let best = (0..5).map(start).min().unwrap();

    assert!(best < Duration::from_millis(500), "{best:?}");
}

#[tokio::test]
async fn what_a_killed_one_leaves_goes_with_the_next_start() {
    let killed = Emulator::start(&[]);
    let directory = killed.directory();
    killed.server.kill().unwrap();
    assert!(directory.exists());

    let _next = Emulator::start(&[]);

    assert!(!directory.exists());
}

#[tokio::test]
async fn the_same_seed_meets_the_same_faults_and_makes_the_same_ids() {
    let look = async |seed: &str| {
        let fault = format!("{NODE}:pull=0.5");
        let emulator = Emulator::stepped(&["--seed", seed, "--fault", &fault]);
        let app_id = emulator.application(8, "300").await;
        emulator.advance(0).await;
        emulator.looks(&app_id).await
    };

    let (phase, instances) = look("7").await;

    assert_eq!(phase, "UPDATE_FAILED");
    // Those that failed are gone with the operation that wanted them.
    assert!((1..8).contains(&instances.len()), "{instances:?}");
    assert!(instances.iter().all(|(_, status)| status == "Running"), "{instances:?}");
    assert_eq!(look("7").await.1, instances);
    assert_ne!(look("8").await.1, instances);
}

#[tokio::test]
async fn an_edge_node_that_is_cut_off_is_refused_by_name_until_it_is_back() {
    let fault = format!("{NODE}:unreachable=10m");
    let emulator = Emulator::stepped(&["--fault", &fault]);
    emulator.advance(0).await;
    let app_id = emulator.create().await;
    let selector = json!([{"regionCode": NODE, "count": 1}]).to_string();

    let refusal = emulator.client.call("RescaleApplication", &add(&app_id, &selector)).await.unwrap();

    assert_eq!(refusal.unwrap_err().code, "CallInterface");
    emulator.advance(600).await;
    emulator.client.ask("RescaleApplication", &add(&app_id, &selector)).await.unwrap();
    emulator.advance(0).await;
    assert_eq!(emulator.phase(&app_id).await, "RUNNING");
}

#[tokio::test]
async fn a_deadline_passes_when_the_clock_is_stepped_over_it_and_not_before() {
    let emulator = Emulator::stepped(&["--fault", "*:ready=10m"]);
    let app_id = emulator.application(2, "300").await;
    emulator.advance(299).await;
    assert_eq!(emulator.phase(&app_id).await, "UPDATING");

    let answer = emulator.advance(1).await;

    assert_eq!(answer["SteppedMs"], 300_000);
    assert_eq!(emulator.phase(&app_id).await, "UPDATE_FAILED");
}

#[tokio::test]
async fn what_is_due_first_happens_first_however_far_one_step_goes() {
    let emulator =
        Emulator::stepped(&["--fault", "*:pull=1m", "--fault", "*:start=1m", "--fault", "*:ready=1m"]);
    let app_id = emulator.application(2, "300").await;

    emulator.advance(7_200).await;

    // Ready after three minutes, with a deadline of five.
    assert_eq!(emulator.phase(&app_id).await, "RUNNING");
    let operations = emulator.client.ask("ListOperations", &[("AppId", &app_id)]).await.unwrap();
    let rescale = &operations["Operations"][0];
    let at = |name: &str| rescale[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!(at("EndedAt").duration_since(at("AcceptedAt")).as_secs(), 180, "{rescale:#}");
}

#[tokio::test]
async fn a_crash_comes_when_it_was_asked_for_and_the_instance_comes_back() {
    let emulator = Emulator::stepped(&["--fault", &format!("{NODE}:crash=5m")]);
    let app_id = emulator.application(1, "300").await;
    emulator.advance(299).await;
    let (_, before) = emulator.looks(&app_id).await;
    assert_eq!(before[0].1, "Running");

    emulator.advance(1).await;
    let (_, down) = emulator.looks(&app_id).await;
    emulator.advance(1).await;
    let (_, back) = emulator.looks(&app_id).await;

    assert_ne!(down[0].1, "Running");
    assert_eq!(back, before);
}

#[tokio::test]
async fn time_is_not_stepped_where_it_passes_and_not_by_nonsense() {
    let passing = Site::start(Engine::Simulated).unwrap();
    let refusal =
        passing.client().unwrap().call("AdvanceClock", &[("Seconds", "1")]).await.unwrap().unwrap_err();
    assert_eq!((refusal.status, refusal.body["Reason"].as_str()), (400, Some("ClockRuns")));
    assert!(refusal.body["Detail"].as_str().unwrap().contains("--clock manual"), "{}", refusal.body);

    let emulator = Emulator::stepped(&[]);
    for seconds in ["-1", "604801", "soon", ""] {
        let refusal =
            emulator.client.call("AdvanceClock", &[("Seconds", seconds)]).await.unwrap().unwrap_err();
        assert_eq!(refusal.status, 400, "{seconds}: {}", refusal.body);
    }
    assert_eq!(emulator.advance(0).await["SteppedMs"], 0);
}

#[test]
fn what_does_not_go_together_is_refused_with_what_does() {
    let directory = tempfile::tempdir().unwrap();
    let kept = |arguments: &[&str]| {
        let mut command = server::command(&directory.path().join("data"), Engine::Simulated);
        command.args(arguments);
        refused(&mut command)
    };
    for (arguments, code, part) in [
        (vec!["--clock", "manual"], 1, "--ephemeral --clock manual"),
        (vec!["--ephemeral"], 2, "no --data-dir to name"),
        (vec!["--fault", "cn-shanghai-cmc:pull=1"], 1, "did you mean `cn-shanghai-cmcc`"),
        (vec!["--fault", "cn-shanghai-cmcc:pul=1"], 2, "`pul` is no kind of fault"),
        (vec!["--engine", "embedded", "--fault", "*:pull=1"], 2, "--engine"),
    ] {
        let (found, said) = kept(&arguments);

        assert_eq!(found, Some(code), "{arguments:?}: {said}");
        assert!(said.contains(part), "{arguments:?}: {said}");
    }
    let (code, said) = refused(
        Command::new(server::binary())
            .args(["serve", "--engine", "embedded", "--ephemeral"])
            .env("ENSEMBLE_CONFIG", "/dev/null"),
    );
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("ensemble serve --engine simulated"), "{said}");
}

#[tokio::test]
async fn whoever_cancels_and_stops_waiting_is_not_held_up_by_a_server_that_fell_silent() {
    let emulator = Emulator::stepped(&["--fault", "*:ready=10m"]);
    let app_id = emulator.application(2, "300").await;
    let answer =
        emulator.client.ask("ListOperations", &[("AppId", &app_id), ("Status", "Running")]).await.unwrap();
    let operation = answer["Operations"][0]["OperationId"].as_str().unwrap();
    let cutting = Cutting {
        action: "DescribeOperation",
        bytes_below: 0,
        at_most: usize::MAX,
        seed: 9,
        then: Then::Silent,
    };
    let link = Cutter::start(&emulator.exports["ENSEMBLE_ENDPOINT"], cutting).await.unwrap();
    let mut command = tokio::process::Command::new(server::binary());
    server::without_key(command.as_std_mut());
    command
        .env("ENSEMBLE_ACCESS_KEY_ID", &emulator.exports["ENSEMBLE_ACCESS_KEY_ID"])
        .env("ENSEMBLE_ACCESS_KEY_SECRET", &emulator.exports["ENSEMBLE_ACCESS_KEY_SECRET"])
        .args(["--endpoint", &link.url, "operation", "cancel", operation, "--undo", "--wait-timeout", "2"])
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true);

    let began = Instant::now();
    let output = command.output().await.unwrap();

    assert_eq!(output.status.code(), Some(6), "{}", String::from_utf8_lossy(&output.stderr));
    // Whoever asks once more would wait for the link as long as for any call, 30 s.
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_plan_for_a_busy_application_ends_as_refused() {
    let emulator = Emulator::stepped(&["--fault", "*:ready=10m"]);
    let app_id = emulator.application(2, "300").await;
    let mut command = Command::new(server::binary());
    server::without_key(&mut command);
    for name in ["ENSEMBLE_ENDPOINT", "ENSEMBLE_ACCESS_KEY_ID", "ENSEMBLE_ACCESS_KEY_SECRET"] {
        command.env(name, &emulator.exports[name]);
    }
    let one = format!("{NODE}=1");

    let output = command.args(["plan", &app_id, "--add", &one, "--detailed-exitcode"]).output().unwrap();

    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("is busy"), "{said}");
}
