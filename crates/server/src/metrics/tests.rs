//! The text of `/metrics` is OpenMetrics, holds what the table declares and nothing else, and its values move.

use super::families::{FAMILIES, Kind};
use super::{Look, Metrics, Queue, Reloaded};
use ensemble_model::census::{Census, Changes};
use ensemble_model::operation::{OperationKind, OperationStatus};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A family as the text has it.
#[derive(Debug, Default)]
struct Parsed {
    kind: String,
    unit: Option<String>,
    help: String,
    labels: BTreeSet<String>,
    /// Each sample with its labels as written.
    samples: BTreeMap<String, f64>,
}

/// Reads OpenMetrics text as strictly as its specification is; panics where it is broken.
fn parse(text: &str) -> BTreeMap<String, Parsed> {
    let mut families: BTreeMap<String, Parsed> = BTreeMap::new();
    let body = text.strip_suffix("# EOF\n").expect("the text ends with # EOF");
    assert!(!body.contains("# EOF"), "# EOF stands once");
    let mut current = String::new();
    for line in body.lines() {
        assert!(!line.is_empty(), "no empty lines");
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            let (word, name, value) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            if name != current {
                assert!(!families.contains_key(name), "the lines of {name} stand together");
                current = name.to_owned();
            }
            let family = families.entry(name.to_owned()).or_default();
            assert!(family.samples.is_empty(), "metadata of {name} stands before its samples");
            match word {
                "HELP" => family.help = value.to_owned(),
                "TYPE" => family.kind = value.to_owned(),
                "UNIT" => family.unit = Some(value.to_owned()),
                other => panic!("`{other}` is no metadata"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
        let (name, labels) = match series.split_once('{') {
            Some((name, rest)) => (name, rest.strip_suffix('}').expect("labels end")),
            None => (series, ""),
        };
        let family = families.get_mut(&current).expect("metadata comes first");
        let suffix = name.strip_prefix(&current).expect("a sample belongs to the family above");
        let allowed: &[&str] = match family.kind.as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "histogram" => &["_sum", "_count", "_bucket"],
            "info" => &["_info"],
            other => panic!("`{other}` is no type"),
        };
        assert!(allowed.contains(&suffix), "{name} of {current}, a {}", family.kind);
        for pair in labels.split(',').filter(|pair| !pair.is_empty()) {
            let (label, text) = pair.split_once('=').expect("a label has a value");
            assert!(text.starts_with('"') && text.ends_with('"') && text.len() >= 2, "{pair}");
            family.labels.insert(label.to_owned());
        }
        let value: f64 = value.parse().expect("a value is a number");
        assert!(family.samples.insert(series.to_owned(), value).is_none(), "{series} stands twice");
    }
    families
}

fn look(census: Census) -> Look {
    let queues = vec![Queue { name: "commands", depth: 3, limit: 1_024 }];
    Look { census, sequence: 7, queues, pulled_bytes: 10 }
}

/// Everything counted once.
fn busy() -> Metrics {
    let metrics = Metrics::new();
    metrics.answered(Some("RescaleApplication"), 200, Duration::from_millis(3));
    metrics.answered(None, 404, Duration::from_millis(1));
    metrics.connections(2, 1_024);
    metrics.appended(Duration::from_millis(2));
    let changes = Changes {
        operations_ended: vec![(OperationKind::Add, OperationStatus::Succeeded)],
        pods_started: 4,
        pods_failed: 1,
        restarts: 2,
    };
    metrics.changed(5, &changes);
    metrics.reloaded(Reloaded::Refused);
    metrics
}

#[test]
fn the_text_is_open_metrics_and_holds_exactly_what_the_table_declares() {
    let parsed = parse(&busy().render(&look(Census::default())));

    let names: BTreeSet<&str> = parsed.keys().map(String::as_str).collect();
    let declared: BTreeSet<&str> = FAMILIES.iter().map(|family| family.name).collect();
    assert_eq!(names, declared);
    for family in FAMILIES {
        let found = &parsed[family.name];
        assert_eq!(found.kind, family.kind.as_str(), "{}", family.name);
        assert_eq!(found.unit.as_deref(), family.unit, "{}", family.name);
        assert_eq!(found.help, format!("{}.", family.help));
        let mut labels: BTreeSet<&str> = family.labels.iter().copied().collect();
        if family.kind == Kind::Histogram {
            labels.insert("le");
        }
        let found: BTreeSet<&str> = found.labels.iter().map(String::as_str).collect();
        assert_eq!(found, labels, "{}", family.name);
    }
}

#[test]
fn no_label_can_grow_without_bound() {
    for family in FAMILIES {
        for label in family.labels {
            assert!(
                ["version", "action", "code_class", "state", "kind", "outcome", "queue"].contains(label),
                "{}: {label}",
                family.name
            );
        }
    }
}

#[test]
fn values_move_with_what_happens() {
    let metrics = busy();
    let census =
        Census { instances: [1, 2, 3, 4, 5], nodes_reachable: 69, nodes_unreachable: 1, ..Census::default() };

    let first = parse(&metrics.render(&look(census)));
    metrics.answered(Some("RescaleApplication"), 200, Duration::from_secs(1));
    let later = parse(&metrics.render(&Look { pulled_bytes: 25, ..look(Census::default()) }));

    let value = |parsed: &BTreeMap<String, Parsed>, series: &str| {
        let samples = parsed.values().flat_map(|family| &family.samples);
        let found = samples.into_iter().find(|(name, _)| *name == series);
        *found.unwrap_or_else(|| panic!("no {series}")).1
    };
    let answered = "ensemble_requests_total{action=\"RescaleApplication\",code_class=\"2xx\"}";
    for (series, before, after) in [
        (answered, 1.0, 2.0),
        ("ensemble_requests_total{action=\"none\",code_class=\"4xx\"}", 1.0, 1.0),
        ("ensemble_request_duration_seconds_count{action=\"RescaleApplication\"}", 1.0, 2.0),
        ("ensemble_instances{state=\"running\"}", 2.0, 0.0),
        ("ensemble_edge_nodes{state=\"unreachable\"}", 1.0, 0.0),
        ("ensemble_operations_ended_total{kind=\"add\",outcome=\"succeeded\"}", 1.0, 1.0),
        ("ensemble_operations_ended_total{kind=\"del\",outcome=\"failed\"}", 0.0, 0.0),
        ("ensemble_pod_starts_total", 4.0, 4.0),
        ("ensemble_pod_failures_total", 1.0, 1.0),
        ("ensemble_container_restarts_total", 2.0, 2.0),
        ("ensemble_image_pulled_bytes_total", 10.0, 25.0),
        ("ensemble_log_sequence", 7.0, 7.0),
        ("ensemble_log_append_events_sum", 5.0, 5.0),
        ("ensemble_queue_depth{queue=\"commands\"}", 3.0, 3.0),
        ("ensemble_reloads_total{outcome=\"refused\"}", 1.0, 1.0),
    ] {
        assert_eq!((value(&first, series), value(&later, series)), (before, after), "{series}");
    }
    assert!(value(&first, "process_resident_memory_bytes") > 0.0);
}
