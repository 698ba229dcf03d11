//! Scenarios over the running binary: `cargo build && cargo test -p ensemble-tests --test scenario`.
//! Each starts its own server on its own data directory; those with containers need root and `make image`.

#![expect(clippy::unwrap_used, reason = "the words that scenarios share are tests as well")]

mod backup;
mod bad_night;
mod by_name;
mod daemon;
mod doctor;
mod emulator;
mod exec;
mod failing;
mod logs;
mod node_ports;
mod nth_failure;
mod permission;
mod plan;
mod recorded;
mod registry;
mod restart;
mod scale;
mod start;
mod versions;
mod waiting;
mod watch;

use std::time::Duration;

/// Until an application settles: images are imported and containers started within this on two busy cores.
const SETTLED_AT_MOST: Duration = Duration::from_secs(60);

/// The ResourceSelector of RescaleApplication's documentation.
const DOCUMENTED_SELECTOR: &str = "[{\"regionCode\": \"cn-wuxi-telecom_unicom_cmcc-3\", \"ispCode\": \"telecom\", \"count\": 2 },{ \"regionCode\": \"cn-shanghai-cmcc\", \"count\": 4 }]";

/// Parameters of a RescaleApplication that adds by edge node id.
fn add<'a>(app_id: &'a str, selector: &'a str) -> [(&'a str, &'a str); 4] {
    rescale(app_id, "Add", selector)
}

/// Parameters of a RescaleApplication that releases by edge node id.
fn del<'a>(app_id: &'a str, selector: &'a str) -> [(&'a str, &'a str); 4] {
    rescale(app_id, "Del", selector)
}

fn rescale<'a>(app_id: &'a str, kind: &'a str, selector: &'a str) -> [(&'a str, &'a str); 4] {
    [("AppId", app_id), ("RescaleType", kind), ("RescaleLevel", "RegionId"), ("ResourceSelector", selector)]
}
