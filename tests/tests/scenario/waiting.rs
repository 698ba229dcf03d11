//! A command that waits never hangs: `--wait-timeout` and Ctrl-C leave the operation running, with exit codes of their
//! own, and say how to watch it.

use crate::SETTLED_AT_MOST;
use ensemble_tests::containers_can_run;
use ensemble_tests::proxy::Place;
use ensemble_tests::server::{self, Engine};
use ensemble_tests::site::Site;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

fn ensemble(site: &Site, words: &[&str]) -> Command {
    let mut command = Command::new(server::binary());
    server::without_key(&mut command);
    command.arg("--data-dir").arg(site.data_dir()).args(words).stdin(Stdio::null());
    command
}

/// What a command said and how it ended when it was interrupted after a line with `text`.
struct Interrupted {
    exit: Option<i32>,
    stderr: String,
}

/// Starts a command, waits for a line with `text` on the stream that `of` hands out, and presses Ctrl-C.
fn interrupted(mut command: Command, text: &str, of: fn(&mut Child) -> Box<dyn Read>) -> Interrupted {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    let mut stream = BufReader::new(of(&mut child));
    while !said.contains(text) {
        assert!(stream.read_line(&mut said).unwrap() > 0, "no `{text}`: {said}");
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let exit = child.wait().unwrap().code();
    stream.read_to_string(&mut said).unwrap();
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_string(&mut said).unwrap();
    }
    Interrupted { exit, stderr: said }
}

fn stderr_of(child: &mut Child) -> Box<dyn Read> {
    Box::new(child.stderr.take().unwrap())
}

fn stdout_of(child: &mut Child) -> Box<dyn Read> {
    Box::new(child.stdout.take().unwrap())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The RequestId that a hint names.
fn watched(text: &str) -> String {
    let hint = text.lines().find_map(|line| line.strip_prefix("hint: ensemble watch ")).unwrap();
    hint.to_owned()
}

#[tokio::test]
async fn a_command_that_stops_waiting_leaves_the_operation_running() {
    if !containers_can_run() {
        return;
    }
    let mut site = Site::start(Engine::Embedded).unwrap();
    // Nobody answers there, which is tried until the operation's deadline.
    let nobody = Place::take().unwrap();
    let image = format!("{}/none:1", nobody.address);
    for name in ["first", "second", "third"] {
        site.ensemble(&["app", "create", "--image", &image, "--name", name]).unwrap();
    }
    let one = "cn-shanghai-cmcc=1";

    let began = Instant::now();
    let timed_out =
        ensemble(&site, &["rescale", "first", "--add", one, "--wait-timeout", "1"]).output().unwrap();
    let took = began.elapsed();
    let json = ensemble(&site, &["rescale", "second", "--add", one, "--wait-timeout", "1", "-o", "json"]);
    let json = { json }.output().unwrap();
    let pressed = interrupted(ensemble(&site, &["rescale", "third", "--add", one]), "0/1", stderr_of);
    let operation = watched(&said(&timed_out));
    let watched_again = interrupted(ensemble(&site, &["watch", &operation]), "0/1", stderr_of);

    assert_eq!(timed_out.status.code(), Some(6), "{}", said(&timed_out));
    assert!(said(&timed_out).contains("still running when --wait-timeout ended; it goes on"));
    assert!(took < SETTLED_AT_MOST);
    let error: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json.status.code(), Some(6));
    assert_eq!(error["error"]["exit"], 6);
    assert_eq!(
        error["error"]["hint"],
        format!("ensemble watch {}", error["error"]["requestId"].as_str().unwrap())
    );
    for pressed in [&pressed, &watched_again] {
        assert_eq!(pressed.exit, Some(130), "{}", pressed.stderr);
        assert!(pressed.stderr.contains("interrupted; the operation goes on"), "{}", pressed.stderr);
        let shown = site.ensemble(&["operation", "show", &watched(&pressed.stderr), "-o", "json"]).unwrap();
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(shown["Status"], "Running", "{shown:#}");
    }
    assert_eq!(watched(&watched_again.stderr), operation);
    site.clean().unwrap();
}

#[tokio::test]
async fn a_watcher_that_is_interrupted_says_where_to_go_on() {
    let site = Site::start(Engine::Simulated).unwrap();
    let app_id = site.create(&[]).await.unwrap();

    let pressed = interrupted(ensemble(&site, &["watch", &app_id]), "application hello", stdout_of);
    let hint = watched(&pressed.stderr);

    assert_eq!(pressed.exit, Some(130), "{}", pressed.stderr);
    assert!(hint.starts_with(&format!("{app_id} --since ")), "{hint}");
    let words: Vec<&str> = ["watch"].into_iter().chain(hint.split(' ')).chain(["-o", "ndjson"]).collect();
    site.client().unwrap().ask("DeleteApplication", &[("AppId", &app_id)]).await.unwrap();
    let rest = ensemble(&site, &words).output().unwrap();
    let rest = String::from_utf8(rest.stdout).unwrap();
    assert!(rest.lines().last().unwrap().contains("GONE"), "{rest}");
    assert!(!rest.contains("\"resync\""), "{rest}");
}
