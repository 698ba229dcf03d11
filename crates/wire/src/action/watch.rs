//! Watch, ours: an application or operation as it changes, as server-sent events (`decisions.md` §4.5 and §5). Also
//! asked as `GET /watch`; the events are `payload::event`'s.

use super::{GET, owned};
use crate::entry::{Access, Action, Group, Kind, Parameter, PublishedError, ValueType, Width};
use crate::error::Error;
use crate::parameters::Parameters;

pub static ENTRY: Action = Action {
    name: "Watch",
    title: "Watch an application or operation",
    summary: "Sends the objects as they are, then every change, as server-sent events: `operation`, `instance`, `application`, and `resync` where `Since` is too old.",
    group: Group::Extension,
    kind: Kind::Stream,
    methods: GET,
    path: "/watch",
    ram_action: "ens:Watch",
    access: Access::Get,
    parameters: &[
        super::APP_ID.about("The application to watch; AppId or OperationId is needed, not both."),
        Parameter::text("OperationId", "AAE90880-4970-4D81-A534-A6C0F3631F74")
            .about("The RequestId of a write; the stream ends with the operation's last event."),
        Parameter::of(
            "Since",
            ValueType::Integer { minimum: 0, maximum: i64::MAX, width: Width::Int64 },
            "1842",
        )
        .about("The id of the last event seen: only later changes are sent."),
    ],
    response: &[],
    errors: PublishedError::SIX,
    example: "id: 1842\nevent: operation\ndata: {\"OperationId\":\"AAE90880-4970-4D81-A534-A6C0F3631F74\",\"Status\":\"Succeeded\"}\n\n",
};

#[derive(Clone, Debug)]
pub struct Request {
    pub subject: Subject,
    /// A sequence of the log.
    pub since: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    Application(String),
    Operation(String),
}

impl Request {
    /// Reads what `ENTRY.check` let through.
    ///
    /// # Errors
    /// `MissingParameter` without AppId and OperationId, `InvalidParameter.OperationId` with both.
    pub fn read(parameters: &Parameters) -> Result<Self, Error> {
        let subject = match (owned(parameters, "AppId"), owned(parameters, "OperationId")) {
            (Some(app), None) => Subject::Application(app),
            (None, Some(operation)) => Subject::Operation(operation),
            (None, None) => {
                return Err(
                    Error::missing_parameter("AppId").with_detail("Watch takes AppId or OperationId.")
                );
            }
            (Some(_), Some(_)) => {
                return Err(Error::invalid_parameter(
                    "OperationId",
                    "Watch takes AppId or OperationId, not both.",
                ));
            }
        };
        Ok(Self { subject, since: parameters.integer("Since") })
    }
}
