//! Answers as XML (gateway.md §6): every action is asked twice, and what a parser reads from the XML is what stands
//! in the JSON, member by member. Also the parser that the tables read refusals with.

use crate::stage::{JSON, Stage, XML};
use ensemble_tests::forge::Draft;
use ensemble_wire::catalog::ACTIONS;
use ensemble_wire::entry::Kind;
use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Where nothing is placed.
const NODE: &str = "cn-wuhan-telecom";

/// Out of reach, and so to be declared lost.
const LOST: &str = "cn-kunming-telecom";

/// Where nothing ever becomes ready: what is to come there lasts until it is canceled.
const SLOW: &str = "cn-beijing-cmcc";

/// Time passes by itself here.
const REFUSED_HERE: &str = "AdvanceClock";

#[test]
fn every_action_says_in_xml_what_it_says_in_json() {
    let faults = [format!("{LOST}:unreachable=1"), format!("{SLOW}:ready=1")];
    let stage = Stage::with_faults(&faults, LOST);
    let calls = calls(&stage);
    let called: BTreeSet<&str> = calls.iter().map(|call| call.action.as_str()).collect();
    let answering = ACTIONS.iter().filter(|action| action.kind != Kind::Stream).map(|action| action.name);
    assert_eq!(called, answering.collect(), "a new action has its place in this table");

    for call in &calls {
        let (status, root) = match call.action.as_str() {
            REFUSED_HERE => (400, "Error".to_owned()),
            action => (200, format!("{action}Response")),
        };
        let json = in_json(&stage, call, status);
        let xml = in_xml(&stage, call, status);

        assert_eq!(xml, leaves_of(&root, &json), "{json:#}");
    }
}

#[test]
fn every_refusal_says_in_xml_what_it_says_in_json() {
    let stage = Stage::set();
    let rescale = stage.rescale();
    let refused = [
        (rescale.clone().without("AppId"), 400),
        (rescale.clone().with("Timeout", "<0 & \"more\">"), 400),
        (rescale.clone().with("AppId", "line\r\nfeed\t\u{1f600}"), 400),
        (rescale.clone().with("ResourceSelector", r#"[{"count":1000}]"#).without("RescaleLevel"), 400),
        // Brings a whole plan along.
        (rescale.with("IfPlan", "another"), 400),
        (Draft::of("Watch", &[("AppId", "none")]), 400),
        (Draft::of("RescaleUniverse", &[]), 404),
    ];

    for (call, status) in &refused {
        let json = in_json(&stage, call, *status);
        let xml = in_xml(&stage, call, *status);

        assert_eq!(xml, leaves_of("Error", &json), "{json:#}");
    }
}

/// The AppId of an application without instances.
fn create(stage: &Stage, name: &str) -> String {
    let created = Draft::of("CreateApplication", &[("Template", &template(name))]);
    stage.ask(&created)["AppId"].as_str().unwrap().to_owned()
}

fn template(name: &str) -> String {
    let template = json!({
        "appMetaData": {"appName": name, "description": "a < b & \r\n\"c\" 上海"},
        "resourceAttribute": {"instanceSpec": "ens.sn1.tiny"},
        "resourceSelector": [],
        "workload": [{"name": "web", "podSpec": {"containers": [{"name": "web", "image": "oci:/none"}]}}],
    });
    template.to_string()
}

/// Two more of an application, anywhere in this.
fn add(app_id: &str, region_code: &str) -> Draft {
    let selector = json!([{"regionCode": region_code, "ispCode": "cmcc", "count": 2}]).to_string();
    Draft::of(
        "RescaleApplication",
        &[("AppId", app_id), ("RescaleType", "Add"), ("ResourceSelector", &selector)],
    )
}

/// The AppId of an application with both instances on one edge node, where one on each of two would be better: the other
/// was not to be had when they came.
fn lopsided(stage: &Stage) -> String {
    let app_id = create(stage, "lopsided");
    let other = [("EnsRegionId", "cn-shanghai-cmcc-4")];
    stage.ask(&Draft::of("DrainEdgeNode", &other));
    stage.ask(&add(&app_id, "310100"));
    stage.settle_of(&app_id);
    stage.ask(&Draft::of("ResumeEdgeNode", &other));
    app_id
}

/// The AppId of an application whose stable version is `v2`, after `v1`.
fn upgraded(stage: &Stage, name: &str) -> String {
    let app_id = create(stage, name);
    stage.ask(&upgrade(&app_id));
    stage.settle_of(&app_id);
    app_id
}

fn upgrade(app_id: &str) -> Draft {
    let containers = json!([{"name": "web", "image": "oci:/other"}]);
    let workload = json!([{"name": "web", "podSpec": {"containers": containers}}]);
    let template = json!({"toAppVersion": "v2", "workload": workload});
    Draft::of("UpgradeApplication", &[("AppId", app_id), ("Template", &template.to_string())])
}

fn run() -> Draft {
    let parameters = [
        ("InstanceType", "ens.sn1.tiny"),
        ("ScheduleAreaLevel", "Region"),
        ("EnsRegionId", "cn-shanghai-cmcc"),
        ("InstanceName", "< & >"),
        ("ClientToken", "run"),
    ];
    Draft::of("RunInstances", &parameters)
}

/// One call of every action; a write has a token, so that asking twice is one change and one answer.
fn calls(stage: &Stage) -> Vec<Draft> {
    let app = ("AppId", stage.app_id.as_str());
    let all = ("AppVersions", "All");
    let added = stage.ask(&stage.rescale().with("ClientToken", "rescale"));
    stage.settle();
    let devices = stage.ask(&Draft::of("DescribeDeviceService", &[app]));
    let instance = devices["ResourceInfos"][0]["InstanceId"].as_str().unwrap();
    let operation = added["RequestId"].as_str().unwrap();
    let ids = json!([instance]).to_string();
    let run = run();
    let own = stage.ask(&run)["InstanceIds"][0].as_str().unwrap().to_owned();
    let plan = [app, ("RescaleType", "Add"), ("ResourceSelector", r#"[{"count":3},{"count":900}]"#)];
    let level = ("NetLevelCode", "Middle");
    let lopsided = lopsided(stage);
    let waiting = stage.ask(&add(&create(stage, "waiting"), SLOW));
    let waiting = waiting["RequestId"].as_str().unwrap();
    let (rolled, forgotten) = (upgraded(stage, "rolled"), upgraded(stage, "forgotten"));
    let moves = [("AppId", lopsided.as_str()), ("MaxMoves", "1")];
    vec![
        Draft::of("CreateApplication", &[("Template", &template("shown-in-xml")), ("ClientToken", "create")]),
        stage.rescale().with("ClientToken", "rescale"),
        upgrade(&create(stage, "upgraded")).with("ClientToken", "upgrade"),
        Draft::of("RollbackApplication", &[("AppId", &rolled), ("FromAppVersion", "v2")])
            .with("ClientToken", "rollback"),
        Draft::of("DeleteAppVersion", &[("AppId", &forgotten), ("AppVersion", "v1")])
            .with("ClientToken", "forget"),
        Draft::of("DescribeApplication", &[app, all, ("Level", "RegionId")]),
        Draft::of("ListApplications", &[all]),
        Draft::of("DescribeDeviceService", &[app]),
        Draft::of("DescribeEnsRegions", &[]),
        Draft::of("DescribeRegionIsps", &[("EnsRegionId", "cn-wuxi-telecom_unicom_cmcc-3")]),
        Draft::of("DescribeEnsNetLevel", &[]),
        Draft::of("DescribeEnsNetDistrict", &[level]),
        Draft::of("DescribeEnsNetSaleDistrict", &[level]),
        Draft::of("DescribeAvailableResource", &[]),
        Draft::of("DescribeAvailableResourceInfo", &[]),
        Draft::of("DescribeApplicationResourceSummary", &[("Level", "RegionId")]),
        Draft::of("PlanRescaleApplication", &plan),
        Draft::of("DescribeOperation", &[("OperationId", operation)]),
        Draft::of("ListOperations", &[app]),
        Draft::of("DescribeInstanceLogs", &[("InstanceId", instance)]),
        Draft::of("ConfirmRestore", &[("DryRun", "true")]),
        Draft::of("AdvanceClock", &[("Seconds", "1")]),
        Draft::of("DescribeImages", &[]),
        Draft::of("PruneImages", &[("All", "true")]),
        run,
        Draft::of("DescribeInstances", &[("InstanceId", &own)]),
        Draft::of("DescribeInstanceTypes", &[]),
        Draft::of("ExplainInstance", &[("InstanceId", instance)]),
        Draft::of("ReleaseInstance", &[("InstanceId", &own), ("ClientToken", "release")]),
        Draft::of("ProtectInstances", &[("InstanceIds", &ids), ("ClientToken", "protect")]),
        Draft::of("UnprotectInstances", &[("InstanceIds", &ids), ("ClientToken", "unprotect")]),
        Draft::of("ModifyApplicationAttribute", &[app, ("MinReady", "1"), ("ClientToken", "modify")]),
        Draft::of("PlanRebalanceApplication", &moves),
        Draft::of("RebalanceApplication", &moves).with("ClientToken", "rebalance"),
        Draft::of("DescribeEdgeNodes", &[("EnsRegionId", NODE)]),
        Draft::of("DrainEdgeNode", &[("EnsRegionId", NODE), ("ClientToken", "drain")]),
        Draft::of("ResumeEdgeNode", &[("EnsRegionId", NODE), ("ClientToken", "resume")]),
        Draft::of("LoseEdgeNode", &[("EnsRegionId", LOST), ("ClientToken", "lose")]),
        Draft::of(
            "CancelOperation",
            &[("OperationId", waiting), ("Mode", "undo"), ("ClientToken", "cancel")],
        ),
        Draft::of("DeleteApplication", &[app, ("ClientToken", "delete")]),
    ]
}

fn in_json(stage: &Stage, call: &Draft, status: u16) -> Value {
    let answer = stage.exchange(&stage.v3(call).bytes()).unwrap();
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((answer.status, answer.header("content-type")), (status, Some(JSON)), "{body:#}");
    body
}

fn in_xml(stage: &Stage, call: &Draft, status: u16) -> Vec<(String, String)> {
    let answer = stage.exchange(&stage.v1(&call.clone().omit("Format")).bytes()).unwrap();
    assert_eq!((answer.status, answer.header("content-type")), (status, Some(XML)));
    let mut leaves = leaves(&answer.body).unwrap();
    own_id_aside(&mut leaves);
    leaves
}

/// What the XML of a JSON answer has to say: a member is an element, an item of an array its element again.
fn leaves_of(root: &str, value: &Value) -> Vec<(String, String)> {
    let mut leaves = Vec::new();
    add_leaves(root, value, &mut leaves);
    own_id_aside(&mut leaves);
    leaves
}

fn add_leaves(path: &str, value: &Value, leaves: &mut Vec<(String, String)>) {
    match value {
        Value::Null => {}
        Value::Object(members) => {
            let before = leaves.len();
            members.iter().for_each(|(name, value)| add_leaves(&format!("{path}/{name}"), value, leaves));
            // Also of nothing but empty arrays, which have no elements.
            if leaves.len() == before {
                leaves.push((path.to_owned(), String::new()));
            }
        }
        Value::Array(items) => items.iter().for_each(|item| add_leaves(path, item, leaves)),
        Value::String(text) => leaves.push((path.to_owned(), text.clone())),
        Value::Bool(_) | Value::Number(_) => leaves.push((path.to_owned(), value.to_string())),
    }
}

/// Two requests have two ids: in the body, and in the address of an error's explanation.
fn own_id_aside(leaves: &mut [(String, String)]) {
    let Some((_, id)) = leaves.iter().find(|(path, _)| path.split('/').nth(1) == Some("RequestId")) else {
        return;
    };
    let id = id.clone();
    for (_, text) in leaves {
        *text = text.replace(&id, "ID");
    }
}

/// Names and texts of the children of the root; what they contain themselves is left out.
pub(crate) fn members(xml: &[u8]) -> Result<BTreeMap<String, String>, String> {
    let leaves = leaves(xml)?;
    Ok(leaves
        .into_iter()
        .filter_map(|(path, text)| {
            let (_, name) = path.split_once('/')?;
            (!name.contains('/')).then(|| (name.to_owned(), text))
        })
        .collect())
}

/// Every element without children, by its path, in the order of the document.
pub(crate) fn leaves(xml: &[u8]) -> Result<Vec<(String, String)>, String> {
    let text = str::from_utf8(xml).map_err(|error| error.to_string())?;
    let prolog = r#"<?xml version="1.0" encoding="UTF-8"?>"#;
    let text = text.strip_prefix(prolog).ok_or("it does not begin with the prolog")?;
    if let Some(forbidden) = text.chars().find(|letter| !is_xml_character(*letter)) {
        return Err(format!("{forbidden:?} is no character of XML 1.0"));
    }
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = true;
    let (mut leaves, mut path, mut content) = (Vec::new(), Vec::new(), String::new());
    let mut is_leaf = false;
    loop {
        match reader.read_event().map_err(|error| error.to_string())? {
            Event::Start(element) => {
                path.push(element.name().as_ref().to_owned());
                content.clear();
                is_leaf = true;
            }
            Event::End(_) => {
                if is_leaf {
                    leaves.push((path.join("/"), std::mem::take(&mut content)));
                }
                path.pop();
                is_leaf = false;
            }
            Event::Text(piece) => content.push_str(&normalized(&piece)),
            Event::GeneralRef(entity) => content.push(character(&entity)?),
            Event::Eof if path.is_empty() && !leaves.is_empty() => return Ok(leaves),
            other => return Err(format!("{other:?} has no place in an answer")),
        }
    }
}

/// XML reads every line end as one line feed; what must survive is written as a character reference.
fn normalized(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

fn character(entity: &quick_xml::events::BytesRef<'_>) -> Result<char, String> {
    if let Some(character) = entity.resolve_char_ref().map_err(|error| error.to_string())? {
        return Ok(character);
    }
    match &**entity {
        "amp" => Ok('&'),
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        other => Err(format!("the entity {other} is not known")),
    }
}

pub(crate) fn is_xml_character(letter: char) -> bool {
    matches!(letter, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}
