//! DescribeImages, ours: the images in the stores of this server's engines. For the account that owns the server: what
//! lies on the machine is the operator's.

use super::{BOTH, REQUEST_ID};
use crate::entry::{Access, Action, Group, Kind, Member, PublishedError, Schema};
use crate::error::Error;
use crate::parameters::Parameters;
use serde::{Deserialize, Serialize};

pub static ENTRY: Action = Action {
    name: "DescribeImages",
    title: "List images",
    summary: "Lists the images that the engines of this server keep, the latest used first. Only for the account that owns the server.",
    group: Group::Extension,
    kind: Kind::Read,
    methods: BOTH,
    path: "/",
    ram_action: "ens:DescribeImages",
    access: Access::List,
    parameters: &[],
    response: &[
        Member::list("Images", &Schema::Object(IMAGE)),
        Member::integer("TotalBytes", "10485760"),
        Member::integer("CacheBytes", "10737418240"),
        REQUEST_ID,
    ],
    errors: PublishedError::SIX,
    example: r#"{"Images":[],"TotalBytes":0,"CacheBytes":10737418240,"RequestId":"5B2E8A0C-9F3D-4E55-8C1F-0A6F5D2B7E11"}"#,
};

pub(super) const IMAGE: &[Member] = &[
    Member::text("Digest", "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
    Member::list("References", &Schema::Text("registry.example:5000/edge/web:v1")),
    Member::text("Engine", "embedded"),
    Member::integer("Bytes", "10485760"),
    Member::text("LastUsedTime", "2026-03-27T08:00:00Z"),
    Member::list(
        "PinnedBy",
        &Schema::Object(&[
            Member::text("AppId", "474bdef0-d149-4695-abfb-52912d9143f0"),
            Member::text("AppName", "hello"),
            Member::text("AppVersion", "v1"),
        ]),
    ),
    Member::flag("InUse", "true"),
];

#[derive(Clone, Copy, Debug)]
pub struct Request;

impl Request {
    /// Reads what `ENTRY.check` let through.
    ///
    /// # Errors
    /// None.
    pub fn read(_: &Parameters) -> Result<Self, Error> {
        Ok(Self)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    pub images: Vec<Image>,
    /// What the stores take on disk.
    pub total_bytes: u64,
    /// The bound of each store (`[images] cache_size`).
    pub cache_bytes: u64,
    pub request_id: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Image {
    /// Of the manifest.
    pub digest: String,
    /// As templates wrote it, the latest last.
    pub references: Vec<String>,
    pub engine: String,
    /// On disk, with layers that other images share.
    pub bytes: u64,
    pub last_used_time: String,
    /// Versions that mean this image: it is never pruned while there is one.
    pub pinned_by: Vec<PinnedBy>,
    /// A container on this machine runs it.
    pub in_use: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PinnedBy {
    pub app_id: String,
    pub app_name: String,
    pub app_version: String,
}
