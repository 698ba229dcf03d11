//! `ensemble serve --check` and `ensemble config show`: what they say, how they exit, and that they change nothing.

use assert_cmd::Command;
use serde_json::Value;
use std::fs::Permissions;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use tempfile::TempDir;

/// A directory for a configuration and what it names.
struct Desk(TempDir);

struct Said {
    exit: i32,
    stdout: String,
    stderr: String,
}

impl Desk {
    fn new() -> Self {
        Self(TempDir::new().expect("a temporary directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, mode: u32, text: &str) {
        std::fs::write(self.path(name), text).expect("the file is written");
        std::fs::set_permissions(self.path(name), Permissions::from_mode(mode)).expect("its mode is set");
    }

    /// With a data directory that is not there, unless the words name one.
    fn run(&self, words: &[&str]) -> Said {
        let output = Command::new(env!("CARGO_BIN_EXE_ensemble"))
            .args(words)
            .env_clear()
            .env("HOME", self.0.path())
            .env("ENSEMBLE_CONFIG", self.path("ensemble.toml"))
            .output()
            .expect("the command runs");
        Said {
            exit: output.status.code().expect("it ends by itself"),
            stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
        }
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).expect("the directory is there");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("a text name"))
            .collect();
        names.sort();
        names
    }
}

#[test]
fn a_sound_configuration_is_said_to_be_and_nothing_is_made() {
    let desk = Desk::new();
    desk.write(
        "ensemble.toml",
        0o644,
        "engine = \"simulated\"\n[registries.\"registry.example\"]\ncredentials = \"r.toml\"\n",
    );
    desk.write("r.toml", 0o600, "username = \"u\"\npassword = \"p\"\n");

    let said = desk.run(&["serve", "--check"]);

    assert_eq!((said.exit, said.stdout.as_str()), (0, "configuration is sound\n"), "{}", said.stderr);
    assert_eq!(desk.names(), ["ensemble.toml", "r.toml"]);
}

#[test]
fn mistakes_of_the_configuration_are_told_at_once_and_are_a_usage_error() {
    let desk = Desk::new();
    desk.write("ensemble.toml", 0o644, "lissten = \"127.0.0.1:0\"\n[log]\nlevel = \"loud\"\n");

    for words in [["serve", "--check"].as_slice(), &["serve"], &["config", "show"]] {
        let said = desk.run(words);

        assert_eq!(said.exit, 2, "{words:?}: {}", said.stderr);
        let file = desk.path("ensemble.toml");
        for expected in [
            "1:1: unknown key `lissten`",
            "did you mean `listen`?",
            "3:9: `log.level`: `loud` is no log level",
        ] {
            assert!(said.stderr.contains(expected), "{words:?}: {expected} in {}", said.stderr);
        }
        assert!(said.stderr.contains(&file.display().to_string()), "{}", said.stderr);
    }
}

#[test]
fn everything_that_is_named_and_not_as_it_must_be_is_told_at_once() {
    let desk = Desk::new();
    desk.write(
        "ensemble.toml",
        0o644,
        "data_dir = \"shared\"\nlisten = \"203.0.113.1:8420\"\nfleet = \"fleet.toml\"\n\
         [tls]\ncertificate = \"chain.pem\"\nkey = \"key.pem\"\n\
         [registries.\"registry.example\"]\ncredentials = \"r.toml\"\n",
    );
    desk.write("fleet.toml", 0o644, "version = 1\nedge_node = 3\n");
    desk.write("chain.pem", 0o644, "no certificate\n");
    desk.write("r.toml", 0o644, "username = \"u\"\npassword = \"do-not-show\"\n");
    std::fs::create_dir(desk.path("shared")).expect("the directory is made");
    desk.write("shared/other-peoples", 0o644, "");
    std::fs::set_permissions(desk.path("shared"), Permissions::from_mode(0o755)).expect("its mode is set");

    let said = desk.run(&["serve", "--check"]);

    assert_eq!(said.exit, 1, "{}", said.stderr);
    for expected in [
        "fleet.toml:2:1: unknown key `edge_node`",
        "holds no certificate",
        "others may read it (mode 0644)",
        "holds files that are not Ensemble's",
        "this machine cannot listen on 203.0.113.1",
    ] {
        assert!(said.stderr.contains(expected), "{expected} in {}", said.stderr);
    }
    assert!(!said.stderr.contains("do-not-show"), "{}", said.stderr);
    let mode = std::fs::metadata(desk.path("shared")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o755, "a check changes nothing");
}

#[test]
fn what_is_in_force_is_shown_with_where_it_comes_from() {
    let desk = Desk::new();
    desk.write(
        "ensemble.toml",
        0o644,
        "listen = \"127.0.0.1:8421\"\n[images]\nplain_http = [\"registry.lan\"]\n",
    );

    let set = desk.run(&["config", "show", "--log", "debug"]);
    let all = desk.run(&["config", "show", "--effective", "-o", "json"]);

    let file = desk.path("ensemble.toml");
    let lines: Vec<Vec<&str>> = set.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    let from = |line: u32| format!("{}:{line}", file.display());
    assert_eq!(lines[0], ["KEY", "VALUE", "FROM"]);
    assert_eq!(lines[1], ["listen", "127.0.0.1:8421", from(1).as_str()]);
    assert_eq!(lines[2], ["log.level", "debug", "--log"]);
    assert_eq!(lines[3], ["images.plain_http", "registry.lan", from(3).as_str()]);
    assert_eq!(lines.len(), 4);
    let all: Value = serde_json::from_str(&all.stdout).expect("one JSON document");
    let of = |key: &str| {
        let entries = all.as_array().expect("a list").iter();
        entries.into_iter().find(|entry| entry["key"] == key).cloned().unwrap_or_default()
    };
    assert_eq!(of("images.plain_http")["value"], serde_json::json!(["registry.lan"]));
    assert_eq!(of("limits.connections")["value"], "1024");
    assert_eq!(of("limits.connections")["from"], "default");
    assert_eq!(of("data_dir")["value"], desk.path(".local/share/ensemble").display().to_string());
}

/// A server, ended with the test.
struct Served(std::process::Child);

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_server_with_a_certificate_of_its_own_is_called_by_whoever_is_told_to_trust_it() {
    let desk = Desk::new();
    let text = "engine = \"simulated\"\nlisten = \"127.0.0.1:0\"\ndata_dir = \"data\"\n\
                [tls]\ncertificate = \"chain.pem\"\nkey = \"key.pem\"\n";
    desk.write("ensemble.toml", 0o644, text);
    desk.write("chain.pem", 0o644, include_str!("../../server/tests/server/tls/first.pem"));
    desk.write("key.pem", 0o600, include_str!("../../server/tests/server/tls/first.key"));
    let mut served = Served(
        std::process::Command::new(env!("CARGO_BIN_EXE_ensemble"))
            .args(["serve", "--config"])
            .arg(desk.path("ensemble.toml"))
            .env_clear()
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts"),
    );
    let mut ready = String::new();
    let stdout = served.0.stdout.take().expect("stdout is piped");
    BufReader::new(stdout).read_line(&mut ready).expect("the server says that it is ready");
    assert!(ready.starts_with("ready https://127.0.0.1:"), "{ready}");

    let chain = desk.path("chain.pem").display().to_string();
    let trusting = desk.run(&["app", "list", "-o", "json", "--ca-file", &chain]);
    let strange = desk.run(&["app", "list", "-o", "json"]);
    let key = desk.path("key.pem").display().to_string();
    let nothing = desk.run(&["app", "list", "--ca-file", &key]);

    assert_eq!((trusting.exit, trusting.stdout.as_str()), (0, "[]\n"), "{}", trusting.stderr);
    assert_ne!(strange.exit, 0, "nobody vouches for the server");
    assert!(nothing.stderr.contains("holds no certificates to trust"), "{}", nothing.stderr);
}
