//! AdvanceClock, ours: steps the time of a server that is an emulator for tests, and waits until everything that was due
//! by then has happened. For the account that owns the server.

use super::{BOTH, REQUEST_ID};
use crate::entry::{Access, Action, Group, Kind, Member, Parameter, PublishedError, ValueType, Width};
use crate::error::Error;
use crate::parameters::Parameters;
use serde::{Deserialize, Serialize};

/// Longest step: a week, the longest that operations are remembered.
const MAX_SECONDS: i64 = 7 * 24 * 60 * 60;

pub static ENTRY: Action = Action {
    name: "AdvanceClock",
    title: "Step the clock",
    summary: "Moves the time of a server that was started with `--clock manual`, and answers when everything that was \
              due by then has happened, in its order: deadlines, back-offs, faults that end. With 0 seconds it only \
              waits for what is due now. Stamps of signatures are checked by the machine's own clock. Refused where \
              time passes by itself. Only for the account that owns the server.",
    group: Group::Extension,
    kind: Kind::Write,
    methods: BOTH,
    path: "/",
    ram_action: "ens:AdvanceClock",
    access: Access::Update,
    parameters: &[Parameter::of(
        "Seconds",
        ValueType::Integer { minimum: 0, maximum: MAX_SECONDS, width: Width::Int32 },
        "300",
    )
    .required()
    .about("How far.")],
    response: &[
        Member::text("Now", "2026-03-27T08:05:00Z"),
        Member::integer("SteppedMs", "300000"),
        REQUEST_ID,
    ],
    errors: PublishedError::SIX,
    example: r#"{"Now":"2026-03-27T08:05:00Z","SteppedMs":300000,"RequestId":"AAE90880-4970-4D81-A534-A6C0F3631F74"}"#,
};

#[derive(Clone, Copy, Debug)]
pub struct Request {
    pub seconds: u32,
}

impl Request {
    /// Reads what `ENTRY.check` let through.
    ///
    /// # Errors
    /// `MissingParameter`.
    pub fn read(parameters: &Parameters) -> Result<Self, Error> {
        let seconds = parameters.integer("Seconds").ok_or_else(|| Error::missing_parameter("Seconds"))?;
        Ok(Self { seconds })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    /// What the server takes for the time now.
    pub now: String,
    /// By all steps since the start.
    pub stepped_ms: i64,
    pub request_id: String,
}
