//! Every action through a real socket: what a client of the published API sees, and what ours add (`decisions.md`
//! §3 and §5).

use crate::harness::{Answer, Server, template};
use serde_json::{Value, json};

/// The selector of the documentation's own example.
const EXAMPLE: &str = r#"[{"regionCode": "cn-wuxi-telecom_unicom_cmcc-3",	"ispCode": "telecom", "count": 2 },{ "regionCode": "cn-shanghai-cmcc", "count": 4 }]"#;

async fn started() -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    (dir, server)
}

async fn rescale(server: &Server, app: &str, kind: &str, selector: &str, more: &[(&str, &str)]) -> Answer {
    let mut parameters = vec![
        ("AppId", app),
        ("RescaleType", kind),
        ("RescaleLevel", "RegionId"),
        ("ResourceSelector", selector),
    ];
    parameters.extend_from_slice(more);
    server.call("RescaleApplication", &parameters).send().await
}

/// An application with the six instances of the example, all of them ready.
async fn scaled(server: &Server) -> String {
    let app = server.create("hello").await;
    let accepted = rescale(server, &app, "Add", EXAMPLE, &[]).await.member("RequestId");
    assert_eq!(server.finished(&accepted).await["Status"], "Succeeded");
    app
}

async fn described(server: &Server, app: &str, level: &str) -> Value {
    let answer = server.call("DescribeApplication", &[("AppId", app), ("Level", level)]).send().await;
    serde_json::from_str(&answer.member("Application")).unwrap()
}

async fn device_service(server: &Server, parameters: &[(&str, &str)]) -> Vec<Value> {
    let answer = server.call("DescribeDeviceService", parameters).get().send().await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["ResourceInfos"].as_array().unwrap().clone()
}

#[tokio::test]
async fn the_documented_example_is_seen_by_every_reading_action() {
    let (_dir, server) = started().await;

    let app = scaled(&server).await;

    let shown = described(&server, &app, "RegionId").await;
    assert_eq!(shown["AppStatus"]["Phase"], "RUNNING");
    let status: Value = serde_json::from_str(shown["AppStatus"]["StatusDescrip"].as_str().unwrap()).unwrap();
    assert_eq!((&status["status"], &status["step"]), (&"UPDATE_SUCCESS".into(), &"DONE".into()));
    let detail = &shown["DetailStat"];
    assert_eq!((&detail["InstanceTotalCount"], &detail["InstanceRunningCount"]), (&6.into(), &6.into()));
    let districts: Vec<(&Value, &Value, &Value)> = detail["AppVersionStat"][0]["DistrictStat"]
        .as_array()
        .unwrap()
        .iter()
        .map(|district| (&district["RegionCode"], &district["IspCode"], &district["InstanceTotalCount"]))
        .collect();
    assert_eq!(
        districts,
        [
            (&json!("cn-shanghai-cmcc"), &json!("cmcc"), &json!(4)),
            (&json!("cn-wuxi-telecom_unicom_cmcc-3"), &json!("telecom"), &json!(2)),
        ]
    );
    let typed = device_service(&server, &[("AppId", &app)]).await;
    assert_eq!(typed.len(), 6);
    assert!(typed.iter().all(|info| info["InstanceStatus"] == "Running"), "{typed:?}");
    let listed = server.call("ListApplications", &[]).v1().send().await.json();
    assert_eq!(
        (&listed["TotalCount"], &listed["PageNumber"], &listed["PageSize"]),
        (&1.into(), &1.into(), &1.into())
    );
    let cluster = &listed["Applications"]["Application"][0];
    assert_eq!(
        (&cluster["ClusterName"], &cluster["AppList"]["App"][0]["AppId"]),
        (&"default".into(), &app.into())
    );
    let info: Value =
        serde_json::from_str(cluster["AppList"]["App"][0]["AppInfo"].as_str().unwrap()).unwrap();
    assert_eq!(info["DetailStat"]["InstanceRunningCount"], 6);
}

#[tokio::test]
async fn a_del_releases_exactly_what_it_asks_for_and_delete_the_rest() {
    let (_dir, server) = started().await;
    let app = scaled(&server).await;

    let del = r#"[{"regionCode":"cn-shanghai-cmcc","count":"3"}]"#;
    let released = rescale(&server, &app, "Del", del, &[]).await.member("RequestId");
    let operation = server.finished(&released).await;
    let left = device_service(&server, &[("AppId", &app)]).await;
    let deleted = server.call("DeleteApplication", &[("AppId", &app)]).send().await.member("RequestId");
    let deletion = server.finished(&deleted).await;

    assert_eq!((&operation["Status"], &operation["Ready"]), (&"Succeeded".into(), &3.into()));
    assert_eq!(left.len(), 3);
    assert_eq!(deletion["Status"], "Succeeded");
    let gone = server.call("DescribeApplication", &[("AppId", &app)]).send().await;
    assert_eq!(gone.code(), "ens.interface.error");
    let history = server.call("ListOperations", &[("AppId", &app)]).send().await.json();
    let actions: Vec<&str> = history["Operations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|operation| operation["Action"].as_str().unwrap())
        .collect();
    assert_eq!(
        actions,
        ["DeleteApplication", "RescaleApplication", "RescaleApplication", "CreateApplication"]
    );
}

#[tokio::test]
async fn bad_input_is_answered_with_its_documented_code_and_changes_nothing() {
    let (_dir, server) = started().await;
    let app = scaled(&server).await;
    let before = described(&server, &app, "RegionId").await;
    let add = |selector: &'static str, more: &'static [(&'static str, &'static str)]| (selector, more);
    for ((selector, more), code) in [
        (add("", &[]), "MissingParameter"),
        (add("[]", &[]), "InvalidParameter.ResourceSelector"),
        (add("{}", &[]), "InvalidParameter.ResourceSelector"),
        (add("[{", &[]), "InvalidParameter.ResourceSelector"),
        (add(r#"[{"regionCode":"cn-shanghai-cmcc","count":0}]"#, &[]), "InvalidParameter"),
        (add(r#"[{"regionCode":"cn-shanghai-cmcc","count":1001}]"#, &[]), "InvalidParameter"),
        (add(r#"[{"regionCode":"cn-shanghai-cmc","count":1}]"#, &[]), "InvalidParameter"),
        (add(r#"[{"regionCode":"310100","count":1}]"#, &[]), "InvalidParameter"),
        (add(r#"[{"regionCode":"cn-shanghai-cmcc","ispCode":"unicom","count":1}]"#, &[]), "InvalidParameter"),
        (add(r#"[{"regionCode":"cn-shanghai-cmcc","count":9}]"#, &[]), "InvalidParameter"),
        (add(EXAMPLE, &[("ToAppVersion", "v9")]), "InvalidParameter.ToAppVersion"),
        (add("[7]", &[("ToAppVersion", "v9")]), "InvalidParameter.ToAppVersion"),
        (add(EXAMPLE, &[("Timeout", "0")]), "InvalidParameter.Timeout"),
        (add(EXAMPLE, &[("IfRevision", "0")]), "InvalidParameter.IfRevision"),
        (add(EXAMPLE, &[("IfPlan", "sha256:0")]), "InvalidParameter.IfPlan"),
    ] {
        let answer = rescale(&server, &app, "Add", selector, more).await;

        assert_eq!((answer.status, answer.code().as_str()), (400, code), "{selector} {more:?}");
        assert_eq!(answer.header("content-type"), "application/json;charset=utf-8");
        assert!(!answer.member("Detail").is_empty(), "{selector} {more:?}");
    }
    for (level, selector, code) in [
        ("Nation", EXAMPLE, "InvalidParameter.RescaleLevel"),
        ("InstanceId", EXAMPLE, "InvalidParameter"),
        ("InstanceId", r#"[{"instanceIds":[]}]"#, "InvalidParameter"),
    ] {
        let parameters = [
            ("AppId", app.as_str()),
            ("RescaleType", "Add"),
            ("RescaleLevel", level),
            ("ResourceSelector", selector),
        ];
        let answer = server.call("RescaleApplication", &parameters).send().await;
        assert_eq!((answer.status, answer.code().as_str()), (400, code), "{level} {selector}");
    }
    assert_eq!(described(&server, &app, "RegionId").await, before);
}

#[tokio::test]
async fn a_shortage_says_who_uses_the_room_and_what_would_fit() {
    let (_dir, server) = started().await;
    let app = scaled(&server).await;

    let answer = rescale(&server, &app, "Add", r#"[{"regionCode":"cn-shanghai-cmcc","count":9}]"#, &[]).await;

    assert_eq!(answer.member("Reason"), "CapacityShortage");
    let detail = answer.member("Detail");
    assert!(detail.starts_with("9 instances do not fit on cn-shanghai-cmcc: 8 free of 12"), "{detail}");
    assert!(detail.contains("used by: hello 4; would fit:"), "{detail}");
}

#[tokio::test]
async fn a_plan_is_what_is_executed_and_refused_once_it_has_changed() {
    let (_dir, server) = started().await;
    let app = server.create("hello").await;
    let parameters = [
        ("AppId", app.as_str()),
        ("RescaleType", "Add"),
        ("ResourceSelector", r#"[{"regionCode":"310100","count":3}]"#),
    ];
    let plan = server.call("PlanRescaleApplication", &parameters).send().await.json()["Plan"].clone();
    let id = plan["PlanId"].as_str().unwrap();
    assert_eq!((&plan["Fits"], &plan["Before"], &plan["After"]), (&true.into(), &0.into(), &3.into()));
    let with_plan = [parameters[0], parameters[1], parameters[2], ("IfPlan", id)];

    let accepted = server.call("RescaleApplication", &with_plan).send().await.member("RequestId");
    server.finished(&accepted).await;
    let again = server.call("RescaleApplication", &with_plan).send().await;

    let mut placed: Vec<Value> = device_service(&server, &[("AppId", &app)])
        .await
        .iter()
        .map(|info| info["RegionId"].clone())
        .collect();
    placed.sort_by_key(ToString::to_string);
    let mut planned: Vec<Value> = plan["Items"][0]["Placements"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|placement| {
            let count = placement["After"].as_u64().unwrap() - placement["Before"].as_u64().unwrap();
            vec![placement["EnsRegionId"].clone(); count as usize]
        })
        .collect();
    planned.sort_by_key(ToString::to_string);
    assert_eq!(placed, planned);
    assert_eq!(
        (again.code(), again.member("Reason")),
        ("InvalidParameter.IfPlan".into(), "PlanChanged".into())
    );
    assert_eq!(again.json()["Plan"]["Before"], 3);
}

#[tokio::test]
async fn a_plan_that_does_not_fit_is_answered_and_says_what_stands_against_it() {
    let (_dir, server) = started().await;
    let app = scaled(&server).await;
    let plan = |selector: &'static str, kind: &'static str| {
        let parameters = [("AppId", app.as_str()), ("RescaleType", kind), ("ResourceSelector", selector)];
        let call = server.call("PlanRescaleApplication", &parameters);
        async move { call.send().await.json()["Plan"].clone() }
    };

    let add = plan(r#"[{"regionCode":"cn-shanghai-cmcc","count":9}]"#, "Add").await;
    let del = plan(r#"[{"regionCode":"cn-shanghai-cmcc","count":5}]"#, "Del").await;

    assert_eq!((&add["Fits"], &add["Items"][0]["Shortage"]["Missing"]), (&false.into(), &1.into()));
    assert!(add["Blocked"].as_str().unwrap().starts_with("9 instances do not fit"), "{add}");
    assert_eq!((&del["Fits"], &del["Items"][0]["Shortage"]["Missing"]), (&false.into(), &1.into()));
    assert!(del["Blocked"].as_str().unwrap().starts_with("Cannot release 5 instances of hello"), "{del}");
}

#[tokio::test]
async fn partial_skips_whole_items_and_lists_them() {
    let (_dir, server) = started().await;
    let app = server.create("hello").await;
    let selector =
        r#"[{"regionCode":"cn-shanghai-cmcc","count":13},{"regionCode":"cn-shanghai-cmcc-4","count":2}]"#;

    let accepted =
        rescale(&server, &app, "Add", selector, &[("AllowPartial", "true")]).await.member("RequestId");

    let operation = server.finished(&accepted).await;
    assert_eq!((&operation["Wanted"], &operation["Ready"]), (&2.into(), &2.into()));
    assert_eq!(
        (&operation["Skipped"][0]["Index"], &operation["Skipped"][0]["Wanted"]),
        (&0.into(), &13.into())
    );
}

#[tokio::test]
async fn a_client_token_gets_the_same_answer_and_refuses_another_call() {
    let (_dir, server) = started().await;
    let app = server.create("hello").await;
    let token = [("ClientToken", "token-1")];
    let one = r#"[{"regionCode":"cn-shanghai-cmcc","count":1}]"#;

    let first = rescale(&server, &app, "Add", one, &token).await.member("RequestId");
    server.finished(&first).await;
    let second = rescale(&server, &app, "Add", one, &token).await.member("RequestId");
    let other = rescale(&server, &app, "Add", EXAMPLE, &token).await;

    assert_eq!(first, second);
    assert_eq!(other.code(), "InvalidParameter.ClientToken");
    assert_eq!(device_service(&server, &[("AppId", &app)]).await.len(), 1);
}

#[tokio::test]
async fn a_client_token_comes_before_the_content_of_a_call() {
    let (_dir, server) = started().await;
    let token = ("ClientToken", "token-1");
    let create = |template: &str| server.call("CreateApplication", &[("Template", template), token]);
    let app = create(&template("hello")).send().await.member("AppId");
    rescale(&server, &app, "Add", EXAMPLE, &[token]).await.member("RequestId");

    let created = create("{}").send().await;
    let rescaled = rescale(&server, &app, "Add", "[7]", &[token]).await;

    assert_eq!(created.code(), "InvalidParameter.ClientToken");
    assert_eq!(rescaled.code(), "InvalidParameter.ClientToken");
}

#[tokio::test]
async fn the_region_that_old_sdks_always_send_filters_nothing_unless_it_is_an_edge_node() {
    let (_dir, server) = started().await;
    let app = scaled(&server).await;

    let by_cloud_region = device_service(&server, &[("AppId", &app), ("RegionId", "cn-hangzhou")]).await;
    let by_node = device_service(&server, &[("AppId", &app), ("RegionId", "cn-shanghai-cmcc")]).await;
    let only_node = device_service(&server, &[("RegionId", "cn-shanghai-cmcc")]).await;
    let nothing = server.call("DescribeDeviceService", &[("RegionId", "cn-hangzhou")]).send().await;

    assert_eq!((by_cloud_region.len(), by_node.len(), only_node.len()), (6, 4, 4));
    assert_eq!(nothing.code(), "MissingParameter");
}

#[tokio::test]
async fn an_instance_or_an_order_narrows_to_its_own() {
    let (_dir, server) = started().await;
    let app = scaled(&server).await;
    let one = r#"[{"regionCode":"cn-chengdu-telecom","count":1}]"#;
    let order = rescale(&server, &app, "Add", one, &[]).await.member("RequestId");
    server.finished(&order).await;

    let of_order = device_service(&server, &[("OrderId", &order)]).await;
    let id = of_order[0]["InstanceId"].as_str().unwrap();
    let of_instance = device_service(&server, &[("InstanceId", id)]).await;
    let unknown = server.call("DescribeDeviceService", &[("InstanceId", "i-0")]).send().await;

    assert_eq!((of_order.len(), of_instance.len()), (1, 1));
    assert_eq!(of_instance[0]["RegionId"], "cn-chengdu-telecom");
    assert_eq!(
        (unknown.code(), unknown.member("Reason")),
        ("ens.interface.error".into(), "UnknownInstance".into())
    );
}

#[tokio::test]
async fn applications_are_listed_by_cluster_newest_first_and_paged() {
    let (_dir, server) = started().await;
    for (name, cluster) in [("a", "pre"), ("b", "poc"), ("c", "poc")] {
        let template = template(name).replace("\"default\"", &format!("{cluster:?}"));
        assert_eq!(server.call("CreateApplication", &[("Template", &template)]).send().await.status, 200);
    }
    let listed = |parameters: &'static [(&'static str, &'static str)]| {
        let call = server.call("ListApplications", parameters);
        async move {
            let answer = call.send().await.json();
            let clusters = answer["Applications"]["Application"].as_array().unwrap().clone();
            let names: Vec<String> = clusters
                .iter()
                .flat_map(|cluster| {
                    let apps = cluster["AppList"]["App"].as_array().unwrap().clone();
                    let cluster = cluster["ClusterName"].as_str().unwrap().to_owned();
                    apps.into_iter().map(move |app| {
                        let info: Value = serde_json::from_str(app["AppInfo"].as_str().unwrap()).unwrap();
                        format!("{cluster}/{}", info["AppMetaData"]["AppName"].as_str().unwrap())
                    })
                })
                .collect();
            (names, answer["TotalCount"].as_u64().unwrap())
        }
    };

    let mut all = listed(&[]).await;
    // Two of one cluster may be created within one millisecond, and are then in the order of their ids.
    all.0[..2].sort();
    let first = listed(&[("PageNumber", "1"), ("PageSize", "2")]).await;
    let second = listed(&[("PageNumber", "2"), ("PageSize", "2")]).await;
    let past = listed(&[("PageNumber", "9"), ("PageSize", "2")]).await;
    let of_pre = listed(&[("ClusterNames", "pre,none")]).await;
    let tomorrow = listed(&[("MinDate", "9999-01-01")]).await;
    let yesterday = listed(&[("MaxDate", "2000-01-01")]).await;

    assert_eq!(all, (vec!["poc/b".into(), "poc/c".into(), "pre/a".into()], 3));
    assert_eq!((first.0.len(), second.0), (2, vec!["pre/a".to_owned()]));
    assert_eq!(past, (Vec::new(), 3));
    assert_eq!(of_pre, (vec!["pre/a".into()], 1));
    assert_eq!((tomorrow.1, yesterday.1), (0, 0));
}

#[tokio::test]
async fn edge_nodes_are_listed_and_an_unknown_one_is_refused_with_the_nearest() {
    let (_dir, server) = started().await;

    let all = server.call("DescribeEnsRegions", &[]).send().await.json();
    let one = server.call("DescribeEnsRegions", &[("EnsRegionId", "cn-shanghai-cmcc")]).send().await.json();
    let none = server.call("DescribeEnsRegions", &[("EnsRegionId", "cn-shanghai-cmc")]).send().await;

    assert_eq!((&all["Code"], all["EnsRegions"]["EnsRegions"].as_array().unwrap().len()), (&0.into(), 70));
    let node = &one["EnsRegions"]["EnsRegions"][0];
    assert_eq!((&node["Area"], &node["Name"]), (&"EastChina".into(), &"上海移动".into()));
    assert_eq!(node["Districts"], json!(["310100", "310000", "100103", "100000"]));
    assert_eq!(none.code(), "InvalidParameter.EnsRegionId");
    assert!(none.member("Detail").contains("did you mean `cn-shanghai-cmcc`?"));
}

#[tokio::test]
async fn logs_name_the_devices_where_more_than_one_could_be_meant() {
    let (_dir, server) = started().await;
    let template = template("two").replace("\"podCount\":1", "\"podCount\":2");
    let app = server.call("CreateApplication", &[("Template", &template)]).send().await.member("AppId");
    let one = r#"[{"regionCode":"cn-shanghai-cmcc","count":1}]"#;
    let accepted = rescale(&server, &app, "Add", one, &[]).await.member("RequestId");
    server.finished(&accepted).await;
    let info = device_service(&server, &[("AppId", &app)]).await.remove(0);
    let instance = info["InstanceId"].as_str().unwrap();
    let device = info["DeviceInfos"][1]["Name"].as_str().unwrap();

    let unclear = server.call("DescribeInstanceLogs", &[("InstanceId", instance)]).send().await;
    let clear =
        server.call("DescribeInstanceLogs", &[("InstanceId", instance), ("PodName", device)]).send().await;
    let unknown = server.call("DescribeInstanceLogs", &[("InstanceId", "i-0")]).send().await;

    assert_eq!(unclear.code(), "InvalidParameter.PodName");
    assert!(unclear.member("Detail").contains(device), "{}", unclear.text);
    assert!(clear.json()["Lines"].is_array(), "{}", clear.text);
    assert_eq!(unknown.member("Reason"), "UnknownInstance");
}

#[tokio::test]
async fn an_unknown_application_is_the_same_answer_everywhere() {
    let (_dir, server) = started().await;
    let unknown = ("AppId", "474bdef0-d149-4695-abfb-52912d9143f0");
    for (action, more) in [
        ("DescribeApplication", &[][..]),
        ("DeleteApplication", &[][..]),
        ("DescribeDeviceService", &[][..]),
        ("ListOperations", &[][..]),
        ("Watch", &[][..]),
        ("RescaleApplication", &[("RescaleType", "Add"), ("ResourceSelector", EXAMPLE)][..]),
        ("RescaleApplication", &[("RescaleType", "Add"), ("ResourceSelector", "[7]")][..]),
        ("PlanRescaleApplication", &[("RescaleType", "Del"), ("ResourceSelector", EXAMPLE)][..]),
    ] {
        let parameters: Vec<(&str, &str)> = [unknown].iter().chain(more).copied().collect();

        let answer = server.call(action, &parameters).send().await;

        assert_eq!((answer.status, answer.code().as_str()), (400, "ens.interface.error"), "{action}");
        assert_eq!(
            answer.member("Detail"),
            "There is no application 474bdef0-d149-4695-abfb-52912d9143f0 in this account; ListApplications shows those there are.",
            "{action}"
        );
    }
}

#[tokio::test]
async fn followed_logs_end_with_the_instance() {
    let (_dir, server) = started().await;
    let app = server.create("hello").await;
    let one = r#"[{"regionCode":"cn-shanghai-cmcc","count":1}]"#;
    let accepted = rescale(&server, &app, "Add", one, &[]).await.member("RequestId");
    server.finished(&accepted).await;
    let info = device_service(&server, &[("AppId", &app)]).await.remove(0);
    let instance = info["InstanceId"].as_str().unwrap();
    let follow = [("InstanceId", instance), ("Follow", "true")];
    let stream = server.open(&server.call("DescribeInstanceLogs", &follow).get().bytes()).await;

    rescale(&server, &app, "Del", one, &[]).await;
    let answer = stream.rest().await;

    assert_eq!(answer.header("content-type"), "text/event-stream;charset=utf-8");
    assert!(
        answer.text.contains("event: closing\ndata: {\"Reason\":\"the instance is gone\"}"),
        "{}",
        answer.text
    );
    let after = server.call("DescribeInstanceLogs", &[("InstanceId", instance)]).send().await.json();
    assert_eq!(after["Lines"][0]["Stream"], "ensemble");
    assert!(after["Lines"][0]["Text"].as_str().unwrap().starts_with("released on request"), "{after}");
}

#[tokio::test]
async fn an_answer_can_be_asked_for_as_xml() {
    let (_dir, server) = started().await;

    let answer = server.call("DescribeEnsRegions", &[("EnsRegionId", "cn-shanghai-cmcc"), ("Format", "XML")]);
    let answer = answer.send().await;
    let refusal =
        server.call("DescribeEnsRegions", &[("EnsRegionId", "mars"), ("Format", "xml")]).send().await;

    for answer in [&answer, &refusal] {
        assert_eq!(answer.header("content-type"), "text/xml;charset=utf-8");
    }
    let start = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><DescribeEnsRegionsResponse><Code>0</Code><EnsRegions><EnsRegions><Area>EastChina</Area>";
    assert!(answer.text.starts_with(start), "{}", answer.text);
    assert!(refusal.text.contains("<Error><RequestId>"), "{}", refusal.text);
    assert!(refusal.text.contains("<Code>InvalidParameter.EnsRegionId</Code>"), "{}", refusal.text);
}
