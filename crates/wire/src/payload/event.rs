//! Server-sent events of Watch (`decisions.md` §5): what each `event` carries, and the frame it travels in.

use super::device::Network;
use super::operation::{Operation, Pulled};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// What a stream says. First the objects as they are, then changes.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Operation(Box<Operation>),
    Instance(Instance),
    Application(Application),
    /// `Since` is too old: what follows are the objects as they are.
    Resync(Resync),
    /// The server is going; ask again elsewhere or later.
    Closing(Closing),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Instance {
    pub instance_id: String,
    pub app_id: String,
    pub app_version: String,
    pub ens_region_id: String,
    pub isp_code: String,
    /// `Gone` once it is no more.
    pub instance_status: String,
    /// `2026-11-24 20:01:02`, UTC.
    pub create_time: String,
    pub pods: Vec<Pod>,
}

/// A device with what its documented shape has no room for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Pod {
    /// The device name.
    pub name: String,
    pub workload: String,
    pub index: u32,
    pub status: String,
    pub address: Option<String>,
    /// Its ports that are open on the machine; absent when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Network>,
    pub restarts: u32,
    /// Last exit or cause; empty when all is well.
    pub message: String,
    /// How far its images are; absent when none is being pulled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pulled: Option<Pulled>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Application {
    pub app_id: String,
    pub app_name: String,
    /// `GONE` once it is no more.
    pub phase: String,
    pub status_descrip: String,
    pub revision: u64,
    pub instance_total_count: usize,
    pub instance_running_count: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Resync {
    /// The first sequence from which changes could be told.
    pub oldest: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Closing {
    pub reason: String,
}

impl Event {
    /// The `event:` field.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Operation(_) => "operation",
            Self::Instance(_) => "instance",
            Self::Application(_) => "application",
            Self::Resync(_) => "resync",
            Self::Closing(_) => "closing",
        }
    }

    /// The `data:` field: one line of JSON.
    pub fn data(&self) -> String {
        match self {
            Self::Operation(operation) => super::to_text(operation),
            Self::Instance(instance) => super::to_text(instance),
            Self::Application(application) => super::to_text(application),
            Self::Resync(resync) => super::to_text(resync),
            Self::Closing(closing) => super::to_text(closing),
        }
    }
}

/// One frame of a stream. `id` is the sequence in the log and stands only on the last event of one log entry, so
/// that a resumed stream loses nothing.
pub fn frame(name: &str, data: &str, id: Option<u64>) -> String {
    let mut frame = String::with_capacity(data.len() + 64);
    if let Some(id) = id {
        // Writing to a String cannot fail.
        let _ = writeln!(frame, "id: {id}");
    }
    let _ = writeln!(frame, "event: {name}");
    for line in data.lines() {
        let _ = writeln!(frame, "data: {line}");
    }
    frame.push('\n');
    frame
}

/// The frame of progress, which is in no log and so has no sequence. The comment tells a reader that no entry of the
/// log is begun by it: it may be shown at once, and need not come again in a stream that is resumed.
pub fn progress_frame(name: &str, data: &str) -> String {
    format!(": {PROGRESS}\n{}", frame(name, data, None))
}

/// The comment of [`progress_frame`].
pub const PROGRESS: &str = "progress";

/// Why a stream of lines is at its end: no more will come.
pub const INSTANCE_GONE: &str = "the instance is gone";

/// The comment that keeps a quiet stream open.
pub const HEARTBEAT: &str = ": still here\n\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_its_id_only_where_it_is_given() {
        let event = Event::Resync(Resync { oldest: 7 });

        assert_eq!(frame(event.name(), &event.data(), None), "event: resync\ndata: {\"Oldest\":7}\n\n");
        assert_eq!(progress_frame("a", "x"), ": progress\nevent: a\ndata: x\n\n");
        assert_eq!(frame("a", "x\ny", Some(9)), "id: 9\nevent: a\ndata: x\ndata: y\n\n");
    }
}
