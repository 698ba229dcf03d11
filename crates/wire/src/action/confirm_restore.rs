//! ConfirmRestore, ours: lets a server that was restored from a backup act, or shows what it would do then
//! (`decisions.md` §9.9).

use super::{BOTH, REQUEST_ID};
use crate::entry::{Access, Action, Group, Kind, Member, Parameter, PublishedError, Schema, ValueType};
use crate::error::Error;
use crate::parameters::{Flag, Parameters};
use serde::{Deserialize, Serialize};

pub static ENTRY: Action = Action {
    name: "ConfirmRestore",
    title: "Confirm a restore",
    summary: "Lets a server that was restored from a backup act: it starts what its log wants, and ends what its log \
              does not know. Where nothing waits to be confirmed, nothing happens.",
    group: Group::Extension,
    kind: Kind::Write,
    methods: BOTH,
    path: "/",
    ram_action: "ens:ConfirmRestore",
    access: Access::Update,
    parameters: &[Parameter::of("DryRun", ValueType::Flag, "true")
        .or("false")
        .about("Only shows what a confirmation would do.")],
    response: &[Member::object("Restore", RESTORE), REQUEST_ID],
    errors: PublishedError::SIX,
    example: r#"{"Restore":{"Status":"Observing","TakenAt":"2026-03-27T08:00:00Z","RestoredAt":"2026-03-28T08:00:00Z","ConfirmedAt":"","Sequence":1842,"Wanted":6,"Held":7,"UnknownCount":1,"Unknown":["i-5s9boobrmh5000kv4jmi0oeai"]},"RequestId":"AAE90880-4970-4D81-A534-A6C0F3631F74"}"#,
};

const RESTORE: &[Member] = &[
    Member::text("Status", "Observing"),
    Member::text("TakenAt", "2026-03-27T08:00:00Z"),
    Member::text("RestoredAt", "2026-03-28T08:00:00Z"),
    Member::text("ConfirmedAt", ""),
    Member::integer("Sequence", "1842"),
    Member::integer("Wanted", "6"),
    Member::integer("Held", "7"),
    Member::integer("UnknownCount", "1"),
    Member::list("Unknown", &Schema::Text("i-5s9boobrmh5000kv4jmi0oeai")),
];

/// Most instances that one answer names.
pub const UNKNOWN_AT_MOST: usize = 100;

#[derive(Clone, Debug)]
pub struct Request {
    pub dry_run: Flag,
}

impl Request {
    /// Reads what `ENTRY.check` let through.
    ///
    /// # Errors
    /// None beyond those of `check`.
    pub fn read(parameters: &Parameters) -> Result<Self, Error> {
        Ok(Self { dry_run: parameters.flag("DryRun") })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    pub restore: Restore,
    pub request_id: String,
}

/// What was restored, and what the engines have of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Restore {
    /// `Observing`, `Confirmed`, or `None` where nothing was restored.
    pub status: String,
    /// When the backup was made; empty where there is none, as the others.
    pub taken_at: String,
    pub restored_at: String,
    pub confirmed_at: String,
    /// The last one of the backup's log.
    pub sequence: u64,
    /// Instances that the log wants to run.
    pub wanted: usize,
    /// Instances that the engines have something of.
    pub held: usize,
    pub unknown_count: usize,
    /// Those that the log does not know; the first hundred.
    pub unknown: Vec<String>,
}
