//! CreateApplication: creates an application from a template and, where the template selects some, its first
//! instances (ens-api.md §2.1).

use super::{BOTH, CLIENT_TOKEN, Ending, ON_TIMEOUT, REQUEST_ID, owned, timeout};
use crate::entry::{Access, Action, Group, Kind, Member, Parameter, PublishedError, ValueType};
use crate::error::Error;
use crate::parameters::Parameters;
use crate::template::{self, Template};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub static ENTRY: Action = Action {
    name: "CreateApplication",
    title: "Create an application",
    summary: "Creates an application from a template; where its resourceSelector asks for instances, they are placed at once and start behind the answer.",
    group: Group::Application,
    kind: Kind::Write,
    methods: BOTH,
    path: "/",
    ram_action: "ens:CreateApplication",
    access: Access::Create,
    parameters: &[
        Parameter::of("Template", ValueType::JsonObject, TEMPLATE_EXAMPLE)
            .required()
            .about(
                "The application: its name, its resources, its workloads and where the first instances go.",
            )
            .with(template::FIELDS),
        timeout("1800"),
        CLIENT_TOKEN,
        ON_TIMEOUT,
    ],
    response: &[Member::text("AppId", "d0639abf-789a-4527-b420-031d2cd9ad9b"), REQUEST_ID],
    errors: PublishedError::SIX,
    example: r#"{"AppId":"d0639abf-789a-4527-b420-031d2cd9ad9b","RequestId":"CEF72CEB-54B6-4AE8-B225-F876FF7BA984"}"#,
};

const TEMPLATE_EXAMPLE: &str = r#"{"appMetaData":{"appName":"nginx","clusterName":"poc","appType":"Common","description":"test"},"resourceAttribute":{"resourceType":"","instanceSpec":"ens.sn1.tiny","systemDiskSize":20,"dataDiskSize":0,"bandwithOut":10,"areaLevel":"National","netSecurityStrategy":null,"initConfig":null},"resourceSelector":[{"count":1}],"workload":[{"podCount":1,"serviceConfig":null,"name":"nginx","podSpec":{"containers":[{"name":"android","image":"edge-registry.alicdn.com/test/nginx"}]},"count":1}]}"#;

#[derive(Clone, Debug)]
pub struct Request {
    template: Value,
    pub timeout_s: u32,
    pub on_timeout: Ending,
    pub client_token: Option<String>,
}

impl Request {
    /// Reads what `ENTRY.check` let through.
    ///
    /// # Errors
    /// None beyond those of `check`.
    pub fn read(parameters: &Parameters) -> Result<Self, Error> {
        Ok(Self {
            template: parameters.json("Template").cloned().unwrap_or_default(),
            timeout_s: parameters.integer("Timeout").unwrap_or(1_800),
            on_timeout: Ending::read(parameters, "OnTimeout"),
            client_token: owned(parameters, "ClientToken"),
        })
    }

    /// The template's content, which is looked at only after permission and token (`decisions.md` §3).
    ///
    /// # Errors
    /// `InvalidParameter` that names the first wrong field by its path.
    pub fn template(&self) -> Result<Template, Error> {
        Template::read(&self.template)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    pub app_id: String,
    pub request_id: String,
}
