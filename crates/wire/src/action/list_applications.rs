//! ListApplications: the account's applications by cluster (ens-api.md §2.7). Keeps the wrapper objects of the
//! published schema; `AppInfo` is a string that holds JSON.

use super::{
    APP_VERSIONS, BOTH, FLAGS_EXAMPLE, LEVEL, Level, PAGE_NUMBER, PAGE_SIZE, Page, Parts, REQUEST_ID,
};
use super::{Versions, comma_list};
use crate::entry::{Access, Action, Group, Kind, Member, Parameter, PublishedError, Schema, ValueType};
use crate::error::Error;
use crate::parameters::Parameters;
use serde::{Deserialize, Serialize};

pub static ENTRY: Action = Action {
    name: "ListApplications",
    title: "List applications",
    summary: "Lists the applications of the account by cluster.",
    group: Group::Application,
    kind: Kind::Read,
    methods: BOTH,
    path: "/",
    ram_action: "ens:ListApplications",
    access: Access::Get,
    parameters: &[
        Parameter::text("ClusterNames", "poc,pre")
            .about("Clusters, separated by commas, or All (the default)."),
        APP_VERSIONS,
        LEVEL,
        Parameter::of("OutAppInfoParams", ValueType::JsonObject, FLAGS_EXAMPLE)
            .about("Which parts to show; a part that is not named is shown.")
            .with(super::FLAGS),
        PAGE_NUMBER,
        PAGE_SIZE,
        Parameter::of("MinDate", ValueType::Date, "2022-02-15")
            .about("Applications created on this day (UTC) or later."),
        Parameter::of("MaxDate", ValueType::Date, "2022-02-20")
            .about("Applications created on this day (UTC) or earlier."),
    ],
    response: &[
        Member::object("Applications", &[Member::list("Application", &Schema::Object(CLUSTER))]),
        Member::integer("PageNumber", "1"),
        Member::integer("PageSize", "10"),
        REQUEST_ID,
        Member::integer("TotalCount", "49"),
    ],
    errors: PublishedError::SIX,
    example: r#"{"Applications":{"Application":[{"AppList":{"App":[{"AppId":"e76f8985-7965-41fc-925b-9648bb6bf650","AppInfo":"{}"}]},"ClusterName":"ay-ads-hz-h"}]},"PageNumber":1,"PageSize":10,"RequestId":"50373E71-7710-4620-8AAB-133CCE49451C","TotalCount":49}"#,
};

const CLUSTER: &[Member] = &[
    Member::object("AppList", &[Member::list("App", &Schema::Object(APP))]),
    Member::text("ClusterName", "ay-ads-hz-h"),
];
const APP: &[Member] = &[
    Member::text("AppId", "e76f8985-7965-41fc-925b-9648bb6bf650"),
    Member::text("AppInfo", "{\"AppStatus\":{}}"),
];

#[derive(Clone, Debug)]
pub struct Request {
    /// `None` = all clusters.
    pub clusters: Option<Vec<String>>,
    pub versions: Versions,
    pub level: Level,
    pub parts: Parts,
    /// `yyyy-MM-dd`, inclusive.
    pub min_date: Option<String>,
    /// `yyyy-MM-dd`, inclusive.
    pub max_date: Option<String>,
    /// `None` = everything.
    pub page: Option<Page>,
}

impl Request {
    /// Reads what `ENTRY.check` let through.
    ///
    /// # Errors
    /// A flag that is neither true nor false.
    pub fn read(parameters: &Parameters) -> Result<Self, Error> {
        let clusters = parameters.text("ClusterNames").filter(|names| *names != "All");
        Ok(Self {
            clusters: clusters.map(comma_list),
            versions: Versions::read(parameters),
            level: Level::read(parameters),
            parts: Parts::read(parameters, "OutAppInfoParams")?,
            min_date: super::owned(parameters, "MinDate"),
            max_date: super::owned(parameters, "MaxDate"),
            page: Page::read(parameters),
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    pub applications: Applications,
    pub page_number: usize,
    pub page_size: usize,
    pub request_id: String,
    /// Matching applications, not clusters.
    pub total_count: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Applications {
    pub application: Vec<Cluster>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Cluster {
    pub app_list: AppList,
    pub cluster_name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AppList {
    pub app: Vec<App>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct App {
    pub app_id: String,
    /// [`crate::payload::application::AppInfo`] as JSON text.
    pub app_info: String,
}
