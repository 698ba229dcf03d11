//! `ensemble doctor`: what this machine lacks for real containers, with the command that mends it.

use crate::context::{Context, Outcome};
use crate::failure::{Exit, Failure};
use crate::output;
use clap::Args;
use ensemble_engine::embedded::preflight::{self, Finding, PreflightInput, Severity};
use ensemble_server::restored::Restored;
use serde_json::{Value, json};
use std::path::Path;

/// Check what this machine lacks for real containers, and the command that mends it
///
/// Exits 0 where real containers can run, 1 where something is missing.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ensemble doctor
  ensemble doctor -o json")]
pub(crate) struct Arguments {
    /// The address range of pods [default: the configuration's, or 10.80.0.0/16]
    #[arg(long, value_name = "CIDR")]
    pod_network: Option<String>,
}

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Outcome {
    let pod_network = context.pod_network(arguments.pod_network);
    let pod_network = pod_network
        .parse()
        .map_err(|error| Failure::usage(format!("`{pod_network}` is no address range")).cause(error))?;
    let input = PreflightInput { data_dir: context.data_dir(), pod_network };
    let mut findings = tokio::task::spawn_blocking(move || preflight::check(&input))
        .await
        .map_err(|error| Failure::from_error("the checks did not finish", &error))?;
    findings.extend(restore(&context.data_dir()));
    if context.form().is_json() {
        output::print_document(context.form(), &Value::Array(findings.iter().map(to_json).collect()));
    } else {
        findings.iter().for_each(print);
    }
    let missing = findings.iter().filter(|finding| finding.severity == Severity::Missing).count();
    if missing == 0 {
        if !context.form().is_json() {
            context.say("Real containers can run here. next: ensemble serve");
        }
        return Ok(Exit::Done);
    }
    if context.form().is_json() {
        return Ok(Exit::Failed);
    }
    Err(Failure::new(
        Exit::Failed,
        format!("{missing} of {} checks failed: no containers here", findings.len()),
    )
    .hint("run the commands above, or try the API without containers: ensemble serve --engine simulated"))
}

/// A restore that nobody has confirmed keeps the server from starting containers as well.
fn restore(data_dir: &Path) -> Option<Finding> {
    let (text, mend) = match Restored::read(data_dir) {
        Ok(Some(restored)) if !restored.is_confirmed() => (
            "not confirmed: the server only observes".to_owned(),
            Some("ensemble restore --confirm".to_owned()),
        ),
        Ok(_) => return None,
        Err(error) => (error.to_string(), None),
    };
    Some(Finding { name: "restore", severity: Severity::Warning, text, mend })
}

fn print(finding: &Finding) {
    let mark = match finding.severity {
        Severity::Fine => "ok     ",
        Severity::Warning => "warning",
        Severity::Missing => "missing",
    };
    output::line(&format!("{mark}  {:<18} {}", finding.name, finding.text));
    if let Some(mend) = &finding.mend {
        output::line(&format!("{:9}{:<18} mend: {mend}", "", ""));
    }
}

fn to_json(finding: &Finding) -> Value {
    json!({"name": finding.name, "severity": format!("{:?}", finding.severity).to_lowercase(), "text": finding.text,
        "mend": finding.mend})
}
