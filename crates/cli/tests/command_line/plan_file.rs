//! Plans in files, against a live server: what is done is exactly what was planned, once, or nothing.

use crate::site::Site;
use serde_json::Value;
use std::fs;

#[test]
fn a_plan_in_a_file_is_done_exactly_and_once() {
    let site = Site::with_application();
    let file = site.path("plan.json");

    let plan = site.run(&["plan", "hello", "--add", "310100/cmcc=3", "--timeout", "77", "--out", &file]);
    let document: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let done = site.run(&["rescale", "--plan", &file]);
    let again = site.run(&["rescale", "hello", "--plan", &file]);

    assert_eq!(plan.exit, 0, "{}", plan.stderr);
    assert!(
        plan.stdout.ends_with(&format!("Apply exactly this:  ensemble rescale --plan {file}\n")),
        "{}",
        plan.stdout
    );
    assert_eq!((&document["FormatVersion"], &document["AppName"]), (&1.into(), &"hello".into()));
    assert_eq!(document["Parameters"]["ToAppVersion"], "v1", "another stable version changes nothing");
    assert_eq!(document["Parameters"]["Timeout"], "77");
    assert_eq!(document["PlanId"], document["Plan"]["PlanId"]);
    assert!(!document.to_string().contains("http"), "{document}");
    assert_eq!(done.exit, 0, "{}", done.stderr);
    assert!(done.stderr.contains("+3 instances of hello at v1    0 → 3"), "{}", done.stderr);
    assert_eq!(again.exit, 0, "{}", again.stderr);
    assert_eq!(site.instances(), 3, "the second use found the operation of the first");
}

#[test]
fn a_plan_that_does_not_hold_any_more_is_refused_and_what_moved_is_named() {
    let site = Site::with_application();
    assert_eq!(site.run(&["rescale", "hello", "--add", "310100/cmcc=2"]).exit, 0);
    let (add, del) = (site.path("add.json"), site.path("del.json"));
    assert_eq!(site.run(&["plan", "hello", "--add", "310100/cmcc=2", "--out", &add]).exit, 0);
    assert_eq!(site.run(&["plan", "hello", "--del", "all=1", "--out", &del]).exit, 0);
    assert_eq!(site.run(&["rescale", "hello", "--add", "cn-shanghai-cmcc=4"]).exit, 0);

    let added = site.run(&["rescale", "--plan", &add]);
    let released = site.run(&["rescale", "--plan", &del]);

    assert_eq!((added.exit, released.exit), (3, 3), "{} {}", added.stderr, released.stderr);
    assert!(added.stderr.contains("cn-shanghai-cmcc/cmcc: planned +"), "{}", added.stderr);
    assert!(released.stderr.contains("was to be released, and now is not"), "{}", released.stderr);
    assert!(released.stderr.contains("was not to be released, and now is"), "{}", released.stderr);
    let hint = format!("hint: ensemble plan hello --del all=1 --out {del}");
    assert!(released.stderr.contains(&hint), "{}", released.stderr);
    assert_eq!(site.instances(), 6);
}

#[test]
fn a_plan_file_is_about_its_application_and_stands_alone() {
    let site = Site::with_application();
    let (file, none) = (site.path("plan.json"), site.path("none.json"));
    site.run(&["plan", "hello", "--add", "cn-shanghai-cmcc=1", "--out", &file]);
    let whole = fs::read_to_string(&file).unwrap();
    fs::write(site.path("half.json"), &whole[..whole.len() / 2]).unwrap();
    fs::write(site.path("next.json"), whole.replace("\"FormatVersion\": 1", "\"FormatVersion\": 2")).unwrap();
    let (half, next) = (site.path("half.json"), site.path("next.json"));

    for (words, part) in [
        (&["rescale", "other", "--plan", &file][..], "plans for hello, not for other"),
        (&["rescale", "--plan", &none], "cannot be read"),
        (&["rescale", "--plan", &half], "ends in the middle"),
        (&["rescale", "--plan", &next], "format version 2"),
        (&["rescale", "--plan", &site.path("template.json")], "is no plan"),
        (&["rescale", "--plan", &file, "--add", "cn-shanghai-cmcc=1"], "cannot be used with"),
        (&["rescale", "--plan", &file, "--to", "cn-shanghai-cmcc=1"], "cannot be used with"),
        (&["rescale", "--plan", &file, "--selector", "[]"], "cannot be used with"),
        (&["rescale", "--plan", &file, "--timeout", "3"], "cannot be used with"),
        (&["rescale"], "APP"),
    ] {
        let said = site.run(words);

        assert_eq!(said.exit, 2, "{words:?}: {}", said.stderr);
        assert!(said.stderr.contains(part), "{words:?}: {}", said.stderr);
    }
    assert_eq!(site.instances(), 0);
}

#[test]
fn a_plan_that_does_not_fit_is_not_written() {
    let site = Site::with_application();
    let file = site.path("plan.json");

    let said = site.run(&["plan", "hello", "--add", "cn-shanghai-cmcc=100", "--out", &file]);

    assert_eq!(said.exit, 5, "{}", said.stderr);
    assert!(said.stderr.contains("was not written"), "{}", said.stderr);
    assert!(!std::path::Path::new(&file).exists());
}
