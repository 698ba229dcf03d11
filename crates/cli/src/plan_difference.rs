//! What moved between two plans for the same call, in words: the edge nodes whose share changed, the instances that
//! are released instead of others. A function of two answers; asks nothing.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Differences that are named one by one.
const TOLD_AT_MOST: usize = 20;

/// Item, edge node and carrier.
type Place<'a> = (u64, &'a str, &'a str);

#[derive(Debug, Default, PartialEq, Eq)]
struct Share<'a> {
    /// How many instances come (or, negative, go).
    change: i64,
    instances: BTreeSet<&'a str>,
}

/// One line for each difference, at most twenty and one that counts the rest.
pub(crate) fn differences(planned: &Value, now: &Value) -> Vec<String> {
    let (before, after) = (shares(planned), shares(now));
    let mut told = Vec::new();
    if let Some(blocked) = now["Blocked"].as_str().filter(|text| !text.is_empty()) {
        told.push(format!("now stands against it: {blocked}"));
    }
    let places: BTreeSet<Place<'_>> = before.keys().chain(after.keys()).copied().collect();
    for place in places {
        let (nothing, place_text) = (Share::default(), written(place));
        let (was, is) = (before.get(&place).unwrap_or(&nothing), after.get(&place).unwrap_or(&nothing));
        // Of an Add, the instances are those that host.
        let meant = if was.change.max(is.change) > 0 { "used" } else { "released" };
        for kept in was.instances.difference(&is.instances) {
            told.push(format!("{place_text}: {kept} was to be {meant}, and now is not"));
        }
        for taken in is.instances.difference(&was.instances) {
            told.push(format!("{place_text}: {taken} was not to be {meant}, and now is"));
        }
        if was.change != is.change && was.instances.is_empty() && is.instances.is_empty() {
            told.push(format!("{place_text}: planned {}, now {}", signed(was.change), signed(is.change)));
        }
    }
    let more = told.len().saturating_sub(TOLD_AT_MOST);
    if more > 0 {
        told.truncate(TOLD_AT_MOST);
        told.push(format!("and {more} more"));
    }
    told
}

fn shares(plan: &Value) -> BTreeMap<Place<'_>, Share<'_>> {
    let mut shares = BTreeMap::new();
    for item in plan["Items"].as_array().into_iter().flatten() {
        for placement in item["Placements"].as_array().into_iter().flatten() {
            let text = |name: &str| placement[name].as_str().unwrap_or_default();
            let place = (item["Index"].as_u64().unwrap_or_default(), text("EnsRegionId"), text("IspCode"));
            let count = |name: &str| placement[name].as_i64().unwrap_or_default();
            let share: &mut Share<'_> = shares.entry(place).or_default();
            share.change = share.change.saturating_add(count("After").saturating_sub(count("Before")));
            let instances = placement["InstanceIds"].as_array().into_iter().flatten();
            share.instances.extend(instances.filter_map(Value::as_str));
        }
    }
    shares
}

fn written((item, node, isp): Place<'_>) -> String {
    if isp.is_empty() { format!("item {item}, {node}") } else { format!("item {item}, {node}/{isp}") }
}

fn signed(change: i64) -> String {
    if change == 0 { "none".to_owned() } else { format!("{change:+}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn plan(placements: &[(&str, i64, i64, &[&str])]) -> Value {
        let placements: Vec<Value> = placements
            .iter()
            .map(|(node, before, after, ids)| {
                json!({"EnsRegionId": node, "IspCode": "cmcc", "Before": before, "After": after, "InstanceIds": ids})
            })
            .collect();
        json!({"Blocked": null, "Items": [{"Index": 0, "Placements": placements}]})
    }

    #[test]
    fn equal_plans_differ_in_nothing() {
        let one = plan(&[("cn-x", 0, 2, &[])]);
        let elsewhere_counted = plan(&[("cn-x", 5, 7, &[])]);

        assert!(differences(&one, &one).is_empty());
        assert!(differences(&one, &elsewhere_counted).is_empty());
    }

    #[test]
    fn nodes_whose_share_changed_are_named() {
        let (planned, now) = (
            plan(&[("cn-x", 0, 2, &[]), ("cn-y", 0, 1, &[])]),
            plan(&[("cn-x", 0, 1, &[]), ("cn-z", 0, 2, &[])]),
        );

        assert_eq!(
            differences(&planned, &now),
            [
                "item 0, cn-x/cmcc: planned +2, now +1",
                "item 0, cn-y/cmcc: planned +1, now none",
                "item 0, cn-z/cmcc: planned none, now +2"
            ]
        );
    }

    #[test]
    fn victims_that_changed_are_named() {
        let (planned, now) =
            (plan(&[("cn-x", 3, 1, &["i-1", "i-2"])]), plan(&[("cn-x", 3, 1, &["i-2", "i-3"])]));

        assert_eq!(
            differences(&planned, &now),
            [
                "item 0, cn-x/cmcc: i-1 was to be released, and now is not",
                "item 0, cn-x/cmcc: i-3 was not to be released, and now is"
            ]
        );
    }

    #[test]
    fn what_blocks_comes_first_and_many_differences_are_counted() {
        let names: Vec<String> = (0..30).map(|number| format!("cn-{number:02}")).collect();
        let many: Vec<(&str, i64, i64, &[&str])> =
            names.iter().map(|name| (name.as_str(), 0, 1, &[] as &[&str])).collect();
        let now = json!({"Blocked": "Busy.", "Items": []});

        let told = differences(&plan(&many), &now);

        assert_eq!(told.len(), 21);
        assert_eq!(told[0], "now stands against it: Busy.");
        assert_eq!(told[20], "and 11 more");
        assert!(differences(&Value::Null, &Value::Null).is_empty());
    }
}
