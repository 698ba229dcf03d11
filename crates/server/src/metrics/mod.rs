//! What operators measure: counted where it happens, or looked up when `/metrics` is asked for. `families` declares
//! what there is. Counting must never wait, and never keep anything about a single application or request.

pub mod families;
mod process;

use ensemble_model::census::{Census, Changes};
use ensemble_model::instance::InstanceStatus;
use ensemble_model::operation::{OperationKind, OperationStatus};
use families::{FAMILIES, Family};
use process::Process;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family as Labelled;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What the OpenMetrics text is sent as.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The action of a request that names none of the catalog.
const NO_ACTION: &str = "none";

/// Seconds, from a read in memory to a slow disk.
const DURATIONS: [f64; 13] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

const BATCHES: [f64; 9] = [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 500.0, 2500.0];

/// Seconds as a number with a fraction.
type Seconds = Gauge<f64, AtomicU64>;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    action: &'static str,
    code_class: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ActionLabels {
    action: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct EndLabels {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct QueueLabels {
    queue: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

/// All metrics of a server.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Labelled<RequestLabels, Counter>,
    durations: Labelled<ActionLabels, Histogram>,
    connections: Gauge,
    connections_limit: Gauge,
    applications: Gauge,
    instances: Labelled<StateLabels, Gauge>,
    nodes: Labelled<StateLabels, Gauge>,
    running: Labelled<KindLabels, Gauge>,
    ended: Labelled<EndLabels, Counter>,
    pod_starts: Counter,
    pod_failures: Counter,
    restarts: Counter,
    pulled_bytes: Counter,
    sequence: Gauge,
    append_durations: Histogram,
    append_events: Histogram,
    queue_depth: Labelled<QueueLabels, Gauge>,
    queue_limit: Labelled<QueueLabels, Gauge>,
    reloads: Labelled<OutcomeLabels, Counter>,
    last_reload: Seconds,
    cpu: Counter<f64, AtomicU64>,
    resident: Gauge,
    open_descriptors: Gauge,
    most_descriptors: Gauge,
    started: Seconds,
}

/// A queue of the control loop, and how full it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Queue {
    pub(crate) name: &'static str,
    pub(crate) depth: usize,
    pub(crate) limit: usize,
}

/// What is looked up when metrics are asked for.
pub(crate) struct Look {
    pub(crate) census: Census,
    pub(crate) sequence: u64,
    pub(crate) queues: Vec<Queue>,
    pub(crate) pulled_bytes: u64,
}

/// How a reload ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reloaded {
    InForce,
    Refused,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::default();
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        register(&mut registry, "ensemble_build", build);
        let mut metrics = Self {
            requests: Labelled::default(),
            durations: Labelled::new_with_constructor(|| Histogram::new(DURATIONS)),
            connections: Gauge::default(),
            connections_limit: Gauge::default(),
            applications: Gauge::default(),
            instances: Labelled::default(),
            nodes: Labelled::default(),
            running: Labelled::default(),
            ended: Labelled::default(),
            pod_starts: Counter::default(),
            pod_failures: Counter::default(),
            restarts: Counter::default(),
            pulled_bytes: Counter::default(),
            sequence: Gauge::default(),
            append_durations: Histogram::new(DURATIONS),
            append_events: Histogram::new(BATCHES),
            queue_depth: Labelled::default(),
            queue_limit: Labelled::default(),
            reloads: Labelled::default(),
            last_reload: Seconds::default(),
            cpu: Counter::default(),
            resident: Gauge::default(),
            open_descriptors: Gauge::default(),
            most_descriptors: Gauge::default(),
            started: Seconds::default(),
            registry,
        };
        metrics.register_all();
        metrics.start_counting();
        metrics
    }

    fn register_all(&mut self) {
        let registry = &mut self.registry;
        register(registry, "ensemble_requests", self.requests.clone());
        register(registry, "ensemble_request_duration_seconds", self.durations.clone());
        register(registry, "ensemble_connections", self.connections.clone());
        register(registry, "ensemble_connections_limit", self.connections_limit.clone());
        register(registry, "ensemble_applications", self.applications.clone());
        register(registry, "ensemble_instances", self.instances.clone());
        register(registry, "ensemble_edge_nodes", self.nodes.clone());
        register(registry, "ensemble_operations_running", self.running.clone());
        register(registry, "ensemble_operations_ended", self.ended.clone());
        register(registry, "ensemble_pod_starts", self.pod_starts.clone());
        register(registry, "ensemble_pod_failures", self.pod_failures.clone());
        register(registry, "ensemble_container_restarts", self.restarts.clone());
        register(registry, "ensemble_image_pulled_bytes", self.pulled_bytes.clone());
        register(registry, "ensemble_log_sequence", self.sequence.clone());
        register(registry, "ensemble_log_append_duration_seconds", self.append_durations.clone());
        register(registry, "ensemble_log_append_events", self.append_events.clone());
        register(registry, "ensemble_queue_depth", self.queue_depth.clone());
        register(registry, "ensemble_queue_limit", self.queue_limit.clone());
        register(registry, "ensemble_reloads", self.reloads.clone());
        register(registry, "ensemble_last_reload_timestamp_seconds", self.last_reload.clone());
        register(registry, "process_cpu_seconds", self.cpu.clone());
        register(registry, "process_resident_memory_bytes", self.resident.clone());
        register(registry, "process_open_fds", self.open_descriptors.clone());
        register(registry, "process_max_fds", self.most_descriptors.clone());
        register(registry, "process_start_time_seconds", self.started.clone());
    }

    /// Every series whose labels are known ahead begins at 0: a rate over one that appears later misses its first step.
    fn start_counting(&self) {
        for outcome in [Reloaded::InForce, Reloaded::Refused] {
            self.reloads.get_or_create_owned(&outcome_labels(outcome));
        }
        for kind in OperationKind::ALL {
            for status in [OperationStatus::Succeeded, OperationStatus::Failed] {
                self.ended
                    .get_or_create_owned(&EndLabels { kind: kind_name(kind), outcome: outcome_name(status) });
            }
        }
        self.last_reload.set(seconds_since_1970());
    }

    /// A request was answered.
    pub(crate) fn answered(&self, action: Option<&'static str>, status: u16, took: Duration) {
        let action = action.unwrap_or(NO_ACTION);
        let code_class = match status {
            200..=299 => "2xx",
            300..=399 => "3xx",
            400..=499 => "4xx",
            _ => "5xx",
        };
        self.requests.get_or_create(&RequestLabels { action, code_class }).inc();
        self.durations.get_or_create(&ActionLabels { action }).observe(took.as_secs_f64());
    }

    pub(crate) fn connections(&self, open: usize, limit: usize) {
        self.connections.set(gauged(open as u64));
        self.connections_limit.set(gauged(limit as u64));
    }

    /// A batch became durable.
    pub(crate) fn appended(&self, took: Duration) {
        self.append_durations.observe(took.as_secs_f64());
    }

    /// What a durable batch changed.
    pub(crate) fn changed(&self, events: usize, changes: &Changes) {
        self.append_events.observe(events as f64);
        for (kind, status) in &changes.operations_ended {
            let labels = EndLabels { kind: kind_name(*kind), outcome: outcome_name(*status) };
            self.ended.get_or_create(&labels).inc();
        }
        self.pod_starts.inc_by(changes.pods_started);
        self.pod_failures.inc_by(changes.pods_failed);
        self.restarts.inc_by(changes.restarts);
    }

    pub(crate) fn reloaded(&self, outcome: Reloaded) {
        self.reloads.get_or_create(&outcome_labels(outcome)).inc();
        if outcome == Reloaded::InForce {
            self.last_reload.set(seconds_since_1970());
        }
    }

    /// The OpenMetrics text.
    pub(crate) fn render(&self, look: &Look) -> String {
        self.take(look);
        let process = Process::look();
        // Only ever goes up, as a counter must; two readers at once may each see the older value.
        self.cpu.inc_by((process.cpu_seconds - self.cpu.get()).max(0.0));
        self.resident.set(gauged(process.resident_bytes));
        self.open_descriptors.set(gauged(process.open_descriptors));
        self.most_descriptors.set(gauged(process.most_descriptors));
        self.started.set(process.started_seconds);
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a string does not fail");
        text
    }

    fn take(&self, look: &Look) {
        let Look { census, sequence, queues, pulled_bytes } = look;
        self.applications.set(gauged(census.applications));
        for (status, count) in InstanceStatus::ALL.into_iter().zip(census.instances) {
            self.instances.get_or_create(&StateLabels { state: state_name(status) }).set(gauged(count));
        }
        for (kind, count) in OperationKind::ALL.into_iter().zip(census.operations_running) {
            self.running.get_or_create(&KindLabels { kind: kind_name(kind) }).set(gauged(count));
        }
        let nodes = [("reachable", census.nodes_reachable), ("unreachable", census.nodes_unreachable)];
        for (state, count) in nodes {
            self.nodes.get_or_create(&StateLabels { state }).set(gauged(count));
        }
        for Queue { name, depth, limit } in queues {
            let labels = QueueLabels { queue: name };
            self.queue_depth.get_or_create(&labels).set(gauged(*depth as u64));
            self.queue_limit.get_or_create(&labels).set(gauged(*limit as u64));
        }
        self.sequence.set(gauged(*sequence));
        self.pulled_bytes.inc_by(pulled_bytes.saturating_sub(self.pulled_bytes.get()));
    }
}

/// Registers under what the table says of the family.
fn register(registry: &mut Registry, name: &str, metric: impl Metric) {
    let family = family(name);
    match family.unit {
        Some(unit) => {
            let stem = family.name.strip_suffix(unit).and_then(|stem| stem.strip_suffix('_'));
            let stem = stem.expect("a name ends in its unit");
            registry.register_with_unit(stem, family.help, Unit::Other(unit.to_owned()), metric);
        }
        None => registry.register(family.name, family.help, metric),
    }
}

fn family(name: &str) -> &'static Family {
    FAMILIES.iter().find(|family| family.name == name).expect("every metric is in the table")
}

fn gauged(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn seconds_since_1970() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn outcome_labels(outcome: Reloaded) -> OutcomeLabels {
    OutcomeLabels {
        outcome: match outcome {
            Reloaded::InForce => "in_force",
            Reloaded::Refused => "refused",
        },
    }
}

fn kind_name(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::Create => "create",
        OperationKind::Add => "add",
        OperationKind::Del => "del",
        OperationKind::Delete => "delete",
        OperationKind::Move => "move",
        OperationKind::Upgrade => "upgrade",
        OperationKind::Immediate => "immediate",
    }
}

fn outcome_name(status: OperationStatus) -> &'static str {
    match status {
        OperationStatus::Running => "running",
        OperationStatus::Succeeded => "succeeded",
        OperationStatus::Failed => "failed",
        OperationStatus::Canceled => "canceled",
        OperationStatus::Superseded => "superseded",
    }
}

fn state_name(status: InstanceStatus) -> &'static str {
    match status {
        InstanceStatus::Pending => "pending",
        InstanceStatus::Running => "running",
        InstanceStatus::Failed => "failed",
        InstanceStatus::Releasing => "releasing",
        InstanceStatus::Unknown => "unknown",
    }
}

#[cfg(test)]
mod tests;
