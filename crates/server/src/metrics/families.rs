//! Every family of metrics, declared once: name, type, unit, labels, meaning. `/metrics` and the metrics reference are
//! made from this table. A label never holds an application, an instance or a request: their number has no bound.

/// A family as `/metrics` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// With its unit, without the `_total` of a counter.
    pub name: &'static str,
    pub kind: Kind,
    /// The base unit, which is the end of the name.
    pub unit: Option<&'static str>,
    pub labels: &'static [&'static str],
    /// One sentence without its full stop.
    pub help: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
    Info,
}

impl Kind {
    /// As OpenMetrics calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }
}

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    Family { name, kind: Kind::Counter, unit: None, labels, help }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    Family { name, kind: Kind::Gauge, unit: None, labels, help }
}

const fn histogram(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    Family { name, kind: Kind::Histogram, unit: None, labels, help }
}

impl Family {
    const fn in_unit(self, unit: &'static str) -> Self {
        Self { unit: Some(unit), ..self }
    }
}

/// All families, in the order of the reference.
pub const FAMILIES: &[Family] = &[
    Family {
        name: "ensemble_build",
        kind: Kind::Info,
        unit: None,
        labels: &["version"],
        help: "The program that answers",
    },
    counter(
        "ensemble_requests",
        &["action", "code_class"],
        "Requests answered, by action and class of HTTP status",
    ),
    histogram(
        "ensemble_request_duration_seconds",
        &["action"],
        "From the whole request to its answer; to the first byte where the answer is a stream",
    )
    .in_unit("seconds"),
    gauge("ensemble_connections", &[], "Open connections"),
    gauge("ensemble_connections_limit", &[], "Open connections from which on more have to wait"),
    gauge("ensemble_applications", &[], "Applications, of all accounts"),
    gauge("ensemble_instances", &["state"], "Instances, of all accounts"),
    gauge(
        "ensemble_edge_nodes",
        &["state"],
        "Edge nodes of the fleet, by whether their engine can say how they are",
    ),
    gauge("ensemble_operations_running", &["kind"], "Operations under way"),
    counter("ensemble_operations_ended", &["kind", "outcome"], "Operations that ended"),
    counter("ensemble_pod_starts", &[], "Pods that came to run"),
    counter(
        "ensemble_pod_failures",
        &[],
        "Pods that failed: they could not start, or wait before they start again",
    ),
    counter("ensemble_container_restarts", &[], "Containers started again after they ended"),
    counter("ensemble_image_pulled_bytes", &[], "Bytes of images that came from registries").in_unit("bytes"),
    gauge("ensemble_log_sequence", &[], "Sequence of the last durable entry of the log"),
    histogram(
        "ensemble_log_append_duration_seconds",
        &[],
        "How long it took to make a batch of events durable",
    )
    .in_unit("seconds"),
    histogram("ensemble_log_append_events", &[], "Events in one durable batch"),
    gauge("ensemble_queue_depth", &["queue"], "Inputs that wait for the control loop"),
    gauge("ensemble_queue_limit", &["queue"], "Inputs that may wait for the control loop"),
    counter("ensemble_reloads", &["outcome"], "Reloads of the configuration"),
    gauge(
        "ensemble_last_reload_timestamp_seconds",
        &[],
        "When the configuration in force was read, in seconds since 1970",
    )
    .in_unit("seconds"),
    counter("process_cpu_seconds", &[], "CPU time of this process, in user and kernel mode")
        .in_unit("seconds"),
    gauge("process_resident_memory_bytes", &[], "Resident memory of this process").in_unit("bytes"),
    gauge("process_open_fds", &[], "Open file descriptors of this process"),
    gauge("process_max_fds", &[], "File descriptors that this process may open"),
    gauge("process_start_time_seconds", &[], "When this process started, in seconds since 1970")
        .in_unit("seconds"),
];
