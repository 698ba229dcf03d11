//! `ensemble env`: exports for official SDKs and the `aliyun` command line.

use crate::context::{Context, Outcome};
use crate::endpoint::Endpoint;
use crate::failure::Exit;
use crate::output;
use clap::Args;
use serde_json::json;

/// Print exports that point official SDKs at this server
///
/// What is printed sets the endpoint and the access key for this command line, for the SDKs of Alibaba Cloud, and for
/// the aliyun command line.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  eval \"$(ensemble env)\"
  ensemble env --no-secret")]
pub(crate) struct Arguments {
    /// Leave out the secret, for showing to somebody
    #[arg(long)]
    no_secret: bool,
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> Outcome {
    let endpoint = context.endpoint()?;
    let mut variables = variables(&endpoint);
    if arguments.no_secret {
        variables.retain(|(name, _)| !name.ends_with("_SECRET"));
    }
    if context.form().is_json() {
        let object = variables.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
        output::print_document(context.form(), &serde_json::Value::Object(object));
        return Ok(Exit::Done);
    }
    variables.iter().for_each(|variable| output::line(&export(variable)));
    Ok(Exit::Done)
}

/// The lines that a shell reads.
pub(crate) fn exports(endpoint: &Endpoint) -> Vec<String> {
    variables(endpoint).iter().map(export).collect()
}

fn export((name, value): &(&str, String)) -> String {
    format!("export {name}='{}'", value.replace('\'', r"'\''"))
}

fn variables(endpoint: &Endpoint) -> Vec<(&'static str, String)> {
    // SDKs take the endpoint without a scheme and the protocol apart.
    let authority = endpoint.url.split("://").nth(1).unwrap_or(&endpoint.url).to_owned();
    vec![
        ("ENSEMBLE_ENDPOINT", endpoint.url.clone()),
        ("ENSEMBLE_ACCESS_KEY_ID", endpoint.key_id.clone()),
        ("ALIBABA_CLOUD_ENDPOINT", authority),
        ("ALIBABA_CLOUD_ACCESS_KEY_ID", endpoint.key_id.clone()),
        ("ENSEMBLE_ACCESS_KEY_SECRET", endpoint.secret.clone()),
        ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", endpoint.secret.clone()),
    ]
}
