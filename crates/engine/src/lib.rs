//! How containers really run: the [`Engine`] trait, and the engines behind it.
//! Must not decide placement or know about the wire; what it is told is [`Wanted`], what it says is an
//! [`Observation`](ensemble_model::observation::Observation).

pub mod any;
pub mod embedded;
pub mod exec;
pub mod faults;
pub mod simulated;

use embedded::image::PullProgress;
use ensemble_model::id::{Digest, InstanceId};
use ensemble_model::time::WallTime;
use ensemble_model::wanted::Wanted;
use exec::{ExecOrder, Execution};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

/// One way of running containers. Level-triggered: told what should be, it makes it so and reports what it sees
/// on the channel it was made with. Converging twice changes nothing.
pub trait Engine: Send + Sync {
    /// What it can do, so that a plan can refuse or estimate instead of failing later.
    fn capabilities(&self) -> Capabilities;

    /// How far images that are being pulled are, by their digest; a look, not a report.
    fn pulls(&self) -> BTreeMap<Digest, PullProgress> {
        BTreeMap::new()
    }

    /// Takes over what is wanted and returns at once; the work goes on behind. An older epoch than the last one
    /// is refused.
    fn converge(&self, wanted: Wanted) -> impl Future<Output = Result<(), Error>> + Send;

    /// The last lines that one container of a pod wrote, oldest first.
    fn logs(&self, query: LogQuery) -> impl Future<Output = Result<Vec<LogLine>, Error>> + Send;

    /// Runs a command in a running container; returns once it runs.
    fn exec(&self, order: ExecOrder) -> impl Future<Output = Result<Execution, Error>> + Send;

    /// Stops converging and reporting; containers stay.
    fn shut_down(&self) -> impl Future<Output = ()> + Send;
}

/// One that is shared with others.
impl<E: Engine> Engine for Arc<E> {
    fn capabilities(&self) -> Capabilities {
        (**self).capabilities()
    }

    fn pulls(&self) -> BTreeMap<Digest, PullProgress> {
        (**self).pulls()
    }

    fn converge(&self, wanted: Wanted) -> impl Future<Output = Result<(), Error>> + Send {
        (**self).converge(wanted)
    }

    fn logs(&self, query: LogQuery) -> impl Future<Output = Result<Vec<LogLine>, Error>> + Send {
        (**self).logs(query)
    }

    fn exec(&self, order: ExecOrder) -> impl Future<Output = Result<Execution, Error>> + Send {
        (**self).exec(order)
    }

    fn shut_down(&self) -> impl Future<Output = ()> + Send {
        (**self).shut_down()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Pods have an address that the machine can reach.
    pub pod_addresses: bool,
    /// vCPU and memory of an instance are enforced.
    pub limits: bool,
    /// How many containers it starts at once.
    pub starts_at_once: usize,
    /// How many pods it can hold at the most.
    pub pods_at_most: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogQuery {
    pub instance: InstanceId,
    pub workload: String,
    pub index: u32,
    pub container: String,
    /// Only lines written at or after this.
    pub since: Option<WallTime>,
    /// At most this many, the last ones.
    pub tail: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// RFC 3339 with nanoseconds, UTC.
    pub at: String,
    pub stream: LogStream,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStream {
    Stdout,
    Stderr,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("epoch {offered} is older than {current}, under which the engine already acts")]
    StaleEpoch { offered: u64, current: u64 },
    #[error("no logs of `{instance}` are kept")]
    NoLogs { instance: InstanceId },
    #[error("the container does not run")]
    NotRunning { instance: InstanceId },
    #[error("{reason}")]
    NoProgram { reason: String },
    #[error("the engine runs no programs, so there is no container to run a command in")]
    NoExec,
    #[error("the command could not be started: {reason}")]
    Exec { reason: String },
    #[error("the engine cannot be reached: {reason}")]
    Unreachable { reason: String },
    #[error("could not read `{path}`")]
    Read {
        path: String,
        #[source]
        source: std::io::Error,
    },
}
