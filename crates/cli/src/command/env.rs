//! `ensemble env`: exports for official SDKs and the `aliyun` command line.

use crate::context::{Context, Outcome};
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
    // SDKs take the endpoint without a scheme and the protocol apart.
    let authority = endpoint.url.split("://").nth(1).unwrap_or(&endpoint.url).to_owned();
    let mut variables = vec![
        ("ENSEMBLE_ENDPOINT", endpoint.url.clone()),
        ("ENSEMBLE_ACCESS_KEY_ID", endpoint.key_id.clone()),
        ("ALIBABA_CLOUD_ENDPOINT", authority),
        ("ALIBABA_CLOUD_ACCESS_KEY_ID", endpoint.key_id.clone()),
    ];
    if !arguments.no_secret {
        variables.push(("ENSEMBLE_ACCESS_KEY_SECRET", endpoint.secret.clone()));
        variables.push(("ALIBABA_CLOUD_ACCESS_KEY_SECRET", endpoint.secret));
    }
    if context.form().is_json() {
        let object = variables.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
        output::print_document(context.form(), &serde_json::Value::Object(object));
        return Ok(Exit::Done);
    }
    for (name, value) in variables {
        output::line(&format!("export {name}='{}'", value.replace('\'', r"'\''")));
    }
    Ok(Exit::Done)
}
