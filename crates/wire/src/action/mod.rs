//! One file per action: its catalog entry, its typed request and its answer.
//! What several actions share in their entries stands here; what they do is the server's.

pub mod rescale_application;

use crate::catalog::{Parameter, ValueType, Width};
use crate::parameters::Parameters;

/// The order in which the metadata lists them.
const BOTH: &[crate::catalog::Method] = &[crate::catalog::Method::Post, crate::catalog::Method::Get];

const APP_ID: Parameter = Parameter::text("AppId", "474bdef0-d149-4695-abfb-52912d9143f0")
    .about("The ID of the application. ListApplications shows it.");

/// Longest deadline: a day (ens-api.md §1.2).
const MAX_TIMEOUT_S: i64 = 86_400;

/// Seconds from acceptance; the default differs by action.
const fn timeout(default: &'static str) -> Parameter {
    Parameter::integer("Timeout", 1, MAX_TIMEOUT_S, "1800")
        .or(default)
        .about("Seconds from acceptance until what is not ready is given up.")
}

const CLIENT_TOKEN: Parameter =
    Parameter::of("ClientToken", ValueType::Text { max_bytes: 64 }, "0c593ea1-3bea-11e9-b96b-88e9fe637760")
        .about(
            "Makes the write idempotent: the same token with the same parameters gets the same RequestId.",
        );

const IF_REVISION: Parameter = Parameter::of(
    "IfRevision",
    ValueType::Integer { minimum: 0, maximum: i64::MAX, width: Width::Int64 },
    "7",
)
.about("Refuses the write unless the application still has this revision (AppStatus.Revision).");

fn owned(parameters: &Parameters, name: &str) -> Option<String> {
    parameters.text(name).map(str::to_owned)
}
