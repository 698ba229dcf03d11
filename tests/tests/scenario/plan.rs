//! A plan is what then happens, on an unchanged state; and nothing happens where it is refused.

use crate::{SETTLED_AT_MOST, add};
use ensemble_tests::client::{Client, instances};
use ensemble_tests::server::Engine;
use ensemble_tests::site::Site;
use serde_json::Value;
use std::collections::BTreeMap;

type Counts = BTreeMap<(String, String), u64>;

#[tokio::test]
async fn what_a_plan_says_is_what_a_rescale_does() {
    let site = Site::start(Engine::Simulated).unwrap();
    let client = site.client().unwrap();
    let app_id = site.create(&[]).await.unwrap();
    let calls = [
        ("Add", r#"[{"regionCode":"310100","count":5}]"#),
        ("Add", r#"[{"count":7}]"#),
        (
            "Add",
            r#"[{"regionCode":"100103","ispCode":"telecom","count":4},{"regionCode":"310100","ispCode":"cmcc","count":3}]"#,
        ),
        ("Add", r#"[{"regionCode":"cn-wuxi-telecom_unicom_cmcc-3","count":3}]"#),
        ("Del", r#"[{"regionCode":"310100","count":2}]"#),
        ("Del", r#"[{"regionCode":"cn-wuxi-telecom_unicom_cmcc-3","count":1},{"count":3}]"#),
        ("Del", r#"[{"regionCode":"All","count":4}]"#),
    ];

    for (kind, selector) in calls {
        let parameters = [("AppId", app_id.as_str()), ("RescaleType", kind), ("ResourceSelector", selector)];
        let before = counts(&client, &app_id).await;
        let plan = client.ask("PlanRescaleApplication", &parameters).await.unwrap();
        client.ask("RescaleApplication", &parameters).await.unwrap();
        client.settled(&app_id, SETTLED_AT_MOST).await.unwrap();

        assert_eq!(counts(&client, &app_id).await, planned(before, &plan), "{kind} {selector}: {plan:#}");
    }
}

#[tokio::test]
async fn a_shortage_refuses_the_whole_call_and_says_what_would_fit() {
    let site = Site::start(Engine::Simulated).unwrap();
    let client = site.client().unwrap();
    let app_id = site.create(&[]).await.unwrap();
    let selector =
        r#"[{"regionCode":"cn-beijing-cmcc","count":1},{"regionCode":"cn-shanghai-cmcc","count":13}]"#;

    let refusal = client.call("RescaleApplication", &add(&app_id, selector)).await.unwrap().unwrap_err();

    assert_eq!((refusal.status, refusal.code.as_str()), (400, "InvalidParameter"));
    assert_eq!(refusal.body["Reason"], "CapacityShortage");
    assert!(refusal.body["Detail"].as_str().unwrap().contains("cn-shanghai-cmcc"), "{:#}", refusal.body);
    assert_eq!(counts(&client, &app_id).await, Counts::new());
}

#[tokio::test]
async fn a_refused_plan_says_what_would_be_done_now() {
    let site = Site::start(Engine::Simulated).unwrap();
    let client = site.client().unwrap();
    let app_id = site.create(&[]).await.unwrap();
    let mut parameters = add(&app_id, r#"[{"regionCode":"cn-shanghai-cmcc","count":2}]"#).to_vec();
    parameters.push(("IfPlan", "00000000"));

    let refusal = client.call("RescaleApplication", &parameters).await.unwrap().unwrap_err();
    let said = site
        .ensemble(&["rescale", &app_id, "--add", "cn-shanghai-cmcc=2", "--if-plan", "00000000"])
        .unwrap_err()
        .to_string();

    assert_eq!(refusal.body["Reason"], "PlanChanged");
    let now = "Now: Item 0: cn-shanghai-cmcc/cmcc 0 → 2.";
    assert!(refusal.body["Detail"].as_str().unwrap().ends_with(now), "{:#}", refusal.body);
    assert!(said.contains(now), "{said}");
    assert!(said.contains(&format!("ensemble plan {app_id} --add cn-shanghai-cmcc=2")), "{said}");
}

/// Instances by edge node and carrier.
async fn counts(client: &Client, app_id: &str) -> Counts {
    let answer =
        client.ask("DescribeApplication", &[("AppId", app_id), ("Level", "RegionId")]).await.unwrap();
    let application: Value = serde_json::from_str(answer["Application"].as_str().unwrap()).unwrap();
    let mut counts = Counts::new();
    for version in application["DetailStat"]["AppVersionStat"].as_array().into_iter().flatten() {
        for district in version["DistrictStat"].as_array().into_iter().flatten() {
            let place = |name: &str| district[name].as_str().unwrap().to_owned();
            let count = district["InstanceTotalCount"].as_u64().unwrap();
            *counts.entry((place("RegionCode"), place("IspCode"))).or_default() += count;
        }
    }
    let devices = client.ask("DescribeDeviceService", &[("AppId", app_id)]).await.unwrap();
    assert_eq!(counts.values().sum::<u64>(), instances(&devices).len() as u64, "{application:#}");
    counts
}

/// The counts after a plan: each placement names how many there are then.
fn planned(mut counts: Counts, plan: &Value) -> Counts {
    for item in plan["Plan"]["Items"].as_array().unwrap() {
        for placement in item["Placements"].as_array().unwrap() {
            let place = |name: &str| placement[name].as_str().unwrap().to_owned();
            let change = placement["After"].as_i64().unwrap() - placement["Before"].as_i64().unwrap();
            let count = counts.entry((place("EnsRegionId"), place("IspCode"))).or_default();
            *count = count.checked_add_signed(change).unwrap();
        }
    }
    counts.retain(|_, count| *count > 0);
    counts
}
