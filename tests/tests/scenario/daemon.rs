//! The server as a daemon: what a service manager hears, what the log says and never says, what a reload changes.

use crate::{DOCUMENTED_SELECTOR, SETTLED_AT_MOST, add};
use ensemble_tests::containers_can_run;
use ensemble_tests::machine::{container_processes, variables_of};
use ensemble_tests::server::Engine;
use ensemble_tests::site::Site;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

/// The service manager's end of the notify protocol.
struct Manager(UnixDatagram);

impl Manager {
    fn of(site: &Site) -> Self {
        let socket = UnixDatagram::bind(site.path("notify")).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self(socket)
    }

    /// The next message that is not the watchdog's.
    fn next(&self) -> String {
        loop {
            let message = self.any();
            if message != "WATCHDOG=1\n" {
                return message;
            }
        }
    }

    fn any(&self) -> String {
        let mut buffer = vec![0; 4_096];
        let length = self.0.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }
}

#[test]
fn a_service_manager_hears_of_the_start_each_reload_the_stop_and_in_between_the_watchdog() {
    let mut site = Site::empty(Engine::Simulated).unwrap();
    let manager = Manager::of(&site);
    let socket = site.path("notify");
    site.restart_with(|command| {
        command.env("NOTIFY_SOCKET", socket).env("WATCHDOG_USEC", "400000");
    })
    .unwrap();

    assert!(manager.next().starts_with("READY=1\nSTATUS=serving on http://127.0.0.1:"));
    for _ in 0..3 {
        while manager.any() != "WATCHDOG=1\n" {}
    }
    for _ in 0..2 {
        site.server().send_hangup().unwrap();
        let reloading = manager.next();
        let since_boot = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
        assert!(reloading.starts_with("RELOADING=1\n"), "{reloading}");
        assert!(since_boot.unwrap().parse::<u64>().unwrap() > 0, "{reloading}");
        assert_eq!(manager.next(), "READY=1\nSTATUS=serving\n");
    }
    site.server().send_term().unwrap();
    assert!(manager.next().starts_with("STOPPING=1\n"));
    assert!(site.take_server().wait(Duration::from_secs(15)).unwrap().success());
}

#[tokio::test]
async fn neither_supervisors_nor_containers_hear_of_the_service_manager() {
    if !containers_can_run() {
        return;
    }
    let mut site = Site::empty(Engine::Embedded).unwrap();
    let _manager = Manager::of(&site);
    let socket = site.path("notify");
    site.restart_with(|command| {
        command.env("NOTIFY_SOCKET", socket).env("WATCHDOG_USEC", "30000000");
    })
    .unwrap();
    let app_id = site.create(&[]).await.unwrap();
    let client = site.client().unwrap();
    let selector = r#"[{"regionCode":"cn-shanghai-cmcc","count":1}]"#;
    client.ask("RescaleApplication", &add(&app_id, selector)).await.unwrap();
    client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();

    for process in container_processes(&app_id) {
        let variables = variables_of(process.pid);
        assert!(variables.contains("ENS_APP_ID"), "{variables:?}");
        assert!(
            !variables.contains("NOTIFY_SOCKET") && !variables.contains("WATCHDOG_USEC"),
            "{variables:?}"
        );
    }

    client.delete(&app_id, SETTLED_AT_MOST).await.unwrap();
    site.clean().unwrap();
}

/// The lines of the log, each a JSON object.
fn lines(log: &str) -> Vec<Value> {
    let read = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: `{line}`"));
    log.lines().map(read).collect()
}

#[tokio::test]
async fn the_log_is_json_carries_request_ids_and_never_a_secret() {
    let mut site = Site::empty(Engine::Simulated).unwrap();
    let password = "correct-horse-battery-staple";
    let registry = site.path("registry.toml");
    std::fs::write(&registry, format!("username = \"u\"\npassword = \"{password}\"\n")).unwrap();
    std::fs::set_permissions(&registry, std::fs::Permissions::from_mode(0o600)).unwrap();
    let configuration = site.path("ensemble.toml");
    let text = format!("[registries.\"registry.example\"]\ncredentials = \"{}\"\n", registry.display());
    std::fs::write(&configuration, text).unwrap();
    site.restart_with(|command| {
        command.arg("--config").arg(configuration).args(["--log", "trace"]);
    })
    .unwrap();
    let client = site.client().unwrap();
    let app_id = site.create(&[]).await.unwrap();
    let accepted = client.ask("RescaleApplication", &add(&app_id, DOCUMENTED_SELECTOR)).await.unwrap();
    client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();
    let refused = client.call("RescaleApplication", &[("AppId", "no-such")]).await.unwrap().unwrap_err();

    let credentials = std::fs::read_to_string(site.data_dir().join("credentials.toml")).unwrap();
    let ended = site.take_server();
    let log = ended.log();

    let secret = credentials.lines().find_map(|line| line.strip_prefix("access_key_secret = ")).unwrap();
    assert!(!log.contains(secret.trim_matches('"')), "the secret key is in the log");
    assert!(!log.contains(password), "a registry's password is in the log");
    let lines = lines(&log);
    let of_request = |id: &Value| {
        lines.iter().find(|line| line["span"]["request_id"] == *id && line["action"].is_string())
    };
    let accepted = of_request(&accepted["RequestId"]).expect("the accepted call has its line");
    assert_eq!(
        (accepted["level"].as_str(), accepted["action"].as_str()),
        (Some("INFO"), Some("RescaleApplication"))
    );
    let refused = of_request(&refused.body["RequestId"]).expect("the refused call has its line");
    assert!(refused["code"].is_string(), "{refused}");
}

#[tokio::test]
async fn reads_are_logged_at_debug_and_a_reload_changes_the_level() {
    let mut site = Site::empty(Engine::Simulated).unwrap();
    let configuration = site.path("ensemble.toml");
    std::fs::write(&configuration, "[log]\nformat = \"text\"\n").unwrap();
    let named = configuration.clone();
    site.restart_with(|command| {
        command.arg("--config").arg(named);
    })
    .unwrap();
    let client = site.client().unwrap();
    client.ask("ListApplications", &[]).await.unwrap();
    site.create(&[]).await.unwrap();
    site.server().logged("CreateApplication answered").unwrap();
    assert!(!site.server().log().contains("ListApplications answered"));

    std::fs::write(
        &configuration,
        "pod_network = \"10.81.0.0/16\"\n[log]\nformat = \"text\"\nlevel = \"debug\"\n",
    )
    .unwrap();
    site.server().send_hangup().unwrap();
    site.server().logged("`pod_network` takes effect at the next start").unwrap();
    site.server().logged("the configuration was read again and is in force").unwrap();
    client.ask("ListApplications", &[]).await.unwrap();
    site.server().logged("ListApplications answered").unwrap();

    std::fs::write(&configuration, "[log]\nlevel = \"loud\"\n").unwrap();
    site.server().send_hangup().unwrap();
    site.server().logged("the configuration stays as it is").unwrap();
    site.server().logged("`loud` is no log level").unwrap();
    client.ask("ListApplications", &[]).await.unwrap();
}

#[test]
fn a_second_term_ends_at_once_what_the_first_one_waits_for() {
    let mut site = Site::start(Engine::Simulated).unwrap();
    let address = site.server().url.trim_start_matches("http://").to_owned();
    let mut unfinished = TcpStream::connect(address).unwrap();
    // The body never comes; the server answers `100 Continue` when it begins to read it.
    let head = "POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n";
    unfinished.write_all(head.as_bytes()).unwrap();
    let mut begun = [0; 12];
    unfinished.read_exact(&mut begun).unwrap();
    assert_eq!(&begun, b"HTTP/1.1 100");

    site.server().send_term().unwrap();
    site.server().logged("requests are finished, containers stay").unwrap();
    let began = Instant::now();
    site.server().send_term().unwrap();

    assert!(site.take_server().wait(Duration::from_secs(15)).unwrap().success());
    assert!(began.elapsed() < Duration::from_secs(6), "the first one alone waits for 10 s");
}
