//! `ensemble version`.

use crate::context::{Context, Outcome};
use crate::failure::Exit;
use crate::output;
use serde_json::json;

pub(crate) const EXAMPLES: &str = "\
Examples:
  ensemble version
  ensemble version -o json";

pub(crate) fn run(context: &Context) -> Outcome {
    let version = env!("CARGO_PKG_VERSION");
    if context.form().is_json() {
        output::print_document(context.form(), &json!({"version": version, "api": "Ens 2017-11-10"}));
    } else {
        output::line(&format!("ensemble {version} (Alibaba Cloud ENS 2017-11-10)"));
    }
    Ok(Exit::Done)
}
