//! The catalog against the published metadata of the ENS actions: same parameters in the same order, same types,
//! enums and error tables (gateway.md §7.2). What we add stands after what is published.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use ensemble_wire::catalog::{self, ACTIONS};
use ensemble_wire::entry::{Action, Group, Origin, Presence};
use ensemble_wire::parameters::RawParameters;
use serde_json::Value;
use std::path::Path;

fn published() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/api-docs-ens-2017-11-10.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// ENS took it out of its API, and out of its metadata (ens-api.md §4.6).
const REMOVED: &str = "DescribeApplicationResourceSummary";

/// The metadata tells its values in the description only.
const VALUES_IN_PROSE: &str = "NetLevelCode";

fn of_ens() -> impl Iterator<Item = &'static Action> {
    // Of the actions about instances there is no published metadata here, only their shapes (ens-api.md §4.7).
    let of_ours = |group: Group| matches!(group, Group::Extension | Group::Instance);
    ACTIONS.iter().copied().filter(move |action| !of_ours(action.group) && action.name != REMOVED)
}

#[test]
fn parameters_are_the_published_ones_in_their_order() {
    let (published, ours) = (published(), catalog::api_docs());
    assert_eq!(of_ens().count(), 15);
    for action in of_ens() {
        let expected = published["apis"][action.name]["parameters"].as_array().unwrap();
        let rendered = ours["apis"][action.name]["parameters"].as_array().unwrap();
        for (at, parameter) in expected.iter().enumerate() {
            let name = &parameter["name"];
            assert_eq!(rendered[at]["name"], *name, "{}", action.name);
            assert_eq!(rendered[at]["in"], parameter["in"], "{} {name}", action.name);
            for member in ["type", "format", "required", "enum"] {
                if *name == VALUES_IN_PROSE && member == "enum" {
                    continue;
                }
                let (is, should) = (&rendered[at]["schema"][member], &parameter["schema"][member]);
                assert_eq!(is, should, "{} {name} {member}", action.name);
            }
        }
        for (at, parameter) in action.parameters.iter().enumerate() {
            let origin = if at < expected.len() { Origin::Published } else { Origin::Ours };
            assert_eq!(parameter.origin, origin, "{} {}", action.name, parameter.name);
        }
        for added in &rendered[expected.len()..] {
            assert_eq!(added["schema"]["required"], false, "{} {}", action.name, added["name"]);
        }
    }
}

#[test]
fn methods_errors_and_answers_are_the_published_ones() {
    let (published, ours) = (published(), catalog::api_docs());
    for action in of_ens() {
        let (is, should) = (&ours["apis"][action.name], &published["apis"][action.name]);
        assert_eq!(is["methods"], should["methods"], "{}", action.name);
        assert_eq!(is["errorCodes"], should["errorCodes"], "{}", action.name);
        let (is, should) = (&is["responses"]["200"]["schema"], &should["responses"]["200"]["schema"]);
        assert_eq!(names(is), names(should), "{}", action.name);
    }
}

/// Member names at every depth, in order.
fn names(schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(properties) = schema["properties"].as_object() {
        for (name, member) in properties {
            found.push(name.clone());
            found.extend(names(member));
        }
    }
    if schema["items"].is_object() {
        found.extend(names(&schema["items"]));
    }
    found
}

#[test]
fn every_entry_is_complete() {
    for action in ACTIONS {
        let name = action.name;
        assert_eq!(action.ram_action, format!("ens:{name}"));
        assert!(
            !action.title.is_empty() && !action.summary.is_empty() && !action.errors.is_empty(),
            "{name}"
        );
        for parameter in action.parameters {
            assert!(!parameter.description.is_empty(), "{name}.{}", parameter.name);
            assert!(!(parameter.presence == Presence::Required && parameter.default.is_some()), "{name}");
        }
    }
}

#[test]
fn the_example_of_every_parameter_passes_its_own_check() {
    for action in ACTIONS {
        let raw: RawParameters =
            action.parameters.iter().map(|parameter| (parameter.name, parameter.example)).collect();
        action.check(&raw).unwrap_or_else(|error| panic!("{}: {error} {:?}", action.name, error.detail));
    }
}

#[test]
fn actions_are_found_by_exact_name_and_version_only() {
    for (name, version, expected) in [
        ("RescaleApplication", "2017-11-10", None),
        ("rescaleApplication", "2017-11-10", Some("InvalidAction.NotFound")),
        ("", "2017-11-10", Some("InvalidAction.NotFound")),
        ("RescaleApplication", "2014-05-26", Some("InvalidVersion")),
    ] {
        let found = catalog::find(name, version);
        assert_eq!(found.err().map(|error| error.code.as_text().into_owned()).as_deref(), expected, "{name}");
    }
}
