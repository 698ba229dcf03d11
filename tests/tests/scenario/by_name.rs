//! Instances one by one, through the API: exactly the named ones go, and an application is hosted on instances of the
//! account, in real containers.

use crate::{SETTLED_AT_MOST, add};
use ensemble_tests::client::{Client, instances};
use ensemble_tests::containers_can_run;
use ensemble_tests::machine::container_processes;
use ensemble_tests::server::Engine;
use ensemble_tests::site::Site;
use serde_json::{Value, json};

async fn ids(client: &Client, app_id: &str) -> Vec<String> {
    let answer = client.ask("DescribeDeviceService", &[("AppId", app_id)]).await.unwrap();
    let found = instances(&answer);
    found.iter().map(|instance| instance["InstanceId"].as_str().unwrap().to_owned()).collect()
}

async fn by_name(client: &Client, app_id: &str, kind: &str, named: &[&str]) -> Value {
    let selector = json!([{ "instanceIds": named }]).to_string();
    let parameters = [
        ("AppId", app_id),
        ("RescaleType", kind),
        ("RescaleLevel", "InstanceId"),
        ("ResourceSelector", selector.as_str()),
    ];
    match client.call("RescaleApplication", &parameters).await.unwrap() {
        Ok(answer) => answer,
        Err(refusal) => json!({ "Code": refusal.code, "Detail": refusal.body["Detail"] }),
    }
}

async fn run_instances(client: &Client, count: &str) -> Vec<String> {
    let parameters = [
        ("InstanceType", "ens.sn1.tiny"),
        ("ScheduleAreaLevel", "Region"),
        ("EnsRegionId", "cn-shanghai-cmcc"),
        ("Amount", count),
        ("InstanceName", "batch"),
        ("UniqueSuffix", "true"),
        ("Tag.1.Key", "team"),
        ("Tag.1.Value", "video"),
    ];
    let answer = client.ask("RunInstances", &parameters).await.unwrap();
    assert_eq!(answer["OrderId"], answer["RequestId"]);
    let made = answer["InstanceIds"].as_array().unwrap();
    made.iter().map(|id| id.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn exactly_the_named_instances_go_and_one_wrong_name_refuses_all() {
    let site = Site::start(Engine::Simulated).unwrap();
    let client = site.client().unwrap();
    let app_id = site.create(&[]).await.unwrap();
    let four = r#"[{"regionCode":"cn-shanghai-cmcc","count":4}]"#;
    client.ask("RescaleApplication", &add(&app_id, four)).await.unwrap();
    client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();
    let before = ids(&client, &app_id).await;

    let refused = by_name(&client, &app_id, "Del", &[&before[0], "i-never"]).await;
    assert_eq!(refused["Code"], "InvalidParameter");
    assert_eq!(refused["Detail"], "Selector item 0: there is no instance `i-never` in this account.");
    let refused = by_name(&client, &app_id, "Del", &[&before[0], &before[0]]).await;
    assert_eq!(refused["Detail"], format!("Selector item 0: `{}` is named twice.", before[0]));
    assert_eq!(ids(&client, &app_id).await, before);

    let accepted = by_name(&client, &app_id, "Del", &[&before[0], &before[2]]).await;
    assert!(accepted["RequestId"].is_string(), "{accepted}");
    client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();

    assert_eq!(ids(&client, &app_id).await, [before[1].clone(), before[3].clone()]);
}

#[tokio::test]
async fn what_promises_a_machine_is_refused_and_what_is_harmless_is_echoed() {
    let site = Site::start(Engine::Simulated).unwrap();
    let client = site.client().unwrap();
    let with = |name, value| {
        [
            ("InstanceType", "ens.sn1.tiny"),
            ("ScheduleAreaLevel", "National"),
            ("HostName", "batch"),
            ("SystemDisk", r#"{"Category":"cloud_efficiency","Size":"20"}"#),
            (name, value),
        ]
    };

    for name in ["ImageId", "Password", "DataDisk", "UserData", "LaunchTemplateId", "Period"] {
        let refusal = client.call("RunInstances", &with(name, "x")).await.unwrap().unwrap_err();
        assert_eq!(refusal.code, format!("InvalidParameter.{name}"));
    }
    client.ask("RunInstances", &with("InstanceChargeType", "PostPaid")).await.unwrap();

    let answer = client.ask("DescribeInstances", &[]).await.unwrap();
    let made = &answer["Instances"]["Instance"][0];
    assert_eq!((&answer["TotalCount"], &answer["Code"]), (&json!(1), &json!(0)));
    assert_eq!((&made["HostName"], &made["Disk"], &made["Cpu"]), (&json!("batch"), &json!(20), &json!("2")));
    assert_eq!((&made["Status"], &made["Memory"]), (&json!("Running"), &json!(4096)));
    for (name, value, expected) in [
        ("SecurityGroupId", "sg-1", 0),
        ("VSwitchId", "vsw-1", 0),
        ("ImageId", "m-1", 0),
        ("ServiceStatus", r#"["serving"]"#, 0),
        ("ServiceStatus", "[]", 1),
        ("InstanceResourceType", "SmallInstance", 0),
        ("InstanceResourceType", "EnsInstance", 1),
        ("SearchKey", "x", 1),
    ] {
        let answer = client.ask("DescribeInstances", &[(name, value)]).await.unwrap();
        assert_eq!(answer["TotalCount"], expected, "{name}={value}");
    }
    let types = client.ask("DescribeInstanceTypes", &[]).await.unwrap();
    assert!(types["InstanceTypes"]["InstanceType"].as_array().is_some_and(|types| types.len() > 5));
}

#[tokio::test]
async fn whoever_names_a_place_for_instances_gets_it_or_is_refused() {
    let site = Site::start(Engine::Simulated).unwrap();
    let client = site.client().unwrap();
    let (node, of_node, big, city) = ("EnsRegionId", "cn-hangzhou-1", "100103", "330100");
    for (level, places, expected) in [
        ("National", vec![(node, of_node)], Some("EnsRegionId")),
        ("Small", vec![(node, of_node), ("NetDistrictCode", city)], Some("EnsRegionId")),
        ("National", vec![("NetDistrictCode", city)], Some("NetDistrictCode")),
        ("National", vec![("NetDistrictCode", "100000")], None),
        ("Small", vec![("NetDistrictCode", big)], Some("ScheduleAreaLevel")),
        ("Middle", vec![("NetDistrictCode", city)], Some("ScheduleAreaLevel")),
        ("Small", vec![("NetDistrictCode", of_node)], Some("NetDistrictCode")),
        ("Small", vec![("NetDistrictCode", city)], None),
        ("Big", vec![("NetDistrictCode", big)], None),
        ("Region", vec![(node, of_node), ("NetDistrictCode", "310100")], Some("NetDistrictCode")),
        ("Region", vec![(node, of_node), ("NetDistrictCode", big)], None),
    ] {
        let mut parameters = vec![("InstanceType", "ens.sn1.tiny"), ("ScheduleAreaLevel", level)];
        parameters.extend(&places);

        let refused = client.call("RunInstances", &parameters).await.unwrap().err();

        let code = refused.map(|refusal| refusal.code);
        let expected = expected.map(|name| format!("InvalidParameter.{name}"));
        assert_eq!(code, expected, "{level} {places:?}");
    }
    // The command line knows the code alone.
    for district in [big, city, "330000", "100000"] {
        site.ensemble(&["instance", "create", "--district", district]).unwrap();
    }
}

#[tokio::test]
async fn an_application_is_hosted_in_real_containers_and_what_hosts_it_is_given_back() {
    if !containers_can_run() {
        return;
    }
    let mut site = Site::start(Engine::Embedded).unwrap();
    let client = site.client().unwrap();
    let app_id = site.create(&[]).await.unwrap();
    let own = run_instances(&client, "2").await;
    assert!(container_processes(&app_id).is_empty(), "they run nothing by themselves");

    by_name(&client, &app_id, "Add", &[&own[0], &own[1]]).await;
    let settled = client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();
    for instance in instances(&settled) {
        let address = instance["InternalIps"][0]["Ip"].as_str().unwrap();
        let page = client.page(address).await.unwrap();
        assert_eq!(page["ENS_INSTANCE_ID"], instance["InstanceId"], "the id that the account knows");
        assert!(own.iter().any(|id| *id == instance["InstanceId"]));
    }
    let refusal = client.call("ReleaseInstance", &[("InstanceId", &own[0])]).await.unwrap().unwrap_err();
    assert_eq!(refusal.body["Reason"], "InstanceInTheWay");

    by_name(&client, &app_id, "Del", &[&own[0]]).await;
    client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();
    assert_eq!(container_processes(&app_id).len(), 1);
    assert_eq!(ids(&client, &app_id).await, own[1..]);
    client.ask("ReleaseInstance", &[("InstanceId", &own[0])]).await.unwrap();

    client.delete(&app_id, SETTLED_AT_MOST).await.unwrap();
    assert!(container_processes(&app_id).is_empty());
    let left =
        client.ask("DescribeInstances", &[("Tags", r#"[{"TagKey":"team","TagValue":"video"}]"#)]).await;
    let left = left.unwrap();
    assert_eq!(left["TotalCount"], 1);
    assert_eq!(left["Instances"]["Instance"][0]["HostedBy"], Value::Null);
    site.clean().unwrap();
}

/// What `ExplainInstance` tells of an instance: its status, and the roles of the operations behind it.
async fn explained(client: &Client, id: &str) -> (String, Vec<String>) {
    let answer = client.ask("ExplainInstance", &[("InstanceId", id)]).await.unwrap();
    let told = &answer["Instance"];
    let operations = told["Operations"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let roles = operations
        .map(|operation| format!("{} {}", text(&operation["Role"]), text(&operation["Action"])))
        .collect();
    (text(&told["InstanceStatus"]), roles)
}

#[tokio::test]
async fn what_an_instance_carried_is_told_after_it_was_given_back_and_after_it_was_given_up() {
    let site = Site::start(Engine::Simulated).unwrap();
    let client = site.client().unwrap();
    let app_id = site.create(&[]).await.unwrap();
    let own = run_instances(&client, "1").await.remove(0);
    by_name(&client, &app_id, "Add", &[&own]).await;
    client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();
    by_name(&client, &app_id, "Del", &[&own]).await;
    client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();

    let given_back = explained(&client, &own).await;
    client.ask("ReleaseInstance", &[("InstanceId", &own)]).await.unwrap();
    let given_up = explained(&client, &own).await;
    let refused = by_name(&client, &app_id, "Add", &[&own]).await;

    let mut roles = vec!["Made RunInstances", "Placed RescaleApplication", "Released RescaleApplication"];
    assert_eq!(
        (given_back.0.as_str(), given_back.1),
        ("Running", roles.iter().map(ToString::to_string).collect())
    );
    roles.push("Released ReleaseInstance");
    assert_eq!((given_up.0.as_str(), given_up.1), ("Gone", roles.iter().map(ToString::to_string).collect()));
    let detail = refused["Detail"].as_str().unwrap();
    assert!(detail.contains("is gone since") && detail.contains("released"), "{detail}");
}
