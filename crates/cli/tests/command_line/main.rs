//! The command line against a live server over the simulated engine: what it prints and how it exits.

mod history;
mod plan_file;
mod site;

use assert_cmd::Command;
use site::{Site, run};

#[test]
fn rescaling_waits_and_tells_totals_before_and_after() {
    let site = Site::with_application();

    let said = site.run(&["rescale", "hello", "--add", "cn-shanghai-cmcc=2"]);

    assert_eq!(said.exit, 0, "{}", said.stderr);
    assert!(said.stderr.contains("+2 instances of hello at v1    0 → 2"), "{}", said.stderr);
    assert!(said.stderr.contains("2 of 2 ready"), "{}", said.stderr);
    assert_eq!(said.stdout, "");
    assert_eq!(site.instances(), 2);
}

#[test]
fn the_server_of_the_machines_configuration_is_found_without_a_word() {
    let site = Site::with_application();
    let file = site.dir.path().join("ensemble.toml");
    std::fs::write(&file, "data_dir = \"data\"\n").expect("the configuration is written");

    let said = Command::new(env!("CARGO_BIN_EXE_ensemble"))
        .args(["app", "list", "-o", "name"])
        .env_clear()
        .env("HOME", site.dir.path().join("home"))
        .env("ENSEMBLE_CONFIG", &file)
        .output()
        .expect("the command runs");

    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    assert_eq!(String::from_utf8_lossy(&said.stdout).lines().count(), 1);
}

#[test]
fn to_is_a_total_and_sends_nothing_where_it_is_reached() {
    let site = Site::with_application();

    assert_eq!(site.run(&["rescale", "hello", "--to", "310100=3"]).exit, 0);
    assert_eq!(site.instances(), 3);
    let again = site.run(&["rescale", "hello", "--to", "310100=3"]);
    assert_eq!(again.exit, 0);
    assert!(again.stderr.contains("nothing was sent"), "{}", again.stderr);
    assert_eq!(site.run(&["rescale", "hello", "--to", "310100=1"]).exit, 0);

    assert_eq!(site.instances(), 1);
}

#[test]
fn to_in_both_directions_prints_the_two_commands() {
    let site = Site::with_application();
    site.run(&["rescale", "hello", "--add", "cn-shanghai-cmcc=2"]);

    let said = site.run(&["rescale", "hello", "--to", "cn-shanghai-cmcc=1", "--to", "cn-beijing-cmcc=1"]);

    assert_eq!(said.exit, 2);
    assert!(said.stderr.contains("ensemble rescale hello --add cn-beijing-cmcc=1"), "{}", said.stderr);
    assert!(said.stderr.contains("ensemble rescale hello --del cn-shanghai-cmcc=1"), "{}", said.stderr);
    assert_eq!(site.instances(), 2);
}

#[test]
fn a_plan_ends_with_the_command_that_does_exactly_it() {
    let site = Site::with_application();

    let plan = site.run(&["plan", "hello", "--add", "310100/cmcc=3"]);
    let command = plan.stdout.lines().last().expect("a last line").to_owned();
    let words: Vec<&str> = command.split_whitespace().skip_while(|word| *word != "rescale").collect();

    assert!(
        plan.stdout.starts_with("hello v1 · level AreaIspCode · strategy Disperse · revision "),
        "{command}"
    );
    assert!(plan.stdout.contains("Plan: 3 to add, 0 to release"), "{}", plan.stdout);
    assert_eq!(site.run(&words).exit, 0, "{command}");
    assert_eq!(site.instances(), 3);
    assert_eq!(site.run(&words).exit, 3, "the plan is not the same any more");
}

#[test]
fn exit_codes_tell_what_went_wrong() {
    let site = Site::with_application();

    for (words, exit, part) in [
        (&["rescale", "hello", "--add", "cn-shanghai-cmcc=100"][..], 5, "do not fit"),
        (&["rescale", "hello", "--add", "cn-shanghai-cmc=1"], 3, "did you mean `cn-shanghai-cmcc`"),
        (&["rescale", "hello"], 2, "--add"),
        (&["rescale", "hello", "--add", "cn-shanghai-cmcc"], 2, "no count"),
        (&["rescale", "helo", "--add", "cn-shanghai-cmcc=1"], 3, "did you mean `hello`"),
        (&["rescale", "hello", "--del", "cn-shanghai-cmcc=1"], 3, ""),
        (&["rescale", "hello", "--add", "cn-shanghai-cmcc=1", "--if-revision", "77"], 3, "revision"),
        (&["app", "list", "--endpoint", "http://127.0.0.1:1"], 4, "access key"),
        (&["operation", "show", "00000000-0000-4000-8000-000000000000"], 3, ""),
        (&["call", "RescaleApplications"], 3, "RescaleApplication"),
    ] {
        let said = site.run(words);

        assert_eq!(said.exit, exit, "{words:?}: {}", said.stderr);
        assert!(said.stderr.contains(part), "{words:?}: {}", said.stderr);
        assert_eq!(site.instances(), 0, "{words:?}");
    }
}

#[test]
fn an_error_is_one_json_object_where_json_is_asked_for() {
    let site = Site::with_application();

    let error = site.json(&["rescale", "hello", "--add", "cn-shanghai-cmcc=100"]);

    assert_eq!(error["error"]["exit"], 5);
    assert_eq!(error["error"]["code"], "InvalidParameter");
    assert!(error["error"]["requestId"].is_string());
}

#[test]
fn a_server_that_is_not_there_is_exit_7() {
    let site = Site::start();
    let said = Command::new(env!("CARGO_BIN_EXE_ensemble"))
        .args(["app", "list", "--endpoint", "http://127.0.0.1:1"])
        .env_clear()
        .env("HOME", site.dir.path())
        .env("ENSEMBLE_ACCESS_KEY_ID", "LTAI")
        .env("ENSEMBLE_ACCESS_KEY_SECRET", "secret")
        .output()
        .expect("the command runs");

    assert_eq!(said.status.code(), Some(7));
}

#[test]
fn exports_for_sdks_come_from_the_local_server() {
    let site = Site::start();

    let exports = site.run(&["env"]).stdout;

    assert!(exports.contains("export ALIBABA_CLOUD_ENDPOINT='127.0.0.1:"), "{exports}");
    assert!(exports.contains("export ALIBABA_CLOUD_ACCESS_KEY_SECRET='"), "{exports}");
    assert!(!site.run(&["env", "--no-secret"]).stdout.contains("SECRET"));
}

#[test]
fn the_log_can_be_read_while_the_server_runs() {
    let site = Site::with_application();

    let log = site.run(&["log", "show"]);

    assert_eq!(log.exit, 0, "{}", log.stderr);
    assert!(log.stdout.contains("application_created"), "{}", log.stdout);
    assert!(log.stdout.contains("operation_ended"), "{}", log.stdout);
}

#[test]
fn fleet_check_tells_each_mistake_with_its_place() {
    let site = Site::start();
    let file = site.dir.path().join("fleet.toml");
    std::fs::write(&file, "version = 1\n[engines.here]\nkind = \"embeded\"\n").expect("the file is written");

    let said = site.run(&["fleet", "check", file.to_str().expect("a text path")]);

    assert_eq!(said.exit, 1);
    assert!(said.stdout.contains("fleet.toml:3:"), "{}", said.stdout);
    assert!(said.stdout.contains("embedded"), "{}", said.stdout);
}

#[test]
fn the_help_of_call_is_the_catalog() {
    let site = Site::start();

    let help = site.run(&["call", "RescaleApplication", "--help"]);

    assert_eq!(help.exit, 0);
    for part in
        ["ResourceSelector", "one of: Add, Del", "default: AreaIspCode", "ens:RescaleApplication (update)"]
    {
        assert!(help.stdout.contains(part), "{part}: {}", help.stdout);
    }
}

#[test]
fn help_begins_with_examples_and_tells_the_exit_codes() {
    let site = Site::start();

    let help = site.run(&["--help"]);

    assert_eq!(help.exit, 0);
    assert!(help.stdout.starts_with("Examples:"), "{}", help.stdout);
    assert!(help.stdout.contains("5    does not fit"), "{}", help.stdout);
}

#[test]
fn a_backup_is_made_online_restored_looked_at_and_confirmed() {
    let site = Site::with_application();
    site.run(&["rescale", "hello", "--add", "cn-shanghai-cmcc=2"]);
    let file = site.dir.path().join("ensemble.backup");
    let file = file.to_str().expect("a text path");

    let backup = site.json(&["backup", file]);
    let other = run(&site.dir.path().join("data"), &["restore", file]);
    let restored_dir = site.dir.path().join("restored");
    let restored = run(&restored_dir, &["restore", file]);
    let doctor = run(&restored_dir, &["doctor"]);
    let confirmed = run(&restored_dir, &["restore", "--confirm"]);
    let again = run(&restored_dir, &["restore", "--confirm"]);

    assert_eq!((&backup["applications"], &backup["instances"]), (&1.into(), &2.into()), "{backup}");
    assert_eq!(other.exit, 1, "the directory of a running server is not empty");
    assert!(other.stderr.contains("not empty") && other.stderr.contains("hint:"), "{}", other.stderr);
    assert_eq!(restored.exit, 0, "{}", restored.stderr);
    assert!(restored.stderr.contains("1 application, 2 instances"), "{}", restored.stderr);
    assert!(doctor.stdout.contains("ensemble restore --confirm"), "{}", doctor.stdout);
    assert!(confirmed.stderr.contains("confirmed"), "{}", confirmed.stderr);
    assert!(again.stderr.contains("nothing waits"), "{}", again.stderr);
}

#[test]
fn a_restored_server_is_confirmed_through_itself() {
    let before = Site::with_application();
    let file = before.dir.path().join("ensemble.backup");
    assert_eq!(before.run(&["backup", file.to_str().expect("a text path")]).exit, 0);
    let after = Site::of(|data| {
        assert_eq!(run(data, &["restore", file.to_str().expect("a text path")]).exit, 0);
    });

    let refused = after.run(&["rescale", "hello", "--add", "cn-shanghai-cmcc=1"]);
    let status = after.run(&["restore", "--status"]);
    let confirmed = after.run(&["restore", "--confirm"]);

    assert_eq!(refused.exit, 3, "{}", refused.stderr);
    assert!(refused.stderr.contains("ensemble restore --confirm"), "{}", refused.stderr);
    assert!(status.stdout.contains("Observing"), "{}", status.stdout);
    assert_eq!(confirmed.exit, 0, "{}", confirmed.stderr);
    assert_eq!(after.run(&["rescale", "hello", "--add", "cn-shanghai-cmcc=1"]).exit, 0);
}
