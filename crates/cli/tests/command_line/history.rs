//! What a server remembers of what was asked: operations with who asked and how, histories of applications, and why an
//! instance is where it is.

use crate::site::Site;
use serde_json::Value;

/// The RequestId of the newest operation.
fn newest(site: &Site) -> String {
    site.run(&["operation", "list", "--limit", "1", "-o", "name"]).stdout.trim().to_owned()
}

#[test]
fn an_operation_tells_who_asked_with_which_key_from_where_and_what() {
    let site = Site::with_application();
    site.run(&["rescale", "hello", "--add", "310100/cmcc=2", "--timeout", "77"]);
    let id = newest(&site);

    let shown = site.run(&["operation", "show", &id]).stdout;
    let json = site.json(&["operation", "show", &id]);
    let listed = site.json(&["operation", "list"]);

    for part in
        ["Action       RescaleApplication Add", " from 127.0.0.1", "Timeout = 77", "ResourceSelector = ["]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(shown.contains("  accepted: ") && shown.contains("is ready (2 of 2)"), "{shown}");
    assert_eq!(json["SourceIp"], "127.0.0.1");
    assert!(json["AccessKeyId"].as_str().is_some_and(|key| key.starts_with("LTAI")), "{json}");
    assert!(listed[0]["Parameters"].is_null() && listed[0]["Principal"].is_string(), "{listed}");
}

#[test]
fn the_history_of_an_application_outlives_it() {
    let site = Site::with_application();
    let app = site.run(&["app", "list", "-o", "name"]).stdout.trim().to_owned();
    site.run(&["rescale", "hello", "--add", "cn-shanghai-cmcc=2"]);
    site.run(&["rescale", "hello", "--del", "cn-shanghai-cmcc=1"]);

    let alive = site.json(&["app", "history", "hello"]);
    assert_eq!(site.run(&["app", "delete", "hello", "--yes"]).exit, 0);
    let gone = site.run(&["app", "history", &app]);
    let page = site.run(&["app", "history", &app, "--limit", "1"]);
    let unknown = site.run(&["app", "history", "hello"]);

    assert_eq!(alive.as_array().map(Vec::len), Some(3), "{alive}");
    let actions: Vec<&str> =
        ["DeleteApplication", "RescaleApplication Del", "RescaleApplication Add", "CreateApplication"]
            .to_vec();
    let lines: Vec<&str> = gone.stdout.lines().skip(1).collect();
    assert_eq!(lines.len(), actions.len(), "{}", gone.stdout);
    for (line, action) in lines.iter().zip(actions) {
        assert!(line.contains(action) && line.contains("Succeeded"), "{action}: {line}");
    }
    assert_eq!(page.stdout.lines().count(), 2, "{}", page.stdout);
    assert!(page.stderr.contains("1 of 4"), "{}", page.stderr);
    assert_eq!(unknown.exit, 3, "a name goes with its application");
}

#[test]
fn an_instance_tells_why_it_is_there_and_why_it_went() {
    let site = Site::with_application();
    site.run(&["rescale", "hello", "--add", "cn-shanghai-cmcc=1", "--add", "310100=1"]);
    let placed = newest(&site);
    let id = site
        .json(&["instances", "hello"])
        .as_array()
        .and_then(|all| all.iter().find(|one| one["EnsRegionId"] == "cn-shanghai-cmcc").cloned())
        .map(|one| one["InstanceId"].as_str().unwrap_or_default().to_owned())
        .expect("one is there");

    let shown = site.run(&["instance", "show", &id]);
    let why = site.run(&["instance", "show", &id, "--why"]);
    site.run(&["rescale", "hello", "--del", "cn-shanghai-cmcc=1"]);
    let gone = site.run(&["instance", "show", &id, "--why"]);
    let document: Value = site.json(&["instance", "show", &id]);
    let unknown = site.run(&["instance", "show", "i-none"]);

    assert!(
        shown.stdout.contains("State        Running") && !shown.stdout.contains("Why:"),
        "{}",
        shown.stdout
    );
    for part in [
        format!("placed by RescaleApplication Add {placed}, accepted "),
        "for item 0 of its selector: 1 within cn-shanghai-cmcc".to_owned(),
        " from 127.0.0.1".to_owned(),
        "succeeded: ".to_owned(),
        "is ready (".to_owned(),
    ] {
        assert!(why.stdout.contains(&part), "{part}: {}", why.stdout);
    }
    for part in
        ["State        Gone", "Cause        released on request", "released by RescaleApplication Del"]
    {
        assert!(gone.stdout.contains(part), "{part}: {}", gone.stdout);
    }
    let roles: Vec<&str> = document["Operations"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|one| one["Role"].as_str())
        .collect();
    assert_eq!(roles, ["Placed", "Released"], "{document}");
    assert_eq!(unknown.exit, 3, "{}", unknown.stderr);
}

#[test]
fn an_instance_by_itself_tells_what_made_it() {
    let site = Site::with_application();
    let id = site
        .run(&["instance", "create", "--node", "cn-shanghai-cmcc", "-o", "name"])
        .stdout
        .trim()
        .to_owned();

    let own = site.run(&["instance", "show", &id, "--why"]);
    site.run(&["rescale", "hello", "--add-instance", &id]);
    let hosting = site.run(&["instance", "show", &id, "--why"]);
    site.run(&["rescale", "hello", "--del-instance", &id]);
    let given_back = site.run(&["instance", "show", &id]);

    assert!(
        own.stdout.contains("exists by itself") && own.stdout.contains("made by RunInstances"),
        "{}",
        own.stdout
    );
    assert!(hosting.stdout.contains("hosts the application"), "{}", hosting.stdout);
    assert!(hosting.stdout.contains("placed by RescaleApplication Add"), "{}", hosting.stdout);
    assert!(given_back.stdout.contains("exists by itself"), "{}", given_back.stdout);
}
