//! What the configuration may say in each layer, which layer wins, and what each mistake is called.

use super::keys::{KEYS, TakesEffect};
use super::settings::{Audience, EngineChoice, FleetChoice, LogFormat, Settings};
use super::{Effective, Error, File, Origin, Sources};
use std::path::{Path, PathBuf};
use std::time::Duration;

const WHOLE: &str = r#"
data_dir = "/var/lib/ensemble"
listen = "127.0.0.1:8421"
fleet = "fleet.toml"
pod_network = "10.90.0.0/16"
[log]
level = "debug"
format = "json"
[images]
cache_size = "2GiB"
plain_http = ["registry.lan:5000"]
[registries."registry.example:5000"]
credentials = "/etc/ensemble/registry.toml"
[tls]
certificate = "tls/chain.pem"
key = "/etc/ensemble/key.pem"
[metrics]
serve_to = "all"
[limits]
connections = 2048
headers_within = "5s"
body_within = "1m"
idle_within = "60s"
commands = 4
command_idle_within = "5m"
"#;

/// Sources with this file and nothing else, and the directory that holds it.
fn of_file(text: &str) -> (tempfile::TempDir, Sources) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ensemble.toml");
    std::fs::write(&path, text).unwrap();
    let sources = Sources { file: File::Named(path), ..Sources::defaults(Path::new("/data")) };
    (directory, sources)
}

fn problems(sources: &Sources) -> Vec<String> {
    let Error(problems) = sources.read().expect_err("the configuration has mistakes");
    problems
        .iter()
        .map(|problem| match &problem.hint {
            Some(hint) => format!("{problem} ({hint})"),
            None => problem.to_string(),
        })
        .collect()
}

/// The origin of a key, as people read it.
fn origin(effective: &Effective, name: &str) -> String {
    let entry = effective.entries.iter().find(|entry| entry.key.name == name);
    entry.map_or_else(String::new, |entry| entry.origin.to_string())
}

#[test]
fn without_anything_the_defaults_of_the_table_are_those_of_the_settings() {
    let effective = Sources::defaults(Path::new("/data")).read().unwrap();

    assert_eq!(effective.settings, Settings::of(Path::new("/data")));
    assert!(effective.entries.iter().all(|entry| entry.origin == Origin::Default));
}

#[test]
fn a_whole_file_is_read_and_relative_paths_lie_beside_it() {
    let (directory, sources) = of_file(WHOLE);

    let Effective { settings, file, .. } = sources.read().unwrap();

    assert_eq!(file, Some(directory.path().join("ensemble.toml")));
    assert_eq!(settings.data_dir, PathBuf::from("/var/lib/ensemble"));
    assert_eq!(settings.listen.port(), 8421);
    assert_eq!(settings.fleet, FleetChoice::File(directory.path().join("fleet.toml")));
    assert_eq!(settings.pod_network.to_string(), "10.90.0.0/16");
    assert_eq!((settings.log.level.as_str(), settings.log.format), ("debug", LogFormat::Json));
    assert_eq!(settings.images.cache_bytes, 2 << 30);
    assert_eq!(settings.images.plain_http, ["registry.lan:5000"]);
    let registry = &settings.registries["registry.example:5000"];
    assert_eq!(registry.credentials, PathBuf::from("/etc/ensemble/registry.toml"));
    let tls = settings.tls.unwrap();
    assert_eq!(tls.certificate, directory.path().join("tls/chain.pem"));
    assert_eq!(tls.key, PathBuf::from("/etc/ensemble/key.pem"));
    assert_eq!(settings.metrics, Audience::All);
    assert_eq!(settings.limits.connections, 2048);
    assert_eq!(settings.limits.headers_within, Duration::from_secs(5));
    assert_eq!(settings.limits.body_within, Duration::from_secs(60));
    assert_eq!(settings.limits.idle_within, Duration::from_secs(60));
    assert_eq!(settings.limits.commands, 4);
    assert_eq!(settings.limits.command_idle_within, Duration::from_secs(300));
}

#[test]
fn a_flag_wins_over_the_environment_that_over_the_file_and_that_over_the_default() {
    let (directory, mut sources) =
        of_file("listen = \"127.0.0.1:1\"\npod_network = \"10.1.0.0/16\"\n[log]\nlevel = \"warn\"\n");
    sources.environment.insert("ENSEMBLE_LISTEN".into(), "127.0.0.1:2".into());
    sources.environment.insert("ENSEMBLE_POD_NETWORK".into(), "10.2.0.0/16".into());
    sources.environment.insert("ENSEMBLE_ENGINE".into(), String::new());
    sources.flags.push(("listen", "127.0.0.1:3".into()));

    let effective = sources.read().unwrap();

    assert_eq!(effective.settings.listen.port(), 3);
    assert_eq!(effective.settings.pod_network.to_string(), "10.2.0.0/16");
    assert_eq!(effective.settings.log.level, "warn");
    assert_eq!(effective.settings.engine, EngineChoice::Embedded);
    assert_eq!(origin(&effective, "listen"), "--listen");
    assert_eq!(origin(&effective, "pod_network"), "ENSEMBLE_POD_NETWORK");
    let file = directory.path().join("ensemble.toml");
    assert_eq!(origin(&effective, "log.level"), format!("{}:4", file.display()));
    assert_eq!(origin(&effective, "engine"), "default");
}

#[test]
fn every_mistake_of_every_layer_is_told_at_once() {
    let (directory, mut sources) = of_file(
        "lisen = \"127.0.0.1:1\"\n[log]\nlevel = \"inof\"\n[images]\ncache_size = 10\n[limits]\nconnections = 0\n[registries.\"https://x\"]\ncredentials = \"a\"\n",
    );
    sources.environment.insert("ENSEMBLE_LISTEN".into(), "here".into());
    sources.flags.push(("pod_network", "all".into()));

    let found = problems(&sources);

    let file = directory.path().join("ensemble.toml");
    let expected = [
        "1:1: unknown key `lisen` in the configuration file (did you mean `listen`?)",
        "3:9: `log.level`: `inof` is no log level (such as info, or info,ensemble_engine=debug)",
        "5:14: `cache_size` of [images] must be a string, not a whole number (write cache_size = \"10\")",
        "7:15: `connections` of [limits] is 0; it must be from 1 to 1000000",
        "8:13: `registries.\"HOST\".credentials`: `https://x` is no registry (a host in lower case, with a port if it has one: registry.example:5000)",
    ];
    let expected = expected.iter().map(|line| format!("{}:{line}", file.display()));
    let elsewhere = [
        "ENSEMBLE_LISTEN: `here` is no address to listen on (an address and a port: 127.0.0.1:8420, [::1]:8420, 0.0.0.0:0)",
        "--pod-network: `all` is no address range (such as 10.80.0.0/16)",
    ];
    assert_eq!(found, expected.chain(elsewhere.map(str::to_owned)).collect::<Vec<_>>());
}

#[test]
fn a_named_file_has_to_be_there_and_the_usual_one_may_be() {
    let gone = PathBuf::from("/nonexistent/ensemble.toml");
    let named = Sources { file: File::Named(gone.clone()), ..Sources::defaults(Path::new("/data")) };
    let usual = Sources { file: File::Usual(gone), ..Sources::defaults(Path::new("/data")) };

    assert!(
        problems(&named)[0]
            .starts_with("/nonexistent/ensemble.toml: the configuration file could not be read")
    );
    assert_eq!(usual.read().unwrap().file, None);
}

#[test]
fn an_engine_beside_a_fleet_file_is_refused_unless_the_fleet_is_from_a_stronger_layer() {
    for (file, flags, fits) in [
        ("fleet = \"f.toml\"\nengine = \"simulated\"\n", vec![], false),
        ("engine = \"simulated\"\n", vec![("fleet", "f.toml")], true),
        ("fleet = \"f.toml\"\n", vec![("engine", "simulated")], false),
        ("", vec![("fleet", "f.toml"), ("engine", "simulated")], false),
        ("fleet = \"builtin\"\nengine = \"simulated\"\n", vec![], true),
    ] {
        let (_directory, mut sources) = of_file(file);
        sources.flags = flags.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();

        assert_eq!(sources.read().is_ok(), fits, "{file} {flags:?}");
    }
}

#[test]
fn a_certificate_without_its_key_is_refused() {
    let (directory, sources) = of_file("[tls]\ncertificate = \"chain.pem\"\n");

    let file = directory.path().join("ensemble.toml");
    let expected = format!(
        "{}:2: HTTPS needs both a certificate and its key (set tls.certificate and tls.key)",
        file.display()
    );
    assert_eq!(problems(&sources), [expected]);
}

#[test]
fn names_variables_and_flags_are_used_once() {
    let names: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
    let variables: Vec<&str> = KEYS.iter().filter_map(|key| key.environment).collect();
    let flags: Vec<&str> = KEYS.iter().filter_map(|key| key.flag).collect();

    for mut list in [names, variables, flags] {
        let length = list.len();
        list.sort_unstable();
        list.dedup();
        assert_eq!(list.len(), length);
    }
    assert!(KEYS.iter().any(|key| key.takes_effect == TakesEffect::AtStart));
}

/// The file that the package installs.
fn packaged() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    std::fs::read_to_string(root.join("packaging/ensemble.toml")).unwrap()
}

/// A line that shows a default: a key or a table, commented out without a blank.
fn shown(line: &str) -> Option<&str> {
    line.strip_prefix('#')
        .filter(|rest| rest.starts_with(|first: char| first.is_ascii_lowercase() || first == '['))
}

#[test]
fn the_packaged_file_changes_the_data_directory_and_nothing_else() {
    let (_directory, sources) = of_file(&packaged());

    let settings = sources.read().unwrap().settings;

    assert_eq!(settings, Settings::of(Path::new("/var/lib/ensemble")));
}

#[test]
fn what_the_packaged_file_shows_are_the_defaults_and_every_key() {
    let text = packaged();
    let whole: Vec<&str> = text.lines().map(|line| shown(line).unwrap_or(line)).collect();
    let (_directory, sources) = of_file(&whole.join("\n"));

    let Effective { settings, entries, .. } = sources.read().unwrap();

    for key in KEYS {
        let entry = entries.iter().find(|entry| entry.key.name == key.name).map(|entry| &entry.origin);
        assert!(matches!(entry, Some(Origin::File { .. })), "{} is not shown", key.name);
    }
    let defaults = Settings::of(Path::new("/var/lib/ensemble"));
    let examples = Settings { tls: None, faults: None, registries: defaults.registries.clone(), ..settings };
    assert_eq!(examples, defaults);
}
