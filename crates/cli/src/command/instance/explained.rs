//! One instance in words: how it is, and why it is there or not there any more. A function of an ExplainInstance answer.

use crate::command::operation::{action, asked_by};
use serde_json::Value;

/// Whether the operations behind an instance are told, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Told,
    LeftOut,
}

pub(super) fn lines(instance: &Value, why: Why) -> Vec<String> {
    let mut lines = Vec::new();
    let text = |key: &str| instance[key].as_str().unwrap_or_default().to_owned();
    let application = match (instance["AppName"].as_str(), instance["AppId"].as_str()) {
        (Some(name), Some(id)) => format!("{name} ({id})"),
        (None, Some(id)) => format!("{id}, which is gone"),
        (_, None) => String::new(),
    };
    let protected = if instance["Protected"] == true { "yes: taken only when it is named" } else { "" };
    for (label, shown) in [
        ("Instance", text("InstanceId")),
        ("Application", application),
        ("Version", text("AppVersion")),
        ("Edge node", text("EnsRegionId")),
        ("Carrier", text("IspCode")),
        ("Spec", text("InstanceSpec")),
        ("Origin", origin(&text("Origin")).to_owned()),
        ("Protected", protected.to_owned()),
        ("State", text("InstanceStatus")),
        ("Cause", text("Cause")),
        ("Created", text("CreatedAt")),
        ("Gone", text("GoneAt")),
    ] {
        if !shown.is_empty() {
            lines.push(format!("{label:<12} {shown}"));
        }
    }
    lines.extend(entries(instance, "Pods").map(pod));
    if why == Why::Told {
        lines.extend(reasons(instance));
    }
    lines
}

fn origin(origin: &str) -> &str {
    match origin {
        "Created" => "made for the application",
        "Hosted" => "an instance of the account that hosts the application",
        "Own" => "exists by itself",
        other => other,
    }
}

fn entries<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

fn pod(pod: &Value) -> String {
    let text = |key: &str| pod[key].as_str().unwrap_or_default();
    let restarts = pod["Restarts"].as_u64().unwrap_or_default();
    let restarts = if restarts == 0 { String::new() } else { format!("  {restarts} restarts") };
    let line =
        format!("  {}  {}  {}{restarts}  {}", text("Name"), text("Status"), text("Address"), text("Message"));
    line.trim_end().to_owned()
}

fn reasons(instance: &Value) -> Vec<String> {
    let mut lines = vec!["Why:".to_owned()];
    let before = lines.len();
    for operation in entries(instance, "Operations") {
        let text = |key: &str| operation[key].as_str().unwrap_or_default();
        let role = text("Role").to_lowercase();
        let (id, at) = (text("OperationId"), text("AcceptedAt"));
        lines.push(format!("  {role} by {} {id}, accepted {at}", action(operation)));
        lines.push(format!("    asked by {}", asked_by(operation)));
        if operation["Item"].is_object() {
            lines.push(format!("    for {}", item(&operation["Item"])));
        }
        let within = match &instance["Scope"] {
            Value::Object(_) => format!(", within {}", place(&instance["Scope"])),
            _ => String::new(),
        };
        if let Some(old) = operation["Replaces"].as_str() {
            lines.push(format!("    in place of {old}{within}"));
        }
        if let Some(new) = operation["ReplacedBy"].as_str() {
            lines.push(format!("    {new} took its place{within}"));
        }
        let outcome = operation["Outcome"].as_str().map(|said| format!(": {said}")).unwrap_or_default();
        lines.push(format!("    {}{outcome}", text("Status").to_lowercase()));
    }
    if lines.len() == before {
        let within = match &instance["Scope"] {
            Value::Object(_) => format!("; it was placed within {}", place(&instance["Scope"])),
            _ => String::new(),
        };
        lines.push(format!("  the operations behind it are not remembered any more{within}"));
    }
    for step in entries(instance, "Steps") {
        let text = |key: &str| step[key].as_str().unwrap_or_default();
        lines.push(format!("  {}  {}", text("At"), text("Text")));
    }
    lines
}

/// `item 0 of its selector: 5 within 310100/cmcc`.
fn item(item: &Value) -> String {
    if item["ByName"] == true {
        return format!("item {} of its selector: {} by name", item["Index"], item["Wanted"]);
    }
    format!("item {} of its selector: {} within {}", item["Index"], item["Wanted"], place(item))
}

/// `310100/cmcc`, or that any place would do.
fn place(value: &Value) -> String {
    let text = |key: &str| value[key].as_str().filter(|text| !text.is_empty());
    let region = text("RegionCode").unwrap_or("every edge node");
    match text("IspCode") {
        Some(isp) => format!("{region}/{isp}"),
        None => region.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_instance_that_was_given_up_says_who_wanted_it_and_why_it_went() {
        let instance = json!({"InstanceId": "i-1", "AppId": "474b", "AppName": "hello", "AppVersion": "v1",
            "EnsRegionId": "cn-x", "IspCode": "cmcc", "InstanceSpec": "ens.sn1.tiny", "Origin": "Created",
            "Protected": false, "InstanceStatus": "Gone", "Cause": "not ready when the time was up",
            "CreatedAt": "2026-03-27T08:00:02Z", "GoneAt": "2026-03-27T08:05:03Z",
            "Scope": {"RegionCode": "310100", "IspCode": null}, "Pods": [],
            "Operations": [{"Role": "Placed", "OperationId": "AAE9", "Action": "RescaleApplication",
                "RescaleType": "Add", "Principal": "1234", "AccessKeyId": "LTAI", "SourceIp": "127.0.0.1",
                "AcceptedAt": "2026-03-27T08:00:02Z", "Status": "Failed", "Outcome": "1 of 2 ready",
                "Item": {"Index": 0, "RegionCode": "310100", "IspCode": "cmcc", "Wanted": 2}}],
            "Steps": [{"At": "2026-03-27T08:05:02Z", "Text": "`i-1` on `cn-x` is given up"}]});

        assert_eq!(
            lines(&instance, Why::Told).join("\n"),
            "\
Instance     i-1
Application  hello (474b)
Version      v1
Edge node    cn-x
Carrier      cmcc
Spec         ens.sn1.tiny
Origin       made for the application
State        Gone
Cause        not ready when the time was up
Created      2026-03-27T08:00:02Z
Gone         2026-03-27T08:05:03Z
Why:
  placed by RescaleApplication Add AAE9, accepted 2026-03-27T08:00:02Z
    asked by 1234 with key LTAI from 127.0.0.1
    for item 0 of its selector: 2 within 310100/cmcc
    failed: 1 of 2 ready
  2026-03-27T08:05:02Z  `i-1` on `cn-x` is given up"
        );
        assert_eq!(lines(&instance, Why::LeftOut).len(), 11);
    }

    #[test]
    fn what_was_named_or_moved_says_so() {
        let named = json!({"Operations": [{"Role": "Released", "OperationId": "AAE9", "Action": "RescaleApplication",
            "Item": {"Index": 0, "RegionCode": null, "IspCode": null, "Wanted": 2, "ByName": true}}]});
        let moved = |key: &str| {
            json!({"Scope": {"RegionCode": "310100", "IspCode": null}, "Operations": [{"Role": "Placed",
                "OperationId": "AAE9", "Action": "DrainEdgeNode", key: "i-2"}]})
        };
        for (instance, expected) in [
            (named, "for item 0 of its selector: 2 by name"),
            (moved("Replaces"), "in place of i-2, within 310100"),
            (moved("ReplacedBy"), "i-2 took its place, within 310100"),
        ] {
            let told = lines(&instance, Why::Told);

            assert!(told.iter().any(|line| line.trim() == expected), "{told:?}");
        }
    }

    #[test]
    fn what_nothing_is_remembered_of_says_so() {
        let instance =
            json!({"InstanceId": "i-1", "Scope": {"RegionCode": "", "IspCode": "cmcc"}, "Operations": []});

        let told = lines(&instance, Why::Told);

        assert_eq!(
            told.last().unwrap(),
            "  the operations behind it are not remembered any more; it was placed within every edge node/cmcc"
        );
    }

    #[test]
    fn a_pod_says_what_troubles_it() {
        let troubled = json!({"Name": "hello-web-v1-a-0", "Status": "Failed", "Address": null, "Restarts": 3,
            "Message": "exited 1"});

        assert_eq!(pod(&troubled), "  hello-web-v1-a-0  Failed    3 restarts  exited 1");
    }
}
