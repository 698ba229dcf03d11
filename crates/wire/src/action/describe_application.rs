//! DescribeApplication: an application down to its devices, aggregated at a level (ens-api.md §2.6). `Application` is
//! a string that holds JSON, not an object: typed SDKs declare it so.

use super::{APP_ID, APP_VERSIONS, BOTH, FLAGS_EXAMPLE, LEVEL, Level, Parts, REQUEST_ID, Versions};
use crate::entry::{Access, Action, Group, Kind, Member, Parameter, PublishedError, ValueType};
use crate::error::Error;
use crate::parameters::Parameters;
use crate::selector::{self, FilterItem, Selector};
use serde::{Deserialize, Serialize};

pub static ENTRY: Action = Action {
    name: "DescribeApplication",
    title: "Describe an application",
    summary: "Shows an application: what it is, how it is, and its instances by version, district and carrier.",
    group: Group::Application,
    kind: Kind::Read,
    methods: BOTH,
    path: "/",
    ram_action: "ens:DescribeApplication",
    access: Access::Get,
    parameters: &[
        APP_ID.required(),
        APP_VERSIONS,
        LEVEL,
        Parameter::of("OutDetailStatParams", ValueType::JsonObject, FLAGS_EXAMPLE)
            .about("Which parts to show; a part that is not named is shown.")
            .with(super::FLAGS),
        Parameter::of(
            "ResourceSelector",
            selector::FORM,
            r#"[{"regionCode":"cn-wuxi-telecom_unicom_cmcc-3","ispCode":"telecom","count":2},{"regionCode":"cn-shanghai-cmcc","count":4}]"#,
        )
        .about("Shows only what matches any item; count says nothing here.")
        .with(selector::FIELDS),
    ],
    response: &[Member::text("Application", "{\"AppMetaData\":{}}"), REQUEST_ID],
    errors: PublishedError::SIX,
    example: r#"{"Application":"{\"AppMetaData\":{\"AppId\":\"b0b27670-87d5-4c40-9ea8-adeeec2986ce\"}}","RequestId":"473469C7-AA6F-4DC5-B3DB-A3DC0DE3C83E"}"#,
};

#[derive(Clone, Debug)]
pub struct Request {
    pub app_id: String,
    pub versions: Versions,
    pub level: Level,
    pub parts: Parts,
    /// `None` = everything.
    filter: Option<Selector>,
}

impl Request {
    /// Reads what `ENTRY.check` let through.
    ///
    /// # Errors
    /// A flag that is neither true nor false.
    pub fn read(parameters: &Parameters) -> Result<Self, Error> {
        let selector = parameters.json("ResourceSelector");
        Ok(Self {
            app_id: parameters.required("AppId")?.to_owned(),
            versions: Versions::read(parameters),
            level: Level::read(parameters),
            parts: Parts::read(parameters, "OutDetailStatParams")?,
            filter: selector.map(|value| Selector::read("ResourceSelector", Some(value))).transpose()?,
        })
    }

    /// The filter's content; `None` = everything.
    ///
    /// # Errors
    /// `InvalidParameter` that names the first wrong item.
    pub fn filter(&self) -> Result<Option<Vec<FilterItem>>, Error> {
        self.filter.as_ref().map(Selector::filter).transpose()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    /// [`crate::payload::application::Application`] as JSON text.
    pub application: String,
    pub request_id: String,
}
