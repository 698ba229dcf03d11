//! DescribeInstanceLogs, ours: what a container printed (`decisions.md` §5). With `Follow` the answer is a stream of
//! server-sent events, each a line.

use super::{BOTH, REQUEST_ID, owned};
use crate::entry::{Access, Action, Group, Kind, Member, Parameter, PublishedError, Schema, ValueType};
use crate::error::Error;
use crate::parameters::{Flag, Parameters};
use crate::payload::log::Line;
use crate::time::parse_iso;
use serde::{Deserialize, Serialize};

/// Most lines of one answer.
const MAX_TAIL: i64 = 10_000;

pub static ENTRY: Action = Action {
    name: "DescribeInstanceLogs",
    title: "Read the logs of an instance",
    summary: "Shows what a container of an instance printed, also for 24 hours after it was released.",
    group: Group::Extension,
    kind: Kind::Read,
    methods: BOTH,
    path: "/",
    ram_action: "ens:DescribeInstanceLogs",
    access: Access::Get,
    parameters: &[
        Parameter::text("InstanceId", "i-5s9boobrmh5000kv4jmi0oeai").required().about("The instance."),
        Parameter::text("PodName", "hello-web-v1-zjzmcyaw-0")
            .about("The device; needed only where the instance has more than one."),
        Parameter::text("ContainerName", "web")
            .about("The container; needed only where the pod has more than one."),
        Parameter::text("Since", "2026-03-27T08:00:00Z").about("Only lines from this time (UTC) on."),
        Parameter::integer("Tail", 0, MAX_TAIL, "100").or("1000").about("The last lines; at most 10,000."),
        Parameter::of("Follow", ValueType::Flag, "true")
            .or("false")
            .about("Keeps the answer open and sends further lines as server-sent events."),
    ],
    response: &[Member::list("Lines", &Schema::Object(LINE)), REQUEST_ID],
    errors: PublishedError::SIX,
    example: r#"{"Lines":[{"At":"2026-03-27T08:00:00.123456789Z","Stream":"stdout","Text":"listening on :8080"}],"RequestId":"5B2E8A0C-9F3D-4E55-8C1F-0A6F5D2B7E11"}"#,
};

const LINE: &[Member] = &[
    Member::text("At", "2026-03-27T08:00:00.123456789Z"),
    Member::text("Stream", "stdout"),
    Member::text("Text", "listening on :8080"),
];

#[derive(Clone, Debug)]
pub struct Request {
    pub instance_id: String,
    pub pod_name: Option<String>,
    pub container_name: Option<String>,
    /// Milliseconds since 1970.
    pub since_ms: Option<i64>,
    pub tail: usize,
    pub follow: Flag,
}

impl Request {
    /// Reads what `ENTRY.check` let through.
    ///
    /// # Errors
    /// `InvalidParameter.Since` for what is no time.
    pub fn read(parameters: &Parameters) -> Result<Self, Error> {
        let since = parameters.text("Since").map(|text| {
            parse_iso(text).ok_or_else(|| {
                Error::invalid_parameter("Since", "Since: it is not a time like 2026-03-27T08:00:00Z.")
            })
        });
        Ok(Self {
            instance_id: parameters.required("InstanceId")?.to_owned(),
            pod_name: owned(parameters, "PodName"),
            container_name: owned(parameters, "ContainerName"),
            since_ms: since.transpose()?,
            tail: parameters.integer("Tail").unwrap_or(1_000),
            follow: parameters.flag("Follow"),
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    pub lines: Vec<Line>,
    pub request_id: String,
}
