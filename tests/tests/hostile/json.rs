//! JSON that is none, or says something it must not: selectors, templates, and bodies of JSON.

use crate::stage::{Case, FORM, Stage, answered, refused};
use ensemble_tests::forge::{Draft, Request};
use serde_json::{Value, json};

const SELECTOR: &str = "InvalidParameter.ResourceSelector";
const TEMPLATE: &str = "InvalidParameter.Template";

#[test]
fn a_selector_that_cannot_be_meant_is_refused() {
    let stage = Stage::set();
    let mut cases = selector_forms(&stage);
    cases.extend(selector_contents(&stage));

    stage.play(cases);
}

#[test]
fn a_template_that_cannot_be_run_is_refused() {
    let stage = Stage::set();

    stage.play(template_cases(&stage));
}

#[test]
fn a_body_of_json_is_read_as_what_it_is_or_refused() {
    let stage = Stage::set();

    stage.play(body_cases(&stage));
}

fn selector_forms(stage: &Stage) -> Vec<Case> {
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let many = |count: usize| format!("[{}]", vec![r#"{"count":1}"#; count].join(","));
    let rows = [
        ("no JSON", "[{".to_owned(), SELECTOR),
        ("text", "cn-shanghai-cmcc".into(), SELECTOR),
        ("an object", "{}".into(), SELECTOR),
        ("a string", "\"[]\"".into(), SELECTOR),
        ("a number", "1".into(), SELECTOR),
        ("null", "null".into(), SELECTOR),
        ("no items", "[]".into(), SELECTOR),
        ("101 items", many(101), SELECTOR),
        ("JSON with more behind it", r#"[{"count":1}] []"#.into(), SELECTOR),
        ("single quotes", "[{'count':1}]".into(), SELECTOR),
        ("a trailing comma", r#"[{"count":1},]"#.into(), SELECTOR),
        ("a comment", r#"[{"count":1}]//"#.into(), SELECTOR),
        ("a byte order mark", "\u{feff}[{\"count\":1}]".into(), SELECTOR),
        ("a count that is not a number", r#"[{"count":NaN}]"#.into(), SELECTOR),
        ("a count of infinity", r#"[{"count":1e400}]"#.into(), SELECTOR),
        ("a control character", "[{\"regionCode\":\"\u{1}\",\"count\":1}]".into(), SELECTOR),
        ("half a surrogate pair", r#"[{"regionCode":"\ud800","count":1}]"#.into(), SELECTOR),
        ("200 levels", deep(200), SELECTOR),
        ("30,000 levels", deep(30_000), SELECTOR),
    ];
    let case = |(name, selector, code): (&str, String, &str)| {
        // Some are too long for a request line.
        let draft = stage.rescale().without("ResourceSelector");
        let form = ensemble_tests::forge::encoded(&[("ResourceSelector".into(), selector)]);
        refused(name, &stage.v3(&draft.body(FORM, form)), code)
    };
    rows.into_iter().map(case).collect()
}

fn selector_contents(stage: &Stage) -> Vec<Case> {
    let megabyte = 1_000_000;
    let rows = [
        ("an item of null", json!([null]), "InvalidParameter"),
        ("an item that is an array", json!([[{"count": 1}]]), "InvalidParameter"),
        ("no count", json!([{}]), "InvalidParameter"),
        ("a count of null", json!([{"count": null}]), "InvalidParameter"),
        ("a count of nothing", json!([{"count": 0}]), "InvalidParameter"),
        ("a negative count", json!([{"count": -1}]), "InvalidParameter"),
        ("a fractional count", json!([{"count": 1.5}]), "InvalidParameter"),
        ("a whole count written as a fraction", json!([{"count": 1.0}]), "InvalidParameter"),
        ("a huge count", json!([{"count": 1_000_000_000}]), "InvalidParameter"),
        ("a count over 64 bits", json!([{"count": u64::MAX}]), "InvalidParameter"),
        ("a count with an exponent, as text", json!([{"count": "1e2"}]), "InvalidParameter"),
        ("a negative count, as text", json!([{"count": "-1"}]), "InvalidParameter"),
        ("a count of 1 MB of digits", json!([{"count": "9".repeat(megabyte)}]), "InvalidParameter"),
        ("a count that is true", json!([{"count": true}]), "InvalidParameter"),
        ("a count that is an array", json!([{"count": [1]}]), "InvalidParameter"),
        ("an unknown edge node", json!([{"regionCode": "cn-atlantis-cmcc", "count": 1}]), "InvalidParameter"),
        (
            "an edge node of 1 MB",
            json!([{"regionCode": "x".repeat(megabyte), "count": 1}]),
            "InvalidParameter",
        ),
        ("an edge node that is a number", json!([{"regionCode": 310_100, "count": 1}]), "InvalidParameter"),
        (
            "a district at the level of edge nodes",
            json!([{"regionCode": "310100", "count": 1}]),
            "InvalidParameter",
        ),
        (
            "an edge node with NUL",
            json!([{"regionCode": "cn-shanghai-cmcc\0", "count": 1}]),
            "InvalidParameter",
        ),
        ("an unknown carrier", json!([{"ispCode": "carrier-pigeon", "count": 1}]), "InvalidParameter"),
        ("a carrier in another case", json!([{"ispCode": "CMCC", "count": 1}]), "InvalidParameter"),
        ("a carrier of 1 MB", json!([{"ispCode": "x".repeat(megabyte), "count": 1}]), "InvalidParameter"),
        ("a carrier that is an object", json!([{"ispCode": {}, "count": 1}]), "InvalidParameter"),
        ("several carriers in one", json!([{"ispCode": "multiCarrier", "count": 1}]), "InvalidParameter"),
        (
            "a carrier the edge node has not",
            json!([{"regionCode": "cn-shanghai-cmcc", "ispCode": "telecom", "count": 1}]),
            "InvalidParameter",
        ),
        ("more than fits", json!([{"regionCode": "cn-shanghai-cmcc", "count": 1_000}]), "InvalidParameter"),
        ("100,000 instances", json!(vec![json!({"count": 1_000}); 100]), "InvalidParameter"),
    ];
    let case = |(name, selector, code): (&str, Value, &str)| {
        let draft = stage.rescale().without("ResourceSelector");
        let body = json!({"ResourceSelector": selector}).to_string();
        refused(name, &stage.v3(&draft.body("application/json", body)), code)
    };
    let mut cases: Vec<Case> = rows.into_iter().map(case).collect();
    let release = stage.rescale().with("RescaleType", "Del").with("ResourceSelector", r#"[{"count":2}]"#);
    cases.push(refused(
        "releasing more than there are",
        &stage.v3(&release.without("RescaleLevel")),
        "InvalidParameter",
    ));
    cases
}

fn template_cases(stage: &Stage) -> Vec<Case> {
    let pod = |spec: Value| json!([{"name": "web", "podSpec": spec}]);
    let container = |more: Value| {
        let mut container = json!({"name": "web", "image": "oci:/none"});
        container.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        pod(json!({"containers": [container]}))
    };
    let pods = |count: Value| json!([{"name": "web", "podCount": count, "podSpec": {"containers": [{"name": "web", "image": "x"}]}}]);
    let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!({"a": inner}));
    let megabyte = "x".repeat(1_000_000);
    let rows = [
        ("no name", "/appMetaData", json!({})),
        ("a name of 1 MB", "/appMetaData/appName", json!(megabyte)),
        ("a name in capitals", "/appMetaData/appName", json!("TARGET")),
        ("a name with a path", "/appMetaData/appName", json!("../x")),
        ("a name that is taken", "/appMetaData/appName", json!("target")),
        ("a name that is a number", "/appMetaData/appName", json!(7)),
        ("a cluster with spaces", "/appMetaData/clusterName", json!("a b")),
        ("a version with a slash", "/appMetaData/appVersion", json!("v/1")),
        ("an unknown type of application", "/appMetaData/appType", json!("Rare")),
        ("a description of 1 MB", "/appMetaData/description", json!(megabyte)),
        ("an unknown instance spec", "/resourceAttribute/instanceSpec", json!("ens.huge")),
        ("an instance spec of 1 MB", "/resourceAttribute/instanceSpec", json!(megabyte)),
        ("a negative disk", "/resourceAttribute/systemDiskSize", json!(-1)),
        ("a fractional disk", "/resourceAttribute/systemDiskSize", json!(20.5)),
        ("a disk over 64 bits", "/resourceAttribute/dataDiskSize", json!(1e30)),
        ("a first start 200 levels deep", "/resourceAttribute/initConfig", nested(100)),
        ("a selector that is an object", "/resourceSelector", json!({})),
        ("a selector of 101 items", "/resourceSelector", json!(vec![json!({"count": 1}); 101])),
        ("a fractional count", "/resourceSelector", json!([{"count": 0.5}])),
        ("no workload", "/workload", json!([])),
        ("21 workloads", "/workload", json!(vec![json!({}); 21])),
        ("a workload of null", "/workload", json!([null])),
        ("no pod spec", "/workload", json!([{"name": "web"}])),
        ("no containers", "/workload", pod(json!({"containers": []}))),
        ("21 containers", "/workload", pod(json!({"containers": vec![json!({}); 21]}))),
        ("a field nobody knows", "/workload", container(json!({"volumeMounts": []}))),
        ("a field of 1 MB", "/workload", container(json!({megabyte.as_str(): 1}))),
        ("the host's network", "/workload", pod(json!({"hostNetwork": true, "containers": []}))),
        ("privileges, deep inside", "/workload", container(json!({"a": [[{"privileged": true}]]}))),
        ("an image of 1 MB", "/workload", container(json!({"image": megabyte}))),
        ("an argument with NUL", "/workload", container(json!({"args": ["a\0b"]}))),
        ("257 arguments", "/workload", container(json!({"args": vec!["a"; 257]}))),
        ("a variable with `=`", "/workload", container(json!({"env": [{"name": "A=B", "value": ""}]}))),
        ("port 65536", "/workload", container(json!({"ports": [{"containerPort": 65_536}]}))),
        ("port -1", "/workload", container(json!({"ports": [{"containerPort": -1}]}))),
        ("a relative directory", "/workload", container(json!({"workingDir": "../../etc"}))),
        ("101 pods", "/workload", pods(json!(101))),
        ("half a pod", "/workload", pods(json!(0.5))),
    ];
    let case = |(name, pointer, value): (&str, &str, Value)| {
        let mut template = sound_template();
        let (parent, member) = pointer.rsplit_once('/').unwrap();
        template.pointer_mut(parent).unwrap()[member] = value;
        refused(name, &create(stage, &template.to_string()), "InvalidParameter")
    };
    let mut cases: Vec<Case> = rows.into_iter().map(case).collect();
    let whole = [
        ("no JSON", "{".to_owned()),
        ("an array", "[]".into()),
        ("null", "null".into()),
        ("too deep", "[".repeat(100_000)),
    ];
    cases.extend(whole.map(|(name, template)| refused(name, &create(stage, &template), TEMPLATE)));
    cases
}

fn body_cases(stage: &Stage) -> Vec<Case> {
    let list = |body: &str| stage.v3(&stage.describe().body("application/json", body));
    let many: serde_json::Map<String, Value> = (0..1_001).map(|at| (format!("P{at}"), json!(1))).collect();
    let in_body = |value: Value| {
        let draft = stage
            .rescale()
            .without("Timeout")
            .body("application/json", json!({"Timeout": value}).to_string());
        stage.v3(&draft)
    };
    vec![
        refused("no JSON", &list("{"), "InvalidParameter"),
        refused("an array", &list("[]"), "InvalidParameter"),
        refused("a string", &list("\"x\""), "InvalidParameter"),
        refused("null", &list("null"), "InvalidParameter"),
        refused("a byte order mark", &list("\u{feff}{}"), "InvalidParameter"),
        refused("JSON with more behind it", &list("{}{}"), "InvalidParameter"),
        refused("two objects in lines", &list("{}\n{}"), "InvalidParameter"),
        refused("too deep", &list(&r#"{"a":"#.repeat(10_000)), "InvalidParameter"),
        refused("a member twice", &list(r#"{"X":1,"X":1}"#), "InvalidParameter.X"),
        refused("a member that stands in the query", &list(r#"{"AppId":"x"}"#), "InvalidParameter.AppId"),
        refused("1,001 members", &list(&Value::Object(many).to_string()), "InvalidParameter"),
        refused("a number with an exponent", &in_body(json!(1e9)), "InvalidParameter.Timeout"),
        refused("a timeout that is an object", &in_body(json!({})), "InvalidParameter.Timeout"),
        refused("a timeout that is false", &in_body(json!(false)), "InvalidParameter.Timeout"),
        answered("an object without members", &list("{}")),
        answered("members nobody knows", &list(r#"{"Vendor":{"a":[1,2,{}]},"none":null}"#)),
        answered("no body, and called JSON", &list("")),
    ]
}

fn create(stage: &Stage, template: &str) -> Request {
    let form = ensemble_tests::forge::encoded(&[("Template".into(), template.to_owned())]);
    stage.v3(&Draft::of("CreateApplication", &[]).body(FORM, form))
}

fn sound_template() -> Value {
    json!({
        "appMetaData": {"appName": "another", "clusterName": "poc"},
        "resourceAttribute": {"instanceSpec": "ens.sn1.tiny"},
        "resourceSelector": [],
        "workload": [{"name": "web", "podSpec": {"containers": [{"name": "web", "image": "oci:/none"}]}}],
    })
}
