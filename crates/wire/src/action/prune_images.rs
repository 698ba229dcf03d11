//! PruneImages, ours: removes images that no version pins and no container runs. For the account that owns the server.

use super::describe_images::{IMAGE, Image};
use super::{BOTH, REQUEST_ID};
use crate::entry::{Access, Action, Group, Kind, Member, Parameter, PublishedError, Schema, ValueType};
use crate::error::Error;
use crate::parameters::{Flag, Parameters};
use serde::{Deserialize, Serialize};

pub static ENTRY: Action = Action {
    name: "PruneImages",
    title: "Remove images that nothing needs",
    summary: "Removes what no image needs any more and, until the cache is within its bound, the images used least recently; never one that a version pins or a container runs. Only for the account that owns the server.",
    group: Group::Extension,
    kind: Kind::Write,
    methods: BOTH,
    path: "/",
    ram_action: "ens:PruneImages",
    access: Access::Delete,
    parameters: &[Parameter::of("All", ValueType::Flag, "false")
        .about("Remove every image that nothing needs, whatever the bound. False by default.")],
    response: &[
        Member::list("Images", &Schema::Object(IMAGE)),
        Member::integer("FreedBytes", "10485760"),
        Member::integer("TotalBytes", "0"),
        REQUEST_ID,
    ],
    errors: PublishedError::SIX,
    example: r#"{"Images":[],"FreedBytes":0,"TotalBytes":0,"RequestId":"5B2E8A0C-9F3D-4E55-8C1F-0A6F5D2B7E11"}"#,
};

#[derive(Clone, Copy, Debug)]
pub struct Request {
    pub all: Flag,
}

impl Request {
    /// Reads what `ENTRY.check` let through.
    ///
    /// # Errors
    /// None.
    pub fn read(parameters: &Parameters) -> Result<Self, Error> {
        Ok(Self { all: parameters.flag("All") })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    /// Those that were removed.
    pub images: Vec<Image>,
    pub freed_bytes: u64,
    /// What the stores take on disk now.
    pub total_bytes: u64,
    pub request_id: String,
}
